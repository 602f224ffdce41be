//! Parts for tests: small components as text, and a log and an environment in memory.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use oxide_core::{grant::Grants, limit::Limits, protocol::LogStream, secret::Placeholders};

use crate::{
    RunInfo, StepCall,
    containers::NoContainerEngine,
    environment::{CommandSpec, Environment, EnvironmentError, EnvironmentKind, LogLimitReached, LogSink, Process},
};

/// A log that remembers.
#[derive(Default)]
pub struct MemoryLog {
    pub lines: Mutex<Vec<(LogStream, Bytes)>>,
    /// How long each write takes.
    pub delay: Option<Duration>,
}

impl MemoryLog {
    /// Everything, streams mixed in order.
    pub fn text(&self) -> String {
        self.lines.lock().unwrap().iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

#[async_trait]
impl LogSink for MemoryLog {
    async fn write(&self, stream: LogStream, bytes: Bytes) -> Result<(), LogLimitReached> {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        self.lines.lock().unwrap().push((stream, bytes));
        Ok(())
    }
}

/// An environment that has no programs.
pub struct NoPrograms;

#[async_trait]
impl Environment for NoPrograms {
    fn kind(&self) -> EnvironmentKind {
        EnvironmentKind::Host
    }

    fn workspace_path(&self) -> String {
        "/workspace".into()
    }

    async fn find_program(&self, _: &str) -> Result<Option<String>, EnvironmentError> {
        Ok(None)
    }

    async fn spawn(&self, command: CommandSpec, _: Arc<dyn LogSink>) -> Result<Box<dyn Process>, EnvironmentError> {
        Err(EnvironmentError::NotFound(format!("no program `{}`", command.program)))
    }
}

/// A call without inputs, with the usual limits.
pub fn step_call(log: &Arc<MemoryLog>) -> StepCall {
    StepCall {
        plugin_name: "p".into(),
        inputs: None,
        grants: Grants::default(),
        limits: Limits::default(),
        run_info: RunInfo::default(),
        project: "project".into(),
        workspace: PathBuf::from("."),
        environment: Arc::new(NoPrograms),
        containers: Arc::new(NoContainerEngine),
        responder: None,
        log: log.clone(),
        secrets: Placeholders::default(),
        masker: Arc::default(),
    }
}

const FAILURE: &str = r#"
    (type $failure' (variant (case "exit-code" s32) (case "invalid-input" string) (case "other" string)))
    (import "failure" (type $failure (eq $failure')))"#;

/// A component whose `run` takes nothing and returns `result<_, failure>`; `core` is the body of a module that exports
/// `memory` and `run: func() -> i32`, the address of the result.
fn without_inputs(core: &str) -> String {
    format!(
        r#"(component {FAILURE}
            (core module $m {core})
            (core instance $i (instantiate $m))
            (func $run (result (result (error $failure))) (canon lift (core func $i "run") (memory $i "memory")))
            (export "run" (func $run)))"#
    )
}

/// Returns failure number `case` of the type `failure` with the text "it rains", or the code 8.
fn failing(case: u32) -> String {
    without_inputs(&format!(
        r#"(memory (export "memory") 1)
        (data (i32.const 0) "\01\00\00\00\{case:02x}\00\00\00\08\00\00\00\08\00\00\00it rains")
        (data (i32.const 16) "it rains")
        (func (export "run") (result i32)
            (if (i32.const {case}) (then (i32.store (i32.const 8) (i32.const 16))))
            (i32.const 0))"#
    ))
}

/// Imports `oxide:ci/log` and writes the same line for ever, or `times` times.
fn logging(times: u32) -> String {
    format!(
        r#"(component {FAILURE}
            (import "oxide:ci/log@0.1.0" (instance $log
                (type $level' (enum "debug" "info" "warning" "error"))
                (export "level" (type $level (eq $level')))
                (export "write" (func (param "level" $level) (param "message" string)))))
            (core module $memory (memory (export "memory") 1) (data (i32.const 16) "it rains"))
            (core instance $m (instantiate $memory))
            (core func $write (canon lower (func $log "write") (memory $m "memory")))
            (core module $main
                (import "m" "memory" (memory 1))
                (import "log" "write" (func $write (param i32 i32 i32)))
                (func (export "run") (result i32) (local $left i32)
                    (local.set $left (i32.const {times}))
                    (loop $again
                        (call $write (i32.const 2) (i32.const 16) (i32.const 8))
                        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                        (br_if $again (local.get $left)))
                    (i32.const 0)))
            (core instance $i (instantiate $main
                (with "m" (instance $m)) (with "log" (instance (export "write" (func $write))))))
            (func $run (result (result (error $failure))) (canon lift (core func $i "run") (memory $m "memory")))
            (export "run" (func $run)))"#
    )
}

/// Takes a name and returns it `times` times, `greeting: string`.
const GREET: &str = r#"
    (type $inputs' (record (field "your-name" string) (field "times" (option u32))))
    (import "inputs" (type $inputs (eq $inputs')))
    (type $outputs' (record (field "the-greeting" string)))
    (import "outputs" (type $outputs (eq $outputs')))
    (core module $m
        (memory (export "memory") 1)
        (global $free (mut i32) (i32.const 1024))
        (func $alloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (global.get $free))
            (global.set $free (i32.and (i32.add (i32.add (local.get $at) (local.get 3)) (i32.const 15)) (i32.const -16)))
            (block $fits
                (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
                (drop (memory.grow (i32.const 64))))
            (local.get $at))
        (func (export "run") (param $at i32) (param $length i32) (param $some i32) (param $times i32) (result i32)
            (local $to i32) (local $end i32)
            (if (i32.eqz (local.get $some)) (then (local.set $times (i32.const 1))))
            (local.set $to (call $alloc (i32.const 0) (i32.const 0) (i32.const 1)
                (i32.mul (local.get $length) (local.get $times))))
            (local.set $end (local.get $to))
            (block $done
                (loop $again
                    (br_if $done (i32.eqz (local.get $times)))
                    (memory.copy (local.get $end) (local.get $at) (local.get $length))
                    (local.set $end (i32.add (local.get $end) (local.get $length)))
                    (local.set $times (i32.sub (local.get $times) (i32.const 1)))
                    (br $again)))
            (i32.store (i32.const 4) (local.get $to))
            (i32.store (i32.const 8) (i32.sub (local.get $end) (local.get $to)))
            (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (param "inputs" $inputs) (result (result $outputs (error $failure)))
        (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "cabi_realloc"))))
    (export "run" (func $run))"#;

/// A component by what it does.
pub fn component_text(name: &str) -> String {
    const MEMORY: &str = r#"(memory (export "memory") 1)"#;
    let body = |instructions: &str| {
        without_inputs(&format!(r#"{MEMORY} (func $run (export "run") (result i32) {instructions})"#))
    };
    match name {
        "run" => body("(i32.const 0)"),
        "trap" => body("(unreachable)"),
        "divide" => body("(i32.div_u (i32.const 1) (i32.const 0))"),
        "loop" => body("(loop $again (br $again)) (unreachable)"),
        "recursion" => body("(i32.add (i32.const 1) (call $run))"),
        "other failure" => failing(2),
        "exit code" => failing(0),
        "memory" => {
            body("(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)")
        }
        "big memory" => {
            without_inputs(r#"(memory (export "memory") 100) (func $run (export "run") (result i32) (i32.const 0))"#)
        }
        "two memories" => format!(
            r#"(component {FAILURE}
                (core module $m (memory (export "memory") 100)
                    (func (export "run") (result i32) (i32.const 0)))
                (core instance $other (instantiate $m))
                (core instance $i (instantiate $m))
                (func $run (result (result (error $failure))) (canon lift (core func $i "run") (memory $i "memory")))
                (export "run" (func $run)))"#
        ),
        "start loop" => without_inputs(&format!(
            r#"{MEMORY} (func (export "run") (result i32) (i32.const 0))
            (func $start (loop $again (br $again))) (start $start)"#
        )),
        "log" => logging(3),
        "flood" => logging(0),
        "greet" => format!("(component {FAILURE} {GREET})"),
        "workspace" => without_inputs(&format!(r#"{MEMORY} (func (export "run") (result i32) (i32.const 0))"#))
            .replacen("(component", r#"(component (import "oxide:ci/workspace@0.1.0" (instance))"#, 1),
        other => other.to_owned(),
    }
}

/// The same as bytes; text that is not a name is a component itself.
pub fn component(name: &str) -> Vec<u8> {
    wat::parse_str(component_text(name)).unwrap()
}
