//! The rule as a document, checked in: which processes a stop signals, for common ways to start a container.

use std::fmt::Write;
use std::time::Duration;

use super::answering::{Input, Why, select};
use super::facts::{Call, FactTable, Facts, Status, Stdin};
use super::fixtures::{MAIN, Sample, world};
use super::shells::Shell;
use super::signalled::{Moment, OrphanVerdict, Signalled};
use super::{Disposition, SignalState, Table, outlook_table};
use crate::plan::StopSignal;
use crate::plan::generated_table::assert_current;
use crate::signal::Signal;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/processes.md");

const HEAD: &str = "\
# Which processes a stop signals, and which it waits for

Generated from the rules by a test (`DRAINIT_BLESS=1 cargo test process_table` writes it); do not edit.

*A process that handles the signal answers for its descendants.* Each row is a way to start a container, and which processes get TERM when the stop
begins. `server` catches TERM, INT and QUIT unless it says otherwise. A process that dies of the signal leaves its children behind. drainit
adopts them and signals each by the same rule: see the last column. Processes that are not named get nothing before the last call.

| entrypoint | at once | when the first ones have ended |
|---|---|---|
";

/// A row: the processes, in order of their pids; main is the first.
struct Case {
    entrypoint: &'static str,
    processes: Vec<Sample>,
    /// The processes that die of the signal or exit in their trap.
    then_gone: Vec<i32>,
    signal: StopSignal,
}

const TERM: [Signal; 1] = [Signal::TERM];
const ALL: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];
const KEYS: [Signal; 2] = [Signal::INT, Signal::QUIT];
const SERVER: i32 = 8;

fn shell(kind: Shell, call: Call) -> Sample {
    let mut sample = Sample::new(MAIN, 1, if kind == Shell::Bash { "bash" } else { "sh" }).call(call);
    sample.facts.shell = Some(Some(kind));
    sample
}

fn server(parent: i32) -> Sample {
    Sample::new(SERVER, parent, "server").catches(&ALL)
}

fn case(entrypoint: &'static str, processes: Vec<Sample>, then_gone: &[i32]) -> Case {
    let signal = StopSignal::plain(Signal::TERM);
    Case { entrypoint, processes, then_gone: then_gone.to_vec(), signal }
}

fn cases() -> Vec<Case> {
    [without_a_trap(), with_a_trap(), masters(), others()].concat_all()
}

trait ConcatAll {
    fn concat_all(self) -> Vec<Case>;
}

impl<const N: usize> ConcatAll for [Vec<Case>; N] {
    fn concat_all(self) -> Vec<Case> {
        self.into_iter().flatten().collect()
    }
}

fn without_a_trap() -> Vec<Case> {
    let dash = |call| shell(Shell::Ash, call);
    let tee = |parent| Sample::new(9, parent, "tee").stdin(Stdin::Pipe(5));
    vec![
        case("`exec server`", vec![Sample::new(MAIN, 1, "server").catches(&ALL)], &[]),
        case("`sh -c 'server & wait'`", vec![dash(Call::Suspended), server(MAIN)], &[MAIN]),
        case("`sh -c 'server; true'`", vec![dash(Call::AwaitsChild), server(MAIN)], &[MAIN]),
        case(
            "`sh -c 'server | tee log'`",
            vec![dash(Call::AwaitsChild), server(MAIN).writes_into(5), tee(MAIN)],
            &[MAIN],
        ),
        case(
            "`sh -c 'tail -f f & server'`",
            vec![dash(Call::AwaitsChild), server(MAIN), Sample::new(9, MAIN, "tail").ignores(&KEYS)],
            &[MAIN, 9],
        ),
        case("`trap '' TERM; server; true`", vec![dash(Call::AwaitsChild).ignores(&TERM), server(MAIN)], &[]),
        case(
            "`sh` with a daemon that left it before the stop",
            vec![
                dash(Call::AwaitsChild),
                Sample::new(9, MAIN, "sleep"),
                Sample::new(20, 1, "daemon").catches(&TERM),
            ],
            &[MAIN],
        ),
    ]
}

