//! What led to an error, for places that have one line for it.

use std::error::Error;

/// An error and its causes, outermost first, each thing said once: many libraries tell the cause of an error in the text of
/// the error itself.
pub fn chain(error: &dyn Error) -> Vec<String> {
    let mut texts: Vec<String> = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !texts.iter().any(|said| said.contains(&text)) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts
}

/// The same in one line: `could not load: no such file`.
pub fn in_one_line(error: &dyn Error) -> String {
    chain(error).join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, below) = texts.split_first().unwrap();
        Layer { text, source: (!below.is_empty()).then(|| Box::new(layers(below))) }
    }

    #[test]
    fn causes_are_told_from_the_outside_in() {
        assert_eq!(in_one_line(&layers(&["could not load", "no such file"])), "could not load: no such file");
    }

    #[test]
    fn what_an_error_says_of_its_cause_is_not_said_again() {
        let error = layers(&["could not open", "the database says: (14) disk full", "(14) disk full", "no space"]);
        assert_eq!(chain(&error), ["could not open", "the database says: (14) disk full", "no space"]);
    }
}
