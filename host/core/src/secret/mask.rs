//! Finds the values of secrets in what leaves a step, also in their usual encodings and across the borders of chunks, and puts
//! `***` in their place.
//!
//! A value is found as it is, line by line, in base64 (at each of its three offsets, both alphabets), percent-encoded, in
//! hexadecimal, and escaped for JSON, HTML, a shell or a programmer. Where `base64`, `openssl base64` or `xxd -p` break what
//! they make of a long value over lines, each line is found alone, if they were given nothing before the value. What was
//! changed otherwise (reversed, compressed, encrypted, cut in pieces with something in between) is not found: masking is a
//! net for accidents, not a wall against a plugin that means harm.

use std::{borrow::Cow, collections::BTreeSet, ops::Range};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::Value as Json;

use super::{SECRET_BYTES_MIN, SecretValue};
use crate::quantity::hexadecimal;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// What the host keeps, besides letters and digits, of a value in the path of a URL.
pub const KEPT_IN_PATH: &[u8] = b"-_.~/:@!$&'()*+,;=";
/// What the host keeps, besides letters and digits, of a value in the query of a URL.
pub const KEPT_IN_QUERY: &[u8] = b"-_.~";

/// How many characters of base64 stand on a line: of `base64`, of `openssl base64`.
const BASE64_WIDTHS: [usize; 2] = [76, 64];
/// How many digits stand on a line of `xxd -p`.
const HEXADECIMAL_WIDTH: usize = 60;
/// A shorter last line of an encoding may stand somewhere by chance.
const LINE_MIN: usize = 16;

/// Knows all forms of some secrets.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    /// None if there are no secrets.
    automaton: Option<AhoCorasick>,
    /// In order, each once.
    patterns: Vec<Vec<u8>>,
    /// Which bytes patterns begin with.
    first_bytes: Vec<bool>,
    longest: usize,
}

impl Masker {
    /// Learns the forms of these values.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretValue>) -> Masker {
        let forms: BTreeSet<Vec<u8>> = secrets.into_iter().flat_map(|secret| forms(secret.expose())).collect();
        if forms.is_empty() {
            return Masker::default();
        }
        let patterns: Vec<Vec<u8>> = forms.into_iter().collect();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns)
            .expect("the forms of all secrets together are far smaller than what an automaton can hold");
        let mut first_bytes = vec![false; 256];
        patterns.iter().for_each(|pattern| first_bytes[usize::from(pattern[0])] = true);
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        Masker { automaton: Some(automaton), patterns, first_bytes, longest }
    }

    /// Are there no secrets to be found?
    pub fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    /// A text without the secrets.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_empty() || self.matches(text.as_bytes(), 0).is_empty() {
            return Cow::Borrowed(text);
        }
        let mut stream = MaskStream::default();
        let mut masked = stream.push(self, text.as_bytes());
        masked.extend(stream.end(self));
        // Forms are text, so what is left between them is text, too.
        Cow::Owned(String::from_utf8_lossy(&masked).into_owned())
    }

    /// JSON without the secrets, in names, texts and numbers.
    pub fn json(&self, json: Json) -> Json {
        if self.is_empty() {
            return json;
        }
        match json {
            Json::String(text) => Json::String(self.text(&text).into_owned()),
            Json::Array(items) => Json::Array(items.into_iter().map(|item| self.json(item)).collect()),
            Json::Object(fields) => Json::Object(
                fields.into_iter().map(|(name, value)| (self.text(&name).into_owned(), self.json(value))).collect(),
            ),
            Json::Number(number) => match self.text(&number.to_string()) {
                Cow::Borrowed(_) => Json::Number(number),
                Cow::Owned(masked) => Json::String(masked),
            },
            Json::Bool(_) | Json::Null => json,
        }
    }

    /// Where secrets stand, as ranges in order that do not touch. The first `known` bytes count as one.
    fn matches(&self, bytes: &[u8], known: usize) -> Vec<Range<usize>> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let mut found: Vec<Range<usize>> =
            automaton.find_overlapping_iter(bytes).map(|found| found.start()..found.end()).collect();
        if known > 0 {
            found.push(0..known);
        }
        found.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    /// Where the longest end of these bytes begins that may turn out to be the beginning of a form.
    fn unfinished(&self, bytes: &[u8]) -> usize {
        let first = (bytes.len() + 1).saturating_sub(self.longest);
        (first..bytes.len())
            .find(|&at| {
                let end = &bytes[at..];
                // In order, what begins with a text comes right after it.
                let after = || self.patterns.partition_point(|pattern| pattern.as_slice() <= end);
                self.first_bytes[usize::from(end[0])]
                    && self.patterns.get(after()).is_some_and(|pattern| pattern.starts_with(end))
            })
            .unwrap_or(bytes.len())
    }
}

