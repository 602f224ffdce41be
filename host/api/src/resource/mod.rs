//! What the routes do, topic by topic: each file lists its routes with `routes()`, and [`crate::route::table`] lists the files.

pub mod audit_log;
pub mod membership;
pub mod project;
pub mod server_info;
pub mod sign_in;
pub mod token;
pub mod user;