fn with_a_trap() -> Vec<Case> {
    let dash = |call| shell(Shell::Ash, call).catches(&TERM);
    let bash = || shell(Shell::Bash, Call::AwaitsChild).catches(&TERM);
    let zsh = || shell(Shell::Zsh, Call::Suspended).catches(&TERM);
    let job = |name| Sample::new(SERVER, MAIN, name);
    let terminal = Stdin::Other(7);
    vec![
        case(
            "`trap 'kill $p; wait $p' TERM; server & p=$!; wait $p`, dash",
            vec![dash(Call::Suspended), server(MAIN).ignores(&KEYS)],
            &[],
        ),
        case("the same, bash", vec![bash(), job("server").catches(&TERM).ignores(&KEYS)], &[]),
        case(
            "the same, bash, node resets INT and QUIT",
            vec![bash(), server(MAIN).stdin(Stdin::ReadOnlyNull)],
            &[],
        ),
        case("the same, zsh", vec![zsh(), server(MAIN)], &[]),
        case(
            "`trap cleanup TERM; server` in the foreground, dash",
            vec![dash(Call::AwaitsChild), server(MAIN)],
            &[],
        ),
        case(
            "`trap cleanup TERM; x=$(server)`, dash",
            vec![dash(Call::Reads(Some(5))), server(MAIN).writes_into(5)],
            &[],
        ),
        case(
            "`trap cleanup TERM; server & read line`, dash",
            vec![dash(Call::Reads(Some(9))), server(MAIN).ignores(&KEYS)],
            &[],
        ),
        case(
            "`trap cleanup TERM; x=$(server)`, zsh",
            vec![zsh().call(Call::Reads(Some(5))), server(MAIN).writes_into(5)],
            &[],
        ),
        case(
            "the same, bash, stdin is a read-only `/dev/null`",
            vec![
                bash().stdin(Stdin::ReadOnlyNull).call(Call::Reads(Some(5))),
                server(MAIN).stdin(Stdin::ReadOnlyNull).writes_into(5),
            ],
            &[],
        ),
        case(
            "`trap cleanup TERM; server` in the foreground, zsh",
            vec![zsh().blocks(&[Signal::INT]), server(MAIN)],
            &[],
        ),
        case("`trap cleanup TERM; sleep 100` in the foreground, bash", vec![bash(), job("sleep")], &[]),
        case(
            "`trap cleanup TERM; server`, bash, stdin is a terminal",
            vec![bash().stdin(terminal), server(MAIN).stdin(terminal)],
            &[],
        ),
        case(
            "`trap cleanup TERM; server`, bash, stdin is a read-only `/dev/null`: in doubt the shell answers",
            vec![bash().stdin(Stdin::ReadOnlyNull), server(MAIN).stdin(Stdin::ReadOnlyNull)],
            &[],
        ),
        case(
            "`set -m; trap 'kill $p; wait' TERM; server & wait`, bash: in doubt the shell answers",
            vec![bash(), server(MAIN).group(SERVER)],
            &[],
        ),
        case(
            "`trap cleanup TERM; server | tee log`, dash",
            vec![
                dash(Call::AwaitsChild),
                server(MAIN).writes_into(5),
                Sample::new(9, MAIN, "tee").stdin(Stdin::Pipe(5)),
            ],
            &[],
        ),
        case(
            "`(trap : TERM; server) & wait`, dash: the inner shell waits in the foreground",
            vec![
                shell(Shell::Ash, Call::Suspended),
                {
                    let mut inner = Sample::new(SERVER, MAIN, "sh").catches(&TERM).call(Call::AwaitsChild);
                    inner.facts.shell = Some(Some(Shell::Ash));
                    inner
                },
                Sample::new(9, SERVER, "server").catches(&ALL),
            ],
            &[MAIN],
        ),
    ]
}

