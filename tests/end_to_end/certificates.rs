//! A certificate authority for one test, made by `openssl`, with a certificate for `localhost`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Three files in PEM: `authority.pem`, `server.pem` and `server.key`. They go with the value.
pub struct Certificates(TempDir);

impl Certificates {
    /// Makes them.
    pub fn new() -> Certificates {
        let folder = TempDir::new().unwrap();
        fs::write(
            folder.path().join("localhost"),
            "subjectAltName = DNS:localhost\nbasicConstraints = critical, CA:FALSE\n",
        )
        .unwrap();
        for command in [
            "req -x509 -newkey ed25519 -nodes -keyout authority.key -out authority.pem -days 2 -subj /CN=tests",
            "req -newkey ed25519 -nodes -keyout server.key -out server.request -subj /CN=localhost",
            "x509 -req -in server.request -CA authority.pem -CAkey authority.key -out server.pem -days 2 -extfile localhost",
        ] {
            openssl(folder.path(), command);
        }
        Certificates(folder)
    }

    /// The path of one of them.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn openssl(folder: &Path, command: &str) {
    let output = Command::new("openssl").args(command.split(' ')).current_dir(folder).output();
    let output = output.expect("the test command installs openssl");
    assert!(output.status.success(), "openssl {command}\n{}", String::from_utf8_lossy(&output.stderr));
}
