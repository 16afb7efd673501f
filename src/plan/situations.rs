//! The situations that the policy's table shows.

use super::processes::ignoring::Outlook;
use super::schedule::ScheduledStage;
use super::*;
use crate::signal::SignalSet;

/// How to get into a phase: a name, the options, the events that lead there, and the situation to compare it with.
#[derive(Clone)]
pub(super) struct Situation {
    pub(super) name: &'static str,
    pub(super) policy: StopPolicy,
    pub(super) events: Vec<(u64, Event)>,
    pub(super) like: Option<&'static str>,
}

pub(super) const TERM: Event = Event::Signal(Signal::TERM, Origin::Process);
pub(super) const FIRST: StepId = StepId { when: When::PreStop, at: 0 };
pub(super) const FIRST_AFTER: StepId = StepId { when: When::PostExit, at: 0 };
const FUTILE: Event = Event::Looked(Some(Outlook::Futile));
const SLEEP: Step = Step::Sleep(Duration::from_secs(1));

pub(super) fn situations() -> Vec<Situation> {
    [running(), stopping(), along_the_schedule(), with_steps()].concat()
}

fn situation(
    name: &'static str,
    policy: &StopPolicy,
    events: &[(u64, Event)],
    like: Option<&'static str>,
) -> Situation {
    Situation { name, policy: policy.clone(), events: events.to_vec(), like }
}

fn grace(milliseconds: u64) -> StopPolicy {
    StopPolicy { grace_period: Some(Duration::from_millis(milliseconds)), ..StopPolicy::default() }
}

fn rewriting(to: Option<Signal>, target: Option<Target>) -> StopPolicy {
    let mut policy = grace(5_000);
    policy.rewrites.set(Signal::TERM, Rewrite { to, target });
    policy
}

fn command() -> Step {
    Step::Command(vec!["step".into()])
}

fn draining(pre_stop: Vec<Step>) -> StopPolicy {
    StopPolicy { pre_stop, ..StopPolicy::default() }
}

fn ending(post_exit: Vec<Step>) -> StopPolicy {
    StopPolicy { post_exit, ..StopPolicy::default() }
}

/// `--stop-schedule TERM@main/5/INT/1/KILL`, with this patience at the end.
fn scheduled(last: Patience) -> StopPolicy {
    let five = Patience::For(Duration::from_secs(5));
    let schedule = Schedule::new(vec![
        ScheduledStage { signal: Signal::TERM, target: Some(Target::Main), patience: five },
        ScheduledStage { signal: Signal::INT, target: None, patience: last },
    ]);
    StopPolicy { schedule: Some(schedule), ..StopPolicy::default() }
}

fn running() -> Vec<Situation> {
    let plain = StopPolicy::default();
    let to = |forward_to| StopPolicy { forward_to, ..StopPolicy::default() };
    let patient = StopPolicy { wait_for_all: true, ..StopPolicy::default() };
    let stop_after = StopPolicy { stop_after: Some(Duration::from_secs(11)), ..StopPolicy::default() };
    let two_signals = StopPolicy {
        stop_signals: SignalSet::default().with(Signal::QUIT).with(Signal::INT),
        own_signal: Signal::QUIT,
        ..StopPolicy::default()
    };
    let quit = Some(Signal::QUIT);
    let to_main = rewriting(quit, Some(Target::Main));
    let main_ended = [(9_000, Event::MainEnded)];
    let like = Some("Running");
    vec![
        situation("Running", &plain, &[], None),
        situation("Running, `--forward-to main`", &to(Target::Main), &[], like),
        situation("Running, `--forward-to group`", &to(Target::Group), &[], like),
        situation("Running, `--forward-to all`", &to(Target::All), &[], like),
        situation("Running, `--rewrite TERM:QUIT --grace-period 5`", &rewriting(quit, None), &[], like),
        situation("Running, `--rewrite TERM:QUIT@main --grace-period 5`", &to_main, &[], like),
        situation("Running, `--rewrite TERM:none --grace-period 5`", &rewriting(None, None), &[], like),
        situation("Running, `--grace-period 0`", &grace(0), &[], like),
        situation("Running, `--stop-signal QUIT,INT`", &two_signals, &[], like),
        situation("Running, `--wait-for-all`", &patient, &[], like),
        situation("Running, `--wait-for-all`, main has exited", &patient, &main_ended, like),
        situation("Running, `--stop-after 11`", &stop_after, &[], like),
    ]
}