fn masters() -> Vec<Case> {
    let pool = |master: i32, parent: i32| {
        vec![
            Sample::new(master, parent, "master").catches(&TERM),
            Sample::new(master + 1, master, "worker"),
            Sample::new(master + 2, master, "worker"),
        ]
    };
    let behind = |shell: Sample| [vec![shell], pool(SERVER, MAIN)].concat();
    vec![
        case("a master with workers that die of TERM", pool(MAIN, 1), &[]),
        case("`sh -c 'master; true'`", behind(shell(Shell::Ash, Call::AwaitsChild)), &[MAIN]),
        case(
            "`trap cleanup TERM; master`, dash",
            behind(shell(Shell::Ash, Call::AwaitsChild).catches(&TERM)),
            &[],
        ),
        case("the master as a daemon, main is gone", pool(20, 1), &[]),
        case(
            "a main that catches TERM, and a daemon that it had started and drainit adopted before the stop",
            vec![Sample::new(MAIN, 1, "main").catches(&TERM), Sample::new(20, 1, "daemon").catches(&TERM)],
            &[],
        ),
    ]
}

fn others() -> Vec<Case> {
    let wrapper = |name| Sample::new(MAIN, 1, name);
    let quit = StopSignal { received: Signal::TERM, rewritten: Signal::QUIT };
    vec![
        case(
            "`timeout 100 server`, which passes TERM on",
            vec![wrapper("timeout").catches(&TERM), server(MAIN)],
            &[],
        ),
        case("`tini -- server`", vec![wrapper("tini").call(Call::AwaitsSignals), server(MAIN)], &[]),
        case(
            "`tini -- server`, whose system call may not be read",
            vec![wrapper("tini").call(Call::Hidden), server(MAIN)],
            &[],
        ),
        case(
            "a program that blocks TERM and takes it by signalfd",
            vec![wrapper("server").blocks(&TERM), Sample::new(SERVER, MAIN, "worker")],
            &[],
        ),
        case(
            "a nested pid namespace whose init does not handle TERM",
            vec![
                wrapper("unshare").ignores(&TERM),
                Sample::new(SERVER, MAIN, "sleep").nested_init(),
                Sample::new(9, SERVER, "server").catches(&TERM),
            ],
            &[],
        ),
        Case {
            signal: quit,
            ..case(
                "`--rewrite TERM:QUIT`: `nginx`, which handles QUIT",
                vec![wrapper("nginx").catches(&ALL)],
                &[],
            )
        },
        Case {
            signal: quit,
            ..case(
                "`--rewrite TERM:QUIT`: `sh -c 'nginx & wait'`",
                vec![shell(Shell::Ash, Call::Suspended), server(MAIN)],
                &[MAIN],
            )
        },
    ]
}

/// Which processes are signalled, as `name (SIGNAL)`; and which are left below init once `gone` have ended.
fn signalled(table: &Table, facts: &FactTable, tops: &[i32], signal: StopSignal) -> Vec<(i32, String)> {
    let input = Input { table, tops, signal, is_last_look: true };
    let selection = select(&input, facts).expect("all facts are known");
    let name = |pid: i32| table.find(pid).map(|process| process.name.to_string()).unwrap_or_default();
    selection
        .recipients
        .iter()
        .map(|recipient| {
            let why = match recipient.why {
                Why::ForegroundOf(_) => ", in the foreground",
                Why::Top | Why::BelowIgnoring(_) => "",
            };
            (recipient.pid, format!("{} ({}{why})", name(recipient.pid), recipient.signal))
        })
        .collect()
}

fn row(case: &Case) -> [String; 2] {
    let (table, facts) = world(&case.processes);
    let first = signalled(&table, &facts, &tops(&table), case.signal);
    let survivors: Vec<Sample> = case
        .processes
        .iter()
        .filter(|sample| !case.then_gone.contains(&sample.process.pid))
        .map(|&sample| {
            let mut sample = sample;
            if case.then_gone.contains(&sample.process.parent) {
                sample.process.parent = 1;
            }
            sample
        })
        .collect();
    let (table, facts) = world(&survivors);
    let mut second = signalled(&table, &facts, &tops(&table), case.signal);
    second.retain(|(pid, _)| !first.iter().any(|(known, _)| known == pid));
    [first, second].map(|all| {
        let words: Vec<String> = all.into_iter().map(|(_, words)| words).collect();
        if words.is_empty() { "-".to_owned() } else { words.join(", ") }
    })
}

