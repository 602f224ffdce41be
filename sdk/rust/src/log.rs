//! The log of the step: lines at a level, groups that fold, progress.
//!
//! What a plugin prints with `println!` arrives in the same log, in order. The macros
//! [`debug!`](crate::debug), [`info!`](crate::info), [`warning!`](crate::warning) and [`error!`](crate::error) write text
//! that is put together as `println!` does it.

use crate::bindings::oxide::ci::log;

pub use crate::bindings::oxide::ci::log::{Level, progress, write};

/// Lines that fold under a title, until this is dropped. Made by [`group`].
#[must_use = "the group ends when this is dropped"]
#[derive(Debug)]
pub struct Group(());

/// Opens a group of lines: `let _group = log::group("linking");`.
pub fn group(title: &str) -> Group {
    log::start_group(title);
    Group(())
}

impl Drop for Group {
    fn drop(&mut self) {
        log::end_group();
    }
}

/// Writes to the log what is only of use to who looks for a fault.
#[macro_export]
macro_rules! debug {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($text)+)) };
}

/// Writes to the log what belongs to the ordinary course of things.
#[macro_export]
macro_rules! info {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($text)+)) };
}

/// Writes to the log what a person should see.
#[macro_export]
macro_rules! warning {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Warning, &::std::format!($($text)+)) };
}

/// Writes to the log what went wrong. The step goes on; [`fail!`](crate::fail) ends it.
#[macro_export]
macro_rules! error {
    ($($text:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($text)+)) };
}