/// Masks what comes in chunks: a secret that is cut by the border of two chunks is found. Holds back only what may be the
/// beginning of a secret.
#[derive(Clone, Debug, Default)]
pub struct MaskStream {
    held: Vec<u8>,
    /// So many of the held bytes are known to belong to a secret whose mask was written already.
    masked: usize,
    /// A mask was the last that was passed on: a secret that follows at once belongs to it.
    after_mask: bool,
}

impl MaskStream {
    /// Takes a chunk; gives what can be passed on.
    pub fn push(&mut self, masker: &Masker, chunk: &[u8]) -> Vec<u8> {
        if masker.is_empty() {
            return chunk.to_vec();
        }
        self.held.extend_from_slice(chunk);
        let border = masker.unfinished(&self.held);
        self.pass_on(masker, border)
    }

    /// Gives what was held back: nothing follows that could complete a secret.
    pub fn end(&mut self, masker: &Masker) -> Vec<u8> {
        let rest = self.pass_on(masker, self.held.len());
        *self = MaskStream::default();
        rest
    }

    /// Passes on what stands before the border.
    fn pass_on(&mut self, masker: &Masker, border: usize) -> Vec<u8> {
        let found = masker.matches(&self.held, self.masked);
        let mut out = Vec::with_capacity(border);
        let mut done = 0;
        let (mut masked_beyond, mut ends_masked) = (0, false);
        for range in found.iter().filter(|range| range.start < border) {
            out.extend_from_slice(&self.held[done..range.start]);
            if range.start > 0 || !self.after_mask {
                out.extend_from_slice(MASK.as_bytes());
            }
            done = range.end.min(border);
            masked_beyond = range.end.saturating_sub(border);
            ends_masked = range.end >= border;
        }
        out.extend_from_slice(&self.held[done..border]);
        // Where nothing is passed on, the mask that was written before still stands for the same bytes.
        if border > 0 {
            (self.masked, self.after_mask) = (masked_beyond, ends_masked);
        }
        self.held.drain(..border);
        out
    }

    /// Is anything held back?
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }
}

/// All texts that give a value away.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= SECRET_BYTES_MIN);
    let texts: BTreeSet<&str> = [value, value.trim()].into_iter().chain(lines).collect();
    for text in texts {
        forms.push(text.as_bytes().to_vec());
        forms.extend(base64_forms(text.as_bytes()));
        let digits = hexadecimal(text.as_bytes());
        forms.extend(line_forms(text.as_bytes(), digits.as_bytes()));
        forms.push(digits.to_uppercase().into_bytes());
        forms.push(digits.into_bytes());
        forms.extend(percent_forms(text).into_iter().map(String::into_bytes));
        forms.extend(json_forms(text).map(String::into_bytes));
        forms.extend(html_forms(text).map(String::into_bytes));
        forms.extend(literal_forms(text).map(String::into_bytes));
        forms.extend(shell_forms(text).map(String::into_bytes));
    }
    forms.sort();
    forms.dedup();
    forms
}

/// What base64 makes of the value within a longer text: the characters that depend on nothing but the value.
fn base64_forms(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..3).flat_map(move |offset| {
        let before = vec![0; offset];
        let bytes = [&before, value].concat();
        // A character holds six bits: those that share one with a neighbour are left out.
        let (first, end) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        let cut = move |text: String| text.as_bytes()[first..end].to_vec();
        [cut(STANDARD_NO_PAD.encode(&bytes)), cut(URL_SAFE_NO_PAD.encode(&bytes))]
    })
}

/// The lines over which tools break the base64 and the hexadecimal digits of a long value, if they are given nothing before
/// it.
fn line_forms(value: &[u8], digits: &[u8]) -> Vec<Vec<u8>> {
    let encoded = STANDARD_NO_PAD.encode(value);
    // The last character may depend on what follows the value: `echo` adds a line break.
    let encoded = &encoded.as_bytes()[..value.len() * 8 / 6];
    let mut forms = broken(digits, HEXADECIMAL_WIDTH);
    forms.extend(BASE64_WIDTHS.into_iter().flat_map(|width| broken(encoded, width)));
    forms
}

/// A text in lines of a width. A last line that is too short to be found alone is found behind the one before it.
fn broken(text: &[u8], width: usize) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = text.chunks(width).map(<[u8]>::to_vec).collect();
    if let [.., before, last] = lines.as_mut_slice()
        && last.len() < LINE_MIN
    {
        *last = [before.as_slice(), last.as_slice()].join(&b'\n');
    }
    lines
}

/// The value in a URL: what is kept differs between encoders, and so do the digits and the space.
fn percent_forms(value: &str) -> BTreeSet<String> {
    // The host in a query (and RFC 3986), the host in a path, JavaScript's `encodeURIComponent` and `encodeURI`, HTML's
    // forms, Python's `quote`.
    let encoders: [&[u8]; 6] = [KEPT_IN_QUERY, KEPT_IN_PATH, b"-_.!~*'()", b"-_.!~*'();,/?:@&=+$#", b"*-._", b"-_.~/"];
    let mut forms = BTreeSet::new();
    for kept in encoders {
        for space in ["%20", "+"] {
            for is_lower in [false, true] {
                forms.insert(percent_encoded(value, kept, space, is_lower));
            }
        }
    }
    forms
}

