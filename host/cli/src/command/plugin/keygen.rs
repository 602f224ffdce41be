//! `oxide plugin keygen`: a key pair for signing plugins.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use oxide_registry::signature::PrivateKey;
use serde_json::json;

use crate::{exit_code::Exit, failure::Failure, password, terminal::print};

/// Where the password of a key comes from, before it is asked for.
pub const PASSWORD_VARIABLES: [&str; 2] = ["OXIDE_SIGNING_PASSWORD", "COSIGN_PASSWORD"];

/// Arguments of `oxide plugin keygen`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The files are NAME.key, which signs and stays secret, and NAME.pub, which verifies.
    #[arg(default_value = "plugin")]
    name: PathBuf,
    /// Print the files and the fingerprint as JSON.
    #[arg(long)]
    json: bool,
}

/// Makes both files; those that are there stay as they are.
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let with = |ending: &str| {
        let mut name = arguments.name.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let (private, public) = (with(".key"), with(".pub"));
    for file in [&private, &public] {
        if fs::symlink_metadata(file).is_ok() {
            return Err(Failure::usage(format!("there is a `{}` already, and it is not overwritten", file.display()))
                .hint("choose another name: `oxide plugin keygen NAME`"));
        }
    }
    let password = password::find(&PASSWORD_VARIABLES, "password of the new key", true)?;
    let key = PrivateKey::generate();
    let text = key.to_pem(&password).map_err(|error| Failure::trouble("could not make a key").because(&error))?;
    write(&private, &text, 0o600)?;
    if let Err(failure) = write(&public, &key.public_key().to_pem(), 0o644) {
        // Without the other half it is of no use.
        fs::remove_file(&private).ok();
        return Err(failure);
    }
    let fingerprint = key.public_key().fingerprint();
    print(&match arguments.json {
        true => format!("{}\n", json!({ "private": private, "public": public, "fingerprint": fingerprint })),
        false => format!(
            "{} signs: keep it secret, and its password\n{} verifies: give it to everybody ({fingerprint})\n",
            private.display(),
            public.display()
        ),
    })?;
    if password.is_empty() {
        eprintln!("note: the password is empty, so whoever can read {} can sign", private.display());
    }
    Ok(Exit::Success)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    written().map_err(|error| Failure::trouble(format!("could not write `{}`", path.display())).because(&error))
}
