//! The whole policy as one document, checked in: a change of behaviour is a visible difference.

use std::fmt::Write;

use super::*;
use crate::signal::SignalSet;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policy.md");
const BLESS: &str = "DRAINIT_BLESS";

const HEAD: &str = "\
# The stop policy

Generated from the plan by a test (`DRAINIT_BLESS=1 cargo test policy_table` writes it); do not edit.

Each table begins in one situation. A row is one event, `then` is what drainit does about it, `next` is where it is then and when
it looks again by itself. Times are seconds since drainit started; a stop is asked for at 10.
`everyone` is every descendant; `the rest` is everyone left who was not asked before. A look finds that waiting *helps*, that it is
*in vain* because the signal is ignored, that some were *not asked* yet, or that there is *no /proc*.
";

#[derive(Clone)]
/// How to get into a phase: a name, the options, and the events that lead there.
struct Situation {
    name: &'static str,
    policy: StopPolicy,
    events: Vec<(u64, Event)>,
}

const TERM: Event = Event::Signal(Signal::TERM);

fn grace(milliseconds: u64) -> StopPolicy {
    StopPolicy { grace_period: Some(Duration::from_millis(milliseconds)), ..StopPolicy::default() }
}

fn rewriting(to: Option<Signal>) -> StopPolicy {
    let mut policy = grace(5_000);
    policy.rewrites.set(Signal::TERM, to);
    policy
}

const IN_VAIN: Event = Event::Looked(Waiting::IsInVain);
const SLEEP: Step = Step::Sleep(Duration::from_secs(1));
const FIRST: StepId = StepId { when: When::PreStop, at: 0 };
const FIRST_AFTER: StepId = StepId { when: When::PostExit, at: 0 };

fn command() -> Step {
    Step::Command(vec!["step".into()])
}

fn draining(pre_stop: Vec<Step>) -> StopPolicy {
    StopPolicy { pre_stop, ..StopPolicy::default() }
}

fn ending(post_exit: Vec<Step>) -> StopPolicy {
    StopPolicy { post_exit, ..StopPolicy::default() }
}

/// `--stop-schedule TERM@main/5/INT/1/KILL`, or as patient at the end as is said.
fn scheduled(last: Patience) -> StopPolicy {
    let five = Patience::For(Duration::from_secs(5));
    let schedule = Schedule::new(vec![
        Stage { signal: Signal::TERM, target: Some(Target::Main), patience: five },
        Stage { signal: Signal::INT, target: None, patience: last },
    ]);
    StopPolicy { schedule: Some(schedule), ..StopPolicy::default() }
}

fn situations() -> Vec<Situation> {
    [running(), stopping(), along_the_schedule(), with_steps()].concat()
}

fn situation(name: &'static str, policy: &StopPolicy, events: &[(u64, Event)]) -> Situation {
    Situation { name, policy: policy.clone(), events: events.to_vec() }
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
    vec![
        situation("Running", &plain, &[]),
        situation("Running, `--forward-to main`", &to(Target::Main), &[]),
        situation("Running, `--forward-to all`", &to(Target::All), &[]),
        situation("Running, `--rewrite TERM:QUIT --grace-period 5`", &rewriting(Some(Signal::QUIT)), &[]),
        situation("Running, `--rewrite TERM:none --grace-period 5`", &rewriting(None), &[]),
        situation("Running, `--grace-period 0`", &grace(0), &[]),
        situation("Running, `--stop-signal QUIT,INT`", &two_signals, &[]),
        situation("Running, `--wait-for-all`", &patient, &[]),
        situation("Running, `--wait-for-all`, main has exited", &patient, &[(9_000, Event::MainEnded)]),
        situation("Running, `--stop-after 11`", &stop_after, &[]),
    ]
}

