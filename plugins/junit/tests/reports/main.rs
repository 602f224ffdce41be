//! Reports of many programs and of none, through all parts that need no host.

#[path = "../../src/annotation.rs"]
mod annotation;
#[path = "../../src/markup.rs"]
mod markup;
#[path = "../../src/place.rs"]
mod place;
#[path = "../../src/report.rs"]
mod report;
#[path = "../../src/request.rs"]
mod request;
#[path = "../../src/results.rs"]
mod results;
#[path = "../../src/source.rs"]
mod source;
#[path = "../../src/summary.rs"]
mod summary;
#[path = "../../src/text.rs"]
mod text;

mod bad_input;
mod dialects;
mod inputs;
mod pages;
mod places;
mod random;

use results::Results;
use source::Broken;

/// The pieces of a text, each of so many bytes.
fn pieces(bytes: &[u8], length: usize) -> impl FnMut() -> Result<Vec<u8>, String> + use<> {
    let parts: Vec<Vec<u8>> = bytes.chunks(length).map(<[u8]>::to_vec).collect();
    let mut parts = parts.into_iter();
    move || Ok(parts.next().unwrap_or_default())
}

/// Reads a report that comes in pieces of some length.
fn read_in_pieces(bytes: &[u8], length: usize) -> (Results, Option<Broken>) {
    let mut results = Results::default();
    let broken = report::read("report.xml", pieces(bytes, length), &mut results).err();
    (results, broken)
}

/// Reads a report that must be readable.
fn read(text: &str) -> Results {
    let (results, broken) = read_in_pieces(text.as_bytes(), 1 << 20);
    assert_eq!(broken, None, "{text}");
    results
}

/// Reads a report that must not be readable; answers with `LINE:COLUMN: REASON`.
fn refused(bytes: &[u8]) -> String {
    let (_, broken) = read_in_pieces(bytes, 1 << 20);
    let broken = broken.expect("the report is refused");
    match broken.position {
        Some(at) => format!("{}:{}: {}", at.line, at.column, broken.reason),
        None => broken.reason,
    }
}
