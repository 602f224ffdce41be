//! Shows the log of a run of a server while it goes.

use std::io::{BufWriter, IsTerminal as _, Write, stdout};

use oxide_client::{Client, LogPart};
use oxide_core::{
    api::log::{LogEnd, LogLine, LogLines, LogQuery},
    id::{JobIndex, RunId, StepIndex},
};

use super::refused;
use crate::{
    failure::Failure,
    progress::LogText,
    terminal::{Paint, Terminal, without_controls},
};

/// How many lines are asked for at once.
const PAGE: u32 = 5_000;

/// How lines are shown.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Only the lines themselves.
    pub plain: bool,
    /// Put the time before each line.
    pub times: bool,
}

/// Prints the log from line 1 on until the run (or the part that the query names) has ended.
pub async fn watch(client: &Client, run: RunId, query: &LogQuery, style: Style) -> Result<Option<LogEnd>, Failure> {
    let mut stream = client.follow_logs(run, query);
    let mut shown = Shown::new(style);
    while let Some(part) = stream.next().await.map_err(|error| refused(&error))? {
        match part {
            LogPart::Lines(lines) => shown.lines(&lines).map_err(|error| Failure::unwritable(&error))?,
            LogPart::End(end) => return Ok(Some(end)),
        }
    }
    Ok(None)
}

/// Prints the log as it is now, from line 1 on.
pub async fn show(client: &Client, run: RunId, query: &LogQuery, style: Style) -> Result<(), Failure> {
    let mut shown = Shown::new(style);
    let mut query = LogQuery { limit: Some(PAGE), ..query.clone() };
    loop {
        let page = client.logs(run, &query).await.map_err(|error| refused(&error))?;
        for line in &page.items {
            shown.line(line).map_err(|error| Failure::unwritable(&error))?;
        }
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(()),
        }
    }
}

/// What has been printed so far.
struct Shown {
    style: Style,
    paint: Paint,
    as_it_is: bool,
    heading: Option<(JobIndex, u32, StepIndex)>,
}

impl Shown {
    fn new(style: Style) -> Shown {
        let as_it_is = style.plain && !stdout().is_terminal();
        Shown { style, paint: Paint { colour: Terminal::stdout().colour }, as_it_is, heading: None }
    }

    fn lines(&mut self, lines: &LogLines) -> std::io::Result<()> {
        let mut out = BufWriter::new(stdout().lock());
        self.heading(&mut out, (lines.job, lines.attempt, lines.step), &lines.stage, Some(&lines.name))?;
        for line in &lines.lines {
            self.text().write_text(line.at, line.stream, line.text.as_bytes(), &mut out)?;
        }
        out.flush()
    }

    fn line(&mut self, line: &LogLine) -> std::io::Result<()> {
        let mut out = stdout().lock();
        self.heading(&mut out, (line.job, line.attempt, line.step), &line.stage, None)?;
        self.text().write_text(line.at, line.stream, line.text.as_bytes(), &mut out)
    }

    /// Says which step the lines that follow are of, if those before were of another one.
    fn heading(
        &mut self,
        out: &mut dyn Write,
        step: (JobIndex, u32, StepIndex),
        stage: &str,
        name: Option<&str>,
    ) -> std::io::Result<()> {
        if self.style.plain || self.heading.replace(step) == Some(step) {
            return Ok(());
        }
        let (_, attempt, index) = step;
        let name = name.map_or_else(|| format!("step {}", index.0 + 1), str::to_owned);
        let attempt = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
        writeln!(out, "{}", self.paint.bold(&without_controls(&format!("{stage} › {name}{attempt}"))))
    }

    fn text(&self) -> LogText<'_> {
        let indent = if self.style.plain { "" } else { "  " };
        LogText { indent, paint: self.paint, times: self.style.times, as_it_is: self.as_it_is }
    }
}
