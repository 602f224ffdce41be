//! What a server does in a second: `cargo bench --profile dev -p oxide-cli --bench served -- PLUGIN`, PLUGIN being a component that
//! does nothing.
//!
//! A real server on SQLite, as a process of its own, is asked over its API. Prints the rows of the project's table of numbers:
//! what, ours, floor or peer, ratio, wanted, met; a tab between each two.

#![expect(clippy::unwrap_used, reason = "a measurement that fails is to fail")]

mod dispatch;
mod idle;
mod lines;
mod server;
#[path = "../../../../tests/end_to_end/fleet/simulated.rs"]
mod simulated;
mod steps;

use std::time::Duration;

use server::BenchServer;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, command, count, seconds] = &words[..]
        && command == lines::PRINT
    {
        return lines::print(count.parse().unwrap(), seconds.parse().unwrap());
    }
    // `cargo bench` adds a word of its own.
    let plugin = words.iter().skip(1).find(|word| word.ends_with(".wasm")).expect("the first word is a component");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = BenchServer::start().await;
        idle::measure(&server).await;
        steps::measure(&server, plugin).await;
        lines::measure(&server).await;
        dispatch::measure(&server).await;
    });
}

/// Prints a row.
fn row(what: &str, ours: String, floor: String, ratio: Option<f64>, wanted: &str, met: bool) {
    let ratio = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    println!("{what}\t{ours}\t{floor}\t{ratio}\t{wanted}\t{}", if met { "yes" } else { "NO" });
}

/// Times in order, of which shares can be asked.
struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Times {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Times(times)
    }

    /// The time that this share of all does not exceed.
    fn at(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share).ceil() as usize]
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
