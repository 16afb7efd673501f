//! The termination message: what went wrong, in a few plain lines for `kubectl describe pod`.

use std::time::Duration;

use super::{Fate, Killed, Member, Reason, Record, Step, StepOutcome, words};
use crate::outcome::Ended;
use crate::plan::When;
use crate::signal::Signal;
use crate::survivors::Attitude;

/// The kubelet shows no more bytes than this.
const LIMIT: usize = 4096;
/// A step's name leaves room for what became of it.
const NAME_LIMIT: usize = 100;

/// The message, with the newline at its end; `None` where there is nothing to tell.
#[must_use]
pub fn message(record: &Record) -> Option<String> {
    if record.is_happy() {
        return None;
    }
    let mut lines = Vec::new();
    for kind in Trouble::WORST_FIRST {
        for member in &record.members {
            if trouble(record, member) == Some(kind) {
                lines.push(process(record, kind, member));
            }
        }
    }
    if record.more_members > 0 {
        lines.push(format!("  {} not looked at", counted(record.more_members, "more was", "more were")));
    }
    for step in &record.steps {
        if let Some(line) = self::step(step) {
            lines.push(line);
        }
    }
    let colon = if lines.is_empty() { "" } else { ":" };
    lines.insert(0, format!("drainit: {}{colon}", summary(record)));
    Some(fitted(&lines))
}

/// As many lines as there is room for.
fn fitted(lines: &[String]) -> String {
    let more = |left: usize| format!("... and {left} more\n");
    let mut message = String::new();
    for (at, line) in lines.iter().enumerate() {
        let left = lines.len() - at;
        let room_for_more = if left == 1 { 0 } else { more(left - 1).len() };
        if message.len() + line.len() + 1 + room_for_more > LIMIT {
            message.push_str(&more(left));
            break;
        }
        message.push_str(line);
        message.push('\n');
    }
    message
}

/// Why a process is worth a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    LeftBehind,
    Killed,
    /// KILL was sent, and what became of it is not known.
    LostSight,
    /// It ignored the signal and left by itself later.
    Ignored,
}

impl Trouble {
    const WORST_FIRST: [Self; 4] = [Self::LeftBehind, Self::Killed, Self::LostSight, Self::Ignored];
}

fn trouble(record: &Record, member: &Member) -> Option<Trouble> {
    let ignored = member.asked.is_some() && member.attitude == Some(Attitude::Ignores);
    let ignored = ignored.then_some(Trouble::Ignored);
    let Some(end) = words::end_of(record, member) else {
        return record.killed.map(|_| Trouble::LostSight).or(ignored);
    };
    let after_kill = record.killed.is_some_and(|killed| end.at >= killed.at);
    match end.what {
        Fate::LeftBehind => Some(Trouble::LeftBehind),
        Fate::Gone if after_kill => Some(Trouble::Killed),
        Fate::Reaped(Ended::Killed(signal)) if after_kill && signal == Signal::KILL => Some(Trouble::Killed),
        Fate::Reaped(_) | Fate::Gone => ignored,
    }
}

fn summary(record: &Record) -> String {
    let mut parts = vec![cause(record)];
    parts.extend(words::stop_took(record).map(|took| format!("the stop took {}", time(took))));
    let count = |is_one: fn(&Record, &Member) -> bool| {
        record.members.iter().filter(|member| is_one(record, member)).count()
    };
    match count(|_, member| member.asked.is_some()) {
        0 => {}
        asked => parts.push(counted(asked as u64, "process was asked", "processes were asked")),
    }
    if let Some(killed) = record.killed {
        let who = match count(|record, member| trouble(record, member) == Some(Trouble::Killed)) {
            0 => "KILL was sent to all who were left".to_owned(),
            many => format!("{many} had to be killed"),
        };
        let after = record.stop.map_or(killed.at, |stop| killed.at.saturating_sub(stop.at));
        let why = match killed.what {
            Killed::TimeIsUp => "time was up".to_owned(),
            Killed::Ignored(signal) => format!("{signal} was ignored"),
        };
        parts.push(format!("{who} after {}, because {why}", time(after)));
    }
    parts.join("; ")
}

fn cause(record: &Record) -> String {
    let main = record.main_ended.map_or_else(|| "ended".to_owned(), |end| end.what.to_string());
    let Some(stop) = record.stop else { return format!("the command {main}") };
    match stop.reason {
        Reason::Signal { sender: 0, .. } => {
            format!("stopped by {} from outside of the container", stop.signal)
        }
        Reason::Signal { sender, uid } => {
            format!("stopped by {} from process {sender} (user {uid})", stop.signal)
        }
        Reason::Time => "stopped because it had run as long as it may".to_owned(),
        Reason::OwnExit => format!("the command {main} by itself"),
    }
}

