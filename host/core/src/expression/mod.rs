//! `${{ }}`: CEL expressions in a pipeline.
//!
//! [`Scope`] holds what they can see, [`evaluate`], [`interpolate`] and [`condition`] give values, [`references`] tells
//! what an expression names so that planning can check it, and [`script::lift`] turns those of a `run:` script into
//! environment variables. No text makes any of them panic, and none runs for long: length, nesting and loops are bounded.

mod compile;
mod convert;
mod evaluate;
mod references;
mod scope;
pub mod script;
mod template;

#[cfg(test)]
mod tests;

pub use compile::MAX_EXPRESSION_BYTES;
pub(crate) use evaluate::{FUNCTIONS, is_type_name, unknown_root};
pub use evaluate::{condition, evaluate, interpolate};
pub use references::{Reference, References, references};
pub(crate) use scope::GIT_FACTS;
pub use scope::{HashFiles, Scope, StatusFacts};
pub use template::{Part, as_text, condition_text, parts, span_of, value_as_text};
