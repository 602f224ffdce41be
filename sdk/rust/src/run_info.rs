//! Facts about the run that the step belongs to. They hold no secrets.

pub use crate::bindings::oxide::ci::run_info::{Info, get};
