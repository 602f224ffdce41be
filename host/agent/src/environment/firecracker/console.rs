//! Takes what a command prints out of the words of a machine's console.

use bytes::{Bytes, BytesMut};

use super::guest::{BEGIN, END};

/// What the machine says before the command begins, kept for the case that it never begins.
const BOOT_WORDS_MAX: usize = 4 << 10;
/// The longest line that may be one of ours.
const OWN_LINE_MAX: usize = 128;

/// Reads a console piece by piece.
#[derive(Debug)]
pub(super) struct Console {
    begin: Vec<u8>,
    end: Vec<u8>,
    state: State,
    /// What may be the beginning of a line of ours.
    held: BytesMut,
}

#[derive(Debug, PartialEq)]
enum State {
    Booting,
    Running { strip_returns: bool },
    Ended(i32),
}

impl Console {
    pub(super) fn new(nonce: &str) -> Console {
        let line = |word: &str| format!("\n{word} {nonce} ").into_bytes();
        Console { begin: line(BEGIN), end: line(END), state: State::Booting, held: BytesMut::new() }
    }

    /// Takes what the console said; answers with what the command printed.
    pub(super) fn push(&mut self, piece: &[u8]) -> Bytes {
        self.held.extend_from_slice(piece);
        let mut printed = BytesMut::new();
        if self.state == State::Booting {
            self.look_for_begin();
        }
        if let State::Running { strip_returns } = self.state {
            self.take_printed(&mut printed, strip_returns);
        }
        if matches!(self.state, State::Ended(_)) {
            self.held.clear();
        }
        printed.freeze()
    }

    fn look_for_begin(&mut self) {
        match self.own_line(&self.begin) {
            Some((_, after, rest)) => {
                self.state = State::Running { strip_returns: rest.trim_end() == "crlf" };
                let _ = self.held.split_to(after);
            }
            None => {
                let excess = self.held.len().saturating_sub(BOOT_WORDS_MAX);
                let _ = self.held.split_to(excess);
            }
        }
    }

    fn take_printed(&mut self, printed: &mut BytesMut, strip_returns: bool) {
        let (until, code) = match self.own_line(&self.end) {
            Some((start, _, rest)) => (start, Some(rest.trim().parse().unwrap_or(-1))),
            None => (self.held.len() - self.held_back(strip_returns), None),
        };
        let taken = self.held.split_to(until);
        match strip_returns {
            true => printed.extend_from_slice(&without_returns(&taken)),
            false => printed.extend_from_slice(&taken),
        }
        if let Some(code) = code {
            self.state = State::Ended(code);
        }
    }

    /// Where a line of ours begins and ends, and what stands behind its number. The console may put a return before each break.
    fn own_line(&self, line: &[u8]) -> Option<(usize, usize, String)> {
        let start = find(&self.held, line)?;
        let rest = &self.held[start + line.len()..];
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        let text = String::from_utf8_lossy(&rest[..length]).into_owned();
        let returned = start > 0 && self.held[start - 1] == b'\r';
        Some((start - usize::from(returned), start + line.len() + length + 1, text))
    }

    /// How much of the end may still become the line that ends all.
    fn held_back(&self, strip_returns: bool) -> usize {
        let window = self.held.len().min(self.end.len() + OWN_LINE_MAX);
        let tail = &self.held[self.held.len() - window..];
        let breaks = tail.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let possible = breaks.map(|(at, _)| at).find(|at| {
            let candidate = &tail[*at..];
            let length = candidate.len().min(self.end.len());
            candidate[..length] == self.end[..length]
        });
        let from_break = possible.map_or(0, |at| window - at);
        // A return may belong to the break that follows.
        let held = self.held.len() - from_break;
        let return_before = strip_returns && held > 0 && self.held[held - 1] == b'\r';
        from_break + usize::from(return_before)
    }

    /// The exit code, when the command has ended.
    pub(super) fn exit_code(&self) -> Option<i32> {
        match self.state {
            State::Ended(code) => Some(code),
            _ => None,
        }
    }

    /// What the machine said last if the command never began.
    pub(super) fn boot_words(&self) -> Option<String> {
        (self.state == State::Booting).then(|| String::from_utf8_lossy(&self.held).trim().to_owned())
    }

    /// What was held back when the machine went off without a word.
    pub(super) fn rest(&mut self) -> Bytes {
        match self.state {
            State::Running { .. } => self.held.split().freeze(),
            _ => Bytes::new(),
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

fn without_returns(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        if !(*byte == b'\r' && bytes.peek() == Some(&&b'\n')) {
            plain.push(*byte);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(console: &mut Console, said: &[u8], piece: usize) -> Vec<u8> {
        said.chunks(piece).flat_map(|piece| console.push(piece)).collect()
    }

    #[test]
    fn only_what_stands_between_the_lines_is_printed() {
        let said = b"[0.1] kernel\nOXIDE-BEGIN 8 lf\nno\n\nOXIDE-BEGIN 7 lf\nhello\nOXIDE-END 6 0\nworld\nOXIDE-END 7 3\nreboot: x";
        for piece in 1..said.len() {
            let mut console = Console::new("7");
            let printed = read(&mut console, said, piece);
            assert_eq!(String::from_utf8(printed).unwrap(), "hello\nOXIDE-END 6 0\nworld");
            assert_eq!((console.exit_code(), console.boot_words()), (Some(3), None));
        }
    }

    #[test]
    fn returns_before_breaks_are_the_consoles() {
        let said = b"x\r\nOXIDE-BEGIN 7 crlf\r\na\rb\r\nc\r\n\r\nOXIDE-END 7 0\r\n";
        for piece in 1..said.len() {
            let mut console = Console::new("7");
            assert_eq!(read(&mut console, said, piece), b"a\rb\nc\n", "in pieces of {piece}");
            assert_eq!(console.exit_code(), Some(0));
        }
    }

    #[test]
    fn a_machine_that_does_not_come_up_is_quoted() {
        let mut console = Console::new("7");
        console.push(b"Kernel panic - not syncing: No working init found\n");
        assert_eq!(console.boot_words().unwrap(), "Kernel panic - not syncing: No working init found");
        console.push(&vec![b'.'; 1 << 20]);
        assert!(console.boot_words().unwrap().len() <= BOOT_WORDS_MAX);
    }

    #[test]
    fn what_was_printed_before_a_machine_died_is_not_lost() {
        let mut console = Console::new("7");
        let mut printed = console.push(b"\nOXIDE-BEGIN 7 lf\nhalf a li").to_vec();
        printed.extend(console.push(b"ne\nOXIDE-EN"));
        printed.extend(console.rest());
        assert_eq!(String::from_utf8(printed).unwrap(), "half a line\nOXIDE-EN");
        assert_eq!((console.exit_code(), console.boot_words()), (None, None));
    }

    proptest! {
        #[test]
        fn every_byte_comes_through_in_pieces_of_any_size(
            printed in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'O'), any::<u8>()], 0..300),
            piece in 1_usize..50,
        ) {
            let mut said = b"boot\n\nOXIDE-BEGIN 7 lf\n".to_vec();
            said.extend(&printed);
            // What the script prints before its last line.
            said.extend(b"\nOXIDE-END 7 0\n");
            let mut console = Console::new("7");
            let read = read(&mut console, &said, piece);
            // A return right before our own break is taken for the console's.
            let expected = printed.strip_suffix(b"\r").unwrap_or(&printed);
            prop_assert!(read == printed || read == expected);
        }
    }
}
