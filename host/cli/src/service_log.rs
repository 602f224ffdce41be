//! What a process that serves tells of itself, on the standard error: lines for people, or JSON for machines.

use std::io::IsTerminal;

use tracing::Level;

/// How the lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceLogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object for each line.
    Json,
}

/// Begins to tell. Does nothing if something in this process tells already.
pub fn start(format: ServiceLogFormat, level: Level) {
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_writer(std::io::stderr);
    // An error says that it was started before.
    let _ = match format {
        ServiceLogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        ServiceLogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
