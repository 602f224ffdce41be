//! Every folder of `tests/cases` is a project with a pipeline and what `oxide run` says of it.
//!
//! A case is `oxide.yaml` and `expected.txt`, and if it needs them: `setup.sh` (run in the project first; `$OXIDE_PROGRAM` is the program), `environment`
//! (variables, one `NAME=VALUE` a line), `command` (arguments in the place of `run .`), `needs-docker`. With
//! `OXIDE_REWRITE=1` the expectations are written anew; read the difference before you commit it.

use std::{fs, path::Path};

use crate::oxide::{Ended, Project, docker, root};

#[test]
fn every_case_ends_as_it_says() {
    let rewrite = std::env::var_os("OXIDE_REWRITE").is_some();
    let only = std::env::var("OXIDE_CASE").ok();
    let mut names: Vec<_> =
        fs::read_dir(root().join("tests/cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut wrong = Vec::new();
    for case in &names {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        if case.join("needs-docker").exists() && docker().is_none() {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "case {name} needs Docker, and nothing is skipped in CI"
            );
            eprintln!("SKIPPED: case {name} needs Docker");
            continue;
        }
        let happened = run(case);
        let expectation = case.join("expected.txt");
        if rewrite {
            fs::write(&expectation, &happened).unwrap();
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        if happened != expected {
            wrong.push(format!("--- case {name}: expected\n{expected}\n--- but it was\n{happened}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases ended differently\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs a case; answers with exit code and output, scrubbed of what differs from run to run.
fn run(case: &Path) -> String {
    let mut project = Project::new();
    for entry in fs::read_dir(case).unwrap().flatten().filter(|entry| entry.file_name() != "expected.txt") {
        fs::copy(entry.path(), project.path(entry.file_name())).unwrap();
    }
    for line in fs::read_to_string(case.join("environment")).unwrap_or_default().lines() {
        let (name, value) = line.split_once('=').unwrap();
        project.set(name, value);
    }
    if case.join("setup.sh").exists() {
        project.shell(". ./setup.sh");
    }
    let command = fs::read_to_string(case.join("command")).unwrap_or_else(|_| "run .".to_owned());
    let ended = project.oxide(&command.split_whitespace().collect::<Vec<_>>());
    scrub(&project, &ended)
}

fn scrub(project: &Project, ended: &Ended) -> String {
    let mut text = format!("exit code {}\n", ended.code);
    for (heading, part) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        if !part.is_empty() {
            text.push_str(&format!("--- {heading}\n"));
        }
        // Jobs run side by side: lines of jobs are sorted by job, which keeps the order within each.
        for line in sorted_by_job(part) {
            text.push_str(scrub_line(project, &line).trim_end());
            text.push('\n');
        }
    }
    text
}

/// Groups the lines by the job that they begin with; a line that continues another stays behind it.
fn sorted_by_job(text: &str) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        let continues = line.starts_with(' ') && !groups.is_empty();
        let job = line.split_once(" › ").map(|(mark_and_job, _)| mark_and_job.chars().skip(2).collect::<String>());
        match job {
            _ if continues => groups.last_mut().unwrap().1.push(line.to_owned()),
            Some(job) => groups.push((job, vec![line.to_owned()])),
            None => groups.push((String::new(), vec![line.to_owned()])),
        }
    }
    // Only runs of neighbouring job lines are sorted: headings and endings keep their place.
    let mut sorted: Vec<String> = Vec::new();
    let mut at = 0;
    while at < groups.len() {
        let end = (at..groups.len()).find(|index| groups[*index].0.is_empty()).unwrap_or(groups.len());
        groups[at..end].sort_by(|one, other| one.0.cmp(&other.0));
        sorted.extend(groups[at..end].iter().flat_map(|(_, lines)| lines.clone()));
        if end < groups.len() {
            sorted.extend(groups[end].1.clone());
        }
        at = end + 1;
    }
    sorted
}

/// Replaces what differs from run to run: durations, fuel, memory, ids and paths.
fn scrub_line(project: &Project, line: &str) -> String {
    let line = line.replace(&project.path("").display().to_string().trim_end_matches('/').to_owned(), "PROJECT");
    let line = line.replace(&project.data().display().to_string(), "DATA");
    let number_and_unit = |words: &[&str]| -> Option<usize> {
        let units = ["µs", "ms", "s"];
        (words.len() >= 2 && words[0].parse::<f64>().is_ok() && units.contains(&words[1])).then_some(2)
    };
    let words: Vec<&str> = line.split(' ').collect();
    let mut scrubbed: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match (number_and_unit(&words[at..]), words[at]) {
            (Some(length), _) if is_measured(&line, &words, at) => {
                scrubbed.push("TIME".to_owned());
                at += length;
            }
            (_, "fuel") if words.get(at + 1).is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit())) => {
                // Up to the next separator.
                scrubbed.push("fuel USED".to_owned());
                while at < words.len() && words[at] != "·" {
                    at += 1;
                }
            }
            (_, "memory") if scrubbed.last().is_some_and(|word| word == "·") => {
                scrubbed.push("memory USED".to_owned());
                while at < words.len() && words[at] != "·" {
                    at += 1;
                }
            }
            (_, word) => {
                scrubbed.push(word.to_owned());
                at += 1;
            }
        }
    }
    hexadecimal_scrubbed(&scrubbed.join(" "))
}

/// A time that was measured stands behind the name of a step or at the end of a line; one in a message is a setting.
fn is_measured(line: &str, words: &[&str], at: usize) -> bool {
    let begins_with_mark = line.starts_with(['✓', '✗', '!', '■']);
    begins_with_mark && (at + 2 == words.len() || words.get(at + 2) == Some(&"·"))
}

/// Long hexadecimal numbers (commits, digests, ids) become `ID`.
fn hexadecimal_scrubbed(line: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    let flush = |run: &mut String, out: &mut String| {
        let is_id = run.len() >= 12 && run.chars().any(|c| c.is_ascii_digit());
        out.push_str(if is_id { "ID" } else { run });
        run.clear();
    };
    for character in line.chars() {
        if character.is_ascii_hexdigit() || (character == '-' && run.len() >= 8) {
            run.push(character);
        } else {
            flush(&mut run, &mut out);
            out.push(character);
        }
    }
    flush(&mut run, &mut out);
    out
}
