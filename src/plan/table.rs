//! The whole policy as one document, checked in, so that a change of behaviour shows as a difference.
//!
//! `docs/policy.md` is for people: it has the rows that change something, and only if they differ from the situation that they are compared
//! with. `policy-table.txt` beside this file has every row.

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
if something happens at 10.6, or if drainit was held (frozen, stopped, or suspended with the machine) until 60. Rows that change nothing are left out,
and so are rows that are the same in the section that it is compared with. Times are seconds since drainit started; a stop is requested at 10. `next` is
the phase, and when drainit acts again by itself.

*By the rule* means that a process that handles the signal answers for its descendants ([the rule](processes.md)). Between these rows drainit looks
for orphans to signal: 20, 50, 100, 200 and 400 ms after a signal, then every 250 ms, and whenever a child ends. From `--ignored-after` on a
look also judges whether waiting can help. *Futile* means that the processes that are left ignore the signal.
";

/// A row of a table: the time, the event, what drainit does, and the phase that follows.
#[derive(Clone, PartialEq, Eq)]
struct Row {
    at: String,
    event: String,
    then: String,
    next: String,
    /// Whether it changes anything.
    matters: bool,
}

/// The events that may happen at 10.6 s, a repeated request at 11 s, and a wake-up at 60 s.
fn events() -> Vec<(u64, Event)> {
    let looks = [Outlook::KeepWaiting, Outlook::SignalOthersFirst, Outlook::Futile, Outlook::Unknown];
    let events = [
        TERM,
        Event::Signal(Signal::HUP, Origin::Process),
        Event::Signal(Signal::INT, Origin::Terminal),
        Event::MainEnded,
        Event::ChildEnded,
        Event::StepEnded(FIRST),
        Event::StepEnded(FIRST_AFTER),
        Event::NoneLeft,
    ];
    let looks = looks.into_iter().map(|outlook| Event::Looked(Some(outlook)));
    let rows = events.into_iter().chain(looks).map(|event| (10_600, event));
    rows.chain([(11_000, TERM), (60_000, Event::Held)]).collect()
}

/// Whether the loop can report it in this situation at all.
fn can_happen(plan: &Plan, event: Event) -> bool {
    match (event, plan.phase) {
        (Event::MainEnded, _) => plan.main_lives,
        (Event::Looked(_), phase) => matches!(phase, Phase::Stopping(_)),
        (Event::StepEnded(step), Phase::Draining(_)) => step.when == When::PreStop,
        (Event::StepEnded(step), Phase::PostExit(_)) => step.when == When::PostExit,
        (Event::StepEnded(_), _) => false,
        (Event::Signal(..) | Event::ChildEnded | Event::NoneLeft | Event::Held | Event::Tick, _) => true,
    }
}

fn start(situation: &Situation) -> Plan<'_> {
    let mut plan = Plan::new(&situation.policy);
    for (at, event) in &situation.events {
        let _ = plan.handle(Duration::from_millis(*at), *event);
    }
    plan
}

/// What happens as time passes: every tick at its time, up to 40 s. Looks, which find that waiting may help, and repeated KILLs are left
/// out.
fn timeline(situation: &Situation) -> Vec<Row> {
    let mut plan = start(situation);
    let mut rows: Vec<Row> = Vec::new();
    while let Some(now) = plan.deadline().filter(|&at| at <= Duration::from_secs(40)) {
        for action in plan.handle(now, Event::Tick) {
            let has_killed = rows.iter().any(|row| row.then.starts_with("KILL to every"));
            if matches!(action, Action::Look { .. }) {
                let _ = plan.handle(now, Event::Looked(Some(Outlook::KeepWaiting)));
            } else if !(has_killed && matches!(action, Action::Kill(_))) {
                let (then, next) = (action.to_string(), say_phase(&plan));
                let event = "time passes".to_owned();
                rows.push(Row { at: say_time(now), event, then, next, matters: true });
            }
        }
    }
    rows
}

/// The situation at 10.6 or 11 s, if nothing else has happened; looks have found that waiting may help.
fn later<'a>(mut plan: Plan<'a>, now: Duration) -> Plan<'a> {
    let passed = |plan: &Plan| plan.deadline().filter(|&at| at < now.min(Duration::from_secs(11)));
    while let Some(at) = passed(&plan) {
        for action in plan.handle(at, Event::Tick) {
            if matches!(action, Action::Look { .. }) {
                let _ = plan.handle(at, Event::Looked(Some(Outlook::KeepWaiting)));
            }
        }
    }
    plan
}

fn reactions(situation: &Situation) -> Vec<Row> {
    let begun = start(situation);
    let mut rows = Vec::new();
    for (at, event) in events() {
        let now = Duration::from_millis(at);
        let start = later(begun, now);
        let is_repeated = at != 11_000 || !matches!(start.phase, Phase::Running);
        if !can_happen(&start, event) || !is_repeated {
            continue;
        }
        let mut plan = start;
        let actions: Vec<_> = plan.handle(now, event).into_iter().map(|action| action.to_string()).collect();
        let then = if actions.is_empty() { "-".to_owned() } else { actions.join(", ") };
        let next = say_phase(&plan);
        let matters = then != "-" || phase(&plan) != phase(&start);
        rows.push(Row { at: say_time(now), event: event.to_string(), then, next, matters });
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

/// The document, with every row or only with those that matter.
fn render(head: &str, is_whole: bool) -> String {
    let mut text = head.to_owned();
    let situations = situations();
    for situation in &situations {
        let like = situations.iter().find(|other| Some(other.name) == situation.like && !is_whole);
        let _ = write!(text, "\n## {}\n", situation.name);
        if let Some(like) = like {
            let _ = write!(text, "\nCompared with *{}*:\n", like.name);
        }
        let title = text.len();
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
        if text.len() == title {
            text.push_str("\nNothing changes anything.\n");
        }
    }
    text
}

fn phase(plan: &Plan) -> &'static str {
    match plan.phase {
        Phase::Running => "running",
        Phase::Stopping(stop) if stop.is_requested => "stopping, requested",
        Phase::Stopping(_) => "stopping, main's own exit",
        Phase::Draining(_) => "draining",
        Phase::Killing(_) => "killing",
        Phase::PostExit(_) => "after the end",
        Phase::Over => "over",
    }
}

fn say_phase(plan: &Plan) -> String {
    match plan.deadline() {
        Some(deadline) => format!("{} ({})", phase(plan), deadline.as_secs_f64()),
        None => phase(plan).to_owned(),
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
