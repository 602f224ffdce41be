//! `oxide cache`: what the cache of a project holds.

use std::path::{Path, PathBuf};

use oxide_blobs::{BlobError, UsedEntry};
use oxide_core::{pipeline::parse_duration, quantity, time::Timestamp};
use serde_json::json;

use crate::{
    blobs::{self, BlobsArguments},
    exit_code::Exit,
    failure::Failure,
    git_facts, local_engine, project,
    terminal::{Paint, Terminal, print, without_controls},
};

/// Arguments of `oxide cache`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the entries of a project's cache, the last used first.
    List {
        #[command(flatten)]
        of: Of,
        /// Print them as a JSON list.
        #[arg(long)]
        json: bool,
    },
    /// Remove entries of a project's cache: all, or those that the options choose.
    Clear {
        #[command(flatten)]
        of: Of,
        /// Only entries whose keys begin so.
        #[arg(long, value_name = "PREFIX", default_value = "")]
        key: String,
        /// Only entries that were not used for so long, such as 12h or 3d.
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        older_than: Option<u64>,
        /// Print what was removed as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Whose cache.
#[derive(clap::Args)]
struct Of {
    /// The directory of the project.
    #[arg(default_value = ".")]
    project: PathBuf,
}

fn duration(text: &str) -> Result<u64, String> {
    parse_duration(text).ok_or_else(|| "write a number and a unit, such as 12h or 3d".to_owned())
}

/// Runs one of the subcommands.
pub fn run(arguments: &Arguments, data_dir: Option<&Path>, blobs: &BlobsArguments) -> Result<Exit, Failure> {
    let data = project::data_directory(data_dir)?;
    let blobs = blobs::open(blobs, &data)?;
    let (Command::List { of, .. } | Command::Clear { of, .. }) = &arguments.command;
    let directory = of.project.canonicalize();
    let directory = directory
        .map_err(|error| Failure::usage(format!("there is no directory `{}`", of.project.display())).because(&error))?;
    if !directory.is_dir() {
        let failure = Failure::usage(format!("`{}` is not a directory", of.project.display()));
        return Err(failure.hint("name the directory of a project"));
    }
    let project = git_facts::project(&directory);
    let text = local_engine::in_runtime(async {
        let failed =
            |error: BlobError| Failure::trouble(format!("could not use `{}`", blobs.location())).because(&error);
        match &arguments.command {
            Command::List { json, .. } => {
                let mut entries = blobs.cache_entries(&project).await.map_err(failed)?;
                entries.sort_by(|a, b| (b.used_at, &a.entry.key).cmp(&(a.used_at, &b.entry.key)));
                Ok(if *json { as_json(&entries) } else { lines(&entries) })
            }
            Command::Clear { key, older_than, json, .. } => {
                let now = local_engine::now();
                let before = older_than.map_or(Timestamp(i64::MAX), |millis| {
                    Timestamp(now.0.saturating_sub(i64::try_from(millis).unwrap_or(i64::MAX)))
                });
                let cleared = blobs.clear(&project, key, before).await.map_err(failed)?;
                // Frees what nobody can be using any more.
                blobs.sweep(now).await.map_err(failed)?;
                let (entries, stored) = (cleared.entries, cleared.stored);
                let word = if entries == 1 { "entry" } else { "entries" };
                Ok(match json {
                    true => format!("{}\n", json!({ "entries": entries, "stored": stored })),
                    false => format!("removed {entries} {word}, {}\n", quantity::bytes(stored)),
                })
            }
        }
    })?;
    print(&text)?;
    Ok(Exit::Success)
}

fn lines(entries: &[UsedEntry]) -> String {
    if entries.is_empty() {
        return "the cache of this project is empty\n".to_owned();
    }
    let paint = Paint { colour: Terminal::stdout().colour };
    let line = |used: &UsedEntry| {
        let contents = &used.entry.contents;
        let facts = format!(
            "{}  {} ({} stored)  saved {}  used {}",
            quantity::how_many(contents.files, "file"),
            quantity::bytes(contents.size),
            quantity::bytes(contents.stored),
            used.entry.saved_at.to_rfc3339(),
            used.used_at.to_rfc3339()
        );
        format!("{}  {}\n", paint.bold(&without_controls(&used.entry.key)), paint.dim(&facts))
    };
    entries.iter().map(line).collect()
}

fn as_json(entries: &[UsedEntry]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|used| {
            json!({
                "key": used.entry.key,
                "files": used.entry.contents.files,
                "size": used.entry.contents.size,
                "stored": used.entry.contents.stored,
                "digest": used.entry.contents.digest,
                "saved_at": used.entry.saved_at.to_rfc3339(),
                "used_at": used.used_at.to_rfc3339(),
            })
        })
        .collect();
    format!("{}\n", serde_json::Value::from(entries))
}
