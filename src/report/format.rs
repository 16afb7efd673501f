//! The words for what happened: the one vocabulary of the report, the termination message, the rehearsal and the log.

use std::time::Duration;

use super::record::{Record, Sender, StepOutcome, StepRecord, StopRecord};
use crate::outcome::Ended;
use crate::plan::When;
use crate::plan::processes::{Disposition, Process, ProcessName};
use crate::signal::Signal;

/// The longest text from outside that is shown in full.
const LONGEST_NAME: usize = 64;
/// The words for a process that the kernel does not let drainit signal.
pub(super) const REFUSED: &str = "drainit is not permitted to signal it";
/// The words for a process or a step of which it is not known what became of it.
pub(super) const NO_END: &str = "was not seen to end";
/// The words for a process that was killed by another party: the kernel, the runtime, an operator.
pub const FOREIGN_KILL: &str = "died of a KILL that drainit did not send";
/// The words to add if that was the kernel, as far as can be seen.
pub const OUT_OF_MEMORY: &str = ": its control group ran out of memory";
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// A length of time: `3ms`, `1.2s`, `1m30s`, `2h5m`. Rounded down, so it never exceeds the time that has passed.
#[must_use]
pub fn duration(time: Duration) -> String {
    let millis = milliseconds(time);
    match millis {
        0..SECOND => format!("{millis}ms"),
        SECOND..MINUTE => format!("{}.{}s", millis / SECOND, millis % SECOND / 100),
        MINUTE..HOUR => compound(millis),
        _ => compound(millis - millis % MINUTE),
    }
}

/// Hours, minutes and seconds, without those that are 0.
fn compound(millis: u64) -> String {
    let parts = [(millis / HOUR, 'h'), (millis % HOUR / MINUTE, 'm'), (millis % MINUTE / SECOND, 's')];
    parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect()
}

/// In whole milliseconds; at most as many as can be written.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Text from outside as printable ASCII. Other bytes are escaped as in a process's name, as `\n` or `\x1b`; escapes that are already there
/// stay.
///
/// Stricter than the log's `text::one_line`, which leaves other scripts as they are: the time line counts a character as a column, and the
/// termination message may have a limited number of bytes.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' => shown.push(char::from(byte)),
            _ => shown.extend(byte.escape_ascii().map(char::from)),
        }
    }
    shown
}

/// The same, cut to leave room for the rest of the line.
pub(super) fn name(text: &str) -> String {
    let start: String = text.chars().take(LONGEST_NAME + 1).collect();
    cut(&escaped(&start), LONGEST_NAME)
}

/// At most this many characters; a `~` at the end replaces what was cut off.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain("~".chars().take(width)).collect()
}

/// `nginx (7)`.
#[must_use]
pub fn process(name: ProcessName, pid: i32) -> String {
    format!("{name} ({pid})")
}

/// The command's name.
pub(super) fn command(record: &Record) -> String {
    if record.command.is_empty() { "the command".to_owned() } else { name(&record.command) }
}

/// Main as a process if it was alive when the stop looked, else the command's name.
pub(super) fn main(record: &Record) -> String {
    record.main().map_or_else(|| command(record), |main| process(main.name, main.pid))
}

/// The first `limit` of these: `a, b and 3 more`.
#[must_use]
pub fn list(mut items: impl ExactSizeIterator<Item = String>, limit: usize) -> String {
    joined(first_few(&mut items, limit))
}

fn joined(mut shown: Vec<String>) -> String {
    let last = shown.pop().unwrap_or_default();
    if shown.is_empty() { last } else { format!("{} and {last}", shown.join(", ")) }
}

/// The same for descriptions that contain commas: `a, b; c, d; 3 more`.
#[must_use]
pub fn long_list(mut items: impl ExactSizeIterator<Item = String>, limit: usize) -> String {
    first_few(&mut items, limit).join("; ")
}

fn first_few(mut items: &mut dyn ExactSizeIterator<Item = String>, limit: usize) -> Vec<String> {
    let mut shown: Vec<String> = (&mut items).take(limit).collect();
    let more = items.len();
    shown.extend((more > 0).then(|| format!("{more} more")));
    shown
}

/// `1 process`, `2 processes`.
#[must_use]
pub fn count(processes: usize) -> String {
    counted(u64::try_from(processes).unwrap_or(u64::MAX), "process", "processes")
}

/// A number and the word for it.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The kernel's letter for a process's state in a word (proc(5)).
#[must_use]
pub fn state(letter: u8) -> &'static str {
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
        _ => UNKNOWN,
    }
}

const UNKNOWN: &str = "unknown";

/// The state after a comma; nothing if it is not known.
pub(super) fn comma_state(letter: u8) -> String {
    match state(letter) {
        UNKNOWN => String::new(),
        known => format!(", {known}"),
    }
}

