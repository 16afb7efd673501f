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
`everyone` is every descendant; `the rest` is everyone left who was not asked before.
";

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

fn situations() -> Vec<Situation> {
    let plain = StopPolicy::default();
    let to = |forward_to| StopPolicy { forward_to, ..StopPolicy::default() };
    let patient = StopPolicy { wait_for_all: true, ..StopPolicy::default() };
    let two_signals = StopPolicy {
        stop_signals: SignalSet::default().with(Signal::QUIT).with(Signal::INT),
        own_signal: Signal::QUIT,
        ..StopPolicy::default()
    };
    let situation = |name, policy: &StopPolicy, events: &[(u64, Event)]| Situation {
        name,
        policy: policy.clone(),
        events: events.to_vec(),
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
        situation("Killing", &grace(500), &[(10_000, TERM), (10_500, Event::Tick)]),
        situation("Over", &plain, &[(10_000, Event::NobodyLeft)]),
    ]
}

/// Every event, at the times that make a difference.
fn rows() -> Vec<(u64, Event)> {
    let events = [TERM, Event::Signal(Signal::HUP), Event::MainEnded, Event::NobodyLeft, Event::Tick];
    let mut rows: Vec<_> = events.into_iter().map(|event| (10_600, event)).collect();
    rows.extend([(11_000, TERM), (12_500, Event::Tick), (15_000, Event::Tick), (20_000, Event::Tick)]);
    rows
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
            if event == Event::MainEnded && !plan.main_lives {
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
        Action::Kill => "KILL to everyone".to_owned(),
        Action::Leave(Farewell::NobodyLeft) => "leave".to_owned(),
        Action::Leave(Farewell::SomeCannotBeKilled) => "leave, name who is left".to_owned(),
    }
}

fn say_phase(plan: &Plan) -> String {
    let phase = match plan.phase {
        Phase::Running => "running",
        Phase::Stopping(Stop { cause: Cause::Requested, .. }) => "stopping, requested",
        Phase::Stopping(Stop { cause: Cause::OwnExit, .. }) => "stopping, main's own exit",
        Phase::Killing { .. } => "killing",
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
