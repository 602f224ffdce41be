//! Texts that stand for the values of secrets inside of a step, and their replacement where the host spends a value.
//!
//! A placeholder is made of letters, digits and `_`, so that it passes unchanged through URLs, JSON and shells; 128 random
//! bits in it keep a step from guessing that of another.

use std::borrow::Cow;

use super::SecretValue;

/// What every placeholder begins with.
const MARK: &str = "oxide_secret_";

/// One secret as a step has it.
#[derive(Clone, Debug)]
pub struct StepSecret {
    /// Its name.
    pub name: String,
    /// The value.
    pub value: SecretValue,
    /// May the plugin read the value?
    pub reveal: bool,
    /// What stands for the value.
    pub placeholder: String,
}

/// The secrets of one step.
#[derive(Clone, Debug, Default)]
pub struct Placeholders(Vec<StepSecret>);

impl Placeholders {
    /// Gives each secret (name, value, may it be read) a placeholder. `random` must give other bits at each call.
    pub fn new(
        secrets: impl IntoIterator<Item = (String, SecretValue, bool)>,
        mut random: impl FnMut() -> u128,
    ) -> Placeholders {
        let with_placeholder = |(name, value, reveal): (String, SecretValue, bool)| {
            let placeholder = format!("{MARK}{name}_{:032x}", random());
            StepSecret { name, value, reveal, placeholder }
        };
        Placeholders(secrets.into_iter().map(with_placeholder).collect())
    }

    /// The secrets, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &StepSecret> {
        self.0.iter()
    }

    /// A secret by name.
    pub fn get(&self, name: &str) -> Option<&StepSecret> {
        self.0.iter().find(|secret| secret.name == name)
    }

    /// The secrets whose placeholders stand in a text.
    pub fn named_in<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a StepSecret> {
        let may_hold = text.contains(MARK);
        self.0.iter().filter(move |secret| may_hold && text.contains(&secret.placeholder))
    }

    /// The text with values in the place of placeholders.
    pub fn fill<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains(MARK) {
            return Cow::Borrowed(text);
        }
        let mut filled = Cow::Borrowed(text);
        for secret in self.0.iter().filter(|secret| text.contains(&secret.placeholder)) {
            filled = Cow::Owned(filled.replace(&secret.placeholder, secret.value.expose()));
        }
        filled
    }

    /// The same for bytes, which need not be text.
    pub fn fill_bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let mut filled = Cow::Borrowed(bytes);
        for secret in &self.0 {
            let mark = secret.placeholder.as_bytes();
            let mut rest: &[u8] = &filled;
            let mut out: Option<Vec<u8>> = None;
            while let Some(at) = memchr::memmem::find(rest, mark) {
                let out = out.get_or_insert_with(Vec::new);
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(secret.value.expose().as_bytes());
                rest = &rest[at + mark.len()..];
            }
            if let Some(mut out) = out {
                out.extend_from_slice(rest);
                filled = Cow::Owned(out);
            }
        }
        filled
    }
}

/// Puts values in the place of placeholders in what comes in chunks: one that is cut by the border of two chunks is found.
/// Holds back only what may be the beginning of a placeholder.
#[derive(Clone, Debug, Default)]
pub struct FillStream {
    held: Vec<u8>,
    first: Option<String>,
}

impl FillStream {
    /// Takes a chunk; gives what can be passed on.
    pub fn push(&mut self, secrets: &Placeholders, chunk: &[u8]) -> Vec<u8> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(chunk);
        let (mut out, mut rest) = (Vec::with_capacity(held.len()), held.as_slice());
        while let Some(at) = memchr::memchr(MARK.as_bytes()[0], rest) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            if let Some(secret) = secrets.iter().find(|secret| rest.starts_with(secret.placeholder.as_bytes())) {
                out.extend_from_slice(secret.value.expose().as_bytes());
                rest = &rest[secret.placeholder.len()..];
                self.first.get_or_insert_with(|| secret.name.clone());
            } else if secrets.iter().any(|secret| secret.placeholder.as_bytes().starts_with(rest)) {
                self.held = rest.to_vec();
                return out;
            } else {
                out.push(rest[0]);
                rest = &rest[1..];
            }
        }
        out.extend_from_slice(rest);
        out
    }

    /// Gives what was held back: nothing follows that could complete a placeholder.
    pub fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Is anything held back?
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// The name of the first secret that was found so far.
    pub fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn two() -> Placeholders {
        let mut next = 0;
        let value = |text: &str| SecretValue::new(text).unwrap();
        let secrets = [("A".to_owned(), value("first value"), false), ("B".to_owned(), value("second value"), true)];
        Placeholders::new(secrets, || {
            next += 1;
            next
        })
    }

    #[test]
    fn values_take_the_place_of_their_placeholders_wherever_they_stand() {
        let secrets = two();
        let [a, b] = ["A", "B"].map(|name| secrets.get(name).unwrap().placeholder.clone());
        assert_eq!(a, "oxide_secret_A_00000000000000000000000000000001");
        assert_eq!(secrets.fill(&format!("Bearer {a}, {b}{a}")), "Bearer first value, second valuefirst value");
        assert!(matches!(secrets.fill("oxide_secret_A_ is none"), Cow::Borrowed(_)));
        let bytes = [b"\xff".as_slice(), a.as_bytes(), b"\xfe", b.as_bytes()].concat();
        assert_eq!(*secrets.fill_bytes(&bytes), *b"\xfffirst value\xfesecond value");
        assert_eq!(secrets.named_in(&b).map(|secret| secret.name.as_str()).collect::<Vec<_>>(), ["B"]);
    }

    proptest! {
        #[test]
        fn a_stream_fills_the_same_wherever_it_is_cut(
            pieces in proptest::collection::vec(0..5_usize, 0..12),
            cuts in proptest::collection::vec(0..400_usize, 0..12),
        ) {
            let secrets = two();
            let [a, b] = ["A", "B"].map(|name| secrets.get(name).unwrap().placeholder.clone());
            let part = |piece: &usize| [&a, &b, "oxide_secret_A_0000", "oxide_", "x\u{fc}o"][*piece];
            let text: String = pieces.iter().map(part).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut stream = FillStream::default();
            let mut filled = Vec::new();
            for pair in cuts.windows(2) {
                filled.extend(stream.push(&secrets, &text.as_bytes()[pair[0]..pair[1]]));
            }
            filled.extend(stream.end());
            prop_assert_eq!(&*secrets.fill_bytes(text.as_bytes()), filled.as_slice());
            prop_assert_eq!(stream.first().is_some(), text.contains(&a) || text.contains(&b));
        }
    }
}
