//! What one call of a capability costs: argument, digest, clock, tally.

use std::time::Duration;

use crate::{Pairs, bare::Bare, met, ours::Ours, pairs};

/// How many calls the guest makes in one step.
const HOST_CALLS: u32 = 10_000;

/// Calls `log.progress` with an unknown total, which prints nothing.
fn guest() -> Vec<u8> {
    let text = format!(
        r#"(component
            (type $failure' (variant (case "exit-code" s32) (case "invalid-input" string) (case "other" string)))
            (import "failure" (type $failure (eq $failure')))
            (import "oxide:ci/log@0.1.0" (instance $log
                (export "progress" (func (param "done" u64) (param "total" u64)))))
            (core func $progress (canon lower (func $log "progress")))
            (core module $main
                (import "log" "progress" (func $progress (param i64 i64)))
                (memory (export "memory") 1)
                (func (export "run") (result i32) (local $left i32)
                    (local.set $left (i32.const {HOST_CALLS}))
                    (loop $again
                        (call $progress (i64.const 7) (i64.const 0))
                        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                        (br_if $again (local.get $left)))
                    (i32.const 0)))
            (core instance $i (instantiate $main (with "log" (instance (export "progress" (func $progress))))))
            (func $run (result (result (error $failure))) (canon lift (core func $i "run") (memory $i "memory")))
            (export "run" (func $run)))"#
    );
    wat::parse_str(text).expect("the guest is a component")
}

/// Measures, and prints a row of the table.
pub async fn measure() {
    let bytes = guest();
    let (ours, bare) = (Ours::new(&bytes).await, Bare::new(&bytes));
    let Pairs { ours, floor, ratio } = pairs(5, || ours.call(), || bare.call()).await;
    let (ours, floor) = (ours / HOST_CALLS, floor / HOST_CALLS);
    println!(
        "| a call of a capability, recorded | {ours:?} | bare wasmtime: {floor:?} | {ratio:.2} | < 2 µs | {} |",
        met(ours < Duration::from_micros(2))
    );
}
