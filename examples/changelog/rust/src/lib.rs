//! Writes the next section of a changelog from conventional commits.
//!
//! `commit` reads what git prints, `section` words it; here they meet the host.

mod commit;
mod section;

use std::io::{BufRead, BufReader};

use commit::{Commit, Subject};
use oxide_plugin::{
    Annotation, Command, Context, Failure, add_summary,
    command::{Child, OutputTo},
    info, workspace,
};
use section::{Rise, Section};

oxide_plugin::plugin!(Changelog);

impl Guest for Changelog {
    fn run(inputs: Inputs) -> Result<Outputs, Failure> {
        let mut log = git_log(inputs.since.as_deref())?;
        let (section, commits) = read(&mut log)?;
        log.wait()?.check("git")?;

        let bump = section.rise();
        let section = section.markdown(inputs.version.as_deref().unwrap_or("Unreleased"));
        let file = inputs.file.as_deref().unwrap_or("CHANGELOG.md");
        let old = workspace::read_if_exists(file)?;
        workspace::write(file, section::insert(&section, old.as_deref()))?;
        add_summary(&section)?;
        let (bump, name) = match bump {
            Rise::None => (Bump::None, "none"),
            Rise::Patch => (Bump::Patch, "patch"),
            Rise::Minor => (Bump::Minor, "minor"),
            Rise::Major => (Bump::Major, "major"),
        };
        info!("{commits} commits, bump: {name}");
        Ok(Outputs { bump, section, commits })
    }
}

fn git_log(since: Option<&str>) -> Result<Child, Failure> {
    let mut command = Command::new("git").arg("log").arg(format!("--format={}", commit::FORMAT));
    if let Some(since) = since {
        if since.is_empty() || since.starts_with('-') {
            return Err(Failure::invalid_input(format!("`since` is `{since}`: write a tag or a commit")));
        }
        command = command.arg(format!("{since}..HEAD"));
    }
    Ok(command.stdout(OutputTo::Piped).spawn()?)
}

/// Reads one commit after the other, so that a long history needs no memory.
fn read(log: &mut Child) -> Result<(Section, u32), Failure> {
    let mut output = BufReader::with_capacity(1 << 16, log.stdout());
    let mut section = Section::default();
    let mut commits = 0;
    let mut bytes = Vec::new();
    while output.read_until(commit::END, &mut bytes).context("could not read what git printed")? > 0 {
        let text = String::from_utf8_lossy(bytes.strip_suffix(&[commit::END]).unwrap_or(&bytes));
        if let Some(commit) = Commit::parse(&text) {
            commits += 1;
            match Subject::parse(commit.subject) {
                Some(subject) => section.add(&commit, &subject),
                None if commit.is_merge() => {}
                None => Annotation::warning(format!("{} is not a conventional commit: {}", commit.id, commit.subject))
                    .record(),
            }
        }
        bytes.clear();
    }
    Ok((section, commits))
}
