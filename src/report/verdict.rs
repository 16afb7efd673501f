//! Whether a rehearsal went well, and why not. Pure.

use std::time::Duration;

use super::advice;
use super::page::{clean, who};
use super::row::{command, main_name};
use super::scale::words;
use super::words::end_of;
use super::{Event, Fate, Killed, Member, Reason, Receiver, Record, Step, StepOutcome};
use crate::outcome::{Ended, REHEARSAL_FAILED};
use crate::plan::Target;
use crate::plan::{StepId, When};
use crate::signal::Signal;
use crate::survivors::Attitude;

/// So many processes are named for one thing.
pub(super) const NAMED: usize = 5;

/// What a rehearsal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A stop was asked for, and everything ended by itself: how.
    Passed(String),
    /// All that went wrong, in sentences.
    Failed(Vec<String>),
}

/// Judges a run: it passes only where a stop was asked for, everything ended without KILL, nobody was passed over as ignoring a
/// signal, and every step did its work.
#[must_use]
pub fn verdict(record: &Record) -> Verdict {
    let mut reasons = Vec::new();
    add(&mut reasons, nothing_to_stop(record));
    reasons.append(&mut killed(record));
    reasons.append(&mut died_of_other_kill(record));
    reasons.append(&mut bounded(&record.members, &|member| passed_over(record, member)));
    let named_one = reasons.iter().any(|reason| reason.contains("ignores"));
    add(&mut reasons, record.passed_over.filter(|_| !named_one).map(went_on));
    reasons.append(&mut bounded(&record.members, &left_behind));
    add(&mut reasons, record.step_killed.map(|killed| killed_step(record, killed)));
    for step in &record.steps {
        add(&mut reasons, went_wrong(step));
    }
    if reasons.is_empty() { Verdict::Passed(summary(record)) } else { Verdict::Failed(reasons) }
}

// `extend` would be there as often as it is called.
#[inline(never)]
pub(super) fn add(sentences: &mut Vec<String>, sentence: Option<String>) {
    if let Some(sentence) = sentence {
        sentences.push(sentence);
    }
}

/// What a rehearsal exits with.
#[must_use]
pub fn exit_code(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Passed(_) => 0,
        Verdict::Failed(_) => REHEARSAL_FAILED,
    }
}

/// The verdict and the advice, a line each, every line with a newline.
#[must_use]
pub fn text(record: &Record, verdict: &Verdict) -> String {
    let mut text = String::new();
    match verdict {
        Verdict::Passed(how) => lines(&mut text, "passed", std::slice::from_ref(how)),
        Verdict::Failed(reasons) => lines(&mut text, "failed", reasons),
    }
    lines(&mut text, "advice", &advice::advice(record));
    text
}

fn lines(text: &mut String, what: &str, sentences: &[String]) {
    for sentence in sentences {
        text.extend([what, ": ", sentence, "\n"]);
    }
}

/// When the processes were asked, or, where they were not, when the stop began.
pub(super) fn base(record: &Record) -> Duration {
    record.asked_at.or(record.stop.map(|stop| stop.at)).unwrap_or_default()
}

/// The signal that the processes were asked with; `None` where none was sent.
fn asked_with(record: &Record) -> Option<Signal> {
    let of_members = record.members.iter().find_map(|member| member.asked);
    let to_all = || {
        let mut sent = record.sent.last.iter();
        sent.find(|sent| matches!(sent.to, Receiver::Target(_)) && Some(sent.at) >= record.asked_at)
    };
    record.asked_at?;
    of_members.map(|asked| asked.what).or_else(|| to_all().map(|sent| sent.signal))
}

fn summary(record: &Record) -> String {
    let took = words(record.ended_at.saturating_sub(base(record)));
    match asked_with(record) {
        Some(signal) => format!("everything ended by itself {took} after {signal}"),
        None => format!("everything ended by itself {took} after the stop began, and no signal was sent"),
    }
}

fn nothing_to_stop(record: &Record) -> Option<String> {
    let is_asked = |stop: super::Stop| matches!(stop.reason, Reason::Time | Reason::Signal { .. });
    if record.stop.is_some_and(is_asked) {
        return None;
    }
    let after = words(record.main_ended.map_or(record.ended_at, |end| end.at));
    let how = record.main_ended.map_or_else(|| "ended".to_owned(), |end| end.what.to_string());
    Some(format!("{} {how} by itself after {after}, before there was a stop", command(record)))
}

/// The first few sentences, and how many more there would be.
fn bounded(members: &[Member], sentence: &dyn Fn(&Member) -> Option<String>) -> Vec<String> {
    let mut all: Vec<String> = members.iter().filter_map(sentence).collect();
    let more = all.len().saturating_sub(NAMED);
    if more > 0 {
        all.truncate(NAMED);
        all.push(format!("and {more} more like these"));
    }
    all
}

