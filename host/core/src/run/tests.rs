//! Stories of runs, and runs by chance.

mod build;
mod chance;
mod stories;
mod waiting;
mod world;
