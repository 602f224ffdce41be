//! Finds the file and line of a failure in the source: where the report says it, else in the stack trace, else by the
//! class.
//!
//! Reports name files as the machine of the test saw them, relative to some folder, or by their last part only. So a
//! mention is worth something only if it means one file of the workspace. Asks nobody: [`wanted_names`] says what to look
//! for, the caller looks once for all, and [`place`] chooses.

use std::collections::{BTreeSet, HashMap};

use crate::results::Failed;

/// More names than these are not looked for.
const NAMES_MAX: usize = 1000;
/// So many lines of a text are searched.
const LINES_MAX: usize = 400;
/// So many mentions of a text are used.
const MENTIONS_MAX: usize = 40;

/// A file, and a line of it, that a text speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The path as it is written, with `/` between its parts.
    pub path: String,
    /// The line, counted from 1.
    pub line: Option<u32>,
}

/// A place in the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the workspace.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<u32>,
}

/// The names of the files that some failure may mean.
pub fn wanted_names(failed: &[Failed]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // Classes are the last resort, so they have the last places.
    let direct = failed.iter().flat_map(|failed| {
        let stated = failed.file.iter().map(|file| written(file, None));
        stated.chain(mentions(&failed.message)).chain(mentions(&failed.text)).collect::<Vec<_>>()
    });
    let classes = failed.iter().flat_map(|failed| class_files(&failed.class_name));
    for mention in direct.chain(classes) {
        let name = mention.path.rsplit('/').next().unwrap_or_default();
        let special = ['*', '?', '[', ']', '{', '}', ',', '\\', '!'];
        let is_usable = !name.is_empty() && name != "." && name != ".." && !name.contains(special);
        if names.len() < NAMES_MAX && is_usable && !is_foreign(&mention.path) {
            names.insert(name.to_owned());
        }
    }
    names
}

/// The one pattern that finds the files with these names.
pub fn pattern(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("**/{{{}}}", names.join(","))
}

/// The files of the workspace that may be meant, by their names.
#[derive(Debug, Default)]
pub struct Files {
    by_name: HashMap<String, Vec<String>>,
}

impl Files {
    /// From paths relative to the workspace.
    pub fn new(paths: impl IntoIterator<Item = String>) -> Files {
        let mut files = Files::default();
        for path in paths.into_iter().filter(|path| !is_foreign(path)) {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            files.by_name.entry(name).or_default().push(path);
        }
        files
    }

    /// The one file that a mention means. `class_name` decides between several.
    pub fn find(&self, path: &str, class_name: &str) -> Option<&str> {
        if is_foreign(path) {
            return None;
        }
        let is_absolute = is_absolute(path);
        let wanted: Vec<&str> = parts(path).collect();
        if wanted.contains(&"..") {
            return None;
        }
        let same_name = self.by_name.get(*wanted.last()?)?;
        if let Some(exact) = same_name.iter().find(|file| !is_absolute && parts(file).eq(wanted.iter().copied())) {
            return Some(exact);
        }
        let meant: Vec<&str> = same_name
            .iter()
            .filter(|file| {
                let shared = shared_tail(parts(file), wanted.iter().copied());
                // An absolute path ends with the path in the workspace; a path from a folder of it is the end of that.
                shared == if is_absolute { parts(file).count() } else { wanted.len() }
            })
            .map(String::as_str)
            .collect();
        if is_absolute {
            return meant.into_iter().max_by_key(|file| parts(file).count());
        }
        match meant.as_slice() {
            [] => None,
            [one] => Some(one),
            several => closest(several, class_name),
        }
    }
}