fn stopping() -> Vec<Situation> {
    let plain = StopPolicy::default();
    let never = StopPolicy { ignored_after: None, ..grace(5_000) };
    vec![
        situation("Asked to stop", &plain, &[(10_000, TERM)]),
        situation("Asked to stop, `--grace-period 5`", &grace(5_000), &[(10_000, TERM)]),
        situation(
            "Asked to stop, main is gone",
            &grace(5_000),
            &[(10_000, TERM), (10_100, Event::MainEnded)],
        ),
        situation(
            "Asked with a signal that is dropped, `--rewrite TERM:none --grace-period 5`",
            &rewriting(None),
            &[(10_000, TERM)],
        ),
        situation("Main has exited by itself", &plain, &[(10_000, Event::MainEnded)]),
        situation(
            "Main has exited by itself, `--grace-period 5`",
            &grace(5_000),
            &[(10_000, Event::MainEnded)],
        ),
        situation("Asked to stop, `--ignored-after never --grace-period 5`", &never, &[(10_000, TERM)]),
        situation(
            "Asked to stop, `--rewrite TERM:QUIT --grace-period 5`",
            &rewriting(Some(Signal::QUIT)),
            &[(10_000, TERM)],
        ),
        situation(
            "QUIT is ignored, TERM was sent behind it, `--rewrite TERM:QUIT --grace-period 5`",
            &rewriting(Some(Signal::QUIT)),
            &[(10_000, TERM), (10_250, IN_VAIN), (10_500, IN_VAIN)],
        ),
        situation("A look has found that waiting is in vain", &plain, &[(10_000, TERM), (10_500, IN_VAIN)]),
        situation(
            "The look has found somebody who was not asked",
            &plain,
            &[(10_000, TERM), (10_500, Event::Looked(Waiting::AskFirst))],
        ),
        situation(
            "There is no /proc",
            &plain,
            &[(10_000, TERM), (10_500, Event::Looked(Waiting::CannotTell))],
        ),
        situation("Killing", &grace(500), &[(10_000, TERM), (10_500, Event::Tick)]),
        situation("Over", &plain, &[(10_000, Event::NobodyLeft)]),
    ]
}

fn along_the_schedule() -> Vec<Situation> {
    let policy = scheduled(Patience::For(Duration::from_secs(1)));
    let capped = StopPolicy { grace_period: Some(Duration::from_secs(3)), ..policy.clone() };
    let later = [(10_000, TERM), (10_250, IN_VAIN), (10_500, IN_VAIN)];
    vec![
        situation("First stage of `--stop-schedule TERM@main/5/INT/1/KILL`", &policy, &[(10_000, TERM)]),
        situation("The same, `--grace-period 3`", &capped, &[(10_000, TERM)]),
        situation("The same, main has exited by itself", &policy, &[(10_000, Event::MainEnded)]),
        situation("Second stage", &policy, &later),
        situation(
            "Second stage of `--stop-schedule TERM@main/5/INT/forever`",
            &scheduled(Patience::Forever),
            &later,
        ),
    ]
}

fn with_steps() -> Vec<Situation> {
    let two = draining(vec![command(), SLEEP]);
    let quick = StopPolicy { pre_stop_timeout: Duration::from_millis(500), ..two.clone() };
    let in_grace = |grace| StopPolicy { grace_period: Some(Duration::from_secs(grace)), ..two.clone() };
    let after = ending(vec![command(), SLEEP]);
    let none = in_grace(0);
    let sleep_first = draining(vec![SLEEP, command()]);
    vec![
        situation("Running, with steps before the stop", &two, &[]),
        situation("Running, with steps before the stop, `--grace-period 0`", &none, &[]),
        situation("The first step, a process, is under way", &two, &[(10_000, TERM)]),
        situation("The same, `--grace-period 8`", &in_grace(8), &[(10_000, TERM)]),
        situation("The same, `--grace-period 3`: half of it for the steps", &in_grace(3), &[(10_000, TERM)]),
        situation("The same, `--grace-period 4 --pre-stop-timeout 500ms`", &quick, &[(10_000, TERM)]),
        situation(
            "The second step, a sleep of 1 s, is under way",
            &two,
            &[(10_000, TERM), (10_100, Event::StepEnded(FIRST))],
        ),
        situation("A sleep of 1 s is under way, a process follows", &sleep_first, &[(10_000, TERM)]),
        situation("The steps timed out", &quick, &[(10_000, TERM), (10_500, Event::Tick)]),
        situation("Running, with steps after the end", &after, &[]),
        situation("The first step after the end is under way", &after, &[(10_000, Event::NobodyLeft)]),
        situation(
            "The second step after the end, a sleep of 1 s, is under way",
            &after,
            &[
                (10_000, Event::NobodyLeft),
                (10_100, Event::NobodyLeft),
                (10_100, Event::StepEnded(FIRST_AFTER)),
            ],
        ),
        situation(
            "The steps after the end are over and have left somebody behind",
            &ending(vec![command()]),
            &[(10_000, Event::NobodyLeft), (10_100, Event::StepEnded(FIRST_AFTER))],
        ),
    ]
}

/// Every event, at the times that make a difference.
fn rows() -> Vec<(u64, Event)> {
    let looks =
        [Waiting::Helps, Waiting::AskFirst, Waiting::IsInVain, Waiting::CannotTell].map(Event::Looked);
    let events = [
        TERM,
        Event::Signal(Signal::HUP),
        Event::MainEnded,
        Event::StepEnded(FIRST),
        Event::StepEnded(FIRST_AFTER),
        Event::NobodyLeft,
        Event::Tick,
    ];
    let mut rows: Vec<_> = events.into_iter().chain(looks).map(|event| (10_600, event)).collect();
    rows.extend([11_000, 12_500, 15_000, 20_000].map(|at| (at, Event::Tick)));
    rows.push((11_000, TERM));
    rows
}

