//! Every system call that drainit makes fails in turn, and what must hold does.
//!
//! drainit is traced by this process, of which it is no descendant's child. A first run of a scenario counts its system calls; then each is made to
//! fail at its first, second, middle and last use, with each error, once and from then on. `DRAINIT_PROGRAM` names the program; `DRAINIT_FAULTS=all`
//! goes through all cases, otherwise it is a selection.

mod case;
mod tracer;

use std::time::{Duration, Instant};

use case::{Mode, SCENARIOS};
use tracer::Fault;

/// What a selection may take.
const SELECTION: Duration = Duration::from_secs(45);

/// EINTR, ENOMEM, EAGAIN, EPERM, ENOSYS, EMFILE, EIO.
const ERRORS: [(i32, &str); 7] =
    [(4, "EINTR"), (12, "ENOMEM"), (11, "EAGAIN"), (1, "EPERM"), (38, "ENOSYS"), (24, "EMFILE"), (5, "EIO")];

fn main() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("fault: only on x86_64");
        return;
    }
    let Some(program) = std::env::var_os("DRAINIT_PROGRAM").filter(|name| !name.is_empty()) else {
        println!("fault: DRAINIT_PROGRAM names no program; an ordinary build begins with the loader's calls");
        return;
    };
    let program = std::fs::canonicalize(&program).expect("DRAINIT_PROGRAM names a program");
    let is_all = std::env::var("DRAINIT_FAULTS").is_ok_and(|value| value == "all");
    let begun = Instant::now();
    let mut failures = Vec::new();
    let mut count = 0;
    for scenario in &SCENARIOS {
        for mode in [Mode::PidOne, Mode::Subreaper] {
            let (verdict, uses) = case::run(scenario, mode, None, &program);
            assert!(verdict.is_good(), "{} as {mode:?}, without a fault: {verdict}", scenario.name);
            println!("{} as {mode:?}: {} system calls", scenario.name, uses.values().sum::<usize>());
            let mut cases = Vec::new();
            for (&number, &used) in &uses {
                let mut at = vec![1, 2, used.div_ceil(2), used];
                at.retain(|&at| at <= used);
                at.sort_unstable();
                at.dedup();
                for (error, name) in ERRORS {
                    for &at in &at {
                        let is_blind = mode == Mode::Subreaper && tracer::SIGHT.contains(&number);
                        let only_once = is_blind || tracer::ONLY_ONCE.contains(&number);
                        for for_ever in [false, true].into_iter().filter(|it| !(*it && only_once)) {
                            cases.push((Fault { number, at, error, for_ever }, name));
                        }
                    }
                }
            }
            // A stride that is prime to the rest of the loops takes something of everything.
            let share = SELECTION / 6;
            let stride = if is_all { 1 } else { 23 };
            let since = Instant::now();
            for (fault, error) in cases.iter().step_by(stride) {
                if !is_all && share < since.elapsed() {
                    break;
                }
                let (verdict, _) = case::run(scenario, mode, Some(*fault), &program);
                count += 1;
                let when = if fault.for_ever { "from then on" } else { "once" };
                let line = format!(
                    "{:<8} {mode:?} {} at use {} {error} {when}: {verdict}",
                    scenario.name,
                    tracer::name(fault.number),
                    fault.at
                );
                if is_all {
                    println!("{line}");
                }
                if !verdict.is_good() {
                    failures.push(line);
                }
            }
        }
    }
    println!("{count} faults in {:?}, {} of them wrong", begun.elapsed(), failures.len());
    failures.iter().for_each(|failure| println!("WRONG {failure}"));
    assert!(failures.is_empty(), "see above");
}
