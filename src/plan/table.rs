//! The whole policy as one document, checked in: a change of behaviour is a visible difference.
//!
//! `docs/policy.md` is for people: it has what changes something, and only if it differs from the situation that it is compared with.
//! `policy-table.txt` beside this file has every row.

use std::fmt::Write;

use super::situations::{FIRST, FIRST_AFTER, Situation, TERM, situations};
use super::*;

const FOR_PEOPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policy.md");
const WHOLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/policy-table.txt");
const BLESS: &str = "DRAINIT_BLESS";

const HEAD: &str = "\
# The stop policy

Generated from the plan by a test (`DRAINIT_BLESS=1 cargo test policy_table` writes it); do not edit.

```text
            stop signal               drain over           schedule or grace period elapsed
 Running -----------------> Draining -----------> Stopping -----------------------------> Killing
    |                          |                    |  ^   or waiting is futile              |
    |   main's own exit (not --wait-for-all)        |  |                                     |
    +--------------------------+--------------------|--+                                     |
    |                          |                    |                                        |
    +--- none left ------------+--------------------+-----> PostExit <--- none left, 2 s ----+
                                                               |
                                                               +---> Over
```

Each section is a situation. Its first table shows what drainit does as time goes by if nothing else happens; its second table shows what it does
when something happens, at 10.6. Rows that change nothing are left out, and so are rows that are the same in the section that it is compared with.
Times are seconds since drainit started; a stop is requested at 10. `next` is the phase, and when drainit acts again by itself.

*By the rule* means that a process that handles the signal answers for its descendants ([the rule](processes.md)). Between these rows drainit looks
for orphans to signal: 20, 50, 100, 200 and 400 ms after a signal, then every 250 ms, and whenever a child ends. From `--ignored-after` on a
look also judges whether waiting can help. *Futile* means that the processes that are left ignore the signal.
";

/// A line of a table: when, what happens, what drainit does, where it is then.
#[derive(Clone, PartialEq, Eq)]
struct Row {
    at: String,
    event: String,
    then: String,
    next: String,
    /// It changes something.
    matters: bool,
}

/// The events that may happen at 10.6, and a repeated request at 11.
fn events() -> Vec<(u64, Event)> {
    let looks = [Outlook::KeepWaiting, Outlook::SignalOthersFirst, Outlook::Futile, Outlook::Unknown];
    let events = [
        TERM,
        Event::Signal(Signal::HUP),
        Event::MainEnded,
        Event::ChildEnded,
        Event::StepEnded(FIRST),
        Event::StepEnded(FIRST_AFTER),
        Event::NoneLeft,
    ];
    let looks = looks.into_iter().map(|outlook| Event::Looked(Some(outlook)));
    let mut rows: Vec<_> = events.into_iter().chain(looks).map(|event| (10_600, event)).collect();
    rows.insert(1, (11_000, TERM));
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
        (Event::Signal(_) | Event::ChildEnded | Event::NoneLeft | Event::Tick, _) => true,
    }
}

fn start(situation: &Situation) -> Plan {
    let mut plan = Plan::new(situation.policy.clone());
    for (at, event) in &situation.events {
        let _ = plan.handle(Duration::from_millis(*at), *event);
    }
    plan
}

/// What happens as time goes by: every tick at its time, up to 40. Looks, which find that waiting may help, and repeated KILLs are left out.
fn timeline(situation: &Situation) -> Vec<Row> {
    let mut plan = start(situation);
    let mut rows: Vec<Row> = Vec::new();
    while let Some(now) = plan.deadline().filter(|&at| at <= Duration::from_secs(40)) {
        for action in plan.handle(now, Event::Tick) {
            let has_killed = rows.iter().any(|row| row.then.starts_with("KILL to every"));
            if matches!(action, Action::Look { .. }) {
                let _ = plan.handle(now, Event::Looked(Some(Outlook::KeepWaiting)));
            } else if !(has_killed && matches!(action, Action::Kill(_))) {
                let (then, next) = (say_action(action), say_phase(&plan));
                let event = "time passes".to_owned();
                rows.push(Row { at: say_time(now), event, then, next, matters: true });
            }
        }
    }
    rows
}

fn reactions(situation: &Situation) -> Vec<Row> {
    let start = start(situation);
    let mut rows = Vec::new();
    for (at, event) in events().into_iter().filter(|&(_, event)| can_happen(&start, event)) {
        let now = Duration::from_millis(at);
        let mut plan = start.clone();
        let actions: Vec<_> = plan.handle(now, event).into_iter().map(say_action).collect();
        let then = if actions.is_empty() { "-".to_owned() } else { actions.join(", ") };
        let next = say_phase(&plan);
        let matters = then != "-" || next != say_phase(&start);
        rows.push(Row { at: say_time(now), event: say_event(event), then, next, matters });
    }
    rows
}

fn say_time(at: Duration) -> String {
    at.as_secs_f64().to_string()
}

fn write_rows(text: &mut String, rows: &[&Row]) {
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| at | event | then | next |\n|---|---|---|---|\n");
    for Row { at, event, then, next, .. } in rows {
        let _ = writeln!(text, "| {at} | {event} | {then} | {next} |");
    }
}

