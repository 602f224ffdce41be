//! What a process that serves tells of itself, on the standard error: lines for people, or JSON for machines.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

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
    let worth = worth_telling(level);
    // An error says that it was started before.
    let _ = match format {
        ServiceLogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().with(worth).try_init(),
        ServiceLogFormat::Json => builder.json().flatten_event(true).finish().with(worth).try_init(),
    };
}

/// All up to this level; but of its tries to connect the client of NATS tells each, and `oxide-bus` tells what they come to; and
/// the store tells of each wait for a connection, which under load are all.
fn worth_telling(level: Level) -> Targets {
    let of_others = |quiet: Level| if level == Level::INFO { quiet } else { level };
    Targets::new()
        .with_default(level)
        .with_target("async_nats", of_others(Level::WARN))
        .with_target("sqlx::pool::acquire", of_others(Level::ERROR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_of_the_client_of_nats_are_for_who_asks_for_more() {
        let tells = |level: Level, target: &str| worth_telling(level).would_enable(target, &Level::INFO);
        assert!(tells(Level::INFO, "oxide_bus::nats::connection") && !tells(Level::INFO, "async_nats"));
        assert!(!tells(Level::INFO, "async_nats::connector") && tells(Level::DEBUG, "async_nats::connector"));
        assert!(!tells(Level::ERROR, "async_nats") && !tells(Level::ERROR, "oxide_bus"));
        assert!(worth_telling(Level::INFO).would_enable("async_nats", &Level::WARN));
        assert!(!worth_telling(Level::INFO).would_enable("sqlx::pool::acquire", &Level::WARN));
        assert!(worth_telling(Level::DEBUG).would_enable("sqlx::pool::acquire", &Level::WARN));
    }
}
