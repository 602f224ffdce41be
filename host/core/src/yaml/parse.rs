//! From text to [`Node`]s. Bounded in size, depth and in what aliases can make of it.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::{Content, Node, Span};
use crate::diagnostic::Diagnostic;

/// The largest source that is read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 10_000_000;
/// The most lines of a source.
const MAX_LINES: usize = 1_000_000;
/// The most nodes of a document, with all aliases written out.
pub const MAX_NODES: usize = 100_000;
/// How deep lists and mappings may be nested, with all aliases written out.
pub const MAX_DEPTH: usize = 64;
/// The most bytes of all scalars together, with all aliases written out.
const MAX_TEXT_BYTES: usize = MAX_SOURCE_BYTES;
/// Lines up to this length get exact spans.
const MAX_MEASURED_LINE: usize = 1000;

/// Reads one YAML document.
///
/// # Errors
/// The first mistake: not YAML, tabs as indentation, a key twice, a key that is no scalar, more than one document, too
/// big, too deep, or too big with its aliases written out.
pub fn parse(text: &str) -> Result<Node, Diagnostic> {
    if text.len() > MAX_SOURCE_BYTES {
        let size = text.len() as f64 / 1e6;
        return Err(Diagnostic::new(format!("the file has {size:.1} MB; a pipeline may have 10 MB"))
            .hint("move scripts and data into files of their own and let the steps read them"));
    }
    let line_count = memchr::memchr_iter(b'\n', text.as_bytes()).count();
    if line_count > MAX_LINES {
        return Err(Diagnostic::new(format!("the file has {line_count} lines; a pipeline may have {MAX_LINES}")));
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut builder = Builder::new(&lines);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| explain(&error, &lines))?;
        builder.take(event, span)?;
    }
    builder.document.ok_or_else(|| Diagnostic::new("the file is empty").hint("`oxide init` writes a first pipeline"))
}

/// A node with what it counts for when an alias repeats it.
#[derive(Clone)]
struct Measured {
    node: Node,
    nodes: usize,
    depth: usize,
    text_bytes: usize,
}

/// A list or mapping that has begun and not ended.
struct Open {
    span: Span,
    anchor: usize,
    nodes: usize,
    depth: usize,
    text_bytes: usize,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<(Node, Node)>, key: Option<Node>, merges: Vec<Node>, seen: HashMap<String, Span> },
}

struct Builder<'a> {
    lines: &'a [&'a str],
    open: Vec<Open>,
    anchors: HashMap<usize, Measured>,
    document: Option<Node>,
    documents: usize,
    nodes: usize,
    text_bytes: usize,
    /// What anchors keep a copy of: nodes, and bytes of text.
    kept: (usize, usize),
}

