//! Positions in logs: in the order of the run, and in the order of time.

use std::{fmt, str::FromStr};

use oxide_core::id::{JobIndex, StepIndex};

use super::select::StepLog;
use crate::error::ApiError;

/// A line in the order of the run: jobs, attempts, steps, lines. Written `job.attempt.step.line`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub job: JobIndex,
    pub attempt: u32,
    pub step: StepIndex,
    pub line: u64,
}

impl Place {
    /// Reads a cursor.
    pub fn parse(text: &str) -> Result<Place, ApiError> {
        numbers::<4>(text)
            .and_then(|[job, attempt, step, line]| {
                let small = |number: u64| u32::try_from(number).ok();
                Some(Place {
                    job: JobIndex(small(job)?),
                    attempt: small(attempt)?,
                    step: StepIndex(small(step)?),
                    line,
                })
            })
            .ok_or_else(|| wrong(text))
    }

    /// Is it a line of this log?
    pub fn is_in(&self, log: &StepLog) -> bool {
        (self.job, self.attempt, self.step) == (log.attempt.job, log.attempt.number, log.step)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.job, self.attempt, self.step, self.line)
    }
}

/// A line in the order of time: behind line `line` of the event `seq` of the outbox. Written `seq.line`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub seq: u64,
    pub line: u64,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq, self.line)
    }
}

/// What the id of an event of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Behind this line, in the order of time.
    Moment(Moment),
    /// From this line on, in the order of the run: of runs whose events are forgotten.
    Place(Place),
    /// Behind the end.
    End,
}

impl FromStr for Position {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Position, ApiError> {
        match (text, text.strip_prefix('p')) {
            ("end", _) => Ok(Position::End),
            (_, Some(place)) => Place::parse(place).map(Position::Place),
            _ => {
                let moment = numbers::<2>(text).map(|[seq, line]| Position::Moment(Moment { seq, line }));
                moment.ok_or_else(|| wrong(text))
            }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Moment(moment) => moment.fmt(f),
            Position::Place(place) => write!(f, "p{place}"),
            Position::End => f.write_str("end"),
        }
    }
}

fn wrong(text: &str) -> ApiError {
    let shown: String = text.chars().take(60).collect();
    ApiError::bad_request(format!("`{shown}` is no position in this log"))
        .suggest("give `next_cursor`, or the id of an event, as it is; or leave it out to begin with line 1")
}

/// So many numbers with dots between them.
fn numbers<const N: usize>(text: &str) -> Option<[u64; N]> {
    let parts = text.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back() {
        for text in ["12.40", "p0.1.2.3", "end"] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        for text in ["", "12", "1.2.3", "p1.2", "-1.2", "1.99999999999999999999", "p4294967296.1.1.1"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
        assert!(Place::parse("0.1.0.5").unwrap() < Place::parse("0.1.1.1").unwrap());
    }
}