/// Whether it was there when KILL was sent, and did not end otherwise.
pub(super) fn was_killed(record: &Record, member: &Member) -> bool {
    let Some(killed) = record.killed else { return false };
    end_of(record, member).is_some_and(|end| match end.what {
        Fate::Reaped(how) => how == Ended::Killed(Signal::KILL) && killed.at <= end.at,
        Fate::Gone => killed.at < end.at,
        Fate::LeftBehind => false,
    })
}

fn killed(record: &Record) -> Vec<String> {
    let Some(killed) = record.killed else { return Vec::new() };
    let sentence = |member: &Member| was_killed(record, member).then(|| why_killed(record, killed, member));
    let sentences = bounded(&record.members, &sentence);
    if !sentences.is_empty() {
        return sentences;
    }
    let after = words(killed.at.saturating_sub(base(record)));
    let why = match killed.what {
        Killed::TimeIsUp => "the time was up".to_owned(),
        Killed::Ignored(signal) => format!("those who were left ignored {signal}"),
    };
    vec![format!("KILL was sent after {after}, because {why}")]
}

fn why_killed(record: &Record, killed: Event<Killed>, member: &Member) -> String {
    let name = who(member.name, member.pid);
    let since = member.asked.map_or(base(record), |asked| asked.at);
    let after = words(killed.at.saturating_sub(since));
    let Some(signal) = member.asked.map(|asked| asked.what).filter(|&signal| signal != Signal::KILL) else {
        return format!("{name} was killed after {after} without having been asked to leave");
    };
    match (member.attitude, killed.what) {
        (Some(Attitude::Ignores), _) => format!("{name} ignores {signal} and was killed after {after}"),
        (_, Killed::Ignored(ignored)) => {
            format!("{name} was killed {after} after {signal}, with those who ignored {ignored}")
        }
        (Some(Attitude::Catches), Killed::TimeIsUp) => {
            format!(
                "{name} caught {signal}, had not ended after {after} when the time was up, and was killed"
            )
        }
        (Some(Attitude::Blocks), Killed::TimeIsUp) => {
            format!(
                "{name} blocked {signal}, had not ended after {after} when the time was up, and was killed"
            )
        }
        (Some(Attitude::Obeys) | None, Killed::TimeIsUp) => {
            format!("{name} had not ended {after} after {signal} when the time was up, and was killed")
        }
    }
}

/// KILL from somebody else: the kernel that is out of memory, or an operator.
fn died_of_other_kill(record: &Record) -> Vec<String> {
    let is_other = |at: Duration| record.killed.is_none_or(|killed| at < killed.at);
    let sentence = |name: &str| format!("{name} died of a KILL that drainit had not sent");
    let of_member = |member: &Member| {
        end_of(record, member)
            .filter(|end| end.what == Fate::Reaped(Ended::Killed(Signal::KILL)) && is_other(end.at))
            .map(|_| sentence(&who(member.name, member.pid)))
    };
    let unnoted_main = record
        .main_ended
        .filter(|end| end.what == Ended::Killed(Signal::KILL) && is_other(end.at))
        .filter(|_| !record.members.iter().any(|member| member.is_main))
        .map(|_| sentence(&main_name(record)));
    let mut sentences = Vec::new();
    add(&mut sentences, unnoted_main);
    sentences.append(&mut bounded(&record.members, &of_member));
    sentences
}

/// It ignored what it was sent, and something else was sent to it before it ended.
fn passed_over(record: &Record, member: &Member) -> Option<String> {
    if was_killed(record, member) {
        return None;
    }
    let (asked, next) = followed(record, member)?;
    let later = words(next.at.saturating_sub(asked.at));
    let name = who(member.name, member.pid);
    Some(format!("{name} ignores {} and was sent {} after {later}", asked.what, next.what))
}

/// What a process that ignores the signal was asked with, and what came next.
pub(super) fn followed(record: &Record, member: &Member) -> Option<(Event<Signal>, Event<Signal>)> {
    let asked = member.asked.filter(|_| member.attitude == Some(Attitude::Ignores))?;
    let ended = end_of(record, member).map(|end| end.at);
    let reaches = |to| match to {
        Receiver::Target(Target::Main) => member.is_main,
        Receiver::Target(Target::Group | Target::All) => true,
        Receiver::Process(pid) => pid == member.pid,
        Receiver::Step(_) => false,
    };
    let mut sent = record.sent.last.iter();
    let next = sent.find(|sent| {
        let is_other = sent.signal != asked.what && !matches!(sent.signal, Signal::CONT | Signal::KILL);
        is_other && reaches(sent.to) && asked.at < sent.at && ended.is_none_or(|end| sent.at <= end)
    })?;
    Some((asked, Event { at: next.at, what: next.signal }))
}

