//! What the report and the termination message share: facts in words, and what follows from them.

use std::time::Duration;

use super::{Event, Fate, Member, Record};
use crate::plan::When;

/// The kernel's letter in words (proc(5)).
pub(super) fn state(letter: u8) -> &'static str {
    match letter {
        b'R' => "running",
        b'S' => "sleeping",
        b'D' => "uninterruptible",
        b'T' => "stopped",
        b't' => "traced",
        b'Z' => "zombie",
        b'X' | b'x' => "dead",
        b'I' => "idle",
        b'P' => "parked",
        _ => "unknown",
    }
}

/// A step's kind, and its name where it has one.
pub(super) fn kind_and_name(step: &str) -> (&str, Option<&str>) {
    step.split_once(' ').map_or((step, None), |(kind, name)| (kind, Some(name)))
}

pub(super) fn when(when: When) -> &'static str {
    match when {
        When::PreStop => "pre_stop",
        When::PostExit => "post_exit",
    }
}

/// The text on one line, harmless to a terminal: what cannot be printed is escaped.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => plain.push(character),
            _ => plain.extend(character.escape_debug()),
        }
    }
    plain
}

/// In whole milliseconds; at most as many as can be written.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What became of a process; main's end is known apart from its membership.
pub(super) fn end_of(record: &Record, member: &Member) -> Option<Event<Fate>> {
    let main = record.main_ended.filter(|_| member.is_main);
    member.ended.or_else(|| main.map(|end| Event { at: end.at, what: Fate::Reaped(end.what) }))
}

/// How long it kept the stop waiting after it was asked; `None` where it was not asked.
pub(super) fn waited(record: &Record, member: &Member) -> Option<Duration> {
    let until = end_of(record, member).map_or(record.ended_at, |end| end.at);
    member.asked.map(|asked| until.saturating_sub(asked.at))
}

/// From the beginning of the stop to the end; `None` where there was no stop.
pub(super) fn stop_took(record: &Record) -> Option<Duration> {
    record.stop.map(|stop| record.ended_at.saturating_sub(stop.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_a_kind_and_may_have_a_name() {
        assert_eq!(kind_and_name("sleep"), ("sleep", None));
        assert_eq!(kind_and_name("idle 8080"), ("idle", Some("8080")));
        assert_eq!(kind_and_name("command a b"), ("command", Some("a b")));
    }

    #[test]
    fn what_cannot_be_printed_is_escaped_once() {
        assert_eq!(plain("it's \"é\" \\"), "it's \"é\" \\");
        assert_eq!(plain("a\n\u{1b}[31m\u{9b}\u{202e}"), "a\\n\\u{1b}[31m\\u{9b}\\u{202e}");
        assert_eq!(plain(&plain("\n")), plain("\n"));
    }
}