/// The disposition by its name.
pub(super) fn disposition(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Ignored => "ignored",
        Disposition::Blocked => "blocked",
        Disposition::Caught => "caught",
        Disposition::Default => "default",
    }
}

/// What a process does about a signal that it was sent, as far as that is known: `ignores TERM`.
pub(super) fn reaction(disposition: Option<Disposition>, signal: Signal) -> String {
    let verb = match disposition {
        Some(Disposition::Ignored) => "ignores",
        Some(Disposition::Blocked) => "blocks",
        Some(Disposition::Caught) => "catches",
        Some(Disposition::Default) => "has no handler for",
        None => "was sent",
    };
    format!("{verb} {signal}")
}

/// The signal that began a stop: `TERM from outside the container`, `TERM from process 12 (uid 5)`.
pub(super) fn received(StopRecord { signal, sender: Sender { pid, uid }, .. }: StopRecord) -> String {
    match pid {
        0 => format!("{signal} from outside the container"),
        _ => format!("{signal} from process {pid} (uid {uid})"),
    }
}

/// A phase of steps by its name.
#[must_use]
pub fn when(when: When) -> &'static str {
    match when {
        When::PreStop => "pre-stop",
        When::PostExit => "post-exit",
    }
}

/// A step's kind, and its name if it has one.
pub(super) fn kind_and_name(step: &str) -> (&str, Option<&str>) {
    step.split_once(' ').map_or((step, None), |(kind, name)| (kind, Some(name)))
}

/// What became of a step: `done in 1.2s`, `exited with 1 after 200ms`.
pub(super) fn outcome(step: &StepRecord) -> String {
    let took = step.took().map(duration).unwrap_or_default();
    match step.ended.map(|end| end.what) {
        Some(StepOutcome::Succeeded) => format!("done in {took}"),
        Some(StepOutcome::Failed(ended)) => format!("{} after {took}", failure(&step.name, ended)),
        Some(StepOutcome::NotStarted) => "could not be started".to_owned(),
        Some(StepOutcome::TimedOut) => format!("timed out after {took}"),
        Some(StepOutcome::Dropped) => format!("dropped after {took}"),
        None => NO_END.to_owned(),
    }
}

/// How a step failed. If drainit does the step itself, the exit code means nothing to the reader: the log says why it failed.
fn failure(step: &str, ended: Ended) -> String {
    match (kind_and_name(step).0, ended) {
        ("http" | "idle", Ended::Exited(_)) => "failed".to_owned(),
        _ => ended.to_string(),
    }
}

