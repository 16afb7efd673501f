//! Every system call that drainit makes fails in turn, and what must hold does.
//!
//! drainit is traced by this process, of which it is no child. A first run of a scenario counts its system calls; then each is made to
//! fail at its first, second, middle and last use, with each error, once and from then on. `DRAINIT_PROGRAM` names the program. `DRAINIT_FAULTS=all` goes
//! through all cases, another value through those whose line has all of its words (`server subreaper mmap EIO`); without one it is a selection.

mod case;
mod matrix;
mod tracer;

use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use case::{MODES, Mode, SCENARIOS, Scenario, Verdict};
use matrix::Matrix;
use tracer::Fault;

/// What a selection may take; the scenarios run beside each other.
const SELECTION: Duration = Duration::from_secs(40);
/// Steps through the cases that take something of everything early.
const STRIDE: usize = 61;
/// At how many calls of a run, evenly spread, memory begins to be refused.
const MOMENTS: usize = 40;
/// Which scenario this process is for: one process traces one drainit at a time.
const PART: &str = "FAULT_PART";

/// Errors of the kernel, by number. 0 is none: a filter may refuse a call with that, and the call returns 0 and has done nothing.
pub(crate) const ERRORS: [(i32, &str); 8] = [
    (4, "EINTR"),
    (12, "ENOMEM"),
    (11, "EAGAIN"),
    (1, "EPERM"),
    (38, "ENOSYS"),
    (24, "EMFILE"),
    (5, "EIO"),
    (0, "NONE"),
];

fn main() -> ExitCode {
    if cfg!(not(target_arch = "x86_64")) {
        println!("fault: only on x86_64");
        return ExitCode::SUCCESS;
    }
    let Some(program) = std::env::var_os("DRAINIT_PROGRAM").filter(|name| !name.is_empty()) else {
        println!("fault: DRAINIT_PROGRAM names no program; an ordinary build begins with the loader's calls");
        return ExitCode::SUCCESS;
    };
    let program = std::fs::canonicalize(&program).expect("DRAINIT_PROGRAM names a program");
    let parts = SCENARIOS.iter().flat_map(|scenario| MODES.map(|mode| (scenario, mode)));
    let wanted = Wanted::of(std::env::var("DRAINIT_FAULTS").ok());
    match std::env::var(PART).ok() {
        Some(part) => {
            let found =
                parts.into_iter().find(|(scenario, mode)| part == format!("{} {mode}", scenario.name));
            let (scenario, mode) = found.expect("a part");
            run(scenario, mode, &program, &wanted)
        }
        None => all(parts.map(|(scenario, mode)| format!("{} {mode}", scenario.name))),
    }
}

/// Which cases are run.
enum Wanted {
    All,
    Selection,
    With(Vec<String>),
}

impl Wanted {
    fn of(value: Option<String>) -> Self {
        match value.as_deref() {
            None | Some("") => Self::Selection,
            Some("all") => Self::All,
            Some(words) => Self::With(words.split_whitespace().map(str::to_owned).collect()),
        }
    }
}

/// Each part in a process of its own, side by side.
fn all(parts: impl Iterator<Item = String>) -> ExitCode {
    let begun = Instant::now();
    let own = std::env::current_exe().expect("this program");
    let children: Vec<_> = parts
        .map(|part| Command::new(&own).env(PART, part).stdout(Stdio::piped()).spawn().expect("this program"))
        .collect();
    let (mut count, mut wrong, mut is_good) = (0, 0, true);
    for mut child in children {
        let mut said = String::new();
        child.stdout.take().expect("a pipe").read_to_string(&mut said).expect("text");
        is_good &= child.wait().expect("our child").success();
        for line in said.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["sum", cases, failures] => {
                    count += cases.parse::<usize>().expect("a number");
                    wrong += failures.parse::<usize>().expect("a number");
                }
                _ => println!("{line}"),
            }
        }
    }
    println!("{count} faults in {:.1?}, {wrong} of them wrong", begun.elapsed());
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One scenario in one mode.
fn run(scenario: &Scenario, mode: Mode, program: &Path, wanted: &Wanted) -> ExitCode {
    let (verdict, uses) = case::run(scenario, mode, None, program);
    assert!(matches!(verdict, Verdict::Its), "{} as {mode}, without a fault: {verdict}", scenario.name);
    println!("\n{} as {mode}: {} system calls", scenario.name, uses[&tracer::MEMORY]);
    let mut cases = Vec::new();
    for (&number, &used) in &uses {
        let mut at = vec![1, 2, used.div_ceil(2), used];
        if number == tracer::MEMORY {
            at.extend((1..used).step_by(used.div_ceil(MOMENTS)));
        }
        at.retain(|&at| at <= used);
        at.sort_unstable();
        at.dedup();
        for (error, name) in ERRORS {
            for &at in &at {
                for for_ever in [false, true] {
                    let is_memory = number == tracer::MEMORY;
                    if is_memory && !(for_ever && name == "ENOMEM") {
                        continue;
                    }
                    // A filter is there from the start, and fakes no call that every program needs.
                    if error == 0 && !(for_ever && at == 1 && tracer::MAY_DO_NOTHING.contains(&number)) {
                        continue;
                    }
                    let fault = Fault { number, at, error, for_ever };
                    let when = if for_ever { "from then on" } else { "once" };
                    let call = tracer::name(number);
                    let line = format!("{} {mode} {call} at use {at} {name} {when}", scenario.name);
                    if let Wanted::With(words) = wanted
                        && !words.iter().all(|word| line.split(' ').any(|it| it == word))
                    {
                        continue;
                    }
                    cases.push((fault, line));
                }
            }
        }
    }
    let (mut matrix, mut failures) = (Matrix::default(), Vec::new());
    let (mut count, begun) = (0, Instant::now());
    let order = (0..STRIDE).flat_map(|first| cases.iter().skip(first).step_by(STRIDE));
    for (fault, line) in order {
        if matches!(wanted, Wanted::Selection) && SELECTION < begun.elapsed() {
            break;
        }
        let (verdict, _) = case::run(scenario, mode, Some(*fault), program);
        count += 1;
        matrix.note(*fault, &verdict, verdict.is_good(mode, *fault));
        if !verdict.is_good(mode, *fault) {
            failures.push(format!("WRONG {line}: {verdict}"));
        }
    }
    print!("{matrix}");
    failures.iter().for_each(|failure| println!("{failure}"));
    println!("sum {count} {}", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
