//! Where plugins are compiled, and what that may take: settings of whoever runs this program, not of a pipeline.

use std::time::Duration;

use oxide_core::pipeline::{parse_bytes, parse_duration};
use oxide_runtime::compile::{ChildCompiler, CompileLimits, Compiler};

use crate::{command::compile_plugin, failure::Failure};

/// Wall time for one plugin, such as `5m`.
const TIMEOUT: &str = "OXIDE_COMPILE_TIMEOUT";

/// Memory for one plugin, such as `4GiB`.
const MEMORY: &str = "OXIDE_COMPILE_MEMORY";

/// This program again, with the bounds that the environment sets.
pub fn compiler() -> Result<Compiler, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(Compiler::Child(ChildCompiler {
        // The file may have been replaced since this process began; this is what it runs.
        program: "/proc/self/exe".into(),
        arguments: vec![compile_plugin::NAME.into()],
        limits: limits(variable(TIMEOUT), variable(MEMORY))?,
    }))
}

fn limits(timeout: Option<String>, memory: Option<String>) -> Result<CompileLimits, Failure> {
    let mut limits = CompileLimits::default();
    if let Some(text) = timeout {
        let millis = parse_duration(&text).filter(|millis| *millis > 0);
        let refused = || Failure::usage(format!("{TIMEOUT} is `{text}`")).hint("write it as `90s` or `5m`");
        limits.wall = Duration::from_millis(millis.ok_or_else(refused)?);
    }
    if let Some(text) = memory {
        let bytes = parse_bytes(&text).filter(|bytes| *bytes > 0);
        let refused = || Failure::usage(format!("{MEMORY} is `{text}`")).hint("write it as `512MiB` or `4GiB`");
        limits.memory_bytes = bytes.ok_or_else(refused)?;
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_what_is_set_or_the_default() {
        let set = |timeout: Option<&str>, memory: Option<&str>| {
            limits(timeout.map(str::to_owned), memory.map(str::to_owned)).map_err(|_| ())
        };
        assert_eq!(set(None, None), Ok(CompileLimits::default()));
        let both = CompileLimits { wall: Duration::from_millis(1500), memory_bytes: 64 << 20 };
        assert_eq!(set(Some("1s500ms"), Some("64MiB")), Ok(both));
        assert_eq!(set(Some("0s"), None), Err(()));
        assert_eq!(set(None, Some("much")), Err(()));
    }
}
