//! Decides what to ask of the host, and how to tell what came of it. Asks nobody: `guest` does what is decided here.

/// What to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Put files back.
    #[default]
    Restore,
    /// Save files.
    Save,
}

/// What to ask of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Put back the files of an entry.
    Restore {
        /// The key.
        key: String,
        /// Beginnings of other keys.
        fallback_keys: Vec<String>,
    },
    /// Save files.
    Save {
        /// The key.
        key: String,
        /// Which files.
        paths: Vec<String>,
    },
}

/// Puts the inputs together.
///
/// # Errors
/// A sentence that says which input is missing or unusable and what to write.
pub fn decide(
    action: Option<Action>,
    key: String,
    restore_keys: Option<Vec<String>>,
    paths: Option<Vec<String>>,
) -> Result<Request, String> {
    if key.trim().is_empty() {
        return Err(
            "`key` is empty: write what the files depend on, such as `cargo-${{ hash_files('Cargo.lock') }}`".into()
        );
    }
    match action.unwrap_or_default() {
        Action::Restore => {
            let fallback_keys = restore_keys.unwrap_or_default();
            match fallback_keys.iter().any(|key| key.is_empty()) {
                true => Err("an empty text in `restore_keys` would fit any entry: remove it".into()),
                false => Ok(Request::Restore { key, fallback_keys }),
            }
        }
        Action::Save => match paths.filter(|paths| !paths.is_empty()) {
            Some(paths) => Ok(Request::Save { key, paths }),
            None => Err("`save` needs `paths`: write `paths: [target]`".into()),
        },
    }
}

/// How many files, and how large: `1 file, 3.4 MiB`.
pub fn amount(files: u64, size: u64) -> String {
    let word = if files == 1 { "file" } else { "files" };
    format!("{files} {word}, {}", bytes(size))
}

fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let mut value = size as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}