/// The document, with every row or with those that tell something.
fn render(head: &str, is_whole: bool) -> String {
    let mut text = head.to_owned();
    let situations = situations();
    for situation in &situations {
        let like = situations.iter().find(|other| Some(other.name) == situation.like && !is_whole);
        let _ = write!(text, "\n## {}\n", situation.name);
        if let Some(like) = like {
            let _ = write!(text, "\nCompared with *{}*:\n", like.name);
        }
        for table in [timeline, reactions] {
            let (known, rows) = (like.map(table).unwrap_or_default(), table(situation));
            let tells = |row: &&Row| is_whole || (row.matters && !known.contains(row));
            write_rows(&mut text, &rows.iter().filter(tells).collect::<Vec<_>>());
            let is_gone = |row: &&Row| {
                row.matters
                    && !rows.iter().any(|own| own.matters && (&own.event, &own.at) == (&row.event, &row.at))
            };
            for row in known.iter().filter(is_gone).take(3) {
                let _ = write!(text, "\nNot here: {} at {} ({}).\n", row.then, row.at, row.event);
            }
        }
    }
    text
}

fn say_event(event: Event) -> String {
    match event {
        Event::Signal(signal) => format!("signal {signal}"),
        Event::MainEnded => "main ends, others are left".to_owned(),
        Event::ChildEnded => "another child ends".to_owned(),
        Event::NoneLeft => "no process is left".to_owned(),
        Event::StepEnded(step) => format!("step {} ends", step.at + 1),
        Event::Looked(Some(Outlook::KeepWaiting) | None) => "look: waiting may help".to_owned(),
        Event::Looked(Some(Outlook::SignalOthersFirst)) => "look: some were not signalled".to_owned(),
        Event::Looked(Some(Outlook::Futile)) => "look: futile".to_owned(),
        Event::Looked(Some(Outlook::Unknown)) => "look: no /proc".to_owned(),
        Event::Tick => "time passes".to_owned(),
    }
}

fn say_action(action: Action) -> String {
    let seconds = |time: Duration| time.as_secs_f64();
    match action {
        Action::BeginStop(StopReason::Signal(_)) => "the stop begins".to_owned(),
        Action::BeginStop(StopReason::Elapsed) => "the stop begins (`--stop-after`)".to_owned(),
        Action::BeginStop(StopReason::OwnExit) => "the stop begins (main's own exit)".to_owned(),
        Action::Forward { signal, to } => format!("{signal} to {}", say_recipients(to)),
        Action::Signal { signal, target, .. } => format!("{} {}", say_signal(signal), say_target(target)),
        Action::SignalOthers => "the signal, by the rule, to those that were not signalled".to_owned(),
        Action::LastCall { until_kill } => {
            format!("last call: the signal to all that were not signalled, KILL in {} s", seconds(until_kill))
        }
        Action::Look { judges: false } => "look for orphans".to_owned(),
        Action::Look { judges: true } => "look for orphans, and whether waiting can help".to_owned(),
        Action::SayWaiting { since } => format!("warning: waiting for {} s", seconds(since)),
        Action::Observe => "look which processes have ended".to_owned(),
        Action::StartStep { step, time_left } => {
            format!("start step {} ({} s left)", step.at + 1, seconds(time_left))
        }
        Action::EndStep { step, why } => match why {
            StepEnd::Elapsed => format!("TERM to step {}, timed out", step.at + 1),
            StepEnd::NoTimeLeft => format!("no time for step {}", step.at + 1),
            StepEnd::MainIsGone => format!("TERM to step {}, dropped", step.at + 1),
        },
        Action::SignalLeftovers => "TERM to what the steps have left behind".to_owned(),
        Action::KillStep => "KILL to the last step".to_owned(),
        Action::Kill(KillReason::Elapsed) => "KILL to every process".to_owned(),
        Action::Kill(KillReason::Ignored(signal)) => format!("KILL to every process, {signal} is ignored"),
        Action::Leave(ExitReason::NoneLeft) => "leave".to_owned(),
        Action::Leave(ExitReason::SomeCannotBeKilled) => "leave, name those that are left".to_owned(),
    }
}

fn say_signal(StopSignal { received, rewritten }: StopSignal) -> String {
    if received == rewritten { received.to_string() } else { format!("{rewritten} for {received}") }
}

fn say_target(target: Target) -> &'static str {
    match target {
        Target::Auto => "by the rule",
        Target::Group => "to main's group",
        Target::Main => "to main",
        Target::All => "to every process",
    }
}

fn say_recipients(recipients: Recipients) -> &'static str {
    match recipients {
        Recipients::Main => "main",
        Recipients::Group => "main's group",
        Recipients::MainOrGroup => "main if it handles that, else to its group",
        Recipients::Adopted => "the adopted processes",
        Recipients::AdoptedOrGroups => "the adopted processes that handle it, else to their groups",
        Recipients::All => "every process",
    }
}

fn say_phase(plan: &Plan) -> String {
    let phase = match plan.phase {
        Phase::Running => "running",
        Phase::Stopping(stop) if stop.is_requested => "stopping, requested",
        Phase::Stopping(_) => "stopping, main's own exit",
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
    for (file, current) in [(FOR_PEOPLE, render(HEAD, false)), (WHOLE, render("", true))] {
        if std::env::var_os(BLESS).is_some() {
            std::fs::write(file, &current).expect("the tree can be written");
        }
        let known = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            known == current,
            "the policy has changed: look at it with {BLESS}=1 cargo test policy_table, then git diff"
        );
    }
}
