//! Job control as a document, checked in, so that a change of behaviour shows as a difference.

use std::fmt::Write;
use std::time::Duration;

use super::generated_table::assert_current;
use super::job_control::{Holder, JobAction, JobControl, Otherwise, Standing, Stopped};
use crate::signal::Signal;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/job-control.md");
const GROUP: i32 = 7;

const HEAD: &str = "\
# Job control

Generated from the plan by a test (`DRAINIT_BLESS=1 cargo test job_table` writes it); do not edit. [Why it is so](decisions/job-control.md).

The command is in a process group of its own. The tables say what drainit does so that a shell sees the command's stops, as it would without drainit, and
that no process stays stopped which no shell can continue.
";

const HOLDERS: [(Holder, &str); 5] = [
    (Holder::Own, "drainit's group"),
    (Holder::Empty, "a group without members"),
    (Holder::Job, "the group of the stopped process"),
    (Holder::Sibling, "another command of drainit's group"),
    (Holder::Other, "any other group"),
];

/// Signals that are treated alike.
const SIGNALS: [(&str, [Signal; 2]); 3] =
    [("TTIN, TTOU", [Signal::TTIN, Signal::TTOU]), ("TSTP", [Signal::TSTP; 2]), ("STOP", [Signal::STOP; 2])];

/// `by` is the signal that the action follows.
fn words(action: JobAction, by: Signal) -> String {
    let name = |signal: Signal| if signal == by { "the same signal".to_owned() } else { signal.to_string() };
    match action {
        JobAction::Nothing => "-".to_owned(),
        JobAction::HandOver { .. } => "give it the terminal, and continue it".to_owned(),
        JobAction::SuspendGroup { signal, takes_back: true } => {
            format!("take the terminal back, and {} to drainit's group", name(signal))
        }
        JobAction::SuspendGroup { signal, takes_back: false } => {
            format!("{} to drainit's group", name(signal))
        }
        JobAction::SuspendSelf { signal } => format!("{} to drainit alone", name(signal)),
        JobAction::Continue { .. } => "continue its group".to_owned(),
        JobAction::LetGo { otherwise, .. } => {
            let otherwise = match otherwise {
                Otherwise::HangUp => "HUP and CONT to its group",
                Otherwise::Join => "join its group, and continue it",
                Otherwise::JoinOrContinue => "join its group if possible, and continue it",
            };
            format!("leave the session, and continue its group; if drainit cannot leave: {otherwise}")
        }
    }
}

/// The columns: a shell can continue drainit; none can; none can, and the group has been sent HUP; drainit is PID 1.
fn columns(by: Signal, terminal: Holder) -> [String; 4] {
    [(true, false, false), (false, false, false), (false, true, false), (false, false, true)].map(
        |(can_suspend, has_hung_up, is_pid_one)| {
            let mut job = JobControl::default();
            if has_hung_up {
                job.hung_up();
            }
            let stop = Stopped { pid: GROUP, group: GROUP, by, terminal, can_suspend, is_pid_one };
            words(job.stopped(Duration::ZERO, stop), by)
        },
    )
}

fn stops() -> String {
    let mut text = "
## A process of the command was stopped

| by | the terminal is held by | a shell can continue drainit | no shell can | no shell can, and HUP was sent before | drainit is PID 1 |
|---|---|---|---|---|---|
"
    .to_owned();
    for (label, [by, like]) in SIGNALS {
        let mut rows: Vec<(Vec<&str>, [String; 4])> = Vec::new();
        for (terminal, name) in HOLDERS {
            let cells = columns(by, terminal);
            assert_eq!(columns(like, terminal), cells, "{label}, {name}");
            match rows.iter_mut().find(|(_, known)| *known == cells) {
                Some((names, _)) => names.push(name),
                None => rows.push((vec![name], cells)),
            }
        }
        for (names, cells) in rows {
            let _ = writeln!(text, "| {label} | {} | {} |", names.join("; "), cells.join(" | "));
        }
    }
    text
}

fn signals() -> String {
    let mut text = "
## A signal comes to drainit

| signal | the command is stopped | the command runs |
|---|---|---|
"
    .to_owned();
    for signal in [Signal::TSTP, Signal::TTIN, Signal::TTOU, Signal::INT, Signal::QUIT, Signal::TERM] {
        let cells = [true, false].map(|is_stopped| {
            let mut job = JobControl::default();
            if is_stopped {
                let (terminal, by) = (Holder::Other, Signal::STOP);
                let stop =
                    Stopped { pid: GROUP, group: GROUP, by, terminal, can_suspend: true, is_pid_one: false };
                let _ = job.stopped(Duration::ZERO, stop);
            }
            let action = words(job.stop_signal(signal, true), signal);
            match job.forwarded(signal, true, false) {
                Some(_) => "continue its group, if the signal is a key's".to_owned(),
                None => action,
            }
        });
        let _ = writeln!(text, "| {signal} | {} |", cells.join(" | "));
    }
    text
}

fn looks() -> String {
    let mut text = "
## A look at what drainit is not told of

In every other case nothing is done.

| the terminal is held by | no shell can continue drainit | a process is stopped | drainit is alone in its group | the session has its terminal | then |
|---|---|---|---|---|---|
"
    .to_owned();
    let both = [true, false];
    for (terminal, name) in HOLDERS {
        for is_orphaned in both {
            for [has_stopped, is_alone, has_terminal] in both
                .into_iter()
                .flat_map(|a| both.into_iter().flat_map(move |b| both.map(move |c| [a, b, c])))
            {
                let group = GROUP;
                let standing = Standing { group, has_stopped, terminal, is_orphaned, is_alone, has_terminal };
                let action = JobControl::default().look(standing);
                if action == JobAction::Nothing {
                    continue;
                }
                let [orphaned, stopped, alone, terminal] = [is_orphaned, has_stopped, is_alone, has_terminal]
                    .map(|so| if so { "yes" } else { "no" });
                let _ = writeln!(
                    text,
                    "| {name} | {orphaned} | {stopped} | {alone} | {terminal} | {} |",
                    words(action, Signal::TTIN)
                );
            }
        }
    }
    text
}

fn ends() -> String {
    let mut text = "
## The command has ended

| of | no stop is under way | a stop is under way | drainit had forwarded that signal |
|---|---|---|---|
"
    .to_owned();
    for died_of in [Signal::INT, Signal::QUIT, Signal::TERM] {
        let cells = [(false, false), (true, false), (false, true)].map(|(is_stopping, was_forwarded)| {
            let mut job = JobControl::default();
            if was_forwarded {
                let _ = job.forwarded(died_of, false, false);
            }
            job.ended(GROUP, Some(died_of), is_stopping).map_or("-".to_owned(), |signal| {
                format!("{signal} to the others of drainit's group, if the command had the terminal")
            })
        });
        let _ = writeln!(text, "| {died_of} | {} |", cells.join(" | "));
    }
    text
}

#[test]
fn job_table_is_current() {
    let current = [HEAD.to_owned(), stops(), signals(), looks(), ends()].concat();
    assert_current(FILE, &current, "job_table");
}
