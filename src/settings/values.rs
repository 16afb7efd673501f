//! One value from one place: the flag if it was typed, else the variable. Both are read by the same function and refused with the same
//! words. An empty variable counts as unset, because charts and compose files leave such variables behind.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::time::Duration;

use log::LevelFilter;

use crate::cli::{Setting, Typed};
use crate::plan::Target;
use crate::signal::{NAMES, Signal};
use crate::text::{did_you_mean, nearest, one_line};
use crate::user::User;

/// The format of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For log collectors: an object per line.
    Json,
}

/// Why nothing can be started: one line that names the option or the variable, and the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl UsageError {
    pub(super) fn new(line: String) -> Self {
        Self(line)
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where values come from: the command line and the environment.
pub(super) struct Values<'a> {
    typed: &'a Typed,
    environment: &'a dyn Fn(&str) -> Option<OsString>,
}

/// What separates the values of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    Comma,
    /// For values that contain commas: one per line.
    Newline,
}

/// A value, and where it was found.
struct Found {
    text: OsString,
    setting: Setting,
    /// Its place on the command line; `None` if it is from the environment.
    typed_at: Option<usize>,
}

impl Found {
    fn read<T>(&self, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T, UsageError> {
        read(self.utf8()?).map_err(|why| self.refuse(&why))
    }

    fn utf8(&self) -> Result<&str, UsageError> {
        self.text.to_str().ok_or_else(|| self.refuse("not valid UTF-8"))
    }

    fn refuse(&self, why: &str) -> UsageError {
        // A value may contain anything, even a newline; the message is one line.
        let value = one_line(&self.text.to_string_lossy());
        let (place, name) = match self.typed_at {
            Some(_) => ("for --", self.setting.name()),
            None => ("in ", self.setting.variable()),
        };
        UsageError(format!("invalid value '{value}' {place}{name}: {why}"))
    }
}

impl<'a> Values<'a> {
    pub(super) fn new(typed: &'a Typed, environment: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { typed, environment }
    }

    /// The value of an option that is given once.
    pub(super) fn one<T>(
        &self,
        setting: Setting,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, UsageError> {
        self.last(setting).map(|found| found.read(read)).transpose()
    }

    /// Passes on each value of an option that may be repeated; in a variable they are separated by commas.
    pub(super) fn each(
        &self,
        setting: Setting,
        take: &mut dyn FnMut(&str) -> Result<(), String>,
    ) -> Result<(), UsageError> {
        self.all(setting, Separator::Comma).iter().try_for_each(|found| found.read(&mut *take))
    }

    /// The values of such an option, each with its place on the command line; values from the environment have none.
    pub(super) fn placed<T>(
        &self,
        setting: Setting,
        separator: Separator,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<(Option<usize>, T)>, UsageError> {
        let mut values = Vec::new();
        for found in self.all(setting, separator) {
            values.push((found.typed_at, found.read(&read)?));
        }
        Ok(values)
    }

    /// A path: any bytes, but not empty.
    pub(super) fn raw(&self, setting: Setting) -> Result<Option<OsString>, UsageError> {
        match self.last(setting) {
            Some(found) if found.text.is_empty() => Err(found.refuse("it is empty")),
            found => Ok(found.map(|found| found.text)),
        }
    }

    /// An option that is on or off.
    pub(super) fn switch(&self, setting: Setting) -> Result<bool, UsageError> {
        Ok(self.typed.is_on(setting) || self.variable(setting, on_or_off)?.unwrap_or(false))
    }

    /// The value in the environment alone.
    pub(super) fn variable<T>(
        &self,
        setting: Setting,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, UsageError> {
        self.in_environment(setting).map(|found| found.read(read)).transpose()
    }

    /// A variable of another program, by whose rules even an empty one may count.
    pub(super) fn foreign(&self, variable: &str) -> Option<OsString> {
        (self.environment)(variable)
    }

    /// The short form of `--forward-to`, which overrides the variable too.
    pub(super) fn short_target(&self) -> Option<&'static str> {
        self.typed.short_target()
    }

    fn all(&self, setting: Setting, separator: Separator) -> Vec<Found> {
        let typed = self.typed(setting);
        if !typed.is_empty() {
            return typed;
        }
        self.in_environment(setting).map(|found| split(found, separator)).unwrap_or_default()
    }

    fn last(&self, setting: Setting) -> Option<Found> {
        self.typed(setting).pop().or_else(|| self.in_environment(setting))
    }

    fn typed(&self, setting: Setting) -> Vec<Found> {
        let mut found = Vec::new();
        for (at, text) in self.typed.placed(setting) {
            found.push(Found { text: text.clone(), setting, typed_at: Some(at) });
        }
        found
    }

    fn in_environment(&self, setting: Setting) -> Option<Found> {
        let text = (self.environment)(setting.variable()).filter(|text| !text.is_empty())?;
        Some(Found { text, setting, typed_at: None })
    }
}

fn split(found: Found, separator: Separator) -> Vec<Found> {
    let Some(text) = found.text.to_str() else { return vec![found] };
    let part = |part: &str| Found {
        text: OsStr::new(part.trim()).to_owned(),
        setting: found.setting,
        typed_at: None,
    };
    match separator {
        Separator::Comma => text.split(',').map(part).collect(),
        // The last line may end in a newline, and blocks of text have empty lines.
        Separator::Newline => text.lines().filter(|line| !line.trim().is_empty()).map(part).collect(),
    }
}

pub(super) fn signal(text: &str) -> Result<Signal, String> {
    text.parse().map_err(|unknown: crate::signal::UnknownSignal| {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        format!("{unknown}{}", did_you_mean(nearest(name, &mut NAMES.into_iter())))
    })
}

/// One of these words; the error lists them, and suggests the nearest.
pub(super) fn one_of<T: Copy>(text: &str, known: &[(&'static str, T)]) -> Result<T, String> {
    let lower = text.to_ascii_lowercase();
    if let Some((_, value)) = known.iter().find(|(word, _)| *word == lower) {
        return Ok(*value);
    }
    Err(not_one_of(text, &mut known.iter().map(|(word, _)| *word)))
}

fn not_one_of(text: &str, known: &mut dyn Iterator<Item = &'static str>) -> String {
    let words: Vec<_> = known.collect();
    let nearest = nearest(text, &mut words.iter().copied());
    format!("not one of {}{}", words.join(", "), did_you_mean(nearest))
}

pub(super) fn target(text: &str) -> Result<Target, String> {
    one_of(
        text,
        &[("auto", Target::Auto), ("group", Target::Group), ("main", Target::Main), ("all", Target::All)],
    )
}

/// `500ms`, `10s`, `1m30s`, `2h`, or a bare number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    // The library's error names units that are of no use here.
    humantime::parse_duration(text).map_err(|_| DURATION.to_owned())
}

const DURATION: &str = "not a duration such as 500ms, 10s, 1m30s or 2h, nor a whole number of seconds";

/// A duration, or this word.
pub(super) fn duration_or(text: &str, word: &'static str) -> Result<Option<Duration>, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case(word) {
        return Ok(None);
    }
    duration(text).map(Some).map_err(|why| {
        format!("{why}, nor {word}{}", did_you_mean(nearest(text, &mut std::iter::once(word))))
    })
}

pub(super) fn on_or_off(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("neither on (1, true, yes, on) nor off (0, false, no, off)".to_owned()),
    }
}

/// `UID` or `UID:GID`. A user without a group gets group 0, like Docker's `--user` if passwd has no entry.
pub(super) fn user(text: &str) -> Result<User, String> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    Ok(User { uid: id(uid)?, gid: id(gid)? })
}

/// The highest number means "leave it as it is" to the kernel (setresuid(2)): no id.
fn id(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|&id| id != u32::MAX && !text.starts_with('+'))
        .ok_or_else(|| "not a numeric UID or UID:GID".to_owned())
}

