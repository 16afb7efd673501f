//! The log: stderr only, silent unless there is something to say, and never waiting for who reads it.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::panic;

use log::{Level, LevelFilter};

use crate::outcome;
use crate::sys::process;
use crate::sys::stderr::Stderr;

/// A sink that takes whole lines and drops what stderr does not take at once.
#[derive(Default)]
struct Sink(Stderr);

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends the log macros' lines to stderr, as `drainit: LEVEL: TEXT`.
pub fn set_up(level: LevelFilter) {
    let result = env_logger::Builder::new()
        .filter_level(level)
        .format(|line, record| writeln!(line, "drainit: {}: {}", label(record.level()), record.args()))
        .target(env_logger::Target::Pipe(Box::new(Sink::default())))
        .try_init();
    debug_assert!(result.is_ok(), "the log is set up once");
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

/// Says one line before the log is set up.
pub fn say_error(problem: &dyn std::fmt::Display) {
    Stderr::default().write_line(format!("drainit: error: {problem}\n").as_bytes());
}

/// A defect of drainit must not look like the command's own end: one line, and 125.
pub fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload().downcast_ref::<&str>().copied();
        let reason = text
            .or(panic.payload().downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no reason given");
        say_error(&format_args!("a defect of drainit at {place}: {reason}"));
        process::exit_now(outcome::INIT_FAILED);
    }));
}