fn percent_encoded(value: &str, kept: &[u8], space: &str, is_lower: bool) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b' ' => text.push_str(space),
            byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => text.push(char::from(byte)),
            byte if is_lower => text.push_str(&format!("%{byte:02x}")),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The value in a JSON text: as it is usually escaped, with `<`, `>` and `&` escaped as well, with `/` escaped, in ASCII only
/// (in small and in capital digits), and in ASCII with `/` escaped, as PHP does.
fn json_forms(value: &str) -> impl Iterator<Item = String> {
    let quoted = Json::String(value.to_owned()).to_string();
    let plain = quoted[1..quoted.len() - 1].to_owned();
    let html = plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let (mut ascii, mut capital) = (String::new(), String::new());
    for character in plain.chars() {
        if character.is_ascii() {
            ascii.push(character);
            capital.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{unit:04x}"));
            capital.push_str(&format!("\\u{unit:04X}"));
        }
    }
    let [slashes, ascii_slashes] = [&plain, &ascii].map(|text| text.replace('/', "\\/"));
    [plain, html, ascii, capital, slashes, ascii_slashes].into_iter()
}

/// The value in HTML or XML: `&` and `<` are always escaped, `>` and the quotes by some and in several ways.
fn html_forms(value: &str) -> impl Iterator<Item = String> {
    const GREATER: [&str; 2] = [">", "&gt;"];
    const DOUBLE: [&str; 3] = ["\"", "&quot;", "&#34;"];
    const SINGLE: [&str; 5] = ["'", "&#39;", "&#x27;", "&#039;", "&apos;"];
    let less = value.replace('&', "&amp;").replace('<', "&lt;");
    GREATER.into_iter().flat_map(move |greater| {
        let text = less.replace('>', greater);
        DOUBLE.into_iter().flat_map(move |double| {
            let text = text.replace('"', double);
            SINGLE.into_iter().map(move |single| text.replace('\'', single))
        })
    })
}

/// The value as a program prints a text within quotes for programmers: backslashes doubled, and before the quotes around it;
/// what is not printable ASCII as it is or escaped.
fn literal_forms(value: &str) -> impl Iterator<Item = String> {
    let escaped = value.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r").replace('\t', r"\t");
    let [single, double] = ['\'', '"'].map(|quote| (quote, format!("\\{quote}")));
    let within_single = escaped.replace(single.0, &single.1);
    let within_double = escaped.replace(double.0, &double.1);
    let both = within_single.replace(double.0, &double.1);
    [escaped, within_single, within_double, both].into_iter().flat_map(|text| {
        let mut forms = ascii_forms(&text);
        forms.push(text);
        forms
    })
}

/// A text in printable ASCII: the other characters by their numbers (`ascii()` of Python), or by their bytes in hexadecimal
/// (`bytes` of Python) or octal (`$'…'` of a shell, Git). None if it has no other characters.
fn ascii_forms(text: &str) -> Vec<String> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Vec::new();
    }
    let (mut numbers, mut bytes, mut octal) = (String::new(), String::new(), String::new());
    for character in text.chars() {
        if matches!(character, ' '..='~') {
            [&mut numbers, &mut bytes, &mut octal].into_iter().for_each(|form| form.push(character));
            continue;
        }
        numbers.push_str(&match u32::from(character) {
            number if number <= 0xff => format!("\\x{number:02x}"),
            number if number <= 0xffff => format!("\\u{number:04x}"),
            number => format!("\\U{number:08x}"),
        });
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            bytes.push_str(&format!("\\x{byte:02x}"));
            octal.push_str(&format!("\\{byte:03o}"));
        }
    }
    vec![numbers, bytes, octal]
}

/// The value as one word for a shell: within single quotes, within double quotes, or with a backslash before each character
/// that means something (as `printf %q` of bash writes it).
fn shell_forms(value: &str) -> impl Iterator<Item = String> {
    const WITHIN_DOUBLE: &str = "\"\\$`";
    const ANYWHERE: &str = " \t'\"\\|&;()<>!{}*[]?^$`,";
    let escape = |special: &str| {
        let mut text = String::new();
        for (at, character) in value.char_indices() {
            if special.contains(character) || (at == 0 && special == ANYWHERE && matches!(character, '#' | '~')) {
                text.push('\\');
            }
            text.push(character);
        }
        text
    };
    let quotes = [value.replace('\'', r"'\''"), value.replace('\'', r#"'"'"'"#)];
    quotes.into_iter().chain([escape(WITHIN_DOUBLE), escape(ANYWHERE)])
}

#[cfg(test)]
mod tests;