/// `  bash (7), the command, sleeping: ignored TERM, killed after 2.3 s`.
fn process(record: &Record, trouble: Trouble, member: &Member) -> String {
    let main = if member.is_main { ", the command" } else { "" };
    // Of those who left by themselves it tells nothing.
    let state = match trouble {
        Trouble::Ignored => String::new(),
        Trouble::LeftBehind | Trouble::Killed | Trouble::LostSight => {
            format!(", {}", words::state(member.state))
        }
    };
    let asked = member.asked.map_or_else(
        || "was not asked".to_owned(),
        |asked| {
            let did = match member.attitude {
                Some(Attitude::Ignores) => "ignored",
                Some(Attitude::Blocks) => "blocked",
                Some(Attitude::Catches) => "caught",
                Some(Attitude::Obeys) => "had no handler for",
                None => "was sent",
            };
            format!("{did} {}", asked.what)
        },
    );
    let after =
        words::waited(record, member).map_or_else(String::new, |waited| format!(" after {}", time(waited)));
    let end = match (trouble, words::end_of(record, member).map(|end| end.what)) {
        (Trouble::LeftBehind, _) => "left behind: not even KILL had ended it".to_owned(),
        (Trouble::LostSight, _) | (_, None) => "its end was not seen".to_owned(),
        (Trouble::Killed, _) => format!("killed{after}"),
        (Trouble::Ignored, Some(Fate::Reaped(ended))) => format!("{ended}{after}"),
        (Trouble::Ignored, Some(Fate::Gone | Fate::LeftBehind)) => format!("gone{after}"),
    };
    format!("  {} ({}){main}{state}: {asked}, {end}", member.name, member.pid)
}

/// `  pre-stop step command drain.sh: exited with 1 after 0.2 s`; `None` where it went well.
fn step(step: &Step) -> Option<String> {
    let when = match step.id.when {
        When::PreStop => "pre-stop",
        When::PostExit => "post-exit",
    };
    let after = step.ended.map(|end| time(end.at.saturating_sub(step.began))).unwrap_or_default();
    let outcome = match step.ended.map(|end| end.what) {
        Some(StepOutcome::Succeeded | StepOutcome::Dropped) => return None,
        Some(StepOutcome::Failed(ended)) => format!("{ended} after {after}"),
        Some(StepOutcome::NotStarted) => "could not be started".to_owned(),
        Some(StepOutcome::TimedOut) => format!("timed out after {after}"),
        None => "its end was not seen".to_owned(),
    };
    Some(format!("  {when} step {}: {outcome}", shortened(&words::plain(&step.name))))
}

