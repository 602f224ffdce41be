//! Drives of a machine: files with an ext4 file system, made from a directory and read back into one, without the right to
//! mount anything. The tools are those of e2fsprogs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use oxide_core::protocol::LogStream;
use oxide_runtime::environment::{CommandSpec, EnvironmentError, Exit, LogSink, OutputTo};

use super::super::{StepEnvironment, host::look_up};
use crate::workspace::remove_tree;

/// How much room a drive has beyond what is on it. The file is sparse: what is not written takes no room.
const ROOM_BYTES: u64 = 16 << 30;
/// What every ext4 file system has at its root and nobody has put there.
const OWN_FOLDER: &str = "lost+found";
/// The longest error text of a tool.
const WORDS_MAX: usize = 4 << 10;

/// Where the tools are.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    mke2fs: PathBuf,
    e2fsck: PathBuf,
    debugfs: PathBuf,
}

impl Tools {
    /// Looks for the tools, also where the search path of people does not lead.
    ///
    /// # Errors
    /// The name of one that is missing.
    pub(super) fn find(path: &str) -> Result<Tools, &'static str> {
        let path = format!("{path}:/usr/local/sbin:/usr/sbin:/sbin");
        let find = |name: &'static str| look_up(name, &path, Path::new("/")).ok_or(name);
        Ok(Tools { mke2fs: find("mke2fs")?, e2fsck: find("e2fsck")?, debugfs: find("debugfs")? })
    }

    /// Makes a drive with what is in a directory.
    pub(super) async fn make(
        &self,
        host: &dyn StepEnvironment,
        image: &Path,
        from: &Path,
    ) -> Result<(), EnvironmentError> {
        let (measured, image_file) = (from.to_owned(), image.to_owned());
        let sized = tokio::task::spawn_blocking(move || {
            let bytes = size_of(&measured)? + ROOM_BYTES;
            let file = fs::File::create(&image_file)?;
            file.set_len(bytes)
        });
        sized.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            EnvironmentError::Other(format!("could not make the drive {}: {error}", image.display()))
        })?;
        // Without a journal: the machine switches off cleanly, or its drive is repaired.
        let options = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", "lazy_itable_init=1", "-d"];
        let mut args: Vec<String> = options.into_iter().map(str::to_owned).collect();
        args.extend([text(from), text(image)]);
        run(host, &self.mke2fs, args, &[0]).await.map(drop)
    }

    /// Replaces what is in a directory by what is on a drive. `aside` is a place for it on the same file system.
    pub(super) async fn read(
        &self,
        host: &dyn StepEnvironment,
        image: &Path,
        into: &Path,
        aside: &Path,
    ) -> Result<(), EnvironmentError> {
        let failed =
            |error: io::Error| EnvironmentError::Other(format!("could not read back {}: {error}", image.display()));
        // A machine that was killed leaves a drive to be repaired: 1 says that it was.
        run(host, &self.e2fsck, vec!["-f".to_owned(), "-y".to_owned(), text(image)], &[0, 1]).await?;
        remove_tree(aside).map_err(failed)?;
        fs::create_dir_all(aside).map_err(failed)?;
        let request = format!("rdump / {}", in_quotes(aside).map_err(failed)?);
        let words = run(host, &self.debugfs, vec!["-R".to_owned(), request, text(image)], &[0]).await?;
        // It ends with 0 whatever happens. A change of owner that is not ours to make is fine.
        let is_complaint = |line: &&str| {
            !line.starts_with("debugfs ") && !line.contains("Operation not permitted while changing ownership")
        };
        if let Some(complaint) = words.lines().map(str::trim).filter(|line| !line.is_empty()).find(is_complaint) {
            return Err(EnvironmentError::Other(format!("could not read back {}: {complaint}", image.display())));
        }
        let (into, aside) = (into.to_owned(), aside.to_owned());
        let moved = tokio::task::spawn_blocking(move || replace_contents(&into, &aside)).await;
        moved.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }
}

/// The directory itself stays: others may hold it open.
fn replace_contents(into: &Path, from: &Path) -> io::Result<()> {
    for entry in fs::read_dir(into)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => remove_tree(&entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != OWN_FOLDER {
            fs::rename(entry.path(), into.join(entry.file_name()))?;
        }
    }
    remove_tree(from)
}

fn size_of(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.metadata()?;
        // Every entry takes some room of its own.
        bytes += 4096 + if found.is_dir() { size_of(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path for `debugfs`, which knows quotes but no escapes.
fn in_quotes(path: &Path) -> io::Result<String> {
    let path = text(path);
    match path.contains(['"', '\n']) {
        true => Err(io::Error::other("its path has quotes or line breaks; keep data elsewhere with `--data-dir DIR`")),
        false => Ok(format!("\"{path}\"")),
    }
}

/// Runs a tool to its end and answers with its words.
async fn run(
    host: &dyn StepEnvironment,
    program: &Path,
    args: Vec<String>,
    good: &[i32],
) -> Result<String, EnvironmentError> {
    let (env, working_directory, stdin) = (Vec::new(), PathBuf::new(), Vec::new());
    let (stdout, stderr) = (OutputTo::Discarded, OutputTo::Piped);
    let spec = CommandSpec { program: text(program), args, env, working_directory, stdin, stdout, stderr };
    let log: Arc<dyn LogSink> = Arc::new(super::NoLog);
    let mut process = host.spawn(spec, log).await?;
    let mut words = Vec::new();
    loop {
        let piece = process.read(LogStream::Stderr, 4096).await?;
        if piece.is_empty() {
            break;
        }
        words.extend_from_slice(&piece[..piece.len().min(WORDS_MAX.saturating_sub(words.len()))]);
    }
    let words = String::from_utf8_lossy(&words).into_owned();
    match process.wait().await? {
        Exit::Code(code) if good.contains(&code) => Ok(words),
        _ => Err(EnvironmentError::Other(format!("`{}` failed: {}", program.display(), words.trim()))),
    }
}
