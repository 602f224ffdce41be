//! `--accept`: what was seen becomes what is expected. Only the block `expect:` of `case.yaml` is written anew.

use std::{collections::BTreeMap, io::Write, path::Path};

use oxide_core::{
    quantity,
    yaml::{self, Content as Yaml},
};
use serde_json::{Map, Value as Json, json};

use super::{
    case::{Case, Expect},
    compare::{Mismatch, Part, used_up},
    files::Files,
    perform::Seen,
    yaml_text,
};

/// A longer text, and bytes that are no text, become a file of the case.
const INLINE_BYTES: usize = 8 << 10;
/// So many lines of a log are written at most.
const LOG_LINES: usize = 50;

/// What accepting changes: the text of `case.yaml`, and files of the case's folder.
#[derive(Debug, PartialEq)]
pub struct Accepted {
    /// The whole text.
    pub source: String,
    /// Files below the folder of the case.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why nothing was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// What the script says is not for `--accept` to change.
    #[error("the script was not met: change the script, or the plugin")]
    Script,
    /// The block cannot be found as lines.
    #[error("`case.yaml` is not written as one key in a line, and so only you can change it")]
    Shape,
    /// It would differ again the next time.
    #[error("the outputs hold a placeholder of a secret, which is new each time")]
    Placeholder,
}

/// Puts what was seen into the case.
///
/// # Errors
/// [`NotAccepted`]; then nothing is to be written.
pub fn accept(case: &Case, seen: &Seen, mismatches: &[Mismatch]) -> Result<Accepted, NotAccepted> {
    if mismatches.iter().any(|mismatch| mismatch.part == Part::Script) {
        return Err(NotAccepted::Script);
    }
    let mut files = BTreeMap::new();
    let expect = expectation(case, seen, mismatches, &mut files);
    let written = Json::Object(expect.clone()).to_string();
    if std::iter::once(written.as_bytes())
        .chain(files.values().map(Vec::as_slice))
        .any(|text| holds_placeholder(case, text))
    {
        return Err(NotAccepted::Placeholder);
    }
    let block = format!("expect:{}", yaml_text::value(&Json::Object(expect), 2));
    let source = replaced(&case.source, &block).ok_or(NotAccepted::Shape)?;
    Ok(Accepted { source, files })
}

/// Does the text hold what stands for a secret of the case?
fn holds_placeholder(case: &Case, text: &[u8]) -> bool {
    case.secrets.keys().any(|name| {
        let mark = format!("oxide_secret_{name}_");
        text.windows(mark.len()).any(|part| part == mark.as_bytes())
    })
}

