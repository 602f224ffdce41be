//! From the text of a pipeline to a plan: reads it, finds its plugins, checks everything.
//!
//! One planner for all: [`plan`] is what `oxide run`, `plan` and `validate` do with a project, and [`stored`] does the same for
//! a pipeline that a server keeps with its lock. [`supply`] brings plugins of registries to this machine, as far as the lock
//! and the trust policy let it; [`accept`] writes the lock of a pipeline that has none yet; [`remote`] asks a repository which
//! commit a branch stands for.
//!
//! Knows neither store nor API, and never reads the clock: text, lock and context come in, a plan or what is wrong goes out.

pub mod accept;
mod plan;
mod plugins;
pub mod remote;
pub mod stored;
pub mod supply;

pub use plan::{PlanError, Planned, plan};
pub use plugins::{UsedPlugin, registry_references};
pub use stored::{Accepted, StoredPipelines};
pub use supply::{Registries, Supply};