fn tops(table: &Table) -> Vec<i32> {
    table.children(1).map(|process| process.pid).collect()
}

#[test]
fn process_table_is_current() {
    let mut text = HEAD.to_owned();
    for case in cases() {
        let [first, second] = row(&case);
        let entrypoint = case.entrypoint.replace('|', "\\|");
        let _ = writeln!(text, "| {entrypoint} | {first} | {second} |");
    }
    text += outlook_table::HEAD;
    text += &outlook_table::rows();
    assert_current(FILE, &text, "process_table");
}

#[track_caller]
fn only(case: &Case, first: &str, second: &str) {
    assert_eq!(row(case), [first, second], "{}", case.entrypoint);
}

#[test]
fn no_worker_of_a_master_is_signalled() {
    for case in masters() {
        assert!(!row(&case).iter().any(|words| words.contains("worker")), "{}", case.entrypoint);
        let has_top =
            row(&case).iter().any(|words| words.contains("master (TERM") || words.contains("daemon (TERM"));
        assert!(has_top, "{}", case.entrypoint);
    }
}

#[test]
fn a_server_behind_a_shell_is_signalled_once() {
    let [before_wait, ..] = without_a_trap()
        .try_into()
        .map(|[_, case, ..]: [Case; 7]| [case])
        .unwrap_or_else(|_| panic!("seven"));
    only(&before_wait, "sh (TERM)", "server (TERM)");
}

#[test]
fn in_doubt_the_shell_answers() {
    for case in with_a_trap().iter().filter(|case| case.entrypoint.contains("in doubt")) {
        let [first, second] = row(case);
        assert_eq!((first.as_str(), second.as_str()), ("bash (TERM)", "-"), "{}", case.entrypoint);
    }
}

#[test]
fn a_shell_between_two_commands_is_looked_at_again() {
    let running = shell(Shell::Ash, Call::Running).catches(&TERM);
    let (table, facts) = world(&[running, server(MAIN)]);
    let selected = |is_last_look| {
        select(
            &Input { table: &table, tops: &[MAIN], signal: StopSignal::plain(Signal::TERM), is_last_look },
            &facts,
        )
    };
    assert!(selected(false).is_err_and(|missing| missing.iter().eq([(MAIN, super::facts::Fact::Call)])));
    let selection = selected(true).expect("then it is in doubt");
    assert_eq!((selection.recipients.len(), selection.in_doubt), (1, vec![MAIN]));
}

#[test]
fn a_signal_that_a_shell_blocks_for_a_moment_is_not_handled_by_it() {
    let forking = shell(Shell::Ash, Call::Other).ignores(&TERM).blocks(&TERM);
    let (table, facts) = world(&[forking, server(MAIN)]);
    let input =
        Input { table: &table, tops: &[MAIN], signal: StopSignal::plain(Signal::TERM), is_last_look: false };
    assert!(select(&input, &facts).is_err(), "it is looked at again");
    assert_eq!(forking.process.disposition(Signal::TERM), Some(Disposition::Ignored));
}

#[test]
fn an_orphan_that_reads_is_spared_and_what_was_signalled_unseen_is_done() {
    let signal = StopSignal::plain(Signal::TERM);
    let moment = Moment { ticks: 100, last_pid: Some(100) };
    let reader = Sample::new(9, 1, "tee");
    let (table, _) = world(&[reader]);
    let mut signalled = Signalled::begin(signal, moment, &table);
    signalled.note_spared(9);
    let verdict =
        signalled.orphan(&reader.process, 1, Duration::from_secs(9), Duration::ZERO, Status::default);
    assert_eq!(verdict, OrphanVerdict::Leave);
    assert!(!signalled.is_done(&reader.process), "the last call reaches it");

    let mut unseen = Signalled::begin(signal, moment, &Table::default());
    unseen.note_all();
    assert!(unseen.is_done(&reader.process));
    assert!(!unseen.is_done(&Sample::new(200, 1, "later").process));
}

