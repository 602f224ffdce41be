//! Cuts a stream into elements and text. Knows XML and nothing of JUnit.
//!
//! quick-xml reads the tags. Text, CDATA and comments are taken from the stream here, between two tags, because quick-xml
//! would hold each whole, and a test may have printed more than fits into memory. Nothing is ever fetched or expanded: a
//! document type that declares entities is refused.

use std::io::BufRead;

use memchr::memmem::Finder;
use quick_xml::{
    Reader,
    events::{BytesStart, Event as Tag},
};

use crate::{
    source::{Broken, Odd, Position, Source},
    text::{cut, one_line},
};

/// A longer tag is refused. Reports hold whole messages in attributes.
const TAG_BYTES_MAX: usize = 8 << 20;
/// A longer document type is refused.
const DOCUMENT_TYPE_BYTES_MAX: usize = 64 << 10;
/// A longer value of an attribute is cut.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// More attributes than these are not looked at.
const ATTRIBUTES_MAX: usize = 100;
/// A longer name of an element is refused.
const NAME_BYTES_MAX: usize = 1000;
/// A deeper document is refused.
pub const DEPTH_MAX: usize = 1000;

/// What a document consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An element begins.
    Open(Element),
    /// Text of the innermost element that is open; what was to be kept of it.
    Text(String),
    /// The innermost element that is open ends.
    Close,
}

/// The start of an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, without the prefix of a namespace.
    pub name: String,
    attributes: Vec<(&'static str, String)>,
}

impl Element {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// A document that is being read.
pub struct Markup<P> {
    reader: Reader<Source<P>>,
    /// The attributes that are kept.
    wanted: &'static [&'static str],
    /// The names of the elements that are open, one behind the other.
    names: String,
    /// Of each element that is open, where its name begins in `names`, and where it begins itself.
    open: Vec<(usize, Position)>,
    /// An element without contents was told to be open; its end comes next.
    closes: bool,
    root_ended: bool,
    tag: Vec<u8>,
}

