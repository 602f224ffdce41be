//! Signing in: the first administrator, browsers, sessions.

pub mod admit;
pub mod cookies;
pub mod github;
pub mod issuers;
pub mod jwt;
pub mod oidc;
pub mod provider;
pub mod session;
pub mod setup;
