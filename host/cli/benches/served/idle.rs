//! The memory of a server that has nothing to do.

use std::{fs, time::Duration};

use crate::{row, server::BenchServer};

/// Looks ten seconds after the start.
pub async fn measure(server: &BenchServer) {
    tokio::time::sleep(Duration::from_secs(10)).await;
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let mebibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    };
    let (resident, anonymous) = (mebibytes("VmRSS:"), mebibytes("RssAnon:"));
    let (ours, floor) = (format!("{resident:.1} MiB"), format!("without the program's file: {anonymous:.1} MiB"));
    row("memory of an idle server with its agent", ours, floor, None, "< 60 MB", resident * 1.048_576 < 60.0);
}