impl<P: FnMut() -> Result<Vec<u8>, String>> Markup<P> {
    /// A document of which nothing was read yet. Of the attributes only those with these names are kept.
    pub fn new(source: Source<P>, wanted: &'static [&'static str]) -> Self {
        let (reader, names) = (Reader::from_reader(source), String::new());
        Markup { reader, wanted, names, open: vec![], closes: false, root_ended: false, tag: vec![] }
    }

    /// The next event; none at the end of the document. Of a text, `keep` bytes are kept.
    ///
    /// # Errors
    /// If the document is not well-formed, or not of a kind that is read.
    pub fn next(&mut self, keep: usize) -> Result<Option<Event>, Broken> {
        if std::mem::take(&mut self.closes) {
            self.leave();
            return Ok(Some(Event::Close));
        }
        loop {
            let position = self.position();
            let is_content = !self.open.is_empty();
            match self.ahead(position)? {
                [] => return self.end(position),
                [b'<', b'!', b'[', b'C', b'D', b'A', b'T', b'A', b'[', ..] if is_content => {
                    let mut kept = Vec::new();
                    self.take(9);
                    self.until(b"]]>", "CDATA section", position, keep, &mut kept)?;
                    if !kept.is_empty() {
                        return Ok(Some(Event::Text(as_text(&kept).to_owned())));
                    }
                }
                [b'<', b'!', b'-', b'-', ..] => {
                    self.take(4);
                    self.until(b"-->", "comment", position, 0, &mut Vec::new())?;
                }
                [b'<', b'?', ..] => {
                    self.until(b"?>", "processing instruction", position, 0, &mut Vec::new())?;
                }
                [b'<', b'!', ..] => self.document_type(position)?,
                [b'<', ..] => return self.tag(position).map(Some),
                _ => {
                    if let Some(text) = self.text(position, keep)? {
                        return Ok(Some(Event::Text(text)));
                    }
                }
            }
        }
    }

    /// The first byte so far that cannot stand in a document.
    pub fn odd(&self) -> Option<Odd> {
        self.reader.get_ref().odd()
    }

    /// Where the document is read.
    pub fn position(&self) -> Position {
        self.reader.get_ref().position()
    }

    fn ahead(&mut self, position: Position) -> Result<&[u8], Broken> {
        self.reader.get_mut().allow(usize::MAX, "");
        self.reader.get_mut().fill_buf().map_err(|error| Broken::at(position, error.to_string()))
    }

    fn take(&mut self, bytes: usize) {
        self.reader.stream().consume(bytes);
    }

    fn end(&self, position: Position) -> Result<Option<Event>, Broken> {
        match self.open.last() {
            Some((name, began)) => {
                let name = &self.names[*name..];
                Err(Broken::at(position, format!("it ends inside of `<{name}>`, which begins on line {}", began.line)))
            }
            None if self.root_ended => Ok(None),
            None => Err(Broken::whole("it holds no element")),
        }
    }

    /// Consumes text up to the next tag.
    fn text(&mut self, position: Position, keep: usize) -> Result<Option<String>, Broken> {
        let is_content = !self.open.is_empty();
        let mut kept = Vec::new();
        let mut is_whole = true;
        loop {
            let ahead = self.ahead(position)?;
            let length = memchr::memchr(b'<', ahead).unwrap_or(ahead.len());
            if length == 0 {
                break;
            }
            if !is_content && !ahead[..length].trim_ascii().is_empty() {
                let shown: String = String::from_utf8_lossy(&ahead[..length]).trim_start().chars().take(20).collect();
                let shown = one_line(&shown);
                let what = if self.root_ended { "after the end of the root element stands" } else { "it begins with" };
                return Err(Broken::at(position, format!("it is not XML: {what} `{shown}`")));
            }
            is_whole &= keep_part(&mut kept, &ahead[..length], keep);
            self.take(length);
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let text = as_text(&kept);
        let text = if is_whole { text } else { without_half_reference(text) };
        resolve_references(text).map(Some).map_err(|reason| Broken::at(position, reason))
    }

    /// Consumes up to and with `terminator`.
    fn until(
        &mut self,
        terminator: &[u8],
        what: &str,
        position: Position,
        keep: usize,
        kept: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let finder = Finder::new(terminator);
        loop {
            let ahead = self.ahead(position)?;
            if let Some(at) = finder.find(ahead) {
                keep_part(kept, &ahead[..at], keep);
                self.take(at + terminator.len());
                return Ok(());
            }
            // The terminator may begin in this piece and end in the next. Near the end of the file nothing is left.
            let length = ahead.len().saturating_sub(terminator.len() - 1);
            if length == 0 {
                return Err(Broken::at(position, format!("this {what} does not end before the end of the file")));
            }
            keep_part(kept, &ahead[..length], keep);
            self.take(length);
        }
    }

    fn document_type(&mut self, position: Position) -> Result<(), Broken> {
        self.reader.get_mut().allow(DOCUMENT_TYPE_BYTES_MAX, "this document type");
        self.tag.clear();
        match self.reader.read_event_into(&mut self.tag) {
            Ok(Tag::DocType(text)) => {
                if text.to_ascii_uppercase().find("<!ENTITY").is_some() {
                    let reason = "its document type declares entities, which may grow without bounds or name files, so it \
                                  is refused: no test report needs them";
                    return Err(Broken::at(position, reason));
                }
                Ok(())
            }
            Ok(_) => Err(Broken::at(position, "a document type or a CDATA section cannot stand here")),
            Err(error) => Err(Broken::at(position, wording(&error))),
        }
    }

    fn tag(&mut self, position: Position) -> Result<Event, Broken> {
        self.reader.get_mut().allow(TAG_BYTES_MAX, "this tag");
        self.tag.clear();
        if self.tag.capacity() > 1 << 20 {
            // One huge tag shall not hold its memory until the end.
            self.tag = Vec::new();
        }
        let refuse = |reason: String| Broken::at(position, reason);
        match self.reader.read_event_into(&mut self.tag).map_err(|error| refuse(wording(&error)))? {
            Tag::End(_) => {
                self.leave();
                Ok(Event::Close)
            }
            Tag::Start(start) => {
                let element = element(&start, self.wanted).map_err(refuse)?;
                self.enter(element, position)
            }
            Tag::Empty(start) => {
                let element = element(&start, self.wanted).map_err(refuse)?;
                self.closes = true;
                self.enter(element, position)
            }
            _ => Err(refuse("this is not a tag".to_owned())),
        }
    }

    fn enter(&mut self, element: Element, position: Position) -> Result<Event, Broken> {
        if self.root_ended {
            return Err(Broken::at(position, "a second root element begins here: a report has one"));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Broken::at(position, format!("its elements are nested more than {DEPTH_MAX} deep")));
        }
        self.open.push((self.names.len(), position));
        self.names.push_str(&element.name);
        Ok(Event::Open(element))
    }

    fn leave(&mut self) {
        if let Some((name, _)) = self.open.pop() {
            self.names.truncate(name);
        }
        self.root_ended = self.open.is_empty();
    }
}

