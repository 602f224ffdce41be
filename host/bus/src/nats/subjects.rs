//! The names that an installation uses within NATS.

use std::collections::BTreeSet;

use oxide_core::event::SUBJECTS;

/// The stream of an installation without a prefix.
const STREAM: &str = "OXIDE_EVENTS";
/// The first word of all subjects that are not events.
const OWN_WORD: &str = "oxide";

/// Names subjects and stream. With a prefix several installations can share one NATS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// Empty, or words with a dot behind each.
    prefix: String,
}

/// A prefix that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// It is not made of words between single dots.
    #[error(
        "`{0}` cannot stand before subjects of NATS; write words of letters, digits, `-` and `_` between dots: `acme.ci`"
    )]
    NotWords(String),
    /// Messages of agents of an installation without a prefix have subjects that begin so.
    #[error("the prefix `{0}` begins with `oxide`, which other subjects do; choose another first word: `acme.ci`")]
    Reserved(String),
}

impl Subjects {
    /// Subjects below a prefix; an empty text is none.
    ///
    /// # Errors
    /// If the prefix is not made of words, or begins with one that is taken.
    pub fn new(prefix: &str) -> Result<Subjects, PrefixError> {
        if prefix.is_empty() {
            return Ok(Subjects::default());
        }
        let is_word =
            |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if !prefix.split('.').all(is_word) {
            return Err(PrefixError::NotWords(prefix.to_owned()));
        }
        if prefix.split('.').next() == Some(OWN_WORD) {
            return Err(PrefixError::Reserved(prefix.to_owned()));
        }
        Ok(Subjects { prefix: format!("{prefix}.") })
    }

    /// The subject of an event.
    pub fn event(&self, subject: &str) -> String {
        format!("{}{subject}", self.prefix)
    }

    /// Patterns that all events fit, and nothing else of ours.
    pub fn all_events(&self) -> Vec<String> {
        let first_words: BTreeSet<_> = SUBJECTS.iter().filter_map(|known| known.pattern.split('.').next()).collect();
        first_words.into_iter().map(|word| format!("{}{word}.>", self.prefix)).collect()
    }

    /// The name of the stream of events.
    pub fn stream(&self) -> String {
        match self.prefix.trim_end_matches('.') {
            "" => STREAM.to_owned(),
            prefix => format!("{STREAM}_{}", prefix.replace('.', "_")),
        }
    }

    /// The subject of a message of agents, such as `lease`.
    pub fn agent(&self, message: &str) -> String {
        format!("{}{OWN_WORD}.agent.{message}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_prefix_events_have_the_subjects_that_are_documented() {
        let subjects = Subjects::new("").unwrap();
        assert_eq!(subjects.event("run.1.started"), "run.1.started");
        assert_eq!(subjects.stream(), "OXIDE_EVENTS");
        assert_eq!(subjects.agent("lease"), "oxide.agent.lease");
        let patterns = subjects.all_events();
        for known in SUBJECTS {
            let fits = |pattern: &String| pattern.parse::<crate::Pattern>().unwrap().matches(known.pattern);
            assert!(patterns.iter().any(fits), "{} is in the stream", known.pattern);
        }
        let lease: Vec<_> = patterns
            .iter()
            .filter(|pattern| pattern.parse::<crate::Pattern>().unwrap().matches("oxide.agent.lease"))
            .collect();
        assert!(lease.is_empty(), "the stream would answer for the servers");
    }

    #[test]
    fn a_prefix_stands_before_everything() {
        let subjects = Subjects::new("acme.ci").unwrap();
        assert_eq!(subjects.event("run.1.started"), "acme.ci.run.1.started");
        assert_eq!(subjects.stream(), "OXIDE_EVENTS_acme_ci");
        assert_eq!(subjects.agent("lease"), "acme.ci.oxide.agent.lease");
        assert!(subjects.all_events().contains(&"acme.ci.run.>".to_owned()));
    }

    #[test]
    fn a_prefix_that_cannot_be_used_says_why() {
        for wrong in ["a..b", ".a", "a.", "a b", "a.*", ">", "ä"] {
            assert_eq!(Subjects::new(wrong), Err(PrefixError::NotWords(wrong.into())));
        }
        assert_eq!(Subjects::new("oxide.x"), Err(PrefixError::Reserved("oxide.x".into())));
    }
}