/// The new `expect:`.
fn expectation(
    case: &Case,
    seen: &Seen,
    mismatches: &[Mismatch],
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Map<String, Json> {
    let old = case.expect.as_ref();
    let is_new = old.is_none();
    let differs = |part: Part| mismatches.iter().any(|mismatch| mismatch.part == part);
    let mut new = Map::new();
    match (&seen.outcome, old) {
        (Ok(outputs), old) if old.is_none_or(|old| old.outputs.is_some() || old.failure.is_some()) => {
            new.insert("outputs".to_owned(), Json::Object(outputs.clone()));
        }
        (Ok(_), _) => {}
        (Err(_), Some(Expect { failure: Some((text, _)), .. })) if !differs(Part::Outcome) => {
            // A part of the message is still enough.
            new.insert("failure".to_owned(), json!(text));
        }
        (Err(failure), _) => {
            new.insert("failure".to_owned(), json!(failure.message));
        }
    }
    if let Some(lines) = old.and_then(|old| old.log.as_ref()) {
        let lines: Vec<String> = match differs(Part::Log) {
            false => lines.iter().map(|(line, _)| line.clone()).collect(),
            true => String::from_utf8_lossy(&seen.log).lines().take(LOG_LINES).map(str::to_owned).collect(),
        };
        new.insert("log".to_owned(), json!(lines));
    }
    if old.is_some_and(|old| old.annotations.is_some()) || (is_new && !seen.annotations.is_empty()) {
        let annotations = seen.annotations.iter().map(|annotation| {
            let mut entry = Map::from_iter([("severity".to_owned(), json!(annotation.severity))]);
            entry.extend(annotation.file.iter().map(|file| ("file".to_owned(), json!(file))));
            entry.extend(annotation.line.iter().map(|line| ("line".to_owned(), json!(line))));
            entry.insert("message".to_owned(), json!(annotation.message));
            Json::Object(entry)
        });
        new.insert("annotations".to_owned(), annotations.collect());
    }
    let old_summary = old.and_then(|old| old.summary.as_ref());
    if old_summary.is_some() || (is_new && !seen.summary.is_empty()) {
        let file = old_summary.and_then(|summary| summary.file.as_deref());
        new.insert("summary".to_owned(), content(seen.summary.as_bytes(), file, "summary.md", files));
    }
    let expected = expected_files(old, seen, files);
    if !expected.is_empty() {
        new.insert("files".to_owned(), Json::Object(expected));
    }
    for (name, old, seen) in [
        ("cache", old.map(|old| &old.cache), &seen.cache),
        ("artifacts", old.map(|old| &old.artifacts), &seen.artifacts),
    ] {
        let entries = old.into_iter().flatten().filter_map(|(entry, old_files, _)| {
            let stored = seen.iter().find(|(known, _)| known == entry)?.1.as_ref()?;
            let file_of = |path: &str| {
                old_files.iter().find(|(known, _)| known == path).and_then(|(_, content)| content.file.as_deref())
            };
            let stored = stored.iter().map(|(path, bytes)| {
                let fresh = format!("{name}/{path}");
                (path.clone(), content(bytes, file_of(path), &fresh, files))
            });
            Some((entry.clone(), Json::Object(stored.collect())))
        });
        let entries: Map<String, Json> = entries.collect();
        if !entries.is_empty() {
            new.insert(name.to_owned(), Json::Object(entries));
        }
    }
    let limits = old.map(|old| limits(old, seen)).unwrap_or_default();
    if !limits.is_empty() {
        new.insert("limits".to_owned(), Json::Object(limits));
    }
    new
}

/// The files that the case speaks of; those that changed, if it does not speak of any yet.
fn expected_files(old: Option<&Expect>, seen: &Seen, files: &mut BTreeMap<String, Vec<u8>>) -> Map<String, Json> {
    let mut expected = Map::new();
    let mut add = |path: &str, file: Option<&str>, after: &Files| {
        let value = match after.get(path) {
            None => Json::Null,
            Some(bytes) => content(bytes, file, path, files),
        };
        expected.insert(path.to_owned(), value);
    };
    match old {
        Some(old) => {
            for (path, content, _) in &old.files {
                add(path, content.as_ref().and_then(|content| content.file.as_deref()), &seen.after);
            }
        }
        None => {
            let paths: std::collections::BTreeSet<&String> = seen.before.keys().chain(seen.after.keys()).collect();
            for path in paths.into_iter().filter(|path| seen.before.get(*path) != seen.after.get(*path)) {
                add(path, None, &seen.after);
            }
        }
    }
    expected
}

/// A text as it stands; what is long or no text as a file below `expected/`, or the file that held it before.
fn content(bytes: &[u8], file: Option<&str>, fresh: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) if file.is_none() && text.len() <= INLINE_BYTES => json!(text),
        _ => {
            let file = file.map_or_else(|| format!("expected/{fresh}"), str::to_owned);
            files.insert(file.clone(), bytes.to_vec());
            json!({ "file": file })
        }
    }
}

/// The limits; those that were not kept get a little room above what was used.
fn limits(old: &Expect, seen: &Seen) -> Map<String, Json> {
    let mut limits = Map::new();
    for (name, used, most, _) in used_up(old, &seen.usage) {
        let Some(most) = most else { continue };
        let raised = if used > most { used + used / 5 } else { most };
        let value = match name {
            "fuel" => json!(raised),
            "timeout" => json!(format!("{raised}ms")),
            _ if used > most => json!(format!("{}KiB", raised.div_ceil(1024))),
            _ => json!(exact_bytes(raised)),
        };
        limits.insert(name.to_owned(), value);
    }
    limits
}

fn exact_bytes(count: u64) -> String {
    let shown = quantity::bytes(count);
    match oxide_core::pipeline::parse_bytes(&shown) == Some(count) {
        true => shown.replace(' ', ""),
        false => format!("{count}B"),
    }
}

/// The source with this block in the place of `expect:`, or at its end.
fn replaced(source: &str, block: &str) -> Option<String> {
    let document = yaml::parse(source).ok()?;
    let Yaml::Map(entries) = &document.content else { return None };
    let keys: Vec<(&str, usize)> =
        entries.iter().map(|(key, _)| (key.as_text().unwrap_or(""), key.span.line as usize)).collect();
    if entries.iter().any(|(key, _)| key.span.column != 1) {
        return None;
    }
    let lines: Vec<&str> = source.split_inclusive('\n').collect();
    let new = match keys.iter().find(|(key, _)| *key == "expect") {
        None => {
            let end = if source.ends_with('\n') { "" } else { "\n" };
            format!("{source}{end}{block}")
        }
        Some((_, line)) => {
            let begin = line - 1;
            let next = keys.iter().map(|(_, line)| line - 1).filter(|other| *other > begin).min();
            let mut end = next.unwrap_or(lines.len());
            // Comments and empty lines before the next key belong to it.
            let is_outside = |line: &str| line.trim().is_empty() || line.starts_with('#');
            while end > begin + 1 && is_outside(lines[end - 1]) {
                end -= 1;
            }
            format!("{}{block}{}", lines[..begin].concat(), lines[end..].concat())
        }
    };
    // An anchor in the block may have been used elsewhere.
    yaml::parse(&new).ok().map(|_| new)
}

