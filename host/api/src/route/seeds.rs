//! The routes that the first documents of the project asked for, and where they are in this API.

/// A route of such a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedRoute {
    /// The document.
    pub document: &'static str,
    /// The route there: method and path.
    pub theirs: &'static str,
    /// The route here: method and path.
    pub ours: (&'static str, &'static str),
}

/// All of them.
pub const SEEDS: [SeedRoute; 1] =
    [SeedRoute { document: "design of the system", theirs: "GET /api/healthchecker", ours: ("GET", "/api/v1/health") }];
