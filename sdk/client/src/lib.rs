//! Speaks to the API of a server.