/// Writes what was accepted: the files first, so that the case never speaks of one that is not there.
///
/// # Errors
/// If a file cannot be written.
pub fn write(accepted: &Accepted, folder: &Path) -> std::io::Result<()> {
    accepted.files.keys().try_for_each(|path| refuse_links(folder, path))?;
    for (path, bytes) in &accepted.files {
        let target = folder.join(path);
        std::fs::create_dir_all(target.parent().unwrap_or(folder))?;
        std::fs::write(target, bytes)?;
    }
    let unfinished = folder.join(".case.yaml.new");
    // What is left of another time, or a link, is not written through.
    if unfinished.symlink_metadata().is_ok() {
        std::fs::remove_file(&unfinished)?;
    }
    std::fs::File::create_new(&unfinished)?.write_all(accepted.source.as_bytes())?;
    std::fs::rename(unfinished, folder.join("case.yaml"))
}

/// No part of the path may be a link: what it leads to is not the case's.
fn refuse_links(folder: &Path, path: &str) -> std::io::Result<()> {
    let mut place = folder.to_owned();
    for part in Path::new(path).components() {
        place.push(part);
        if place.is_symlink() {
            return Err(std::io::Error::other(format!("`{}` is a link: write a file in its place", place.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_of_a_secret_of_the_case_is_found() {
        let source = "secrets: { TOKEN: hunter22 }\n";
        let case = Case::parse("c", Path::new("/nonexistent"), source).unwrap();
        assert!(holds_placeholder(&case, b"it is oxide_secret_TOKEN_0123"));
        assert!(!holds_placeholder(&case, b"oxide_secret_OTHER_0123, and oxide_secret_"));
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("case");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(top.path().join("kept"), "kept").unwrap();
        std::os::unix::fs::symlink("../kept", folder.join("exp.txt")).unwrap();
        std::os::unix::fs::symlink("..", folder.join("expected")).unwrap();
        std::os::unix::fs::symlink("../kept", folder.join(".case.yaml.new")).unwrap();
        let with = |path: &str| Accepted {
            source: "with: {}\n".to_owned(),
            files: BTreeMap::from([(path.to_owned(), b"new".to_vec())]),
        };
        for path in ["exp.txt", "expected/kept"] {
            assert!(write(&with(path), &folder).unwrap_err().to_string().contains("is a link"), "{path}");
        }
        write(&with("other/a.txt"), &folder).unwrap();
        assert_eq!(std::fs::read_to_string(top.path().join("kept")).unwrap(), "kept");
        assert_eq!(std::fs::read_to_string(folder.join("case.yaml")).unwrap(), "with: {}\n");
    }

    #[test]
    fn only_the_block_is_replaced_and_comments_elsewhere_stay() {
        let source = "# what it is\nwith: { a: 1 } # why\n\nexpect:\n  # gone\n  outputs: { b: 1 }\n\n# the limits\nlimits: {}\n# end\n";
        let new = replaced(source, "expect:\n  outputs:\n    b: 2\n").unwrap();
        assert_eq!(
            new,
            "# what it is\nwith: { a: 1 } # why\n\nexpect:\n  outputs:\n    b: 2\n\n# the limits\nlimits: {}\n# end\n"
        );
        assert_eq!(replaced("with: {}", "expect: {}\n").unwrap(), "with: {}\nexpect: {}\n");
        assert_eq!(replaced("expect: { a: 1 }\nwith: {}\n", "expect: {}\n").unwrap(), "expect: {}\nwith: {}\n");
        assert_eq!(replaced("{ with: {}, expect: {} }\n", "expect: {}\n"), None);
    }

    #[test]
    fn an_anchor_that_is_used_elsewhere_keeps_the_block() {
        assert_eq!(replaced("expect: &a { b: 1 }\nwith: *a\n", "expect: {}\n"), None);
    }

    #[test]
    fn sizes_are_written_so_that_they_are_read_back() {
        for count in [10 << 20, 1000, 1023, 3 << 30, 1_500_000] {
            assert_eq!(oxide_core::pipeline::parse_bytes(&exact_bytes(count)), Some(count));
        }
    }
}