fn stopping() -> Vec<Situation> {
    let plain = StopPolicy::default();
    let never = StopPolicy { ignored_after: None, ..grace(5_000) };
    let main = StopPolicy { forward_to: Target::Main, ..grace(5_000) };
    let quit = rewriting(Some(Signal::QUIT), None);
    let requested = [(10_000, TERM)];
    let own_exit = [(10_000, Event::MainEnded)];
    let main_is_gone = [(10_000, TERM), (10_100, Event::MainEnded)];
    let found = |outlook| [(10_000, TERM), (10_500, Event::Looked(Some(outlook)))];
    let twice_futile = [(10_000, TERM), (10_250, FUTILE), (10_500, FUTILE)];
    let unsignalled = found(Outlook::SignalOthersFirst);
    let like = Some("A stop was requested");
    let graced = Some("A stop was requested, `--grace-period 5`");
    vec![
        situation("A stop was requested", &plain, &requested, None),
        situation("A stop was requested, `--grace-period 5`", &grace(5_000), &requested, like),
        situation("A stop was requested, `--grace-period 30`", &grace(30_000), &requested, like),
        situation("A stop was requested, `--forward-to main --grace-period 5`", &main, &requested, graced),
        situation(
            "A stop was requested, main is gone, `--grace-period 5`",
            &grace(5_000),
            &main_is_gone,
            graced,
        ),
        situation(
            "The signal is dropped, `--rewrite TERM:none --grace-period 5`",
            &rewriting(None, None),
            &requested,
            graced,
        ),
        situation("Main has exited by itself", &plain, &own_exit, like),
        situation("Main has exited by itself, `--grace-period 5`", &grace(5_000), &own_exit, graced),
        situation(
            "A stop was requested, `--ignored-after never --grace-period 5`",
            &never,
            &requested,
            graced,
        ),
        situation("A stop was requested, `--rewrite TERM:QUIT --grace-period 5`", &quit, &requested, graced),
        situation(
            "QUIT is ignored and TERM was sent, `--rewrite TERM:QUIT --grace-period 5`",
            &quit,
            &twice_futile,
            graced,
        ),
        situation("A look has found that waiting is futile", &plain, &found(Outlook::Futile), like),
        situation("A look has found processes that were not signalled", &plain, &unsignalled, like),
        situation("There is no /proc", &plain, &found(Outlook::Unknown), like),
        situation("Killing", &grace(500), &[(10_000, TERM), (10_500, Event::Tick)], None),
        situation("Over", &plain, &[(10_000, Event::NoneLeft)], None),
    ]
}

fn along_the_schedule() -> Vec<Situation> {
    let policy = scheduled(Patience::For(Duration::from_secs(1)));
    let for_ever = scheduled(Patience::Forever);
    let capped = StopPolicy { grace_period: Some(Duration::from_secs(3)), ..policy.clone() };
    let requested = [(10_000, TERM)];
    let later = [(10_000, TERM), (10_250, FUTILE), (10_500, FUTILE)];
    let like = Some("First stage of `--stop-schedule TERM@main/5/INT/1/KILL`");
    vec![
        situation("First stage of `--stop-schedule TERM@main/5/INT/1/KILL`", &policy, &requested, None),
        situation("The same, `--grace-period 3`", &capped, &requested, like),
        situation("The same, main has exited by itself", &policy, &[(10_000, Event::MainEnded)], like),
        situation("Second stage", &policy, &later, None),
        situation(
            "Second stage of `--stop-schedule TERM@main/5/INT/forever`",
            &for_ever,
            &later,
            Some("Second stage"),
        ),
    ]
}

fn with_steps() -> Vec<Situation> {
    let two = draining(vec![command(), SLEEP]);
    let quick = StopPolicy { pre_stop_timeout: Duration::from_millis(500), ..two.clone() };
    let in_grace = |grace| StopPolicy { grace_period: Some(Duration::from_secs(grace)), ..two.clone() };
    let (after, one_after) = (ending(vec![command(), SLEEP]), ending(vec![command()]));
    let sleep_first = draining(vec![SLEEP, command()]);
    let requested = [(10_000, TERM)];
    let first_ended = [(10_000, TERM), (10_100, Event::StepEnded(FIRST))];
    let none_left = (10_000, Event::NoneLeft);
    let after_ended = (10_100, Event::StepEnded(FIRST_AFTER));
    let running = Some("Running");
    let like = Some("The first step, a process, is under way");
    let like_after = Some("The first step after the end is under way");
    vec![
        situation("Running, with steps before the stop", &two, &[], running),
        situation("Running, with steps before the stop, `--grace-period 0`", &in_grace(0), &[], running),
        situation("The first step, a process, is under way", &two, &requested, None),
        situation("The same, `--grace-period 8`", &in_grace(8), &requested, like),
        situation("The same, `--grace-period 3`: half of it for the steps", &in_grace(3), &requested, like),
        situation("The same, `--grace-period 4 --pre-stop-timeout 500ms`", &quick, &requested, like),
        situation("The second step, a sleep of 1 s, is under way", &two, &first_ended, like),
        situation("A sleep of 1 s is under way, a process follows", &sleep_first, &requested, like),
        situation(
            "The steps timed out",
            &quick,
            &[(10_000, TERM), (10_500, Event::Tick)],
            Some("A stop was requested"),
        ),
        situation("Running, with steps after the end", &after, &[], running),
        situation("The first step after the end is under way", &after, &[none_left], None),
        situation(
            "The second step after the end, a sleep of 1 s, is under way",
            &after,
            &[none_left, (10_100, Event::NoneLeft), after_ended],
            like_after,
        ),
        situation(
            "The steps after the end are over and have left processes behind",
            &one_after,
            &[none_left, after_ended],
            like_after,
        ),
    ]
}
