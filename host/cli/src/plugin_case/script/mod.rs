//! The capabilities of a case: what answers the plugin in the place of the world, exactly as `case.yaml` says.
//!
//! Workspace, cache, artifacts, secrets and git are the real parts on a directory that is made for the case; commands, HTTP
//! and the container engine are scripts. A call that the script does not have is an error to the plugin, and a
//! [`Problem`] of the case whatever the plugin makes of it.

pub mod containers;
pub mod environment;
pub mod git;
pub mod http;
pub mod stored;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxide_core::yaml::Span;

/// What did not go as the script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What happened.
    pub message: String,
    /// Where the script says otherwise.
    pub span: Option<Span>,
    /// More, line by line.
    pub details: Vec<String>,
}

/// The problems of one case, in order.
#[derive(Clone, Debug, Default)]
pub struct Problems(Arc<Mutex<Vec<Problem>>>);

impl Problems {
    /// Notes one.
    pub fn add(&self, message: String, span: Option<Span>, details: Vec<String>) {
        lock(&self.0).push(Problem { message, span, details });
    }

    /// All of them.
    pub fn take(&self) -> Vec<Problem> {
        std::mem::take(&mut lock(&self.0))
    }
}

/// A place in a list that is used up from its beginning.
#[derive(Debug)]
pub struct Script<T> {
    items: Vec<T>,
    next: Mutex<usize>,
}

impl<T> Script<T> {
    /// A script of these items.
    pub fn new(items: Vec<T>) -> Script<T> {
        Script { items, next: Mutex::new(0) }
    }

    /// The next item; it is used up if `fits` says so. Answers with what `fits` said, or none if nothing is left.
    pub fn next<R>(&self, fits: impl FnOnce(&T) -> (bool, R)) -> Option<R> {
        let mut next = lock(&self.next);
        let (used, answer) = fits(self.items.get(*next)?);
        *next += usize::from(used);
        Some(answer)
    }

    /// All items.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// What was not used.
    pub fn left(&self) -> &[T] {
        &self.items[*lock(&self.next)..]
    }
}

/// The data behind these locks is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Words as they would be typed, short enough for a message.
pub fn command_line(words: &[String]) -> String {
    let quoted = |word: &String| {
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:@%+,^~".contains(character);
        match !word.is_empty() && word.chars().all(plain) {
            true => word.clone(),
            false => format!("'{}'", word.escape_debug().to_string().replace("\\\"", "\"")),
        }
    };
    let line = words.iter().map(quoted).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(400) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