impl<'a> Builder<'a> {
    fn new(lines: &'a [&'a str]) -> Self {
        let anchors = HashMap::new();
        Builder {
            lines,
            open: Vec::new(),
            anchors,
            document: None,
            documents: 0,
            nodes: 0,
            text_bytes: 0,
            kept: (0, 0),
        }
    }

    /// Keeps a copy for aliases. Anchors within anchors keep the same text again and again: what they keep is bounded, too.
    fn keep(&mut self, anchor: usize, measured: &Measured, span: Span) -> Result<(), Diagnostic> {
        if anchor == 0 {
            return Ok(());
        }
        let (nodes, text_bytes) = (self.kept.0 + measured.nodes, self.kept.1 + measured.text_bytes);
        if nodes > MAX_NODES || text_bytes > MAX_TEXT_BYTES {
            return Err(Diagnostic::at(span, "the anchors (`&name`) of the file name too much")
                .label("too much from here on")
                .hint(format!("they may name {MAX_NODES} values and 10 MB of text in all")));
        }
        self.kept = (nodes, text_bytes);
        self.anchors.insert(anchor, measured.clone());
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, at: saphyr_parser::Span) -> Result<(), Diagnostic> {
        let span = self.span(at);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Diagnostic::at(span, "a file holds one pipeline, and a second document begins here")
                        .hint("remove the `---`, or move what follows into a file of its own"));
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let mut measured = known.ok_or_else(|| {
                    Diagnostic::at(span, "the alias stands within the part that its anchor names")
                        .hint("an alias can only repeat what was complete before it")
                })?;
                // An error should point at the place that brought the value here, so scalars take the alias's place.
                if matches!(measured.node.content, Content::Scalar { .. }) {
                    measured.node.span = span;
                }
                self.add(measured, span)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tagged_text = self.check_tag(tag.as_deref(), span)?;
                let plain = style == ScalarStyle::Plain && !tagged_text;
                let text_bytes = text.len();
                let node = Node { span, content: Content::Scalar { text: text.into_owned(), plain } };
                let measured = Measured { node, nodes: 1, depth: 1, text_bytes };
                self.keep(anchor, &measured, span)?;
                self.add(measured, span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                self.begin(span, anchor, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), span)?;
                let (entries, merges, seen) = (Vec::new(), Vec::new(), HashMap::new());
                self.begin(span, anchor, OpenKind::Map { entries, key: None, merges, seen })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn begin(&mut self, span: Span, anchor: usize, kind: OpenKind) -> Result<(), Diagnostic> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        self.open.push(Open { span, anchor, nodes: 1, depth: 1, text_bytes: 0, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Diagnostic> {
        let open = self.open.pop().expect("the parser ends only what it began");
        let content = match open.kind {
            OpenKind::List(items) => Content::List(items),
            OpenKind::Map { entries, merges, seen, .. } => Content::Map(merge(entries, merges, seen)?),
        };
        let node = Node { span: open.span, content };
        let measured = Measured { node, nodes: open.nodes, depth: open.depth, text_bytes: open.text_bytes };
        let span = open.span;
        self.keep(open.anchor, &measured, span)?;
        // What is inside was counted when it was added; only the collection itself is new.
        self.nodes = self.nodes.saturating_sub(measured.nodes - 1);
        self.text_bytes = self.text_bytes.saturating_sub(measured.text_bytes);
        self.add(measured, span)
    }

    /// Puts a complete node where it belongs.
    fn add(&mut self, measured: Measured, span: Span) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(measured.nodes);
        self.text_bytes = self.text_bytes.saturating_add(measured.text_bytes);
        if self.nodes > MAX_NODES || self.text_bytes > MAX_TEXT_BYTES {
            return Err(Diagnostic::at(span, "the file grows too large when its aliases (`*name`) are written out")
                .label("too large from here on")
                .hint(format!("a pipeline may have {MAX_NODES} values and 10 MB of text in all")));
        }
        if self.open.len() + measured.depth > MAX_DEPTH + 1 {
            return Err(too_deep(span));
        }
        let Some(open) = self.open.last_mut() else {
            self.document = Some(measured.node);
            return Ok(());
        };
        open.nodes += measured.nodes;
        open.depth = open.depth.max(measured.depth + 1);
        open.text_bytes += measured.text_bytes;
        match &mut open.kind {
            OpenKind::List(items) => items.push(measured.node),
            OpenKind::Map { entries, key, merges, seen } => match key.take() {
                None => *key = Some(accept_key(measured.node, seen)?),
                Some(key) if is_merge(&key) => merges.push(measured.node),
                Some(key) => entries.push((key, measured.node)),
            },
        }
        Ok(())
    }

    /// Is the value text by its tag, whatever it looks like?
    fn check_tag(&self, tag: Option<&Tag>, span: Span) -> Result<bool, Diagnostic> {
        match tag {
            None => Ok(false),
            Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
            Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
            Some(tag) => Err(Diagnostic::at(span, format!("the tag `{tag}` means nothing in a pipeline"))
                .hint("remove it; types come from the place where a value stands")),
        }
    }

    fn span(&self, at: saphyr_parser::Span) -> Span {
        let start = at.start;
        let one_line = at.end.line() == start.line();
        let line = self.lines.get(start.line().saturating_sub(1)).copied().unwrap_or("");
        let length = if line.len() > MAX_MEASURED_LINE {
            // Counting characters from the start of the line, for each value on it, would take too long.
            if one_line { at.end.col().saturating_sub(start.col()) } else { 1 }
        } else {
            let end = if one_line { at.end.col() } else { usize::MAX };
            let covered: String = line.chars().take(end).skip(start.col()).collect();
            // Within `{ }` and `[ ]` the scanner counts the space behind a scalar, too.
            covered.trim_end().chars().count()
        };
        Span { length: number(length.max(1)), ..place(&start) }
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.content, Content::Scalar { text, plain: true } if text == "<<")
}

/// Checks that a key is a scalar that this mapping does not have yet.
fn accept_key(key: Node, seen: &mut HashMap<String, Span>) -> Result<Node, Diagnostic> {
    let Some(text) = key.as_text() else {
        return Err(Diagnostic::at(key.span, "a key must be a text, and this is a list or a mapping"));
    };
    if let Some(first) = seen.insert(text.to_owned(), key.span) {
        return Err(Diagnostic::at(key.span, format!("the key `{text}` appears twice"))
            .label(format!("the first one is on line {}", first.line))
            .hint("keep one of them"));
    }
    Ok(key)
}