/// What a shell that catches the signal waits for.
#[derive(Clone, Copy, Debug)]
pub enum ShellWait<'a> {
    /// A foreground command: its trap runs afterwards.
    Foreground(&'a Process),
    /// The same, or it is in its trap already.
    Trap(&'a Process),
    /// A command of a shell that answers for it, because foreground and background cannot be told apart.
    Doubt(&'a Process),
}

/// A process that is waited for and was not sent the signal.
#[must_use]
pub fn not_sent(one: &Process, signal: Signal) -> String {
    about(one, vec![format!("was not sent {signal}")])
}

/// A process that is waited for and that drainit may not signal.
#[must_use]
pub fn refused(one: &Process) -> String {
    about(one, vec![REFUSED.to_owned()])
}

/// A process that is waited for: `bash (7): sleeping, catches TERM, waits for its foreground command sleep (9)`.
#[must_use]
pub fn waited_for(
    one: &Process,
    reacts: Option<(Disposition, Signal)>,
    waits: Option<ShellWait<'_>>,
) -> String {
    let mut said: Vec<String> = Vec::new();
    if let Some((disposition, signal)) = reacts {
        said.push(reaction(Some(disposition), signal));
    }
    let child = |child: &Process| process(child.name, child.pid);
    match waits {
        None => {}
        Some(ShellWait::Foreground(command)) => {
            said.push(format!("waits for its foreground command {}", child(command)));
        }
        Some(ShellWait::Trap(command)) => {
            said.push(format!("its trap is running or it waits for {}", child(command)));
        }
        Some(ShellWait::Doubt(command)) => said.push(format!(
            "its trap is running or it waits for {}: if it waits, start {} with exec",
            child(command),
            command.name
        )),
    }
    about(one, said)
}

/// `bash (7): sleeping, ...`; without the state if it is not known.
fn about(one: &Process, said: Vec<String>) -> String {
    let name = process(one.name, one.pid);
    let text = comma_state(one.state) + &said.iter().map(|said| format!(", {said}")).collect::<String>();
    match text.strip_prefix(", ") {
        Some(text) => format!("{name}: {text}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{self, ms};
    use super::*;

    #[test]
    fn a_state_that_is_not_known_is_left_out() {
        let with = |state| Process { state, ..crate::plan::processes::fixtures::process(9, 1, 9, 1) };
        let ignores = Some((Disposition::Ignored, Signal::TERM));
        assert_eq!(waited_for(&with(b'S'), ignores, None), "x (9): sleeping, ignores TERM");
        assert_eq!(waited_for(&with(b'?'), ignores, None), "x (9): ignores TERM");
        assert_eq!(waited_for(&with(b'?'), None, None), "x (9)");
        assert_eq!(not_sent(&with(b'?'), Signal::TERM), "x (9): was not sent TERM");
    }

    #[test]
    fn a_length_of_time_is_rounded_down() {
        for (time, shown) in [
            (Duration::ZERO, "0ms"),
            (Duration::from_micros(999_999), "999ms"),
            (ms(1_000), "1.0s"),
            (ms(1_299), "1.2s"),
            (ms(59_999), "59.9s"),
            (ms(60_000), "1m"),
            (ms(90_500), "1m30s"),
            (ms(3_600_000), "1h"),
            (ms(7_505_000), "2h5m"),
            (Duration::MAX, "5124095576030h25m"),
        ] {
            assert_eq!(duration(time), shown);
        }
    }

    #[test]
    fn what_cannot_be_printed_is_escaped_once() {
        assert_eq!(escaped("it's \"a\" \\"), "it's \"a\" \\");
        assert_eq!(escaped("a b\x1b[2J\n\u{202e}é"), r"a b\x1b[2J\n\xe2\x80\xae\xc3\xa9");
        assert_eq!(escaped(&escaped("\n")), escaped("\n"));
        assert_eq!(escaped("\t\u{7f}"), fixtures::name(b"\t\x7f").to_string(), "as a process's name");
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(name(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(name(&"x".repeat(1_000)), format!("{}~", "x".repeat(63)));
        assert_eq!(name(&"\u{202e}".repeat(64)).len(), 64, "escapes count");
        assert_eq!([cut("abc", 3), cut("abcd", 3), cut("abc", 1), cut("a", 0)], ["abc", "ab~", "~", ""]);
    }

    #[test]
    fn a_list_names_the_first_few() {
        let names = ["a", "b", "c", "d"];
        let listed = |count, limit| list(names.iter().take(count).map(|&one| one.to_owned()), limit);
        assert_eq!([listed(0, 2), listed(1, 2), listed(2, 2)], ["", "a", "a and b"]);
        assert_eq!(
            [listed(3, 2), listed(4, 2), listed(4, 0)],
            ["a, b and 1 more", "a, b and 2 more", "4 more"]
        );
        assert_eq!(long_list(names.iter().map(|&one| one.to_owned()), 2), "a; b; 2 more");
    }

    #[test]
    fn a_step_has_a_kind_and_may_have_a_name() {
        assert_eq!(kind_and_name("sleep"), ("sleep", None));
        assert_eq!(kind_and_name("idle 8080"), ("idle", Some("8080")));
        assert_eq!(kind_and_name("command a b"), ("command", Some("a b")));
    }

    #[test]
    fn a_step_that_drainit_carries_out_itself_has_no_exit_code() {
        for (step, ended, words) in [
            ("http 127.0.0.1:80", Ended::Exited(1), "failed"),
            ("idle 80", Ended::Exited(2), "failed"),
            ("idle 80", Ended::Killed(Signal::SEGV), "died of SEGV"),
            ("command http", Ended::Exited(1), "exited with 1"),
        ] {
            assert_eq!(failure(step, ended), words, "{step}");
        }
    }

    fn sleeping(pid: i32, parent: i32, name: &str) -> Process {
        let stat = format!("{pid} ({name}) S {parent} 7 1 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 100");
        crate::processes::stat::parse(stat.as_bytes()).expect("a good line")
    }

    #[test]
    fn a_shell_with_a_trap_names_what_it_waits_for() {
        let (bash, dump) = (sleeping(7, 1, "bash"), sleeping(9, 7, "pg_dump"));
        let says = |disposition, waits| waited_for(&bash, Some((disposition, Signal::TERM)), waits);
        assert_eq!(
            says(Disposition::Caught, Some(ShellWait::Foreground(&dump))),
            "bash (7): sleeping, catches TERM, waits for its foreground command pg_dump (9)"
        );
        assert_eq!(
            says(Disposition::Caught, Some(ShellWait::Trap(&dump))),
            "bash (7): sleeping, catches TERM, its trap is running or it waits for pg_dump (9)"
        );
        assert_eq!(
            says(Disposition::Caught, Some(ShellWait::Doubt(&dump))),
            "bash (7): sleeping, catches TERM, its trap is running or it waits for pg_dump (9): if it waits, start pg_dump with exec"
        );
        assert_eq!(says(Disposition::Ignored, None), "bash (7): sleeping, ignores TERM");
        assert_eq!(says(Disposition::Default, None), "bash (7): sleeping, has no handler for TERM");
        assert_eq!(waited_for(&sleeping(7, 1, "a\nb"), None, None), "a\\nb (7): sleeping");
    }
}
