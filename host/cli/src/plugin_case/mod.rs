//! Tests of plugins without a server: one case is a folder with `case.yaml`, and `files/` for its workspace.
//!
//! [`case`] reads a case; [`perform`] runs it, with [`script`] in the place of the world; [`compare`] tells what differs
//! from what was expected, [`report`] shows it, [`accept`] writes it down. [`subject`] is the plugin.

pub mod accept;
pub mod case;
pub mod compare;
pub mod content;
pub mod difference;
pub mod files;
pub mod perform;
pub mod report;
pub mod script;
pub mod subject;
pub mod yaml_text;
