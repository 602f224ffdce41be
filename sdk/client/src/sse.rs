//! Reads a stream of server-sent events (WHATWG HTML, "Server-sent events", section 9.2.6): bytes in any pieces become events.

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The id: what to send as `Last-Event-ID` to go on behind this event. Stands until the stream names another one.
    pub id: Option<String>,
    /// The kind; none means `message`.
    pub event: Option<String>,
    /// The text; several `data` lines are joined by line breaks.
    pub data: String,
}

/// The longest line that is read. A server that sends a longer one is not a server of events.
const LINE_BYTES_MAX: usize = 16 << 20;

/// A line was longer than any that a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream of events has a line of more than 16 MiB")]
pub struct LineTooLong;

/// Takes bytes, gives events. Holds what is not whole yet.
#[derive(Debug, Default)]
pub struct SseReader {
    pending: Vec<u8>,
    /// How many of the pending bytes have been searched for a line break.
    searched: usize,
    /// The last line ended with a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    begun: bool,
    last_id: Option<String>,
    event: Option<String>,
    data: Option<String>,
}

impl SseReader {
    /// Takes the next bytes; answers with the events that they complete.
    ///
    /// # Errors
    /// A line is longer than 16 MiB.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, LineTooLong> {
        let mut events = Vec::new();
        self.pending.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(position) = self.pending[self.searched..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let end = self.searched + position;
            let line_feed_of_return = self.after_return && end == from && self.pending[end] == b'\n';
            self.after_return = self.pending[end] == b'\r';
            if !line_feed_of_return {
                let line = String::from_utf8_lossy(&self.pending[from..end]).into_owned();
                events.extend(self.line(&line));
            }
            from = end + 1;
            self.searched = from;
        }
        self.pending.drain(..from);
        self.searched = self.pending.len();
        if self.pending.len() > LINE_BYTES_MAX { Err(LineTooLong) } else { Ok(events) }
    }

    fn line(&mut self, line: &str) -> Option<SseEvent> {
        let line = if self.begun { line } else { line.strip_prefix('\u{feff}').unwrap_or(line) };
        self.begun = true;
        if line.is_empty() {
            let (event, data) = (self.event.take(), self.data.take());
            return data.map(|data| SseEvent { id: self.last_id.clone(), event, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            "event" => self.event = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            // Comments keep the connection alive; `retry` is ours to decide.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut reader = SseReader::default();
        pieces.iter().flat_map(|piece| reader.take(piece).unwrap()).collect()
    }

    fn event(id: Option<&str>, event: Option<&str>, data: &str) -> SseEvent {
        SseEvent { id: id.map(str::to_owned), event: event.map(str::to_owned), data: data.to_owned() }
    }

    #[test]
    fn fields_become_an_event_at_the_empty_line() {
        let found = read(&[b"\xef\xbb\xbfid: 7\nevent: line\ndata: a\ndata:  b\n\n: alive\n\ndata\n\nid\ndata: c\n"]);
        assert_eq!(found, [event(Some("7"), Some("line"), "a\n b"), event(Some("7"), None, "")]);
    }

    #[test]
    fn all_line_breaks_are_known() {
        let expected = [event(None, None, "a"), event(None, None, "b")];
        for text in ["data: a\n\ndata: b\n\n", "data: a\r\rdata: b\r\r", "data: a\r\n\r\ndata: b\r\n\r\n"] {
            assert_eq!(read(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut reader = SseReader::default();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..20).any(|_| reader.take(&piece) == Err(LineTooLong)));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "(id: [0-9]{1,3}|data: [a-zäö]{0,4}|event: x|: c|\n|\r|\r\n){0,40}", cuts in prop::collection::vec(0usize..200, 0..8)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[bytes]));
        }
    }
}
