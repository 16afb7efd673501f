//! The log: stderr only, silent unless there is something to say, and never waiting for its reader.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use env_logger::Logger;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::outcome;
use crate::settings::LogFormat;
use crate::sys::process;
use crate::sys::stderr::{LONGEST_LINE, Stderr};
use crate::text::one_line;

/// Whether lines are JSON objects; set once, before the command starts.
static JSON: AtomicBool = AtomicBool::new(false);

/// A sink that takes whole lines and drops what stderr does not take at once.
#[derive(Default)]
struct Sink {
    stderr: Stderr,
    /// How many lines have been dropped since the last one that was written.
    dropped: u64,
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.dropped > 0 {
            let lines = if self.dropped == 1 { "a line" } else { "lines" };
            let note = format!("{} {lines} of this log could not be written", self.dropped);
            if self.stderr.write_line(render(Level::Warn, &note).as_bytes()) {
                self.dropped = 0;
            }
        }
        if self.dropped > 0 || !self.stderr.write_line(line) {
            self.dropped = self.dropped.saturating_add(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the log macros write. Most containers never log a line, so it is made for the first one.
struct Lazy(OnceLock<Logger>);

impl Log for Lazy {
    fn enabled(&self, line: &Metadata<'_>) -> bool {
        line.level() <= log::max_level()
    }

    fn log(&self, line: &Record<'_>) {
        self.0.get_or_init(logger).log(line);
    }

    fn flush(&self) {}
}

fn logger() -> Logger {
    env_logger::Builder::new()
        .filter_level(log::max_level())
        .format(|line, record| line.write_all(render(record.level(), &record.args().to_string()).as_bytes()))
        .target(env_logger::Target::Pipe(Box::new(Sink::default())))
        .build()
}

/// Sends the log macros' lines to stderr, as `drainit: LEVEL: TEXT`, or as JSON objects with `level` and `message`.
pub fn set_up(level: LevelFilter, format: LogFormat) {
    static LOGGER: Lazy = Lazy(OnceLock::new());
    JSON.store(format == LogFormat::Json, Ordering::Relaxed);
    let result = log::set_logger(&LOGGER);
    debug_assert!(result.is_ok(), "the log is set up once");
    log::set_max_level(level);
}

/// One line that can be written in one piece; a longer message loses its end.
fn render(level: Level, message: &str) -> String {
    let message = one_line(message);
    let mut message = message.as_str();
    loop {
        let line = if JSON.load(Ordering::Relaxed) {
            let message = serde_json::to_string(message).unwrap_or_default();
            format!("{{\"level\":\"{}\",\"message\":{message}}}\n", label(level))
        } else {
            format!("drainit: {}: {message}\n", label(level))
        };
        if line.len() <= LONGEST_LINE {
            return line;
        }
        let half = (0..=message.len() / 2).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
        message = message.get(..half).unwrap_or_default();
    }
}

fn label(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Writes one line whatever the log level is, even before the log is set up.
pub fn say_error(problem: &dyn std::fmt::Display) {
    Stderr::default().write_line(render(Level::Error, &problem.to_string()).as_bytes());
}

/// No memory is left, not even to format a message: one line. `goes_on` if a command runs.
pub fn say_without_memory(goes_on: bool) {
    let line: &[u8] = match (JSON.load(Ordering::Relaxed), goes_on) {
        (false, false) => b"drainit: error: out of memory\n",
        (true, false) => b"{\"level\":\"error\",\"message\":\"out of memory\"}\n",
        (false, true) => b"drainit: error: out of memory: from now on nothing is logged or reported\n",
        (true, true) => {
            b"{\"level\":\"error\",\"message\":\"out of memory: from now on nothing is logged or reported\"}\n"
        }
    };
    Stderr::default().write_line(line);
}

/// A defect of drainit must not look like the command's own end: one line, and 125.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let text = panic.payload().downcast_ref::<&str>().copied();
        let reason = text
            .or(panic.payload().downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no reason given");
        say_error(&format_args!("a defect of drainit{place}: {reason}"));
        process::exit_now(outcome::INIT_FAILED);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_fits() {
        assert_eq!(render(Level::Warn, "a\nb\x1b[31m\u{e9}"), "drainit: warning: a\\nb\\u{1b}[31m\u{e9}\n");
        for message in ["x".repeat(100_000), "\u{e9}".repeat(50_000), "\u{1}".repeat(9_000)] {
            let line = render(Level::Info, &message);
            assert!(line.len() <= LONGEST_LINE && line.ends_with('\n'));
            assert_eq!(line.lines().count(), 1);
        }
    }
}
