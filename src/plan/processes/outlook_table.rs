//! The rule about waiting as a table in `docs/processes.md`.

use std::fmt::Write;
use std::time::Duration;

use super::Table;
use super::facts::Call;
use super::fixtures::{MAIN, Sample, world};
use super::ignoring::{Closer, IgnoreCheck, Look, Outlook};
use super::signalled::{Moment, Signalled};
use crate::plan::StopSignal;
use crate::signal::Signal;

pub(super) const HEAD: &str = "
## Whether waiting can help

A look that judges comes `--ignored-after` after the signal, and every 250 ms from then on. Each row is what it finds, a second later, of processes
that have done the same all the time. If waiting is futile, the next stage or KILL comes at once.

| processes that are left | waiting |
|---|---|
";

const TERM: [Signal; 1] = [Signal::TERM];
const OTHER: i32 = MAIN + 1;

/// What is left, and what is known of it.
struct Case {
    left: &'static str,
    processes: Vec<Sample>,
    main: Option<i32>,
    /// Those that were there when the signal was sent, and got it.
    signalled: &'static [i32],
    /// Those that were there and did not get it.
    left_out: &'static [i32],
    refused: bool,
    spared: Option<i32>,
    /// What each uses in a second: clock ticks of a hundredth, and bytes moved.
    uses: (u64, u64),
    /// Main ignores the signal only since it has been sent.
    ignores_later: bool,
}

fn case(left: &'static str, processes: &[Sample]) -> Case {
    Case {
        left,
        processes: processes.to_vec(),
        main: Some(MAIN),
        signalled: &[MAIN],
        left_out: &[],
        refused: false,
        spared: None,
        uses: (0, 0),
        ignores_later: false,
    }
}

fn main(name: &str) -> Sample {
    Sample::new(MAIN, 1, name)
}

fn cases() -> Vec<Case> {
    let ignoring = main("main").ignores(&TERM);
    let shell = main("sh").ignores(&TERM);
    let child = |parent: i32, name: &str| Sample::new(OTHER, parent, name);
    let mut stuck = ignoring;
    stuck.process.state = b'D';
    let mut cases = vec![
        case("main handles the signal", &[main("main").catches(&TERM)]),
        case("main has it at default, and has not died of it yet", &[main("main")]),
        case("main ignores it", &[ignoring]),
        case("main ignores it, and has it blocked", &[ignoring.blocks(&TERM)]),
        case("main ignores it, and waits in `rt_sigtimedwait`", &[ignoring.call(Call::AwaitsSignals)]),
        case("main ignores it, and is in state D", &[stuck]),
    ];
    let more = [
        Case { uses: (12, 0), ..case("main ignores it, and uses 12 % of a processor", &[ignoring]) },
        Case { uses: (8, 0), ..case("main ignores it, and uses 8 % of a processor", &[ignoring]) },
        Case { uses: (0, 300 << 10), ..case("main ignores it, and moves 300 KiB/s", &[ignoring]) },
        Case { uses: (0, 200 << 10), ..case("main ignores it, and moves 200 KiB/s", &[ignoring]) },
        Case {
            ignores_later: true,
            ..case("main handled it, and ignores it while it cleans up", &[ignoring])
        },
        Case { refused: true, ..case("drainit may not signal main", &[main("main")]) },
        case(
            "`unshare --pid --fork` ignores it, and so does the init below it",
            &[ignoring, child(MAIN, "sh").nested_init()],
        ),
        Case {
            signalled: &[MAIN, OTHER],
            ..case(
                "a shell ignores it, and the job that it began before the signal",
                &[shell, child(MAIN, "job").ignores(&TERM)],
            )
        },
        case(
            "a shell ignores it, and the `sleep` of its loop that it began since",
            &[shell, child(MAIN, "sleep").ignores(&TERM)],
        ),
        Case {
            left_out: &[OTHER],
            ..case("main ignores it, and a daemon was not signalled", &[ignoring, child(1, "daemon")])
        },
        Case {
            main: None,
            signalled: &[OTHER],
            ..case("main is gone, and the others ignore it", &[child(1, "server").ignores(&TERM)])
        },
        Case {
            main: None,
            signalled: &[OTHER],
            ..case("main is gone, and one of the others handles it", &[child(1, "server").catches(&TERM)])
        },
        Case {
            main: None,
            signalled: &[OTHER],
            left_out: &[OTHER + 1],
            spared: Some(OTHER + 1),
            ..case(
                "main is gone; `server` ignores it, and `tee`, which reads from it, was not signalled",
                &[child(1, "server").ignores(&TERM), Sample::new(OTHER + 1, 1, "tee")],
            )
        },
    ];
    cases.extend(more);
    cases
}

/// What the last of several looks says.
fn outlook(case: &Case) -> Outlook {
    let (table, facts) = world(&case.processes);
    let there = |pid: i32| case.signalled.contains(&pid) || case.left_out.contains(&pid);
    let mut before: Vec<Sample> = case.processes.clone();
    before.retain(|sample| there(sample.process.pid));
    if case.ignores_later {
        before = vec![main("main").catches(&TERM)];
    }
    let (then, _) = world(&before);
    let last_pid = before.iter().map(|sample| sample.process.pid).max();
    let ticks = last_pid.and_then(|pid| u64::try_from(pid).ok()).expect("a process is there");
    let signal = StopSignal::plain(Signal::TERM);
    let mut signalled = Signalled::begin(signal, Moment { ticks, last_pid }, &then);
    for process in then.iter().filter(|process| case.signalled.contains(&process.pid)) {
        signalled.note_sent(process, Signal::TERM, case.refused);
    }
    case.spared.into_iter().for_each(|pid| signalled.note_spared(pid));
    let mut check = IgnoreCheck::default();
    check.begin(Duration::ZERO, &then, case.main.and_then(|pid| then.find(pid)), |_| Some(0));
    let mut found = Outlook::Unknown;
    for quarter in 8..=12 {
        let (cpu, moved) = (case.uses.0 * quarter / 4, case.uses.1 * quarter / 4);
        let later = table.iter().map(|&process| super::Process { cpu, ..process });
        let later = Table::new(later.collect());
        let now = Duration::from_millis(250 * quarter);
        let look = Look { now, table: &later, main: case.main, ticks_per_second: 100 };
        found = check.outlook(&look, &signalled, |process| {
            let facts = facts.get(process.pid).expect("it is there");
            let status = facts.status.expect("it is known");
            Closer { status, call: facts.call.unwrap_or(Call::Other), moved: Some(moved) }
        });
    }
    found
}

pub(super) fn rows() -> String {
    let mut text = String::new();
    for case in cases() {
        let waiting = match outlook(&case) {
            Outlook::KeepWaiting => "may help",
            Outlook::SignalOthersFirst => "is futile, but others are signalled first",
            Outlook::Futile => "is futile",
            Outlook::Unknown => "is not judged",
        };
        let _ = writeln!(text, "| {} | {waiting} |", case.left);
    }
    text
}
