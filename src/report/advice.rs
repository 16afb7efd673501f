//! What to make of a rehearsal: sentences that follow from what was seen, and from nothing else. Pure.

use std::time::Duration;

use super::page::{clean, who};
use super::row::main_name;
use super::scale::words;
use super::verdict::{NAMED, add, base, followed, was_killed};
use super::words::end_of;
use super::{Fate, Member, Reason, Record};
use crate::outcome::Ended;
use crate::plan::When;
use crate::survivors::Attitude;

/// Who ends within this time of main ended with it: ends are not seen at once.
const WITH_MAIN: Duration = Duration::from_millis(50);
/// What took less is not slow.
const SLOW: Duration = Duration::from_secs(1);
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"];

pub(super) fn advice(record: &Record) -> Vec<String> {
    let mut advice = Vec::new();
    add(&mut advice, ignoring(record));
    add(&mut advice, shell_left_others(record));
    if record.stop.is_some_and(|stop| stop.reason != Reason::OwnExit) {
        advice.append(&mut would_be_cut_off(record));
    }
    advice.append(&mut slow_steps(record));
    add(&mut advice, slowest(record));
    advice
}

/// Those whom ignoring the signal has cost something: others may ignore it and have good reasons.
fn ignoring(record: &Record) -> Option<String> {
    let hurts = |member: &&Member| {
        let ignores = member.attitude == Some(Attitude::Ignores) && member.asked.is_some();
        ignores && (was_killed(record, member) || followed(record, member).is_some())
    };
    let ignoring: Vec<&Member> = record.members.iter().filter(hurts).collect();
    let signal = ignoring.first()?.asked?.what;
    let names = several(&ignoring);
    let (ignore, takes) = if ignoring.len() == 1 { ("ignores", "it takes") } else { ("ignore", "they take") };
    let cure = if ignoring.iter().any(|member| member.is_main && main_is_shell(record)) {
        "exec the server in the entrypoint"
    } else {
        "handle it"
    };
    Some(format!(
        "{names} {ignore} {signal}: {cure}, or name a signal that {takes} with --rewrite {signal}:..."
    ))
}

/// A shell that dies of the signal leaves its children without a parent, and says nothing of how they ended.
fn shell_left_others(record: &Record) -> Option<String> {
    let end = record.main_ended.filter(|_| main_is_shell(record))?;
    let Ended::Killed(signal) = end.what else { return None };
    let others = outlived(record, end.at);
    let main = main_name(record);
    (!others.is_empty()).then(|| {
        let names = several(&others);
        format!("{main}, a shell, died of {signal} while {names} went on: exec the server in the entrypoint")
    })
}

fn main_is_shell(record: &Record) -> bool {
    let file = record.command.rsplit('/').next().unwrap_or_default();
    let main = record.members.iter().find(|member| member.is_main);
    let name = main.map_or_else(|| file.to_owned(), |main| main.name.to_string());
    // A script that the kernel hands to its interpreter is called as its file is.
    SHELLS.contains(&name.as_str()) || SHELLS.contains(&file) || file.ends_with(".sh")
}

/// An init that leaves with main takes everybody else with it, by KILL.
fn would_be_cut_off(record: &Record) -> Vec<String> {
    let Some(main) = record.main_ended else { return Vec::new() };
    let since = base(record).min(main.at);
    let after = words(main.at.saturating_sub(since));
    let (late, early): (Vec<&Member>, Vec<&Member>) =
        outlived(record, main.at).into_iter().partition(|member| was_asked_after(member, main.at));
    let them = |members: &[&Member]| if members.len() == 1 { "it" } else { "them" };
    let mut lines = Vec::new();
    if let Some(asked) = late.iter().find_map(|member| member.asked) {
        let (names, them) = (several(&late), them(&late));
        let signal = asked.what;
        lines.push(format!(
            "{names} got {signal} only because drainit waited: tini would have cut {them} off after {after}"
        ));
    }
    if !early.is_empty() {
        let (names, them) = (several(&early), them(&early));
        let last = early.iter().filter_map(|member| end_of(record, member)).map(|end| end.at).max();
        let more = words(last.unwrap_or(main.at).saturating_sub(main.at));
        let main = main_name(record);
        lines.push(format!(
            "{names} needed {more} more than {main}: tini would have cut {them} off after {after}"
        ));
    }
    lines
}

fn was_asked_after(member: &Member, main_ended: Duration) -> bool {
    member.asked.is_some_and(|asked| main_ended <= asked.at)
}

/// Who went on without main, and left without being killed.
fn outlived(record: &Record, main_ended: Duration) -> Vec<&Member> {
    let went_on = |member: &&Member| {
        let end = end_of(record, member);
        let is_late = end
            .is_some_and(|end| end.what != Fate::LeftBehind && main_ended.saturating_add(WITH_MAIN) < end.at);
        !member.is_main && is_late && !was_killed(record, member)
    };
    record.members.iter().filter(went_on).collect()
}

