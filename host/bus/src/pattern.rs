//! Patterns of subjects, as NATS has them: words between dots, `*` for one word, `>` at the end for one or more.

use std::{fmt, str::FromStr};

/// Which subjects somebody wants: `run.*.started`, `run.<id>.>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

/// A pattern that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Two dots follow one another, or there is one at an end.
    #[error("the pattern `{0}` has an empty word; words stand between single dots, as in `run.*.started`")]
    EmptyWord(String),
    /// `>` stands before other words.
    #[error("the pattern `{0}` has words after `>`, which stands for all the rest")]
    AfterRest(String),
    /// A wildcard is part of a word.
    #[error("the pattern `{0}` has `*` or `>` within a word; each stands for whole words")]
    WithinWord(String),
}

impl Pattern {
    /// Every subject.
    pub fn all() -> Pattern {
        Pattern { text: ">".to_owned() }
    }

    /// Every subject of one run.
    pub fn run(run: oxide_core::id::RunId) -> Pattern {
        Pattern { text: format!("run.{run}.>") }
    }

    /// Does a subject fit?
    pub fn matches(&self, subject: &str) -> bool {
        let mut words = subject.split('.');
        for wanted in self.text.split('.') {
            match (wanted, words.next()) {
                (">", word) => return word.is_some(),
                ("*", Some(_)) => {}
                (wanted, Some(word)) if wanted == word => {}
                _ => return false,
            }
        }
        words.next().is_none()
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = false;
        for word in text.split('.') {
            if rest {
                return Err(PatternError::AfterRest(text.to_owned()));
            }
            match word {
                "" => return Err(PatternError::EmptyWord(text.to_owned())),
                "*" => {}
                ">" => rest = true,
                word if word.contains(['*', '>']) => return Err(PatternError::WithinWord(text.to_owned())),
                _ => {}
            }
        }
        Ok(Pattern { text: text.to_owned() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, subject: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(subject)
    }

    #[test]
    fn words_stars_and_the_rest() {
        assert!(fits("run.1.started", "run.1.started"));
        assert!(!fits("run.1.started", "run.2.started"));
        assert!(fits("run.*.started", "run.1.started"));
        assert!(!fits("run.*.started", "run.1.stage.test.started"));
        assert!(fits("run.1.>", "run.1.stage.test.started"));
        assert!(!fits("run.1.>", "run.1"), "the rest is one word at least");
        assert!(!fits("run.1", "run.1.started"));
        assert!(!fits("run.1.started", "run.1"));
        assert!(Pattern::all().matches("run.1.started"));
    }

    #[test]
    fn a_pattern_without_meaning_says_why() {
        assert_eq!("run..x".parse::<Pattern>(), Err(PatternError::EmptyWord("run..x".into())));
        assert_eq!(">.x".parse::<Pattern>(), Err(PatternError::AfterRest(">.x".into())));
        assert_eq!("run.a*".parse::<Pattern>(), Err(PatternError::WithinWord("run.a*".into())));
    }
}
