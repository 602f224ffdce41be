//! A report larger than the memory of the plugin is read with little of it.

// Only the way from pieces to counts runs here.
#[allow(dead_code, reason = "the stories of the other modules are in `reports`")]
#[path = "../src/markup.rs"]
mod markup;
#[path = "../src/report.rs"]
mod report;
#[allow(dead_code, reason = "the stories of the other modules are in `reports`")]
#[path = "../src/results.rs"]
mod results;
#[allow(dead_code, reason = "the stories of the other modules are in `reports`")]
#[path = "../src/source.rs"]
mod source;
#[allow(dead_code, reason = "the stories of the other modules are in `reports`")]
#[path = "../src/text.rs"]
mod text;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Counts what is held, and the most that ever was.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(held, Relaxed);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The pieces of a report of so many MiB: in the middle as many of `part` as that takes.
fn huge(mebibytes: usize, head: &str, part: &str, tail: &str) -> impl FnMut() -> Result<Vec<u8>, String> {
    let times = (1 << 20) / part.len();
    let mut pieces = std::iter::once(head.to_owned())
        .chain((0..mebibytes).map(move |_| String::new()))
        .chain([tail.to_owned()])
        .collect::<Vec<_>>()
        .into_iter();
    let part = part.to_owned();
    move || {
        Ok(pieces
            .next()
            .map(|text| if text.is_empty() { part.repeat(times) } else { text })
            .unwrap_or_default()
            .into_bytes())
    }
}

/// Reads it; answers with the counts and the most that was held meanwhile.
fn read(mebibytes: usize, head: &str, part: &str, tail: &str) -> (results::Counts, usize) {
    let mut results = results::Results::default();
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    report::read("huge.xml", huge(mebibytes, head, part, tail), &mut results).expect("it is well-formed");
    (results.counts, MOST.load(Relaxed) - before)
}

#[test]
fn reports_larger_than_the_memory_of_the_plugin_take_little_of_it() {
    let open = "<testsuite name='s'><testcase name='a' classname='c'>";
    let close = "</testcase></testsuite>";
    let kinds = [
        ("printed text", 260, format!("{open}<system-out>"), "xxxx &amp; yyyy\n", format!("</system-out>{close}")),
        ("a failure in CDATA", 40, format!("{open}<failure><![CDATA["), "<at> ] x ]]", format!("]]></failure>{close}")),
        ("a comment", 40, format!("{open}<!--"), "- - >", format!("-->{close}")),
        (
            "many tests that fail",
            40,
            "<testsuite>".to_owned(),
            "<testcase name='b'><failure message='m'>text of it</failure></testcase>",
            format!("{open}{close}</testsuite>"),
        ),
        (
            "many suites",
            40,
            "<testsuites>".to_owned(),
            "<testsuite name='t'><testcase name='b'/></testsuite>",
            "</testsuites>".to_owned(),
        ),
    ];
    for (what, mebibytes, head, part, tail) in kinds {
        let (counts, most) = read(mebibytes, &head, part, &tail);
        assert!(counts.tests() > 0, "{what}");
        assert!(most < 12 << 20, "{what}: {most} bytes were held");
    }
}
