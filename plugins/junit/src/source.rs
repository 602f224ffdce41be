//! One stream of UTF-8 from the pieces of a file, with the place in it.
//!
//! [`crate::markup`] reads from it. Holds one piece at a time, so a file may be of any size.

use std::io::{self, BufRead, Read};

/// So many bytes can be seen ahead, except at the end of the file.
pub const LOOK_AHEAD: usize = 16;

/// How far into the file its encoding is looked for.
const DECLARATION_BYTES_MAX: usize = 1024;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, counted from 1.
    pub line: u32,
    /// The character in the line, counted from 1.
    pub column: u32,
}

impl Position {
    /// The first character of a file.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// Why a report cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where in the file; none if it is about the whole file.
    pub position: Option<Position>,
    /// What is wrong, as a sentence without its dot.
    pub reason: String,
}

impl Broken {
    /// It is the whole file that cannot be used.
    pub fn whole(reason: impl Into<String>) -> Broken {
        Broken { position: None, reason: reason.into() }
    }

    /// It is this place.
    pub fn at(position: Position, reason: impl Into<String>) -> Broken {
        Broken { position: Some(position), reason: reason.into() }
    }
}

/// A byte that cannot stand in a report, and that programs write all the same: what a test prints may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd {
    /// The line, counted from 1.
    pub line: u32,
    /// The byte.
    pub byte: u8,
    /// It is a control character that XML forbids, and not a part of what is no UTF-8.
    pub is_control: bool,
}

/// How the bytes of the file are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// Not known yet: as they are.
    Unknown,
    /// As UTF-8; what is none becomes a sign of it.
    Utf8,
    /// As ISO-8859-1.
    Latin1,
}

/// The stream. `P` answers with the next piece of the file, an empty one at its end, or a sentence why it cannot be read.
pub struct Source<P> {
    pieces: P,
    buffer: Vec<u8>,
    /// What of the buffer was consumed.
    consumed: usize,
    ended: bool,
    encoding: Encoding,
    /// The first bytes of a character that ends in the next piece.
    half_character: Vec<u8>,
    /// The first byte that cannot stand here, and how many bytes of the stream stand before it. Its line is known once those
    /// were consumed.
    odd: Option<(u64, Odd)>,
    decoded_bytes: u64,
    consumed_bytes: u64,
    position: Position,
    /// How many bytes may still be consumed, and what takes too many otherwise.
    allowance: (usize, &'static str),
}

impl<P: FnMut() -> Result<Vec<u8>, String>> Source<P> {
    /// Opens a file: finds its encoding.
    ///
    /// # Errors
    /// If it is empty, cannot be read, or has an encoding that is not known.
    pub fn open(pieces: P) -> Result<Source<P>, Broken> {
        let mut source = Source {
            pieces,
            buffer: Vec::new(),
            consumed: 0,
            ended: false,
            encoding: Encoding::Unknown,
            half_character: Vec::new(),
            odd: None,
            decoded_bytes: 0,
            consumed_bytes: 0,
            position: Position::START,
            allowance: (usize::MAX, ""),
        };
        source.fill(DECLARATION_BYTES_MAX).map_err(|error| Broken::whole(error.to_string()))?;
        if source.buffer.is_empty() {
            return Err(Broken::whole("it is empty: did the program end before it wrote its report?"));
        }
        match source.buffer.as_slice() {
            [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, b'<', ..] | [b'<', 0, ..] => {
                return Err(Broken::whole("it is written in UTF-16; UTF-8 and ISO-8859-1 can be read"));
            }
            _ => {}
        }
        let mark: &[u8] = &[0xEF, 0xBB, 0xBF];
        let head = source.buffer.strip_prefix(mark).unwrap_or(&source.buffer);
        let name = declared_encoding(&head[..head.len().min(DECLARATION_BYTES_MAX)]);
        source.encoding = match name.map(str::to_ascii_lowercase).as_deref() {
            None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => Encoding::Utf8,
            Some("iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1") => Encoding::Latin1,
            Some(other) => {
                let reason = format!("its encoding is `{other}`; UTF-8 and ISO-8859-1 can be read");
                return Err(Broken::at(Position::START, reason));
            }
        };
        let head = head.to_vec();
        source.buffer = source.decoded(head);
        Ok(source)
    }

    /// Where the stream is.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The first byte that cannot stand in a report, among those that were consumed. It is read as a sign of it, or left to
    /// whoever shows the text.
    pub fn odd(&self) -> Option<Odd> {
        self.odd.map(|(_, odd)| odd).filter(|odd| odd.line > 0)
    }

    /// Allows to consume so many bytes from now on; `what` takes too many otherwise.
    pub fn allow(&mut self, bytes: usize, what: &'static str) {
        self.allowance = (bytes, what);
    }

