//! Which layers a build has made so far, read from what it prints. A build that is cut short leaves them behind without
//! a name.

/// The layers of one build. Feed it each text of the engine.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The step under way makes its layer itself.
    makes: bool,
    made: Vec<String>,
}

impl Layers {
    /// Reads what the engine tells between the lines of the commands.
    pub(super) fn read(&mut self, text: &str) {
        if let Some(step) = text.strip_prefix("Step ") {
            let instruction = step.split_once(" : ").map_or("", |(_, instruction)| instruction);
            // The image that a stage begins with was there before.
            self.makes = !instruction.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("FROM "));
        } else if text.starts_with(" ---> Using cache") {
            self.makes = false;
        } else if let Some(id) = text.strip_prefix(" ---> ").map(str::trim)
            && self.makes
            && id.len() >= 12
            && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            self.makes = false;
            self.made.push(id.to_owned());
        }
    }

    /// The layers, the latest first: each stands on those behind it.
    pub(super) fn latest_first(&self) -> impl Iterator<Item = &str> {
        self.made.iter().rev().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_build_itself_has_made_counts() {
        let mut layers = Layers::default();
        for text in [
            "Step 1/4 : FROM oxide-test/busybox:1",
            "\n",
            " ---> ffd4b5e9a3d5\n",
            "Step 2/4 : RUN true",
            " ---> Using cache\n",
            " ---> aaaaaaaaaaaa\n",
            "Step 3/4 : RUN echo hi",
            " ---> Running in f9729051abb7\n",
            "hi\n",
            " ---> edb5e17f6d80\n",
            " ---> 111111111111\n",
            "Step 4/4 : COPY a b",
            " ---> 222222222222\n",
        ] {
            layers.read(text);
        }
        assert_eq!(layers.latest_first().collect::<Vec<_>>(), ["222222222222", "edb5e17f6d80"]);
    }
}
