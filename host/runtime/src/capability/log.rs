//! `oxide:ci/log`: lines of the plugin in the log of its step.
//!
//! They arrive on the stream of the host. Levels, groups and progress are marked by what a line begins with:
//! `debug: `, `warning: `, `error: `, `##[group]`, `##[endgroup]`, `progress: `.

use oxide_core::protocol::LogStream;

use super::bindings::oxide::ci::log::{Host, Level};
use crate::{environment::LogSink as _, state::State};

/// Where the progress of a step stands.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last tenth that a line was written for.
    tenth: Option<u64>,
    open_groups: u32,
}

impl Progress {
    /// The line to write, if there is a reason to: at most eleven for one way from start to end.
    fn line(&mut self, done: u64, total: u64) -> Option<String> {
        let tenth = (u128::from(done) * 10).checked_div(u128::from(total)).map(|tenth| tenth.min(10) as u64);
        if tenth.is_some() && tenth == self.tenth {
            return None;
        }
        self.tenth = tenth;
        tenth.map(|_| format!("progress: {done} of {total}\n"))
    }
}

fn lines(level: Level, message: &str) -> String {
    let prefix = match level {
        Level::Debug => "debug: ",
        Level::Info => "",
        Level::Warning => "warning: ",
        Level::Error => "error: ",
    };
    let mut text = String::with_capacity(message.len() + prefix.len() + 1);
    let message = message.strip_suffix('\n').unwrap_or(message);
    for line in message.split('\n') {
        text.push_str(prefix);
        text.push_str(line);
        text.push('\n');
    }
    text
}

impl State {
    async fn log_host(&mut self, text: String) -> wasmtime::Result<()> {
        Ok(self.log.write(LogStream::Host, text.into()).await?)
    }
}

impl Host for State {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.called("log.write", &(level, &message));
        self.log_host(lines(level, &message)).await
    }

    async fn start_group(&mut self, title: String) -> wasmtime::Result<()> {
        self.called("log.start-group", &(&title,));
        self.progress.open_groups += 1;
        self.log_host(format!("##[group]{}\n", title.replace('\n', " "))).await
    }

    async fn end_group(&mut self) -> wasmtime::Result<()> {
        self.called("log.end-group", &());
        match self.progress.open_groups.checked_sub(1) {
            Some(open) => {
                self.progress.open_groups = open;
                self.log_host("##[endgroup]\n".to_owned()).await
            }
            None => Ok(()),
        }
    }

    async fn progress(&mut self, done: u64, total: u64) -> wasmtime::Result<()> {
        self.called("log.progress", &(done, total));
        match self.progress.line(done, total) {
            Some(line) => self.log_host(line).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_carries_its_level() {
        assert_eq!(lines(Level::Info, "a\nb"), "a\nb\n");
        assert_eq!(lines(Level::Warning, "a\nb\n"), "warning: a\nwarning: b\n");
        assert_eq!(lines(Level::Error, ""), "error: \n");
    }

    #[test]
    fn a_million_reports_of_progress_are_eleven_lines() {
        let mut progress = Progress::default();
        let lines: Vec<_> = (0..=1_000_000).filter_map(|done| progress.line(done, 1_000_000)).collect();
        assert_eq!(lines.len(), 11);
        assert_eq!(lines[10], "progress: 1000000 of 1000000\n");
        assert_eq!(progress.line(5, 0), None, "an unknown total says nothing");
        assert!(progress.line(u64::MAX, u64::MAX).is_some(), "no overflow");
    }
}
