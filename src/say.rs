//! The macros that log a line. Those of the crate `log` also keep the module, the file and the place of each line, which no line of
//! drainit shows, and add 5 KB to the program.

#![forbid(unsafe_code)]

use std::fmt::Arguments;

use log::{Level, Record};

/// Logs a line of a level that is logged.
pub fn line(level: Level, text: Arguments<'_>) {
    log::logger().log(&Record::builder().level(level).args(text).build());
}

macro_rules! at {
    ($level:expr, $($text:tt)+) => {{
        let level = $level;
        if level <= log::max_level() {
            $crate::say::line(level, format_args!($($text)+));
        }
    }};
}

macro_rules! warning {
    ($($text:tt)+) => { $crate::say::at!(log::Level::Warn, $($text)+) };
}

macro_rules! info {
    ($($text:tt)+) => { $crate::say::at!(log::Level::Info, $($text)+) };
}

macro_rules! debug {
    ($($text:tt)+) => { $crate::say::at!(log::Level::Debug, $($text)+) };
}

macro_rules! trace {
    ($($text:tt)+) => { $crate::say::at!(log::Level::Trace, $($text)+) };
}

pub(crate) use {at, debug, info, trace, warning as warn};
