//! Compiled code on disk, so that a plugin is compiled once for each engine and machine.
//!
//! The directory belongs to the agent and to nobody else: what is in it is executed as native code. It is never filled
//! from a registry, and a job cannot write to it. Besides code it holds components that wait for being compiled: the
//! process that compiles reads them from there, also when the one that wanted it has ended.

use std::{
    fs, io,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
};

use oxide_core::plugin::PluginDescription;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// The cache directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("could not prepare the compile cache {path}")]
pub struct CacheError {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// A directory of compiled plugins, as one engine sees it. Two files each: the code, and the description with what the code is checked against.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// Distinguishes versions and settings of the engine and features of the processor.
    engine: String,
}

/// The file beside the code.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// The size of the code in bytes: a file that was cut off is found without reading it.
    code_bytes: u64,
    description: PluginDescription,
}

impl Cache {
    /// Opens the directory, which is made for this user alone.
    pub fn open(directory: &Path, engine: &Engine) -> Result<Self, CacheError> {
        let failed = |cause| CacheError { path: directory.to_owned(), cause };
        make_private_directory(directory).map_err(failed)?;
        // Other processes are told of it, and they may run elsewhere.
        let directory = std::path::absolute(directory).map_err(failed)?;
        Ok(Cache { directory, engine: engine_name(engine) })
    }

    /// The same directory for another engine.
    pub fn for_engine(&self, engine: &Engine) -> Self {
        Cache { directory: self.directory.clone(), engine: engine_name(engine) }
    }

    /// Where it is, as an absolute path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The compiled plugin, if it is there and whole.
    pub fn get(&self, engine: &Engine, digest: &str) -> Option<(Component, PluginDescription)> {
        let (code, entry) = self.paths(digest)?;
        let entry: Entry = serde_json::from_slice(&fs::read(entry).ok()?).ok()?;
        if entry.description.digest != digest || fs::metadata(&code).ok()?.len() != entry.code_bytes {
            return None;
        }
        Some((load(engine, &code).ok()?, entry.description))
    }

    /// Keeps a compiled plugin. The description is written last: it says that the code is whole.
    pub fn put(&self, compiled: &[u8], description: &PluginDescription) -> io::Result<()> {
        let Some((code, entry)) = self.paths(&description.digest) else { return Ok(()) };
        self.write(&code, compiled)?;
        let described = Entry { code_bytes: compiled.len() as u64, description: description.clone() };
        self.write(&entry, &serde_json::to_vec(&described)?)
    }

    /// Lays a component down for being compiled; answers with it, opened at its beginning.
    pub fn put_source(&self, digest: &str, bytes: &[u8]) -> io::Result<fs::File> {
        let path = source_path(&self.directory, digest).ok_or_else(|| io::Error::other("the digest is none"))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        io::Write::write_all(&mut file, bytes)?;
        // Not synchronised: whoever reads it checks its digest.
        let mut file = file.persist(path)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    /// A component that waits for being compiled.
    pub fn source(&self, digest: &str) -> Option<fs::File> {
        fs::File::open(source_path(&self.directory, digest)?).ok()
    }

    /// The files of a digest; none if the digest has not the form of one and so cannot be a file name.
    fn paths(&self, digest: &str) -> Option<(PathBuf, PathBuf)> {
        let hex = hexadecimal(digest)?;
        let name = |extension| self.directory.join(format!("{hex}-{}.{extension}", self.engine));
        Some((name("cwasm"), name("json")))
    }

    /// Writes a file in one step, so that nobody ever sees half of it, also not after a crash.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        io::Write::write_all(&mut file, bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

/// Removes a component that waits in this directory: nobody needs to compile it any more.
pub(crate) fn remove_source(directory: &Path, digest: &str) {
    if let Some(path) = source_path(directory, digest) {
        fs::remove_file(path).ok();
    }
}

fn source_path(directory: &Path, digest: &str) -> Option<PathBuf> {
    Some(directory.join(format!("{}.wasm", hexadecimal(digest)?)))
}

/// The digits of a digest; none if it has not the form of one.
fn hexadecimal(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hex)
}

#[cfg(unix)]
fn make_private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};

    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = fs::metadata(path)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// A name for an engine that is the same wherever its code can run.
