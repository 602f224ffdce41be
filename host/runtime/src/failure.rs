//! From what happened in a call to the failure that a person reads. Pure: nothing here waits or looks anything up.

use oxide_core::{
    limit::{LimitKind, Limits},
    outcome::{Failure, FailureCause},
    quantity::{bytes, duration_ms},
};
use wasmtime::{Error, PoolConcurrencyLimitError, Trap, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use crate::{engine::STACK_BYTES, environment::LogLimitReached, limiter::Limiter};

/// How a call ended that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The plugin returned this failure.
    Guest(GuestFailure),
    /// The plugin called `exit`.
    Exit(i32),
    /// A trap that is no limit, in words.
    Trap(Trapped),
    /// A limit was reached with so much used.
    Limit(LimitKind, u64),
    /// The inputs do not have the types of the plugin, in words.
    InvalidInput(String),
    /// The component could not be instantiated, or is not granted what it imports.
    Load {
        /// In words.
        message: String,
        /// What to type.
        hint: Option<String>,
    },
}

/// The variant `failure` of `oxide:ci/types`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GuestFailure {
    ExitCode(i32),
    InvalidInput(String),
    Other(String),
}

/// What kind of trap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trapped {
    /// `unreachable`: what panics and aborts end in.
    Abort,
    /// Any other, in wasmtime's words.
    Other(String),
}

/// What an error of wasmtime means. `limiter` and `log_limit` tell what was refused before: the guest may have trapped
/// only because of it.
pub(crate) fn ending(error: &Error, limiter: &Limiter, log_limit: Option<u64>, limits: &Limits) -> Ending {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return Ending::Exit(exit.0);
    }
    if let Some(written) = log_limit {
        return Ending::Limit(LimitKind::Log, written);
    }
    if error.downcast_ref::<LogLimitReached>().is_some() {
        return Ending::Limit(LimitKind::Log, limits.log_bytes.saturating_add(1));
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Ending::Limit(LimitKind::Handles, u64::from(limits.handles) + 1);
    }
    if is_host_call_limit(error) {
        return Ending::Limit(LimitKind::HostCall, limits.host_call_bytes.saturating_add(1));
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Ending::Load {
            message: "too many components run on this agent at the same time".into(),
            hint: Some("lower `max_parallel`, or the number of jobs that the agent takes".into()),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Ending::Limit(LimitKind::Fuel, limits.fuel),
        Some(Trap::StackOverflow) => Ending::Limit(LimitKind::Stack, STACK_BYTES),
        trap => match (limiter.refused(), trap) {
            // Memory that was refused leads to all kinds of traps, and to an error of its own at instantiation.
            (Some(wanted), _) => Ending::Limit(LimitKind::Memory, wanted),
            (None, Some(Trap::UnreachableCodeReached)) => Ending::Trap(Trapped::Abort),
            (None, Some(trap)) => {
                let text = trap.to_string();
                Ending::Trap(Trapped::Other(text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()))
            }
            (None, None) => Ending::Trap(Trapped::Other(error.root_cause().to_string())),
        },
    }
}

/// The error type of wasmtime for this is private.
fn is_host_call_limit(error: &Error) -> bool {
    error.root_cause().to_string().starts_with("too much data is being copied between the host and the guest")
}

/// The failure of a step. `plugin` is the name that messages use.
pub(crate) fn failure(ending: Ending, plugin: &str, limits: &Limits, stderr_tail: String) -> Failure {
    let mut failure = match ending {
        Ending::Guest(failure) => guest_failure(failure),
        Ending::Exit(code) => Failure::new(
            FailureCause::Exit { code },
            format!("the plugin `{plugin}` called exit({code}) instead of returning"),
        )
        .with_hint("let `run` return `ok` with its outputs, or `err` with a failure"),
        Ending::Trap(trapped) => trap(&trapped, plugin, &stderr_tail),
        Ending::Limit(limit, used) => limit_failure(limit, used, plugin, limits),
        Ending::InvalidInput(message) => {
            Failure::new(FailureCause::InvalidInput, format!("the plugin `{plugin}` cannot take its inputs: {message}"))
        }
        Ending::Load { message, hint } => {
            let failure = Failure::new(FailureCause::Load, format!("the plugin `{plugin}` cannot be run: {message}"));
            Failure { hint, ..failure }
        }
    };
    failure.stderr_tail = stderr_tail;
    failure
}

fn guest_failure(failure: GuestFailure) -> Failure {
    match failure {
        GuestFailure::ExitCode(code) => {
            Failure::new(FailureCause::ExitCode { code }, format!("the command ended with exit code {code}"))
        }
        GuestFailure::InvalidInput(text) => Failure::new(FailureCause::InvalidInput, text.trim_end()),
        GuestFailure::Other(text) => Failure::new(FailureCause::Plugin, text.trim_end()),
    }
}