#[test]
fn what_is_below_an_orphan_may_have_been_told_too() {
    let outer = Sample::new(MAIN, 1, "sh").catches(&TERM);
    let inner = Sample::new(SERVER, MAIN, "sh").catches(&TERM);
    let server = Sample::new(9, SERVER, "server").catches(&TERM);
    let (table, facts) = world(&[outer, inner, server]);
    let now = |switches, caught: bool| Status {
        switches: Some(switches),
        signals: Some(if caught {
            server.process.signals.expect("it has some")
        } else {
            SignalState::default()
        }),
        ..Status::default()
    };
    let patience = Duration::from_secs(2);
    for (says, since, verdict) in [
        (now(10, true), 0, OrphanVerdict::Signal),
        (now(11, true), 0, OrphanVerdict::Wait),
        (now(11, true), 2, OrphanVerdict::Signal),
        (now(11, false), 2, OrphanVerdict::Leave),
    ] {
        let moment = Moment { ticks: 100, last_pid: Some(100) };
        let mut signalled = Signalled::begin(StopSignal::plain(Signal::TERM), moment, &table);
        for (pid, facts) in facts.iter() {
            signalled.note_status(pid, &facts.status.expect("it was read"));
        }
        signalled.note_sent(&outer.process, Signal::TERM, false);
        let orphan = super::Process { parent: 1, ..inner.process };
        let since = Duration::from_secs(since);
        let said = signalled.below(&orphan, &server.process, 1, since, patience, || says);
        assert_eq!(said, verdict, "{says:?} {since:?}");
        assert_eq!(signalled.owes(), verdict == OrphanVerdict::Wait);
        assert_eq!(signalled.owed(&table).count(), usize::from(verdict == OrphanVerdict::Wait));
        let later = signalled.orphan(&server.process, 1, patience, patience, || now(11, true));
        assert_eq!(later == OrphanVerdict::Leave, verdict == OrphanVerdict::Leave, "{says:?}");
    }
}

#[test]
fn a_daemon_that_was_adopted_before_the_stop_is_a_top() {
    let main = Sample::new(MAIN, 1, "main").catches(&TERM);
    let daemon = Sample::new(9, 1, "daemon").catches(&TERM);
    let (table, facts) = world(&[main, daemon]);
    let signal = StopSignal::plain(Signal::TERM);
    let names = signalled(&table, &facts, &tops(&table), signal);
    assert_eq!(names, [(MAIN, "main (TERM)".to_owned()), (9, "daemon (TERM)".to_owned())]);
}

#[test]
fn facts_of_many_that_read_from_pipes_are_asked_for_once() {
    let many: Vec<Sample> = (10..2_000).map(|pid| Sample::new(pid, 1, "x").stdin(Stdin::Pipe(5))).collect();
    let (table, facts) = world(&many);
    let facts = facts.iter().map(|(pid, &facts)| (pid, Facts { outputs: None, ..facts })).collect();
    let tops: Vec<i32> = (10..2_000).collect();
    let signal = StopSignal::plain(Signal::TERM);
    let input = Input { table: &table, tops: &tops, signal, is_last_look: false };
    assert!(select(&input, &facts).is_err_and(|missing| missing.len() == many.len()));
}

#[test]
fn a_long_line_of_descent_is_no_burden() {
    let line: Vec<Sample> = (0..50_000).map(|at| Sample::new(10 + at, 9 + at, "x").ignores(&TERM)).collect();
    let (table, facts) = world(&line);
    let input =
        Input { table: &table, tops: &[10], signal: StopSignal::plain(Signal::TERM), is_last_look: true };
    assert_eq!(select(&input, &facts).expect("all is known").recipients.len(), 50_000);
}