pub(crate) fn engine_name(engine: &Engine) -> String {
    struct Sha256Hasher(Sha256);

    // The hasher of the standard library may differ between two builds; file names must not.
    impl std::hash::Hasher for Sha256Hasher {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            let digest = self.0.clone().finalize();
            u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"))
        }
    }

    let mut hasher = Sha256Hasher(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    format!("{:016x}", std::hash::Hasher::finish(&hasher))
}

#[expect(unsafe_code, reason = "loading compiled code is what makes the second start of a plugin fast")]
fn load(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file was written by `Cache::put` with code that this program compiled (in this process or in a child), into a directory that only this
    // user may write to (checked in `make_private_directory`) and that no job can reach; it appeared there whole.
    unsafe { Component::deserialize_file(engine, path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        describe::describe,
        engine::{Tier, new_engine},
        testing::component,
    };

    fn plugin() -> (Engine, Vec<u8>, PluginDescription) {
        let bytes = component("run");
        let description = describe(&bytes).unwrap();
        (new_engine(Tier::Optimised).unwrap(), bytes, description)
    }

    #[test]
    fn what_was_put_is_found_again() {
        let (engine, bytes, description) = plugin();
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(&home.path().join("cache"), &engine).unwrap();
        assert!(cache.get(&engine, &description.digest).is_none());
        cache.put(&engine.precompile_component(&bytes).unwrap(), &description).unwrap();
        let (_, found) = cache.get(&engine, &description.digest).unwrap();
        assert_eq!(found, description);
    }

    #[test]
    #[cfg(unix)]
    fn the_directory_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let (engine, ..) = plugin();
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cache");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Cache::open(&path, &engine).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn damaged_files_are_not_loaded() {
        let (engine, bytes, description) = plugin();
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path(), &engine).unwrap();
        let compiled = engine.precompile_component(&bytes).unwrap();
        let (code, entry) = cache.paths(&description.digest).unwrap();
        let damage: [(&str, &dyn Fn()); 4] = [
            ("the code is cut off", &|| fs::write(&code, &fs::read(&code).unwrap()[..100]).unwrap()),
            ("the code is empty", &|| fs::write(&code, b"").unwrap()),
            ("the code is zeros", &|| fs::write(&code, vec![0; fs::read(&code).unwrap().len()]).unwrap()),
            ("the description is garbage", &|| fs::write(&entry, b"{").unwrap()),
        ];
        for (name, damage) in damage {
            cache.put(&compiled, &description).unwrap();
            assert!(cache.get(&engine, &description.digest).is_some(), "before: {name}");
            damage();
            assert!(cache.get(&engine, &description.digest).is_none(), "{name}");
        }
    }

    #[test]
    fn a_digest_that_is_a_path_is_no_file() {
        let (engine, ..) = plugin();
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path(), &engine).unwrap();
        assert!(cache.paths("sha256:../../etc/passwd").is_none());
        assert!(cache.paths(&format!("sha256:{}", "/".repeat(64))).is_none());
        assert!(cache.put_source("sha256:../../etc/passwd", b"").is_err());
    }

    #[test]
    fn a_component_that_waits_is_read_from_its_beginning_until_it_is_removed() {
        use std::io::Read;

        let (engine, bytes, description) = plugin();
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path(), &engine).unwrap();
        assert!(cache.source(&description.digest).is_none());
        let opened = cache.put_source(&description.digest, &bytes).unwrap();
        for mut file in [opened, cache.source(&description.digest).unwrap()] {
            let mut read = Vec::new();
            file.read_to_end(&mut read).unwrap();
            assert!(read == bytes);
        }
        remove_source(home.path(), &description.digest);
        assert!(cache.source(&description.digest).is_none());
    }
}
