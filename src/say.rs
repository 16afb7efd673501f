//! The macros that log a line. Those of the crate `log` also keep the module, the file and the place of each line, which no line of
//! drainit shows, and add 5 KB to the program.

#![forbid(unsafe_code)]

use std::fmt::Arguments;

use log::{Level, Record};

/// Whether lines of this level are logged.
#[must_use]
pub fn is_logged(level: Level) -> bool {
    #[cfg(test)]
    if heard::is_kept(level) {
        return true;
    }
    level <= log::max_level()
}

/// Logs a line of a level that is logged.
pub fn line(level: Level, text: Arguments<'_>) {
    #[cfg(test)]
    heard::keep(level, text);
    log::logger().log(&Record::builder().level(level).args(text).build());
}

macro_rules! at {
    ($level:expr, $($text:tt)+) => {{
        let level = $level;
        if $crate::say::is_logged(level) {
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

/// What was logged, for tests.
#[cfg(test)]
pub(crate) mod heard {
    use std::cell::RefCell;
    use std::fmt::Arguments;

    use log::Level;

    thread_local! {
        static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    }

    pub(super) fn is_kept(level: Level) -> bool {
        level <= Level::Info && LINES.with_borrow(Option::is_some)
    }

    pub(super) fn keep(level: Level, text: Arguments<'_>) {
        if is_kept(level) {
            LINES.with_borrow_mut(|lines| lines.get_or_insert_default().push(format!("{level}: {text}")));
        }
    }

    /// The lines that this thread logs meanwhile, as `WARN: TEXT`, down to those of the level info.
    pub(crate) fn lines_of(does: impl FnOnce()) -> Vec<String> {
        LINES.set(Some(Vec::new()));
        does();
        LINES.take().unwrap_or_default()
    }
}