/// Adds what `<<` brings: keys that the mapping does not have itself; of several sources the first wins.
fn merge(
    mut entries: Vec<(Node, Node)>,
    merges: Vec<Node>,
    own: HashMap<String, Span>,
) -> Result<Vec<(Node, Node)>, Diagnostic> {
    let mut seen: HashSet<String> = own.into_keys().collect();
    for source in merges {
        let sources = match source.content {
            Content::List(sources) => sources,
            content => vec![Node { span: source.span, content }],
        };
        for source in sources {
            let Content::Map(merged) = source.content else {
                return Err(Diagnostic::at(source.span, "`<<` takes a mapping, or a list of mappings")
                    .hint("write `<<: *name`, where `&name` stands at a mapping"));
            };
            for (key, value) in merged {
                if key.as_text().is_some_and(|text| seen.insert(text.to_owned())) {
                    entries.push((key, value));
                }
            }
        }
    }
    Ok(entries)
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::at(span, format!("lists and mappings are nested more than {MAX_DEPTH} deep"))
}

/// Says what the YAML scanner found in words that help.
fn explain(error: &ScanError, lines: &[&str]) -> Diagnostic {
    let found = error.marker().line().max(1);
    let indented_with_tab = |line: usize| {
        let text = lines.get(line - 1)?;
        let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
        text[..indent].find('\t').filter(|_| indent < text.len())
    };
    // The scanner notices a tab where it stands, at the end of the line before, or when the next token does not fit.
    let next = if error.info().contains("tab") { found + 1 } else { found };
    for line in [found, found.saturating_sub(1).max(1), next] {
        if let Some(column) = indented_with_tab(line) {
            let span = Span { line: number(line), column: number(column + 1), length: 1 };
            return Diagnostic::at(span, "YAML is indented with spaces, this line starts with a tab")
                .hint("replace the tab by spaces");
        }
    }
    let span = Span { length: 1, ..place(error.marker()) };
    let mut diagnostic = Diagnostic::at(span, format!("this is not valid YAML: {}", error.info()));
    if error.info().contains("mapping values are not allowed") {
        diagnostic =
            diagnostic.hint("a value that contains `: ` needs quotes; a key needs the indentation of its siblings");
    } else if error.info().contains("unknown anchor") {
        diagnostic = diagnostic
            .hint("an alias `*name` needs an anchor `&name` before it; a text that begins with `*` needs quotes");
    }
    diagnostic
}