/// Whether the loop can report it there at all.
fn can_happen(plan: &Plan, event: Event) -> bool {
    match (event, plan.phase) {
        (Event::MainEnded, _) => plan.main_lives,
        (Event::Looked(_), phase) => matches!(phase, Phase::Stopping(_)),
        (Event::StepEnded(step), Phase::Draining(_)) => step.when == When::PreStop,
        (Event::StepEnded(step), Phase::PostExit(_)) => step.when == When::PostExit,
        (Event::StepEnded(_), _) => false,
        (Event::Signal(_) | Event::NobodyLeft | Event::Tick, _) => true,
    }
}

fn render() -> String {
    let mut text = HEAD.to_owned();
    for situation in situations() {
        let _ = write!(text, "\n## {}\n\n| at | event | then | next |\n|---|---|---|---|\n", situation.name);
        let mut plan = Plan::new(situation.policy.clone());
        for (at, event) in &situation.events {
            let _ = plan.handle(Duration::from_millis(*at), *event);
        }
        for (at, event) in rows() {
            if !can_happen(&plan, event) {
                continue;
            }
            let now = Duration::from_millis(at);
            let mut plan = plan.clone();
            let actions: Vec<_> = plan.handle(now, event).into_iter().map(say_action).collect();
            let actions = if actions.is_empty() { "-".to_owned() } else { actions.join(", ") };
            let (event, next) = (say_event(event), say_phase(&plan));
            let _ = writeln!(text, "| {} | {event} | {actions} | {next} |", now.as_secs_f64());
        }
    }
    text
}

fn say_event(event: Event) -> String {
    match event {
        Event::Signal(signal) => format!("signal {signal}"),
        Event::MainEnded => "main ends, others are left".to_owned(),
        Event::NobodyLeft => "nobody is left".to_owned(),
        Event::StepEnded(step) => format!("step {} ends", step.at + 1),
        Event::Looked(Waiting::Helps) => "look: it helps".to_owned(),
        Event::Looked(Waiting::AskFirst) => "look: some were not asked".to_owned(),
        Event::Looked(Waiting::IsInVain) => "look: in vain".to_owned(),
        Event::Looked(Waiting::CannotTell) => "look: no /proc".to_owned(),
        Event::Tick => "time passes".to_owned(),
    }
}

fn say_action(action: Action) -> String {
    let who = |target| match target {
        Target::Group => "the group",
        Target::Main => "main",
        Target::All => "everyone",
    };
    match action {
        Action::Forward { signal, target } => format!("{signal} to {}", who(target)),
        Action::Ask { signal, target } => format!("{signal} and CONT to {}", who(target)),
        Action::AskTheRest { signal } => format!("{signal} and CONT to the rest"),
        Action::Look { signal } => format!("look who ignores {signal}"),
        Action::StartStep { step, time_left } => {
            format!("start step {} ({} s left)", step.at + 1, time_left.as_secs_f64())
        }
        Action::EndStep { step, why: StepEnd::TimeIsUp } => {
            format!("TERM to step {}, timed out", step.at + 1)
        }
        Action::EndStep { step, why: StepEnd::NoTimeLeft } => format!("no time for step {}", step.at + 1),
        Action::EndStep { step, why: StepEnd::MainIsGone } => {
            format!("TERM to step {}, dropped", step.at + 1)
        }
        Action::KillStep => "KILL to the last step".to_owned(),
        Action::Kill(Reason::TimeIsUp) => "KILL to everyone".to_owned(),
        Action::Kill(Reason::Ignored(signal)) => format!("KILL to everyone, {signal} is ignored"),
        Action::Leave(Farewell::NobodyLeft) => "leave".to_owned(),
        Action::Leave(Farewell::SomeCannotBeKilled) => "leave, name who is left".to_owned(),
    }
}

fn say_phase(plan: &Plan) -> String {
    let phase = match plan.phase {
        Phase::Running => "running",
        Phase::Stopping(Stop { cause: Cause::Requested, .. }) => "stopping, requested",
        Phase::Stopping(Stop { cause: Cause::OwnExit, .. }) => "stopping, main's own exit",
        Phase::Draining(_) => "draining",
        Phase::Killing { .. } => "killing",
        Phase::PostExit(_) => "after the end",
        Phase::Over => "over",
    };
    match plan.deadline() {
        Some(deadline) => format!("{phase} ({})", deadline.as_secs_f64()),
        None => phase.to_owned(),
    }
}

#[test]
fn policy_table_is_current() {
    let current = render();
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(FILE, &current).expect("docs/ can be written");
    }
    let known = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        known == current,
        "the policy has changed: look at it with {BLESS}=1 cargo test policy_table, then git diff"
    );
}