fn shortened(name: &str) -> String {
    let fits = |&(at, character): &(usize, char)| at + character.len_utf8() <= NAME_LIMIT;
    let short: String = name.char_indices().take_while(fits).map(|(_, character)| character).collect();
    if short.len() == name.len() { short } else { short + "..." }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A length of time as precise as it matters: `34 ms`, `2.3 s`, `2 min 5 s`, `1 h 10 min`.
fn time(time: Duration) -> String {
    let milliseconds = words::milliseconds(time);
    let tenths = milliseconds.saturating_add(50) / 100;
    let seconds = (tenths + 5) / 10;
    match (tenths, seconds) {
        (0..10, _) => format!("{milliseconds} ms"),
        (10..600, _) => format!("{}.{} s", tenths / 10, tenths % 10),
        (_, 0..3600) => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{at, happy, process, records, unhappy};
    use super::super::{Event, MEMBERS, Stop};
    use super::*;
    use crate::plan::StepId;

    #[test]
    fn who_left_in_order_is_not_worth_a_word() {
        assert_eq!(message(&Record::default()), None);
        assert_eq!(message(&happy()), None);
    }

    #[test]
    fn it_says_what_stopped_it_who_was_in_the_way_and_which_steps_went_wrong() {
        let expected = "\
drainit: stopped by TERM from outside of the container; the stop took 4.3 s; 3 processes were asked; 1 had to be killed after 2.3 s, because TERM was ignored:
  nfs (9), uninterruptible: blocked TERM, left behind: not even KILL had ended it
  bash (7), the command, sleeping: ignored TERM, killed after 2.3 s
  pre-stop step command drain.sh: exited with 1 after 200 ms
  pre-stop step idle 8080: timed out after 5.3 s
  post-exit step command gone: could not be started
  post-exit step http localhost: its end was not seen
";
        assert_eq!(message(&unhappy()).as_deref(), Some(expected));
    }

    #[test]
    fn a_step_alone_can_go_wrong() {
        let mut record = Record { main_ended: None, ..happy() };
        record.stop = record.stop.map(|stop| Stop { reason: Reason::Signal { sender: 12, uid: 5 }, ..stop });
        record.members.clear();
        let id = StepId { when: When::PreStop, at: 0 };
        record.begin_step(at(0), id, "command a\nb".to_owned());
        record.end_step(at(1_000), id, StepOutcome::Failed(Ended::Killed(Signal::SEGV)));
        let expected = "\
drainit: stopped by TERM from process 12 (user 5); the stop took 500 ms:
  pre-stop step command a\\nb: died of SEGV after 1.0 s
";
        assert_eq!(message(&record).as_deref(), Some(expected));
    }

    #[test]
    fn a_kill_that_nobody_was_seen_to_die_of_is_told() {
        let mut record = Record { stop: None, ..happy() };
        record.killed = Some(Event { at: at(61_400), what: Killed::TimeIsUp });
        record.members.clear();
        record.main_ended = Some(Event { at: at(61_000), what: Ended::Exited(3) });
        let expected = "\
drainit: the command exited with 3; KILL was sent to all who were left after 1 min 1 s, because time was up
";
        assert_eq!(message(&record).as_deref(), Some(expected));
        record.stop = happy().stop.map(|stop| Stop { reason: Reason::OwnExit, ..stop });
        assert!(message(&record).is_some_and(|text| text.contains("the command exited with 3 by itself; ")));
        record.stop = happy().stop.map(|stop| Stop { reason: Reason::Time, ..stop });
        assert!(message(&record).is_some_and(|text| text.contains("stopped because it had run as long ")));
    }

    #[test]
    fn who_ignored_the_signal_and_left_is_told_after_who_was_killed() {
        let mut record = unhappy();
        record.steps.clear();
        let late = Some(Event { at: at(62_000), what: Fate::Gone });
        for member in &mut record.members {
            member.is_main = false;
            member.attitude = Some(Attitude::Ignores);
            if member.pid == 7 {
                member.ended = late;
            }
            if member.pid == 8 {
                member.ended = None;
            }
        }
        let text = message(&record).expect("a message");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "  nfs (9), uninterruptible: ignored TERM, left behind: not even KILL had ended it",
                "  worker (8), sleeping: ignored TERM, its end was not seen",
                "  bash (7): ignored TERM, gone after 1.0 s",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut record = unhappy();
        for pid in 100..400 {
            let stuck = process(pid, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b'D');
            if let Some(member) = record.member(at(0), &stuck, false) {
                member.ended = Some(Event { at: at(9), what: Fate::LeftBehind });
            }
        }
        assert_eq!((record.members.len(), record.more_members), (MEMBERS, 47));
        let text = message(&record).expect("a message");
        assert!((LIMIT - 200..=LIMIT).contains(&text.len()), "{}", text.len());
        // Those who were stuck, who was killed, those who were not listed, and four steps.
        let told = text.lines().count() - 2;
        assert!(text.ends_with(&format!("\n... and {} more\n", 254 + 1 + 1 + 4 - told)), "{text}");
    }

    #[test]
    fn a_message_that_just_fits_is_whole() {
        let lines = |last: usize| ["x".repeat(4_000), "y".repeat(last)];
        assert_eq!(fitted(&lines(94)).len(), LIMIT);
        assert!(fitted(&lines(94)).ends_with("y\n"));
        assert!(fitted(&lines(95)).ends_with("x\n... and 1 more\n"));
    }

    #[test]
    fn a_long_name_leaves_room_for_the_outcome() {
        assert_eq!(shortened("é"), "é");
        assert_eq!(shortened(&"x".repeat(100)), "x".repeat(100));
        assert_eq!(shortened(&format!("x{}", "é".repeat(50))), format!("x{}...", "é".repeat(49)));
    }

    #[test]
    fn times_are_as_precise_as_it_matters() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (949, "949 ms"),
            (950, "1.0 s"),
            (2_310, "2.3 s"),
            (59_949, "59.9 s"),
            (59_950, "1 min 0 s"),
            (125_000, "2 min 5 s"),
            (4_200_000, "1 h 10 min"),
        ] {
            assert_eq!(time(at(milliseconds)), text);
        }
        assert!(time(Duration::MAX).ends_with(" min"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_short_and_plain_whatever_happened(record in records()) {
            let text = message(&record);
            prop_assert_eq!(text.is_none(), record.is_happy());
            let text = text.unwrap_or_else(|| "drainit: \n".to_owned());
            prop_assert!(text.len() <= LIMIT && text.starts_with("drainit: ") && text.ends_with('\n'));
            prop_assert!(text.lines().all(|line| !line.is_empty() && !line.chars().any(char::is_control)));
        }
    }
}