/// The file whose folder looks most like the class or package, if one does more than the others.
fn closest<'a>(files: &[&'a str], class_name: &str) -> Option<&'a str> {
    let class: Vec<&str> = class_name.split(['.', '/', '\\', ':']).filter(|part| !part.is_empty()).collect();
    let likeness = |file: &str| {
        let mut folder: Vec<&str> = parts(file).collect();
        folder.pop();
        shared_tail(folder.into_iter(), class.iter().copied())
    };
    let best = files.iter().map(|file| likeness(file)).max().filter(|best| *best > 0)?;
    let mut alike = files.iter().filter(|file| likeness(file) == best);
    match (alike.next(), alike.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

/// Where to show a failure.
pub fn place(failed: &Failed, files: &Files) -> Place {
    let class = failed.class_name.as_str();
    let mentioned: Vec<Mention> = mentions(&failed.message).into_iter().chain(mentions(&failed.text)).collect();
    let found = |mention: &Mention| files.find(&mention.path, class).map(str::to_owned);
    if let Some(stated) = &failed.file {
        let stated = written(stated, None).path;
        let is_inside = !is_absolute(&stated) && parts(&stated).all(|part| part != "..");
        let file = files.find(&stated, class).map(str::to_owned);
        // Nothing of that name: the report is believed, as far as the path may be one of the workspace.
        if let Some(file) = file.or_else(|| is_inside.then(|| parts(&stated).collect::<Vec<_>>().join("/"))) {
            let in_it = || mentioned.iter().find(|mention| found(mention).as_ref() == Some(&file));
            let line = failed.line.or_else(|| in_it().and_then(|mention| mention.line));
            return Place { file: Some(file), line };
        }
    }
    mentioned
        .iter()
        .chain(&class_files(class))
        .find_map(|mention| Some(Place { file: Some(found(mention)?), line: mention.line }))
        .unwrap_or_default()
}

/// The files that a text speaks of, with lines, in its order.
pub fn mentions(text: &str) -> Vec<Mention> {
    let text = crate::text::clean(text);
    let mut found = Vec::new();
    for line in text.lines().take(LINES_MAX) {
        if let Some(mention) = python_frame(line).or_else(|| java_frame(line)) {
            found.push(mention);
        } else {
            found.extend(paths_with_lines(line));
        }
        if found.len() >= MENTIONS_MAX {
            found.truncate(MENTIONS_MAX);
            break;
        }
    }
    found
}

/// `File "/app/test_a.py", line 12, in test_x`.
fn python_frame(line: &str) -> Option<Mention> {
    let (path, rest) = line.trim_start().strip_prefix("File \"")?.split_once('"')?;
    let digits = leading_number(rest.strip_prefix(", line ")?)?;
    Some(written(path, Some(digits)))
}

/// `at com.acme.FooTest.bar(FooTest.java:42)`: the package says the folder.
fn java_frame(line: &str) -> Option<Mention> {
    let (method, rest) = line.trim_start().strip_prefix("at ")?.split_once('(')?;
    let (file, rest) = rest.split_once(':')?;
    let number = leading_number(rest)?;
    let is_frame = rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(')');
    if !is_frame || file.contains(['/', '\\', ' ']) || !file.contains('.') {
        return None;
    }
    // Class loader and module stand before a slash.
    let method = method.rsplit('/').next().unwrap_or(method);
    let mut package: Vec<&str> = method.split('.').collect();
    package.truncate(package.len().saturating_sub(2));
    package.push(file);
    Some(written(&package.join("/"), Some(number)))
}

/// `src/a.rs:12:5`, `(src/a.test.js:5:17)`, `Foo.cs:line 12`, `file:///app/a.ts:3`.
fn paths_with_lines(line: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    // Where a path may begin.
    let mut start = 0;
    for (at, character) in line.char_indices() {
        let ends_path = character.is_whitespace() || "\"'`()[]{}<>,;=|".contains(character);
        if ends_path {
            start = at + character.len_utf8();
        }
        if character != ':' || at <= start {
            continue;
        }
        let rest = &line[at + 1..];
        let path = &line[start..at];
        if let Some(number) = leading_number(rest.strip_prefix("line ").unwrap_or(rest))
            && has_ending(path)
        {
            found.push(written(path, Some(number)));
            start = at + 1;
        }
    }
    found
}

/// Does a path end with a name that has an ending such as `.rs`?
fn has_ending(path: &str) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(stem, ending)| {
        !stem.is_empty()
            && (1..=10).contains(&ending.len())
            && ending.chars().all(char::is_alphanumeric)
            && ending.chars().any(char::is_alphabetic)
    })
}

/// The number that a text begins with, if it can be one of a line.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if text[end..].starts_with(|next: char| next.is_alphanumeric() || next == '_') {
        return None;
    }
    text[..end].parse().ok().filter(|number| *number > 0)
}

/// The files that a class may stand in: `com.acme.FooTest`, `tests.test_a.TestFoo`, `Tests\FooTest`, `src/a.test.js`.
fn class_files(class_name: &str) -> Vec<Mention> {
    let class = class_name.trim();
    if class.is_empty() || class.contains(char::is_whitespace) {
        return Vec::new();
    }
    if class.contains('/') && has_ending(class) {
        return vec![written(class, None)];
    }
    // The class inside of a class, and Rust's module, do not name the file.
    let class = class.split(['$', '#']).next().unwrap_or(class);
    let segments: Vec<&str> = class.split(['.', '\\']).filter(|part| !part.is_empty()).collect();
    let joined = segments.join("/");
    let endings = ["java", "kt", "scala", "groovy", "php", "cs", "py"];
    let mut files: Vec<Mention> = endings.iter().map(|ending| written(&format!("{joined}.{ending}"), None)).collect();
    if let Some((_, module)) = segments.split_last().filter(|(_, module)| !module.is_empty()) {
        files.push(written(&format!("{}.py", module.join("/")), None));
    }
    files
}

/// A mention of a path as somebody wrote it.
fn written(path: &str, line: Option<u32>) -> Mention {
    let path = path.strip_prefix("file://").unwrap_or(path).replace('\\', "/");
    let path = path.strip_prefix("./").map(str::to_owned).unwrap_or(path);
    Mention { path, line }
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || path.as_bytes().get(1) == Some(&b':')
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

fn shared_tail<'a>(
    one: impl DoubleEndedIterator<Item = &'a str>,
    other: impl DoubleEndedIterator<Item = &'a str>,
) -> usize {
    one.rev().zip(other.rev()).take_while(|(one, other)| one == other).count()
}

/// Is it a file of a library or of the language? A failure is never shown there.
fn is_foreign(path: &str) -> bool {
    let folders = ["node_modules", "site-packages", "dist-packages", ".cargo", ".venv", "rustc", "vendor", ".git"];
    path.starts_with("/usr/lib/") || path.starts_with("node:") || parts(path).any(|part| folders.contains(&part))
}