fn went_on(next: Event<Signal>) -> String {
    format!("{} was sent early: waiting could not help, because the signal before it was ignored", next.what)
}

fn killed_step(record: &Record, killed: Event<StepId>) -> String {
    let step = record.steps.iter().find(|step| step.id == killed.what);
    let name = step.map(|step| clean(&step.name)).unwrap_or_default();
    format!("what was left of the step '{name}' had to be killed")
}

fn left_behind(member: &Member) -> Option<String> {
    let is_left = matches!(member.ended, Some(Event { what: Fate::LeftBehind, .. }));
    is_left.then(|| {
        let state = char::from(member.state).escape_default();
        format!("{} was left behind, in state {state}", who(member.name, member.pid))
    })
}

fn went_wrong(step: &Step) -> Option<String> {
    let when = match step.id.when {
        When::PreStop => "pre-stop",
        When::PostExit => "post-exit",
    };
    let took = |at: Duration| words(at.saturating_sub(step.began));
    let how = match step.ended {
        Some(Event { what: StepOutcome::Succeeded | StepOutcome::Dropped, .. }) => return None,
        Some(Event { at, what: StepOutcome::Failed(how) }) => format!("{how} after {}", took(at)),
        Some(Event { what: StepOutcome::NotStarted, .. }) => "could not be started".to_owned(),
        Some(Event { at, what: StepOutcome::TimedOut }) => format!("timed out after {}", took(at)),
        None => "was not seen to end".to_owned(),
    };
    Some(format!("the {when} step '{}' {how}", clean(&step.name)))
}

#[cfg(test)]
mod tests {
    use super::super::scenes::*;
    use super::super::*;
    use super::*;

    #[track_caller]
    fn says(record: &Record, text: &str) {
        assert_eq!(super::text(record, &verdict(record)), text);
    }

    fn reasons(record: &Record) -> Vec<String> {
        match verdict(record) {
            Verdict::Passed(how) => panic!("passed: {how}"),
            Verdict::Failed(reasons) => reasons,
        }
    }

    #[test]
    fn who_leaves_by_itself_passes() {
        assert_eq!(
            verdict(&well()),
            Verdict::Passed("everything ended by itself 1.7 s after TERM".to_owned())
        );
        assert_eq!(exit_code(&verdict(&well())), 0);
        let by_signal = Reason::Signal { sender: 0, uid: 0 };
        let stop = well().stop.map(|stop| Stop { reason: by_signal, ..stop });
        assert!(matches!(verdict(&Record { stop, ..well() }), Verdict::Passed(_)), "somebody was faster");
        let unasked = Record { asked_at: None, members: Vec::new(), ended_at: ms(5_100), ..well() };
        says(
            &unasked,
            "passed: everything ended by itself 100 ms after the stop began, and no signal was sent\n",
        );
    }

    #[test]
    fn a_command_that_ends_before_the_stop_fails() {
        says(&left_alone(), "failed: true exited with 0 by itself after 3 ms, before there was a stop\n");
        let own_exit = Stop { at: ms(3), reason: Reason::OwnExit, signal: Signal::TERM };
        let record = Record { stop: Some(own_exit), ..left_alone() };
        says(&record, "failed: true exited with 0 by itself after 3 ms, before there was a stop\n");
        assert_eq!(exit_code(&verdict(&record)), 124);
    }

