//! The whole policy as one document, checked in, so that a change of behaviour shows as a difference.
//!
//! `docs/policy.md` is for people: it has the rows that change something, and only if they differ from the situation that they are compared
//! with. `policy-table.txt` beside this file has every row.

use std::fmt::Write;

use super::generated_table::assert_current;
use super::situations::{FIRST, FIRST_AFTER, Situation, TERM, situations};
use super::*;

const FOR_PEOPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policy.md");
const WHOLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/policy-table.txt");
const TIME: &str = "time passes";

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
if something happens at 10.6, if the request is repeated at 11, or if drainit was held (frozen, stopped, or suspended with the machine) until 60. Rows that change
nothing are left out, and so are rows that are the same in the section that it is compared with. Times are seconds since drainit started; a stop is
requested at 10. `next` is the phase, and when drainit acts again by itself.

*By the rule* means that a process that handles the signal answers for its descendants ([the rule](processes.md)). Between these rows drainit looks
for orphans to signal: 20, 50, 100, 200 and 400 ms after a signal, then every 250 ms, and whenever a child ends. From `--ignored-after` on a
look also judges whether waiting can help. *Futile* means that the processes that are left ignore the signal
([the rule](processes.md#whether-waiting-can-help)).
";

/// Which rows a document has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Every row. Events meet the situation as it is, even if a tick is overdue.
    Whole,
    /// The rows that change something. Until an event, time has passed as it does in the loop.
    ForPeople,
}

/// A row of a table: the time, the event, what drainit does, and the phase that follows.
#[derive(Clone, PartialEq, Eq)]
struct PolicyRow {
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
    let mut rows: Vec<_> = events.into_iter().chain(looks).map(|event| (10_600, event)).collect();
    rows.extend([(11_000, TERM), (60_000, Event::Held)]);
    rows
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
fn timeline(situation: &Situation) -> Vec<PolicyRow> {
    let mut plan = start(situation);
    let mut rows: Vec<PolicyRow> = Vec::new();
    while let Some(now) = plan.deadline().filter(|&at| at <= Duration::from_secs(40)) {
        for action in plan.handle(now, Event::Tick) {
            let has_killed = rows.iter().any(|row| row.then.starts_with("KILL to every"));
            if matches!(action, Action::Look { .. }) {
                let _ = plan.handle(now, Event::Looked(Some(Outlook::KeepWaiting)));
            } else if !(has_killed && matches!(action, Action::Kill(_))) {
                let (then, next) = (action.to_string(), say_phase(&plan));
                let event = TIME.to_owned();
                rows.push(PolicyRow { at: say_time(now), event, then, next, matters: true });
            }
        }
    }
    rows
}

/// Delivers the ticks that are due before this time. Looks find that waiting may help.
fn let_time_pass(plan: &mut Plan, until: Duration) {
    while let Some(due) = plan.deadline().filter(|&due| due < until) {
        let actions = plan.handle(due, Event::Tick);
        if actions.into_iter().any(|action| matches!(action, Action::Look { .. })) {
            let _ = plan.handle(due, Event::Looked(Some(Outlook::KeepWaiting)));
        }
    }
}

fn reactions(situation: &Situation, extent: Extent) -> Vec<PolicyRow> {
    let start = start(situation);
    let mut rows = Vec::new();
    for (at, event) in events() {
        let now = Duration::from_millis(at);
        let mut plan = start;
        if extent == Extent::ForPeople && event != Event::Held {
            let_time_pass(&mut plan, now);
        }
        let repeats = at == 11_000;
        if !can_happen(&plan, event) || (repeats && matches!(plan.phase, Phase::Running)) {
            continue;
        }
        let before = phase_name(&plan);
        let actions: Vec<_> = plan.handle(now, event).into_iter().map(|action| action.to_string()).collect();
        let then = if actions.is_empty() { "-".to_owned() } else { actions.join(", ") };
        let matters = then != "-" || phase_name(&plan) != before;
        rows.push(PolicyRow {
            at: say_time(now),
            event: event.to_string(),
            then,
            next: say_phase(&plan),
            matters,
        });
    }
    rows
}

fn say_time(at: Duration) -> String {
    at.as_secs_f64().to_string()
}

fn write_rows(text: &mut String, rows: &[&PolicyRow]) {
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| at | event | then | next |\n|---|---|---|---|\n");
    for PolicyRow { at, event, then, next, .. } in rows {
        let _ = writeln!(text, "| {at} | {event} | {then} | {next} |");
    }
}

/// The document.
fn render(head: &str, extent: Extent) -> String {
    let mut text = head.to_owned();
    let situations = situations();
    for situation in &situations {
        let is_whole = extent == Extent::Whole;
        let like = situations.iter().find(|other| Some(other.name) == situation.like && !is_whole);
        let tables = |situation: &Situation| [timeline(situation), reactions(situation, extent)];
        let mut section = String::new();
        for (rows, known) in tables(situation).iter().zip(like.map(tables).unwrap_or_default()) {
            let tells = |row: &&PolicyRow| is_whole || (row.matters && !known.contains(row));
            write_rows(&mut section, &rows.iter().filter(tells).collect::<Vec<_>>());
            let is_gone = |row: &&PolicyRow| {
                row.matters
                    && !rows.iter().any(|own| own.matters && (&own.event, &own.at) == (&row.event, &row.at))
            };
            let gone: Vec<String> = known.iter().filter(is_gone).map(in_words).collect();
            if !gone.is_empty() {
                let _ = write!(section, "\nNot here: {}.\n", gone.join("; "));
            }
        }
        if section.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {}\n", situation.name);
        if let Some(like) = like {
            let _ = write!(text, "\nCompared with *{}*:\n", like.name);
        }
        text.push_str(&section);
    }
    text
}

/// A row of another section, as a phrase.
fn in_words(PolicyRow { at, event, then, .. }: &PolicyRow) -> String {
    if event == TIME { format!("{then} ({at})") } else { format!("{then} ({at}, {event})") }
}

fn phase_name(plan: &Plan) -> &'static str {
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
    let phase = phase_name(plan);
    match plan.deadline() {
        Some(deadline) => format!("{phase} ({})", deadline.as_secs_f64()),
        None => phase.to_owned(),
    }
}

#[test]
fn policy_table_is_current() {
    for (file, current) in [(FOR_PEOPLE, render(HEAD, Extent::ForPeople)), (WHOLE, render("", Extent::Whole))]
    {
        assert_current(file, &current, "policy_table");
    }
}