/// `server (12), worker (13) and 4 more`.
fn several(members: &[&Member]) -> String {
    let mut names: Vec<String> =
        members.iter().take(NAMED).map(|member| who(member.name, member.pid)).collect();
    let last = match members.len().saturating_sub(NAMED) {
        0 => names.pop().unwrap_or_default(),
        more => format!("{more} more"),
    };
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

fn whole(record: &Record) -> Duration {
    record.ended_at.saturating_sub(record.stop.map_or(record.ended_at, |stop| stop.at))
}

/// Steps that took half of the stop or more.
fn slow_steps(record: &Record) -> Vec<String> {
    let whole = whole(record);
    let mut sentences = Vec::new();
    for step in record.steps_of(When::PreStop) {
        let Some(end) = step.ended else { continue };
        let took = end.at.saturating_sub(step.began);
        if took >= SLOW && took.saturating_mul(2) >= whole && took <= whole {
            let (name, took, whole) = (clean(&step.name), words(took), words(whole));
            sentences.push(format!("the pre-stop step '{name}' took {took} of the stop's {whole}"));
        }
    }
    sentences
}

/// Who heard the signal, left, and took four fifths of the whole time or more: it is the one to look at.
fn slowest(record: &Record) -> Option<String> {
    let whole = whole(record);
    let end = |member: &&Member| end_of(record, member).map(|end| end.at);
    let slowest = record.members.iter().max_by_key(end)?;
    let asked = slowest.asked?;
    let heard = match slowest.attitude? {
        Attitude::Catches => "caught",
        Attitude::Blocks => "blocked",
        Attitude::Ignores | Attitude::Obeys => return None,
    };
    let end = end_of(record, slowest).filter(|end| end.what != Fate::LeftBehind)?;
    let took = end.at.saturating_sub(asked.at);
    let is_slow = took >= SLOW && took.saturating_mul(5) >= whole.saturating_mul(4);
    (is_slow && !was_killed(record, slowest)).then(|| {
        let name = who(slowest.name, slowest.pid);
        let (signal, took, whole) = (asked.what, words(took), words(whole));
        format!("{name} {heard} {signal} and took {took} of the stop's {whole}: nobody took longer")
    })
}

#[cfg(test)]
mod tests {
    use super::super::scenes::*;
    use super::super::*;
    use super::*;

    #[test]
    fn who_is_quick_needs_no_advice() {
        let mut record = well();
        record.ended_at = ms(5_900);
        record.main_ended = Some(event(5_900, Ended::Exited(0)));
        record.members.iter_mut().for_each(|member| member.ended = Some(event(5_900, Fate::Gone)));
        assert_eq!(advice(&record), [""; 0]);
        assert_eq!(advice(&left_alone()), [""; 0]);
    }

    #[test]
    fn a_shell_in_front_of_the_server_is_seen() {
        assert_eq!(
            advice(&shell_in_front()),
            [
                "sh (7), a shell, died of TERM while server (12) went on: exec the server in the entrypoint",
                "server (12) got TERM only because drainit waited: tini would have cut it off after 3 ms",
                "server (12) caught TERM and took 2.1 s of the stop's 2.4 s: nobody took longer",
            ]
        );
        let mut script = shell_in_front();
        script.command = "/docker-entrypoint.sh".to_owned();
        script.members.iter_mut().filter(|member| member.is_main).for_each(|main| {
            main.name = name(b"docker-entrypoi");
        });
        assert!(advice(&script).iter().any(|line| line.contains("docker-entrypoi (7), a shell, died")));
        script.command = "node".to_owned();
        assert!(!advice(&script).iter().any(|line| line.contains("a shell")));
    }

    #[test]
    fn who_heard_the_signal_and_outlived_main_would_have_been_cut_off() {
        let mut record = shell_in_front();
        record.command = "nginx".to_owned();
        record.members = (0..8).map(|at| member(20 + at, "nginx", 5_600)).collect();
        record.members.insert(0, Member { is_main: true, ..member(7, "nginx", 5_203) });
        record.main_ended = Some(event(5_203, Ended::Exited(0)));
        assert_eq!(
            advice(&record),
            [
                "nginx (20), nginx (21), nginx (22), nginx (23), nginx (24) and 3 more needed 397 ms more than \
             nginx (7): tini would have cut them off after 3 ms"
            ]
        );
        record.members.iter_mut().for_each(|member| member.ended = Some(event(5_230, Fate::Gone)));
        assert_eq!(advice(&record), [""; 0], "they left with main, as far as can be told");
    }

    #[test]
    fn slow_steps_and_the_slowest_process_are_named() {
        let mut record = well();
        record.steps = vec![step(When::PreStop, "idle 80", 5_000, 7_000, StepOutcome::Succeeded)];
        record.ended_at = ms(9_000);
        assert_eq!(advice(&record), ["the pre-stop step 'idle 80' took 2.0 s of the stop's 4.0 s"]);
        record.steps.clear();
        record.members = vec![member(12, "a", 8_000), member(13, "b", 9_000)];
        record.main_ended = None;
        assert_eq!(
            advice(&record),
            ["b (13) caught TERM and took 3.8 s of the stop's 4.0 s: nobody took longer"]
        );
    }

    #[test]
    fn several_that_ignore_the_signal_are_told_so_together() {
        let mut record = ignoring_shell();
        record.command = "init".to_owned();
        record.members.iter_mut().for_each(|member| {
            member.name = name(b"server");
            member.attitude = Some(Attitude::Ignores);
            member.ended = Some(event(7_510, Fate::Gone));
        });
        assert_eq!(
            advice(&record),
            [
                "server (7), server (1234567) and server (9) ignore TERM: handle it, or name a signal that they take \
             with --rewrite TERM:..."
            ]
        );
    }
}
