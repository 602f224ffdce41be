//! REST, WebSocket, SSE, webhooks and sign-in.
//!
//! [`route::table`] lists every route; [`route::router`] makes the server's router of it, [`openapi`] its description.
//! A request passes [`layers`] (id, address, log, CORS), the guard of its route (`route/guard.rs`: who, may it, how often, how
//! much), and then a function of [`resource`].

pub mod address;
pub mod agent_door;
pub mod audit;
pub mod authenticate;
pub mod caller;
pub mod cluster;
pub mod cors;
pub mod credential;
pub mod csrf;
pub mod engine;
pub mod error;
pub mod etag;
pub mod extract;
pub mod layers;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod rate_limit;
pub mod registry;
pub mod resource;
pub mod route;
pub mod server;
pub mod settings;
pub mod sign_in;
pub mod sources;
pub mod standing;
pub mod state;
pub mod text;
pub mod traces;
