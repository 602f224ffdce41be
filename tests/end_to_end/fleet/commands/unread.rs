//! Who asks for a log and does not read it costs the server little.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::Served;

/// 14 MB of log.
const CHATTY: &str = r#"
version: "1"
name: chatty
stages:
  one:
    environment: host
    steps:
      - run: seq 1 100000 | sed 's/$/ is the number of this line, which is as long as lines of compilers are when they are angry/'
"#;

/// How many ask at the same time.
const READERS: usize = 40;
/// What all of them together may cost, in KiB. The whole log for each is ten times as much.
const COST_MAX: u64 = 150 << 10;

#[test]
fn streams_of_a_log_that_nobody_reads_are_not_read_ahead() {
    let served = Served::signed_in();
    let run = served.begin("chatty.yaml", CHATTY);
    let text = served.followed(&run, 0).stdout;
    assert!(text.lines().count() > 100_000);
    let before = resident(served.server.id());
    let address = served.url.trim_start_matches("http://");
    let request = format!(
        "GET /api/v1/runs/{run}/logs/stream HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\r\n",
        served.token()
    );
    let ask = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut streams: Vec<TcpStream> = (0..READERS).map(ask).collect();
    // Each reads its first lines, and no more.
    for stream in &mut streams {
        let (mut seen, mut part) = (String::new(), [0; 512]);
        while !seen.contains(" is the number of this line") {
            let count = stream.read(&mut part).unwrap();
            assert!(count > 0, "it ended: {seen}");
            seen.push_str(&String::from_utf8_lossy(&part[..count]));
        }
    }
    let cost = resident(served.server.id()).saturating_sub(before);
    assert!(cost < COST_MAX, "{READERS} readers cost {cost} KiB");
}

/// How much memory a process has, in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