    /// Reads until so many bytes lie ahead or the file ends.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while !self.ended && self.buffer.len() - self.consumed < wanted {
            let piece = (self.pieces)().map_err(io::Error::other)?;
            self.ended = piece.is_empty();
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
            let decoded = self.decoded(piece);
            if self.buffer.is_empty() {
                self.buffer = decoded;
            } else {
                self.buffer.extend_from_slice(&decoded);
            }
        }
        Ok(())
    }

    /// A piece as UTF-8.
    fn decoded(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let (decoded, invalid) = match self.encoding {
            Encoding::Unknown => return piece,
            Encoding::Latin1 => (from_latin1(&piece), None),
            Encoding::Utf8 => self.valid(piece),
        };
        self.look_for_odd(&decoded, invalid);
        decoded
    }

    /// A piece with signs in the place of what is no UTF-8; the place of the first one, and the byte that stood there.
    fn valid(&mut self, piece: Vec<u8>) -> (Vec<u8>, Option<(usize, u8)>) {
        let mut bytes = std::mem::take(&mut self.half_character);
        if bytes.is_empty() {
            bytes = piece;
        } else {
            bytes.extend_from_slice(&piece);
        }
        if std::str::from_utf8(&bytes).is_ok() {
            return (bytes, None);
        }
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut first = None;
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            decoded.extend_from_slice(chunk.valid().as_bytes());
            let is_half = std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if is_half && chunks.peek().is_none() && !self.ended {
                self.half_character = chunk.invalid().to_vec();
            } else if let Some(byte) = chunk.invalid().first() {
                first = first.or(Some((decoded.len(), *byte)));
                decoded.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        (decoded, first)
    }

    /// Looks for the first odd byte in a piece that was decoded; `invalid` is where the first one was replaced.
    fn look_for_odd(&mut self, decoded: &[u8], invalid: Option<(usize, u8)>) {
        if self.odd.is_none() {
            let control = first_forbidden(decoded).map(|at| (at, decoded[at], true));
            let invalid = invalid.map(|(at, byte)| (at, byte, false));
            let first = control.into_iter().chain(invalid).min_by_key(|(at, ..)| *at);
            let place = |at: usize| self.decoded_bytes + at as u64;
            self.odd = first.map(|(at, byte, is_control)| (place(at), Odd { line: 0, byte, is_control }));
        }
        self.decoded_bytes += decoded.len() as u64;
    }
}

/// The first control character that XML forbids: all below the space but tab and line breaks.
fn first_forbidden(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 32;
    let is_forbidden = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        let (words, _) = block.as_chunks::<8>();
        let [a, b, c, d] = [0, 1, 2, 3].map(|word| low_bytes(words[word]));
        // Most blocks hold none at all, and of the others most words.
        if a | b | c | d != 0 {
            for (word, low) in [a, b, c, d].into_iter().enumerate().filter(|(_, low)| *low != 0) {
                let at = index * BLOCK + word * 8 + low.trailing_zeros() as usize / 8;
                let word = &bytes[at..index * BLOCK + word * 8 + 8];
                if let Some(behind) = word.iter().position(is_forbidden) {
                    return Some(at + behind);
                }
            }
        }
    }
    rest.iter().position(is_forbidden).map(|at| blocks.len() * BLOCK + at)
}

/// The highest bit of each byte that is below the space; bytes behind the first such one may be wrong.
fn low_bytes(word: [u8; 8]) -> u64 {
    let number = u64::from_le_bytes(word);
    number.wrapping_sub(0x2020_2020_2020_2020) & !number & 0x8080_8080_8080_8080
}

impl<P: FnMut() -> Result<Vec<u8>, String>> BufRead for Source<P> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.allowance.0 == 0 {
            return Err(io::Error::other(format!("{} is too long", self.allowance.1)));
        }
        self.fill(LOOK_AHEAD)?;
        let ahead = &self.buffer[self.consumed..];
        Ok(&ahead[..ahead.len().min(self.allowance.0)])
    }

    fn consume(&mut self, amount: usize) {
        let taken = &self.buffer[self.consumed..self.consumed + amount];
        let before = self.consumed_bytes;
        self.consumed_bytes += amount as u64;
        if let Some((at, odd)) = &mut self.odd
            && (before..self.consumed_bytes).contains(at)
        {
            let lines = memchr::memchr_iter(b'\n', &taken[..(*at - before) as usize]).count();
            odd.line = self.position.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        }
        let line_start = memchr::memrchr(b'\n', taken).map(|at| at + 1);
        if let Some(start) = line_start {
            let lines = memchr::memchr_iter(b'\n', &taken[..start]).count();
            self.position.line = self.position.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            self.position.column = 1;
        }
        let rest = &taken[line_start.unwrap_or(0)..];
        let begins_character = |byte: &&u8| **byte & 0xC0 != 0x80;
        // Almost always, and much quicker than to look at each byte.
        let columns = if rest.is_ascii() { rest.len() } else { rest.iter().filter(begins_character).count() };
        self.position.column = self.position.column.saturating_add(u32::try_from(columns).unwrap_or(u32::MAX));
        self.consumed += amount;
        self.allowance.0 = self.allowance.0.saturating_sub(amount);
    }
}

impl<P: FnMut() -> Result<Vec<u8>, String>> Read for Source<P> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let ahead = self.fill_buf()?;
        let length = ahead.len().min(into.len());
        into[..length].copy_from_slice(&ahead[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// The value of `encoding` in `<?xml … ?>` at the head of a file.
fn declared_encoding(head: &[u8]) -> Option<&str> {
    let end = memchr::memmem::find(head, b"?>")?;
    let declaration = std::str::from_utf8(&head[..end]).ok()?.strip_prefix("<?xml")?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split(quote).next()
}

/// Every byte of Latin-1 is the character with that number.
fn from_latin1(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()
}
