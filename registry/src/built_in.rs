//! The plugins that are part of the program. The build script compiles them and computes their digests.

/// A plugin that is part of the program.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    /// The name behind `oxide/`.
    pub name: &'static str,
    /// The major version behind `@`.
    pub major: u32,
    /// The whole version, such as `1.0.0`.
    pub version: &'static str,
    /// `sha256:` and the digest of the bytes as 64 hexadecimal digits.
    pub digest: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

impl BuiltIn {
    /// What to write behind `uses:`, such as `oxide/run@1`.
    pub fn reference(&self) -> String {
        format!("oxide/{}@{}", self.name, self.major)
    }
}

/// All of them, sorted by name.
pub static BUILT_IN: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));