fn trap(trapped: &Trapped, plugin: &str, stderr_tail: &str) -> Failure {
    let message = match (trapped, last_words(stderr_tail)) {
        (Trapped::Abort, Some(words)) => format!("the plugin `{plugin}` gave up: {words}"),
        (Trapped::Abort, None) => format!("the plugin `{plugin}` aborted without saying why"),
        (Trapped::Other(text), _) => format!("the plugin `{plugin}` trapped: {text}"),
    };
    let hint = match trapped {
        // The stack in a component's own memory lies at its lower end and overflows out of it.
        Trapped::Other(text) if text.starts_with("out of bounds memory access") => {
            "this is a fault of the plugin, often a recursion that is too deep: tell its author"
        }
        _ => "this is a fault of the plugin: tell its author",
    };
    Failure::new(FailureCause::Trap, message).with_hint(hint)
}

/// The message of a panic or an exception at the end of the standard error, in one line.
fn last_words(stderr: &str) -> Option<String> {
    let lines: Vec<&str> = stderr.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    // Python: `Traceback …`, the indented stack, and the exception. What follows is the panic of its interpreter.
    if let Some(at) = lines.iter().rposition(|line| line.starts_with("Traceback (most recent call last)")) {
        let exception = lines[at + 1..].iter().find(|line| !line.starts_with(char::is_whitespace));
        if let Some(exception) = exception {
            return Some((*exception).to_owned());
        }
    }
    // Rust: `thread '…' panicked at src/lib.rs:1:1:` and the message in the lines that follow.
    if let Some(at) = lines.iter().rposition(|line| line.contains("panicked at ")) {
        let place = lines[at].split("panicked at ").nth(1).unwrap_or_default().trim_end_matches(':');
        let is_note = |line: &&&str| line.starts_with("note: ") || line.starts_with("stack backtrace");
        let message = lines[at + 1..].iter().take_while(|line| !is_note(line)).copied().collect::<Vec<_>>().join(" ");
        return Some(match exception_of_quickjs(&message) {
            Some(exception) => exception.to_owned(),
            None if message.is_empty() => format!("panicked at {place}"),
            None => format!("panicked at {place}: {message}"),
        });
    }
    // JavaScript: the message is the last line, or stands before the stack.
    let is_stack = |line: &str| line.starts_with(char::is_whitespace) || line.starts_with("at ") || line == "Stack:";
    let says_nothing = |line: &str| line.starts_with("Redirecting call to abort()");
    lines.iter().rev().find(|line| !is_stack(line) && !says_nothing(line)).map(|line| (*line).to_owned())
}

/// The message of an exception that the interpreter of a QuickJS plugin panicked with.
fn exception_of_quickjs(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("Exception { message: Some(\"")?;
    rest.split_once("\"), stack: ").map(|(exception, _)| exception)
}

fn limit_failure(limit: LimitKind, used: u64, plugin: &str, limits: &Limits) -> Failure {
    let allowed = allowed(limit, limits);
    let message = match limit {
        LimitKind::Fuel => format!("the plugin `{plugin}` used up its fuel: {allowed} units are allowed"),
        LimitKind::Memory => {
            format!("the plugin `{plugin}` wanted {} of memory; {} are allowed", bytes(used), bytes(allowed))
        }
        LimitKind::Timeout => format!("the step took longer than {}", duration_ms(allowed)),
        LimitKind::Log => {
            format!("the step wrote {} to its log; the plugin `{plugin}` may write {}", bytes(used), bytes(allowed))
        }
        LimitKind::Output => {
            format!("the plugin `{plugin}` returned outputs of {}; {} are allowed", bytes(used), bytes(allowed))
        }
        LimitKind::HostCall => {
            format!("the plugin `{plugin}` passed more than {} to the host in one call", bytes(allowed))
        }
        LimitKind::Handles => format!("the plugin `{plugin}` opened more than {allowed} handles at the same time"),
        LimitKind::Stack => {
            format!("the plugin `{plugin}` used up its stack of {}; it calls itself too deeply", bytes(allowed))
        }
    };
    let failure = Failure::new(FailureCause::Limit { limit, used, allowed }, message);
    match limit.yaml_key() {
        Some("timeout") => failure.with_hint("raise `timeout:` of this step (or `timeout` of its `limits:`)"),
        Some(key) => failure.with_hint(format!("raise it with `limits: {{ {key}: … }}` on this step")),
        None => failure.with_hint("this limit is the same for all plugins: tell the plugin's author"),
    }
}

fn allowed(limit: LimitKind, limits: &Limits) -> u64 {
    match limit {
        LimitKind::Fuel => limits.fuel,
        LimitKind::Memory => limits.memory_bytes,
        LimitKind::Timeout => limits.timeout_ms,
        LimitKind::Log => limits.log_bytes,
        LimitKind::Output => limits.output_bytes,
        LimitKind::HostCall => limits.host_call_bytes,
        LimitKind::Handles => u64::from(limits.handles),
        LimitKind::Stack => STACK_BYTES,
    }
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
