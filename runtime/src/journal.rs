//! What is said: on stderr, and in the file that `--log` names, which is where engines look for a reason.

#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::SystemTime;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use serde_json::json;

use crate::FAILED;
use crate::command_line::{Invocation, LogFormat};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Warning,
    Error,
}

impl Level {
    /// As runc spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Where it is said.
#[derive(Debug)]
pub struct Journal {
    file: Option<PathBuf>,
    format: LogFormat,
    debug: bool,
}

impl Journal {
    #[must_use]
    pub fn of(invocation: &Invocation, debug: bool) -> Self {
        Self {
            file: invocation.log.as_ref().map(PathBuf::from),
            format: invocation.log_format,
            debug: debug || invocation.debug,
        }
    }

    /// Says it. Warnings and errors go to stderr too, which an engine gives to the container's own log.
    pub fn say(&self, level: Level, text: &str) {
        if level == Level::Debug && !self.debug {
            return;
        }
        if let Some(path) = &self.file {
            let line = entry(self.format, level, text, &now());
            let log = OpenOptions::new().append(true).create(true).mode(0o644).open(path);
            // In one write, as other processes write there too. A log that cannot be written is no reason to fail.
            let _ = log.and_then(|mut log| log.write_all(line.as_bytes()));
        }
        if level != Level::Debug || self.file.is_none() {
            write_stderr(&format!("drainit-runtime: {}: {text}\n", level.name()));
        }
    }

    /// Says why nothing is done, and returns the exit code for it.
    #[must_use]
    pub fn fail(&self, problem: &str) -> u8 {
        self.say(Level::Error, problem);
        FAILED
    }
}

/// A line as runc and crun write it.
fn entry(format: LogFormat, level: Level, text: &str, time: &str) -> String {
    let text = format!("drainit-runtime: {text}");
    let level = level.name();
    match format {
        LogFormat::Json => format!("{}\n", json!({ "level": level, "msg": text, "time": time })),
        LogFormat::Text => format!("time=\"{time}\" level={level} msg={}\n", json!(text)),
    }
}

#[expect(clippy::disallowed_methods, reason = "a line in a log has the time of day")]
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A closed pipe must not end this process: SIGPIPE is at what the real runtime is to find. So it is blocked, and taken if it came.
fn write_stderr(line: &str) {
    let mut pipe = SigSet::empty();
    pipe.add(Signal::SIGPIPE);
    let Ok(before) = pipe.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return };
    let written = std::io::stderr().write_all(line.as_bytes());
    if written.is_err_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
        && !before.contains(Signal::SIGPIPE)
    {
        let _ = pipe.wait();
    }
    let _ = before.thread_set_mask();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_engines_read() {
        let time = "2026-01-02T03:04:05Z";
        let json = entry(LogFormat::Json, Level::Error, "a \"b\"\nc", time);
        assert_eq!(
            json,
            "{\"level\":\"error\",\"msg\":\"drainit-runtime: a \\\"b\\\"\\nc\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
        );
        let text = entry(LogFormat::Text, Level::Warning, "a \"b\"\nc", time);
        let expected =
            "time=\"2026-01-02T03:04:05Z\" level=warning msg=\"drainit-runtime: a \\\"b\\\"\\nc\"\n";
        assert_eq!(text, expected);
    }
}
