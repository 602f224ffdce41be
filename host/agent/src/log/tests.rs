//! Lines go in in any pieces and come out whole, in order, none lost.

use std::{sync::Arc, time::Instant};

use oxide_core::id::StepIndex;
use proptest::prelude::*;

use super::*;
use crate::testing::{MemoryLink, reporter, still_clock, until};

const STEP: StepIndex = StepIndex(0);

/// A log, written by the story and read back from what the orchestrator was told.
struct Told {
    link: Arc<MemoryLink>,
    log: LogWriter,
    reporter: Reporter,
}

impl Told {
    fn with_limit(limit: u64) -> Told {
        let link = Arc::new(MemoryLink::default());
        let reporter = reporter(&link);
        Told { log: LogWriter::new(STEP, limit, reporter.clone(), still_clock()), link, reporter }
    }

    async fn write(&self, stream: LogStream, text: &str) -> Result<(), LogLimitReached> {
        self.log.write(stream, Bytes::copy_from_slice(text.as_bytes())).await
    }

    async fn stored(&self) -> Vec<(LogStream, String)> {
        self.log.finish().await;
        self.reporter.flush().await;
        self.link.lines(STEP)
    }
}

#[tokio::test]
async fn lines_keep_their_stream_and_the_order_of_their_arrival() {
    let told = Told::with_limit(1000);
    told.write(LogStream::Stdout, "one\nhalf").await.unwrap();
    told.write(LogStream::Stderr, "oops\n").await.unwrap();
    told.write(LogStream::Stdout, " of it\nlast").await.unwrap();
    told.log.host_line("done").await;
    let lines = told.stored().await;
    let expected = [
        (LogStream::Stdout, "one"),
        (LogStream::Stderr, "oops"),
        (LogStream::Stdout, "half of it"),
        (LogStream::Host, "done"),
        (LogStream::Stdout, "last"),
    ];
    assert_eq!(lines, expected.map(|(stream, line)| (stream, line.to_owned())));
}

#[tokio::test]
async fn a_line_is_seen_without_waiting_for_more() {
    let told = Told::with_limit(1000);
    told.write(LogStream::Stdout, "hello\n").await.unwrap();
    until("the line is seen", || !told.link.text(STEP).is_empty()).await;
    assert_eq!(told.link.text(STEP), ["hello"]);
}

#[tokio::test]
async fn a_full_log_keeps_its_beginning_and_says_so() {
    let told = Told::with_limit(10);
    told.write(LogStream::Stdout, "12345\n").await.unwrap();
    let error = told.write(LogStream::Stdout, "789012345\n").await.unwrap_err();
    assert_eq!(error.allowed, 10);
    assert!(told.write(LogStream::Stderr, "more\n").await.is_err());
    assert_eq!(told.log.bytes_written().await, 10);
    let lines: Vec<_> = told.stored().await.into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, ["12345", "7890", "log limit of 10 bytes reached; the rest was dropped"]);
}

#[tokio::test]
async fn a_second_try_has_the_whole_limit_again() {
    let told = Told::with_limit(30);
    told.write(LogStream::Stdout, &"x".repeat(40)).await.unwrap_err();
    told.log.begin_try(2, 3).await;
    told.write(LogStream::Stdout, "again\n").await.unwrap();
    let lines: Vec<_> = told.stored().await.into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines[2..], ["try 2 of 3", "again"]);
}

#[tokio::test]
async fn a_very_long_line_is_split_and_marked() {
    let told = Told::with_limit(u64::MAX);
    let long = "x".repeat(5 << 20);
    told.write(LogStream::Stdout, &long).await.unwrap();
    told.write(LogStream::Stdout, "\nshort\n").await.unwrap();
    let lines = told.stored().await;
    assert!(lines.iter().all(|(_, line)| line.len() <= LINE_BYTES_MAX + CHUNK_BYTES));
    let mark = String::from_utf8(CUT.to_vec()).unwrap();
    let cut: Vec<_> = lines.iter().filter_map(|(_, line)| line.strip_suffix(&mark)).collect();
    assert_eq!((cut.len(), cut.concat()), (5, long), "each part but the last says that it goes on");
    assert_eq!(lines.last().unwrap().1, "short");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_lines_arrive_in_order() {
    let told = Told::with_limit(u64::MAX);
    let mut text = String::with_capacity(100 << 20);
    for number in 0..1_000_000 {
        text.push_str(&format!(
            "{number:>7} the quick brown fox jumps over the lazy dog, again and again, all day long ........\n"
        ));
    }
    let bytes = Bytes::from(text);
    let began = Instant::now();
    for start in (0..bytes.len()).step_by(64 << 10) {
        told.log.write(LogStream::Stdout, bytes.slice(start..bytes.len().min(start + (64 << 10)))).await.unwrap();
    }
    told.log.finish().await;
    told.reporter.flush().await;
    println!("{} MB in {:?}", bytes.len() / 1_000_000, began.elapsed());
    let stored: Vec<u8> =
        told.link.chunks().iter().flat_map(|chunk| zstd::stream::decode_all(&chunk.body[..]).unwrap()).collect();
    assert!(stored == bytes, "every byte arrived in order");
    let reports = told.link.reports.lock().unwrap();
    assert!(reports.iter().map(|report| report.number).eq(1..=reports.len() as u64));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However a stream is cut into pieces and however two of them are mixed, the lines of each come out as they are.
    #[test]
    fn pieces_do_not_matter(pieces in prop::collection::vec((any::<bool>(), "[a-c\n]{0,12}"), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let told = Told::with_limit(u64::MAX);
            let mut whole = [String::new(), String::new()];
            for (error, piece) in &pieces {
                let stream = if *error { LogStream::Stderr } else { LogStream::Stdout };
                whole[usize::from(*error)].push_str(piece);
                told.write(stream, piece).await.unwrap();
            }
            let stored = told.stored().await;
            for (index, stream) in [LogStream::Stdout, LogStream::Stderr].into_iter().enumerate() {
                let lines: Vec<_> = stored.iter().filter(|(s, _)| *s == stream).map(|(_, line)| line.as_str()).collect();
                assert_eq!(lines, whole[index].lines().collect::<Vec<_>>());
            }
        });
    }
}
