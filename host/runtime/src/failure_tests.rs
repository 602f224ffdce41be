//! Tables for `failure`.

use super::*;

fn limits() -> Limits {
    Limits { fuel: 7, memory_bytes: 64 << 20, handles: 3, ..Limits::default() }
}

#[test]
fn errors_of_wasmtime_become_endings() {
    let fine = Limiter::new(100);
    let mut full = Limiter::new(100);
    wasmtime::ResourceLimiter::memory_growing(&mut full, 0, 101, None).unwrap();
    let text = |text: &str| Ending::Trap(Trapped::Other(text.into()));
    let cases: Vec<(&str, Error, &Limiter, Option<u64>, Ending)> = vec![
        ("panic", Trap::UnreachableCodeReached.into(), &fine, None, Ending::Trap(Trapped::Abort)),
        ("bounds", Trap::MemoryOutOfBounds.into(), &fine, None, text("out of bounds memory access")),
        ("division", Trap::IntegerDivisionByZero.into(), &fine, None, text("integer divide by zero")),
        ("fuel", Trap::OutOfFuel.into(), &fine, None, Ending::Limit(LimitKind::Fuel, 7)),
        ("stack", Trap::StackOverflow.into(), &fine, None, Ending::Limit(LimitKind::Stack, STACK_BYTES)),
        ("no memory", Trap::UnreachableCodeReached.into(), &full, None, Ending::Limit(LimitKind::Memory, 101)),
        ("no memory at start", Error::msg("memory minimum"), &full, None, Ending::Limit(LimitKind::Memory, 101)),
        ("fuel after refused memory", Trap::OutOfFuel.into(), &full, None, Ending::Limit(LimitKind::Fuel, 7)),
        ("exit", I32Exit(3).into(), &fine, None, Ending::Exit(3)),
        ("log", LogLimitReached { allowed: 5 }.into(), &fine, Some(9), Ending::Limit(LimitKind::Log, 9)),
        ("log noticed later", Trap::UnreachableCodeReached.into(), &fine, Some(9), Ending::Limit(LimitKind::Log, 9)),
        ("handles", ResourceTableError::Full.into(), &fine, None, Ending::Limit(LimitKind::Handles, 4)),
        ("other", Error::msg("inner").context("outer"), &fine, None, text("inner")),
    ];
    for (name, error, limiter, log, expected) in cases {
        assert_eq!(ending(&error, limiter, log, &limits()), expected, "{name}");
    }
}

#[test]
fn every_limit_names_plugin_amounts_and_the_way_to_raise_it() {
    let cases = [
        (LimitKind::Fuel, 7, "the plugin `p` used up its fuel: 7 units are allowed", Some("fuel")),
        (LimitKind::Memory, 80 << 20, "the plugin `p` wanted 80 MiB of memory; 64 MiB are allowed", Some("memory")),
        (LimitKind::Timeout, 3_600_100, "the step took longer than 60 min", Some("timeout")),
        (
            LimitKind::Log,
            (256 << 20) + (1 << 19),
            "the step wrote 256.5 MiB to its log; the plugin `p` may write 256 MiB",
            Some("log"),
        ),
        (LimitKind::Output, 2 << 20, "the plugin `p` returned outputs of 2 MiB; 1 MiB are allowed", Some("output")),
        (LimitKind::HostCall, 0, "the plugin `p` passed more than 16 MiB to the host in one call", Some("host_call")),
        (LimitKind::Handles, 4, "the plugin `p` opened more than 3 handles at the same time", Some("handles")),
        (
            LimitKind::Stack,
            STACK_BYTES,
            "the plugin `p` used up its stack of 512 KiB; it calls itself too deeply",
            None,
        ),
    ];
    for (limit, used, message, key) in cases {
        let failure = failure(Ending::Limit(limit, used), "p", &limits(), String::new());
        assert_eq!(failure.message, message);
        assert!(matches!(failure.cause, FailureCause::Limit { limit: l, used: u, .. } if l == limit && u == used));
        let hint = failure.hint.unwrap();
        match key {
            Some("timeout") => assert!(hint.contains("`timeout:` of this step"), "{hint}"),
            Some(key) => assert_eq!(hint, format!("raise it with `limits: {{ {key}: … }}` on this step")),
            None => assert!(hint.contains("the same for all plugins")),
        }
    }
}

#[test]
fn a_trap_tells_the_last_words_of_the_plugin() {
    let cases = [
        (
            "before\nthread '<unnamed>' panicked at src/lib.rs:3:9:\nno such day\nnote: run with `RUST_BACKTRACE=1`\n",
            "the plugin `p` gave up: panicked at src/lib.rs:3:9: no such day",
        ),
        (
            "Traceback (most recent call last):\n  File \"app.py\", line 3\nValueError: no such day\n",
            "the plugin `p` gave up: ValueError: no such day",
        ),
        (
            "Error: no such day\n    at run (plugin.js:3)\n    at main (plugin.js:9)\n",
            "the plugin `p` gave up: Error: no such day",
        ),
        (
            "Traceback (most recent call last):\n  File \"app.py\", line 3\nValueError: no such day\n\nthread '<unnamed>' (1) \
             panicked at runtime/src/lib.rs:1:2:\nPython function threw an unexpected exception\n",
            "the plugin `p` gave up: ValueError: no such day",
        ),
        (
            "thread '<unnamed>' (1) panicked at src/interpreter.rs:5:3:\nFailed to call 'run': Value(Exception(\nException { \
             message: Some(\"no such day\"), stack: Some(\"    at run (/p.js:2:35)\\n\") })\n)\n",
            "the plugin `p` gave up: no such day",
        ),
        (
            "Error: no such day\nStack:\n  run@/p.js:5:1\n\nRedirecting call to abort() to mozalloc_abort\n\n",
            "the plugin `p` gave up: Error: no such day",
        ),
        ("", "the plugin `p` aborted without saying why"),
    ];
    for (stderr, message) in cases {
        let failure = failure(Ending::Trap(Trapped::Abort), "p", &limits(), stderr.to_owned());
        assert_eq!((failure.message.as_str(), &failure.cause), (message, &FailureCause::Trap));
        assert_eq!(failure.stderr_tail, stderr);
    }
}

#[test]
fn the_plugin_s_own_failures_keep_its_words() {
    let cases = [
        (GuestFailure::ExitCode(2), FailureCause::ExitCode { code: 2 }, "the command ended with exit code 2"),
        (GuestFailure::InvalidInput("no `name`\n".into()), FailureCause::InvalidInput, "no `name`"),
        (GuestFailure::Other("it rains".into()), FailureCause::Plugin, "it rains"),
    ];
    for (guest, cause, message) in cases {
        let failure = failure(Ending::Guest(guest), "p", &limits(), String::new());
        assert_eq!((failure.cause, failure.message.as_str()), (cause, message));
    }
}

#[test]
fn exit_and_load_say_what_to_do() {
    let exit = failure(Ending::Exit(0), "p", &limits(), String::new());
    assert_eq!(exit.message, "the plugin `p` called exit(0) instead of returning");
    assert_eq!(exit.cause, FailureCause::Exit { code: 0 });
    let load = Ending::Load { message: "it is broken".into(), hint: Some("mend it".into()) };
    let load = failure(load, "p", &limits(), String::new());
    assert_eq!(
        (load.message.as_str(), load.hint.as_deref()),
        ("the plugin `p` cannot be run: it is broken", Some("mend it"))
    );
}