/// Keeps what of a part still has room. Answers whether that was all of it.
fn keep_part(kept: &mut Vec<u8>, part: &[u8], keep: usize) -> bool {
    let room = keep.saturating_sub(kept.len()).min(part.len());
    kept.extend_from_slice(&part[..room]);
    room == part.len()
}

/// What was cut may end in the middle of `&amp;`.
fn without_half_reference(text: &str) -> &str {
    let tail = text.floor_char_boundary(text.len().saturating_sub(12));
    match text[tail..].rfind('&') {
        Some(at) if !text[tail + at..].contains(';') => &text[..tail + at],
        _ => text,
    }
}

/// Kept bytes as text. What was cut may end in the middle of a character.
fn as_text(kept: &[u8]) -> &str {
    match std::str::from_utf8(kept) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&kept[..error.valid_up_to()]).unwrap_or_default(),
    }
}

fn element(start: &BytesStart<'_>, wanted: &[&'static str]) -> Result<Element, String> {
    let name = start.local_name();
    if name.as_ref().is_empty() {
        return Err("this tag has no name".to_owned());
    }
    if start.name().as_ref().len() > NAME_BYTES_MAX {
        return Err("this tag has a name that is too long".to_owned());
    }
    let mut attributes = Vec::new();
    // Its check for doubles would compare each with each.
    for attribute in start.attributes().with_checks(false).take(ATTRIBUTES_MAX) {
        let attribute = attribute.map_err(|error| format!("an attribute is malformed: {error}"))?;
        let key = attribute.key.local_name().into_inner();
        let Some(key) = wanted.iter().find(|wanted| **wanted == key) else { continue };
        let mut value = cut(&attribute.value, VALUE_BYTES_MAX);
        if value.len() < attribute.value.len() {
            value = without_half_reference(value);
        }
        attributes.push((*key, resolve_references(value)?));
    }
    Ok(Element { name: name.as_ref().to_owned(), attributes })
}

/// Puts characters in the place of `&lt;` and `&#10;`.
pub fn resolve_references(text: &str) -> Result<String, String> {
    if memchr::memchr(b'&', text.as_bytes()).is_none() {
        return Ok(text.to_owned());
    }
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        resolved.push_str(before);
        let name_end = after.bytes().take(100).position(|byte| byte == b';');
        let Some(name) = name_end.map(|end| &after[..end]) else {
            return Err("an `&` begins no reference here; as a character it is written `&amp;`".to_owned());
        };
        resolved.push(character(name)?);
        rest = &after[name.len() + 1..];
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// The character that a reference names.
fn character(name: &str) -> Result<char, String> {
    let number = match name.strip_prefix('#') {
        None => {
            return match name {
                "lt" => Ok('<'),
                "gt" => Ok('>'),
                "amp" => Ok('&'),
                "quot" => Ok('"'),
                "apos" => Ok('\''),
                _ => Err(format!("the entity `&{};` is not one of XML's five", one_line(name))),
            };
        }
        Some(digits) => match digits.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => digits.parse(),
        },
    };
    // Programs write control characters that XML does not allow; they are shown as what they are not.
    match number {
        Ok(0) => Ok(char::REPLACEMENT_CHARACTER),
        Ok(number) => Ok(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)),
        Err(_) => Err(format!("`&{};` is not the number of a character", one_line(name))),
    }
}

fn wording(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::Io(error) => error.to_string(),
        quick_xml::Error::Syntax(error) => error.to_string(),
        quick_xml::Error::IllFormed(error) => error.to_string(),
        other => other.to_string(),
    }
}
