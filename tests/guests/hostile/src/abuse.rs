//! Uses up what it can: fuel, memory, stack, log, handles, annotations.

use std::hint::black_box;

use crate::{
    Failure,
    oxide::ci::{
        log::{self, Level},
        output::{self, Annotation, Severity},
        workspace,
    },
    refused,
};

pub fn loop_for_ever() -> Result<String, Failure> {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub fn memory(mebibytes: Option<u64>) -> Result<String, Failure> {
    let mut blocks = Vec::new();
    while mebibytes.is_none_or(|most| (blocks.len() as u64) < most) {
        blocks.push(black_box(vec![1_u8; 1 << 20]));
    }
    Ok(format!("took {} MiB", blocks.len()))
}

pub fn boxes(count: Option<u64>) -> Result<String, Failure> {
    let mut boxes: Vec<Box<u64>> = Vec::new();
    while count.is_none_or(|most| (boxes.len() as u64) < most) {
        boxes.push(black_box(Box::new(boxes.len() as u64)));
    }
    Ok(format!("made {} boxes", boxes.len()))
}

pub fn flood_log(lines: Option<u64>) -> Result<String, Failure> {
    let mut line = 0_u64;
    while lines.is_none_or(|most| line < most) {
        log::write(Level::Info, &format!("flood line {line:012} {}", "-".repeat(76)));
        line += 1;
    }
    Ok(format!("wrote {line} lines"))
}

pub fn flood_stdout(lines: Option<u64>) -> Result<String, Failure> {
    let mut line = 0_u64;
    while lines.is_none_or(|most| line < most) {
        println!("flood line {line:012} {}", "-".repeat(76));
        line += 1;
    }
    Ok(format!("printed {line} lines"))
}

pub fn trap() -> Result<String, Failure> {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort()
}

/// Recurses with almost nothing in a frame, so that the stack of the host's machine code is used up first. What it does
/// after the call keeps the compiler from making a loop of it.
#[inline(never)]
pub fn recurse(depth: u64) -> u64 {
    if black_box(depth) == 0 {
        return 1;
    }
    recurse(depth - 1).wrapping_mul(31) ^ depth
}

/// Recurses with large frames, so that the stack in the guest's own memory is used up first: an access out of bounds.
#[inline(never)]
pub fn recurse_with_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 1024]);
    if depth == 0 {
        return frame[0];
    }
    recurse_with_frames(depth - 1).wrapping_mul(31) ^ black_box(frame)[(depth % 1024) as usize]
}

pub fn many_handles(count: Option<u64>) -> Result<String, Failure> {
    let mut handles = Vec::new();
    while count.is_none_or(|most| (handles.len() as u64) < most) {
        handles.push(workspace::root().map_err(refused)?);
    }
    Ok(format!("opened {} handles", handles.len()))
}

pub fn big_host_call(path: &str, bytes: Option<u64>) -> Result<String, Failure> {
    let contents = vec![b'x'; bytes.unwrap_or(0) as usize];
    let root = workspace::root().map_err(refused)?;
    root.write(path, &contents).map_err(refused)?;
    Ok(format!("passed {} bytes", contents.len()))
}

pub fn annotate_many(count: Option<u64>, text: &str) -> Result<String, Failure> {
    let count = count.unwrap_or(0);
    for number in 0..count {
        output::annotate(&Annotation {
            file: Some("src/lib.rs".to_owned()),
            line: Some(number as u32 + 1),
            severity: Severity::Warning,
            message: format!("{text} {number}"),
        });
    }
    Ok(format!("recorded {count} annotations"))
}

pub fn big_summary(bytes: Option<u64>) -> Result<String, Failure> {
    let bytes = bytes.unwrap_or(0) as usize;
    output::add_summary(&"s".repeat(bytes)).map_err(refused)?;
    Ok(format!("appended {bytes} bytes"))
}