fn place(marker: &Marker) -> Span {
    Span { line: number(marker.line().max(1)), column: number(marker.col() + 1), length: 1 }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn message(text: &str) -> String {
        let Err(error) = parse(text) else { panic!("no error in {text}") };
        match error.span {
            Some(span) => format!("{}:{} {}", span.line, span.column, error.message),
            None => error.message,
        }
    }

    /// The tree in a short notation without positions.
    fn shape(node: &Node) -> String {
        match &node.content {
            Content::Scalar { text, plain: true } => text.clone(),
            Content::Scalar { text, plain: false } => format!("{text:?}"),
            Content::List(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(" ")),
            Content::Map(entries) => {
                let entries: Vec<String> = entries.iter().map(|(k, v)| format!("{}:{}", shape(k), shape(v))).collect();
                format!("{{{}}}", entries.join(" "))
            }
            Content::Evaluated(value) => value.to_string(),
        }
    }

    #[test]
    fn scalars_remember_how_they_were_written() {
        let node = parse("a: 3.10\nb: '3.10'\nc: |\n  two\n  lines\nd: !!str 5\ne:\n").unwrap();
        assert_eq!(shape(&node), r#"{a:3.10 b:"3.10" c:"two\nlines\n" d:"5" e:}"#);
    }

    #[test]
    fn positions_are_those_of_an_editor() {
        let node = parse("version: \"1\"\nstages:\n  tést: { steps: [x] }\n").unwrap();
        assert_eq!(node.get("version").unwrap().span, Span { line: 1, column: 10, length: 3 });
        let steps = node.get("stages").unwrap().get("tést").unwrap().get("steps").unwrap();
        assert_eq!(steps.span.line, 3);
        assert_eq!(steps.span.column, 18);
        let node = parse("{ a: 'x y' , b: z  }\n").unwrap();
        assert_eq!(node.get("a").unwrap().span, Span { line: 1, column: 6, length: 5 });
        assert_eq!(node.get("b").unwrap().span, Span { line: 1, column: 17, length: 1 });
    }

    #[test]
    fn anchors_aliases_and_merge_keys_work() {
        let node = parse(
            "base: &b { x: 1, y: 2 }\nmore: &m { y: 3, z: 4 }\na: { <<: *b, y: 9 }\nc: { <<: [*b, *m] }\nd: *b\n",
        );
        assert_eq!(shape(&node.unwrap()), "{base:{x:1 y:2} more:{y:3 z:4} a:{y:9 x:1} c:{x:1 y:2 z:4} d:{x:1 y:2}}");
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        assert_eq!(message("a: 1\nb: 2\na: 3\n"), "3:1 the key `a` appears twice");
        assert_eq!(
            message("stages:\n\ttest:\n\t\tx: y\n"),
            "2:1 YAML is indented with spaces, this line starts with a tab"
        );
        assert_eq!(message("a:\n  b: 1\n\tc: 2\n"), "3:1 YAML is indented with spaces, this line starts with a tab");
        assert_eq!(message("a: 1\n---\nb: 2\n"), "2:1 a file holds one pipeline, and a second document begins here");
        assert_eq!(message("[a, b]: c\n"), "1:1 a key must be a text, and this is a list or a mapping");
        assert_eq!(message("a: &x { b: *x }\n"), "1:12 the alias stands within the part that its anchor names");
        assert_eq!(message("a: { <<: 5 }\n"), "1:10 `<<` takes a mapping, or a list of mappings");
        assert_eq!(message("a: !secret x\n"), "1:4 the tag `!secret` means nothing in a pipeline");
        assert_eq!(message(""), "the file is empty");
        assert!(message("a: b: c\n").starts_with("1:5 this is not valid YAML"));
        assert!(message("a: [1, 2\n").contains("this is not valid YAML"));
        assert!(message("a: *nowhere\n").contains("this is not valid YAML"));
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(message(&bomb).contains("grows too large when its aliases"));
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 50_000].join(","));
        assert!(message(&text).contains("grows too large when its aliases"));
    }

    #[test]
    fn what_is_too_big_or_too_deep_is_refused_at_once() {
        let start = Instant::now();
        assert_eq!(message(&"x".repeat(20 << 20)), "the file has 21.0 MB; a pipeline may have 10 MB");
        assert!(start.elapsed().as_secs() < 10);
        assert!(message(&format!("a: {}{}", "[".repeat(65), "]".repeat(65))).contains("nested more than 64 deep"));
        assert!(parse(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert!(parse(&"[".repeat(100_000)).is_err());
        let mut deep = "a0: &a0 [[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]\n".to_owned();
        for level in 1..6 {
            deep.push_str(&format!("a{level}: &a{level} [[[[[[[[[[*a{}]]]]]]]]]]\n", level - 1));
        }
        assert!(message(&deep).contains("nested more than 64 deep"));
    }

    #[test]
    fn a_full_megabyte_is_read_in_reasonable_time() {
        let start = Instant::now();
        let _ = parse(&"a: b\n".repeat(200_000));
        let _ = parse(&"- x: [1, 2]\n".repeat(15_000)).unwrap();
        let one_line = format!("[{}]", "'é', ".repeat(99_000));
        let _ = parse(&one_line).unwrap();
        assert!(start.elapsed().as_secs() < 30);
    }

    #[test]
    fn ten_megabytes_are_read_in_reasonable_time() {
        let start = Instant::now();
        let comments = format!("a: b\n{}", "# what nobody needs to know\n".repeat(350_000));
        assert_eq!(shape(&parse(&comments).unwrap()), "{a:b}");
        let script = format!("a: |\n{}", "  echo a line of a script\n".repeat(380_000));
        assert!(parse(&script).is_ok());
        assert!(message(&"- a\n".repeat(900_000)).contains("grows too large"));
        assert_eq!(message(&"\n".repeat(9_000_000)), "the file has 9000000 lines; a pipeline may have 1000000");
        assert!(start.elapsed().as_secs() < 100, "{:?}", start.elapsed());
    }

    #[test]
    fn anchors_within_anchors_keep_no_more_than_the_file_may_have() {
        let nested: String = (0..60).map(|level| format!("&a{level} [")).collect();
        let text = format!("{nested}{}{}", "x".repeat(900_000), "]".repeat(60));
        assert!(message(&text).contains("the anchors (`&name`) of the file name too much"));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

        #[test]
        fn no_text_panics(text in "[ -~\n\t&*<:{}\\[\\]'\"|>é\u{0}-\u{1f}-]{0,80}") {
            let _ = parse(&text);
        }
    }
}
