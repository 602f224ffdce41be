//! WASI 0.2 without any authority: no files, no variables, no arguments, no network but what [`tcp`] lets through. What a
//! plugin prints goes to the log of its step.
//!
//! Clocks and random numbers are linked, because toolchains need them; their use is noted.

use std::sync::Arc;

use bytes::Bytes;
use oxide_core::protocol::LogStream;
use tokio::io::AsyncWrite;
use wasmtime::component::Linker;
use wasmtime_wasi::{
    WasiCtx, WasiCtxView, WasiView, async_trait,
    cli::{IsTerminal, StdoutStream},
    clocks::{WasiClocks, WasiClocksView as _},
    p2::{OutputStream, Pollable, StreamError, StreamResult, bindings},
    random::{WasiRandom, WasiRandomView as _},
};

use crate::{
    capability::tcp::{self, Tcp},
    environment::LogLimitReached,
    state::State,
    step_log::StepLog,
};

/// How much a plugin may write before it waits.
const WRITE_BYTES: usize = 64 << 10;

/// Links WASI. Clocks and random numbers are linked a second time, through a door that notes the use.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    bindings::clocks::wall_clock::add_to_linker::<State, WasiClocks>(linker, |state| state.impure().clocks())?;
    bindings::clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(linker, |state| state.impure().clocks())?;
    bindings::random::random::add_to_linker::<State, WasiRandom>(linker, |state| state.impure().random())?;
    bindings::random::insecure::add_to_linker::<State, WasiRandom>(linker, |state| state.impure().random())?;
    bindings::random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, |state| state.impure().random())?;
    tcp::add_lookup_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The packages of WASI that [`add_to_linker`] links, each in version 0.2.
const PACKAGES: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Is this import one of those that are linked?
pub(crate) fn is_linked(import: &str) -> bool {
    let version = import.split_once('@').map_or("", |(_, version)| version);
    version.starts_with("0.2.") && PACKAGES.iter().any(|package| import.starts_with(package))
}

/// The WASI state of one call.
pub(crate) fn context(log: &Arc<StepLog>, tcp: &Arc<Tcp>) -> WasiCtx {
    // The defaults are: nothing to read, no variables, no arguments, no directories, no addresses, no names.
    let mut builder = WasiCtx::builder();
    builder
        .stdout(Output { log: log.clone(), stream: LogStream::Stdout })
        .stderr(Output { log: log.clone(), stream: LogStream::Stderr })
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    tcp.guard(&mut builder);
    builder.build()
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The standard output or error of a plugin. Unbuffered: both go to the same log in the order in which they were written.
#[derive(Clone)]
struct Output {
    log: Arc<StepLog>,
    stream: LogStream,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        // An error shows at the next `check_write`.
        self.log.flush().await.ok();
    }
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match bytes.len() <= WRITE_BYTES && self.log.queue_output(self.stream, bytes) {
            true => Ok(()),
            false => Err(StreamError::trap("the plugin writes more to its output than it may without waiting")),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.log.is_limit_reached() {
            return Err(limit(LogLimitReached { allowed: self.log.allowed() }));
        }
        Ok(if self.log.is_flushed() { WRITE_BYTES } else { 0 })
    }

    /// What guests call for every line: written at once, without the detour over the queue.
    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.write_output(self.stream, bytes).await.map_err(limit)
    }
}

fn limit(error: LogLimitReached) -> StreamError {
    StreamError::Trap(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wasi_0_2_is_linked() {
        for (import, linked) in [
            ("wasi:cli/stdout@0.2.6", true),
            ("wasi:io/streams@0.2.0", true),
            ("wasi:http/outgoing-handler@0.2.3", false),
            ("wasi:cli/stdout@0.3.0", false),
            ("wasi:cli/stdout", false),
        ] {
            assert_eq!(is_linked(import), linked, "{import}");
        }
    }
}
