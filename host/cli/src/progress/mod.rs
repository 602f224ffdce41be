//! Shows a run while it goes: `view` decides what, this module and `live` put it on the screen.

mod live;
mod log_text;
pub mod remarks;
mod view;

pub use log_text::LogText;
pub use view::{CANCELLED_BY_PRESS, PRESS_AGAIN, Shown, View};

use std::{io::Write, sync::Arc, time::Duration};

use oxide_bus::{Received, Subscription};
use oxide_core::{
    event::{Event, EventKind},
    id::{AttemptId, RunId},
    outcome::Status,
    plan::Plan,
};
use oxide_store::Store;

use crate::{
    failure::Failure,
    local_engine::now,
    terminal::{Paint, Terminal},
};
use live::Live;

/// How the run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Lines for people; on a terminal with a region that is redrawn.
    Lines {
        /// Show the log of every step.
        all_logs: bool,
    },
    /// One event as JSON on each line.
    Json,
}

/// How often the running steps are drawn anew.
const REDRAW: Duration = Duration::from_millis(120);

/// Follows the events of a run until it has ended, and shows them. Answers with its state.
pub async fn follow(
    plan: &Plan,
    run: RunId,
    store: &Store,
    mut events: Subscription,
    style: Style,
) -> Result<Status, Failure> {
    let terminal = Terminal::stdout();
    let all_logs = style == Style::Lines { all_logs: true };
    let mut view = View::new(plan, Paint { colour: terminal.colour }, all_logs);
    let mut live = Live::new(terminal);
    let mut reader = Reader { run, seen: 0 };
    let mut clock = tokio::time::interval(REDRAW);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let batch = tokio::select! {
            received = events.next() => reader.events(received, store).await?,
            _ = clock.tick(), if terminal.interactive && style != Style::Json => Vec::new(),
        };
        for event in &batch {
            if style == Style::Json {
                print_json(event)?;
            } else {
                show(&mut live, view.see(event), store, run).await?;
            }
            if let EventKind::RunCompleted { status, .. } = &event.kind {
                live.clear();
                return Ok(*status);
            }
        }
        if style != Style::Json {
            live.redraw(&view.running(now()));
        }
    }
}

fn print_json(event: &Event) -> Result<(), Failure> {
    let text =
        serde_json::to_string(event).map_err(|error| Failure::trouble("could not write an event").because(&error))?;
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::unwritable(&error))
}

async fn show(live: &mut Live, shown: Vec<Shown>, store: &Store, run: RunId) -> Result<(), Failure> {
    if shown.is_empty() {
        return Ok(());
    }
    live.clear();
    let paint = Paint { colour: Terminal::stdout().colour };
    let indent = format!("    {} ", paint.dim("│"));
    let mut out = std::io::BufWriter::new(std::io::stdout());
    for part in shown {
        match part {
            Shown::Line(line) => writeln!(out, "{line}").map_err(|error| Failure::unwritable(&error))?,
            Shown::Log { job, attempt, step } => {
                let attempt = AttemptId { run, job, number: attempt };
                LogText { indent: &indent, paint, times: false, as_it_is: false }
                    .write(store, attempt, step, &mut out)
                    .await?;
            }
        }
    }
    out.flush().map_err(|error| Failure::unwritable(&error))
}

/// The events behind what the bus said: the one event, or, where the bus dropped some, all that the store has.
struct Reader {
    run: RunId,
    /// The number of the last event that was shown.
    seen: u64,
}

/// How many events are read from the store at once.
const EVENTS_PAGE: u32 = 1000;

impl Reader {
    async fn events(&mut self, received: Option<Received>, store: &Store) -> Result<Vec<Arc<Event>>, Failure> {
        match received {
            None => Err(Failure::trouble("the orchestrator stopped before the run ended")),
            Some(Received::Message(message)) if message.seq <= self.seen => Ok(Vec::new()),
            Some(Received::Message(message)) => {
                self.seen = message.seq;
                Ok(vec![message.event])
            }
            Some(Received::Lagged { after }) => self.catch_up(after, store).await,
        }
    }

    async fn catch_up(&mut self, after: u64, store: &Store) -> Result<Vec<Arc<Event>>, Failure> {
        self.seen = self.seen.max(after);
        let mut events = Vec::new();
        loop {
            let page = store
                .events_after(self.seen, EVENTS_PAGE)
                .await
                .map_err(|error| Failure::trouble("could not read what happened").because(&error))?;
            let Some(last) = page.last() else { return Ok(events) };
            self.seen = last.seq;
            events.extend(page.into_iter().map(|stored| stored.event).filter(|event| event.run == Some(self.run)));
        }
    }
}