    #[test]
    fn who_ignores_the_signal_is_named_and_so_is_what_went_wrong_besides() {
        says(
            &ignoring_shell(),
            r"failed: entrypoint.sh (7) ignores TERM and was killed after 2.3 s
failed: \x1b[2J\n (9) was left behind, in state D
failed: the pre-stop step 'http 127.0.0.1:80' exited with 1 after 200 ms
advice: entrypoint.sh (7) ignores TERM: exec the server in the entrypoint, or name a signal that it takes with --rewrite TERM:...
",
        );
    }

    fn killed_with(attitude: Option<Attitude>, killed: Killed, fate: Fate) -> Record {
        let mut record = Record { killed: Some(event(15_200, killed)), steps: Vec::new(), ..well() };
        record.members =
            vec![Member { attitude, ended: Some(event(15_210, fate)), ..member(7, "server", 0) }];
        record.ended_at = ms(15_210);
        record
    }

    #[test]
    fn every_way_to_be_killed_has_its_words() {
        let kill = Fate::Reaped(Ended::Killed(Signal::KILL));
        for (attitude, why, reason) in [
            (
                Some(Attitude::Ignores),
                Killed::TimeIsUp,
                "server (7) ignores TERM and was killed after 10.0 s",
            ),
            (
                Some(Attitude::Catches),
                Killed::TimeIsUp,
                "server (7) caught TERM, had not ended after 10.0 s when the time was up, and was killed",
            ),
            (
                Some(Attitude::Blocks),
                Killed::TimeIsUp,
                "server (7) blocked TERM, had not ended after 10.0 s when the time was up, and was killed",
            ),
            (
                None,
                Killed::TimeIsUp,
                "server (7) had not ended 10.0 s after TERM when the time was up, and was killed",
            ),
            (
                Some(Attitude::Obeys),
                Killed::Ignored(Signal::INT),
                "server (7) was killed 10.0 s after TERM, with those who ignored INT",
            ),
        ] {
            for fate in [kill, Fate::Gone] {
                assert_eq!(reasons(&killed_with(attitude, why, fate)), [reason]);
            }
        }
        let mut unasked = killed_with(None, Killed::TimeIsUp, kill);
        unasked.members.iter_mut().for_each(|member| member.asked = None);
        let reason = "server (7) was killed after 10.0 s without having been asked to leave";
        assert_eq!(reasons(&unasked), [reason]);
        let in_time = killed_with(None, Killed::Ignored(Signal::TERM), Fate::Reaped(Ended::Exited(0)));
        let reason = "KILL was sent after 10.0 s, because those who were left ignored TERM";
        assert_eq!(reasons(&in_time), [reason], "it left at the same moment");
    }

    #[test]
    fn only_the_first_few_are_named() {
        let mut record = killed_with(None, Killed::TimeIsUp, Fate::Gone);
        record.members = (0..8).flat_map(|_| record.members.clone()).collect();
        let reasons = reasons(&record);
        assert_eq!(reasons.len(), NAMED + 1);
        assert_eq!(reasons.last().map(String::as_str), Some("and 3 more like these"));
    }

    #[test]
    fn a_kill_of_somebody_else_is_no_end_by_itself() {
        let mut record = well();
        record.main_ended = Some(event(6_900, Ended::Killed(Signal::KILL)));
        record.members.iter_mut().filter(|member| member.is_main).for_each(|main| main.ended = None);
        assert_eq!(reasons(&record), ["server (7) died of a KILL that drainit had not sent"]);
        record.members.clear();
        assert_eq!(reasons(&record), ["server died of a KILL that drainit had not sent"]);
    }

    #[test]
    fn who_was_passed_over_as_ignoring_fails_though_it_left_in_the_end() {
        let mut record = well();
        for main in record.members.iter_mut().filter(|member| member.is_main) {
            main.attitude = Some(Attitude::Ignores);
            main.asked = Some(event(5_200, Signal::INT));
        }
        record.sent = Sent::default();
        record.note_sent(ms(5_200), Signal::INT, Receiver::Target(Target::Group));
        record.note_sent(ms(5_201), Signal::CONT, Receiver::Target(Target::Group));
        assert!(matches!(verdict(&record), Verdict::Passed(_)), "it left for another reason");
        record.note_sent(ms(6_000), Signal::QUIT, Receiver::Process(13));
        assert!(matches!(verdict(&record), Verdict::Passed(_)), "sent to somebody else");
        record.note_sent(ms(6_200), Signal::TERM, Receiver::Target(Target::Group));
        assert_eq!(reasons(&record), ["server (7) ignores INT and was sent TERM after 1.0 s"]);
    }

    #[test]
    fn every_step_must_have_done_its_work() {
        for (when, outcome, reason) in [
            (When::PreStop, Some(StepOutcome::TimedOut), "the pre-stop step 'x' timed out after 1.5 s"),
            (When::PostExit, Some(StepOutcome::NotStarted), "the post-exit step 'x' could not be started"),
            (
                When::PostExit,
                Some(StepOutcome::Failed(Ended::Killed(Signal::SEGV))),
                "the post-exit step 'x' died of SEGV after 1.5 s",
            ),
            (When::PreStop, None, "the pre-stop step 'x' was not seen to end"),
        ] {
            let mut record = well();
            let ended = outcome.map(|outcome| event(6_500, outcome));
            record.steps.push(Step { ended, ..step(when, "x", 5_000, 0, StepOutcome::Succeeded) });
            assert_eq!(reasons(&record), [reason]);
        }
        let mut dropped = well();
        dropped.steps.push(step(When::PreStop, "x", 5_000, 5_100, StepOutcome::Dropped));
        assert!(matches!(verdict(&dropped), Verdict::Passed(_)));
    }
}
