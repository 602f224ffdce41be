//! `oxide/junit@1`: reads JUnit XML reports, counts tests, marks the failed ones in the source and writes a summary.
//!
//! The way of a report: [`source`] makes one stream of UTF-8 from the pieces of a file, [`markup`] cuts it into elements
//! and text, [`report`] knows what JUnit means by them and tells [`results`], which holds a bounded amount whatever comes.
//! Then [`place`] finds the line in the source of each failure, and [`annotation`] and [`summary`] word what people see.
//! All of these compile everywhere; `guest` speaks to the host and exists in the component only.

pub mod annotation;
pub mod markup;
pub mod place;
pub mod report;
pub mod request;
pub mod results;
pub mod source;
pub mod summary;
pub mod text;

#[cfg(target_arch = "wasm32")]
mod guest;