/// `CODE` or `CODE:TO`.
pub(super) fn exit_rule(text: &str) -> Result<(u8, u8), String> {
    let (code, to) = text.split_once(':').unwrap_or((text, "0"));
    let read =
        |text: &str| text.parse().map_err(|_| "exit codes are 0 to 255, as CODE or CODE:TO".to_owned());
    Ok((read(code)?, read(to)?))
}

pub(super) fn log_level(text: &str) -> Result<LevelFilter, String> {
    one_of(
        text,
        &[
            ("off", LevelFilter::Off),
            ("error", LevelFilter::Error),
            ("warn", LevelFilter::Warn),
            ("info", LevelFilter::Info),
            ("debug", LevelFilter::Debug),
            ("trace", LevelFilter::Trace),
        ],
    )
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    one_of(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_documented() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("0", 0),
            ("30", 30_000),
            ("0s", 0),
            (" 5 ", 5_000),
            ("1h 30m", 5_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text:?}");
        }
        for text in ["", "x", "-1", "10x", "s", "1.5.5s", "99999999999999999999", "∞", "10 20"] {
            let error = duration(text).expect_err(text);
            assert_eq!(error, DURATION);
        }
    }

    #[test]
    fn a_slip_is_answered_with_the_nearest_word() {
        for (error, end) in [
            (signal("TREM").map(drop), "; did you mean TERM?"),
            (signal("sigtrem").map(drop), "; did you mean TERM?"),
            (signal("HUPP").map(drop), "; did you mean HUP?"),
            (signal("SIGWINHC").map(drop), "; did you mean WINCH?"),
            (signal("xyzzy").map(drop), "from 1 to 64)"),
            (signal("").map(drop), "from 1 to 64)"),
            (
                log_level("warning").map(drop),
                "not one of off, error, warn, info, debug, trace; did you mean warn?",
            ),
            (log_level("inof").map(drop), "; did you mean info?"),
            (log_level("loud").map(drop), "trace"),
            (log_format("jsn").map(drop), "not one of text, json; did you mean json?"),
            (log_format("xml").map(drop), "not one of text, json"),
            (duration_or("nver", "never").map(drop), ", nor never; did you mean never?"),
            (duration_or("soon", "never").map(drop), ", nor never"),
            (duration_or("FOREVR", "forever").map(drop), "; did you mean forever?"),
        ] {
            let error = error.expect_err(end);
            assert!(error.ends_with(end), "{error:?} does not end with {end:?}");
        }
    }
}
