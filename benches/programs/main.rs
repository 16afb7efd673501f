//! `cargo bench --bench programs`: which inits let real programs finish the work that is in flight, as one Markdown table.
//!
//! The programs, their work and the stops are those of the tests. Every init gets the same command and the same signal.

#[path = "../../tests/it/programs/catalog/mod.rs"]
mod catalog;
mod inits;
mod table;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::catalog::{Case, OUTPUT, PROGRAMS, Program, Run, Work};
use crate::inits::Candidate;
use crate::table::{Cell, Row};

/// They mostly wait. More at a time would be late for want of a processor.
const AT_A_TIME: usize = 8;

/// Two signals at once are sometimes one: what is lost by a race is not lost each time.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    match run(&command_line().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("programs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command_line() -> Command {
    let names: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
    Command::new("cargo bench --bench programs --")
        .about("Stops real programs in the middle of their work, under drainit and under the inits that are installed")
        .arg(Arg::new("PROGRAM").num_args(0..).value_parser(names).help("Only these programs"))
        .arg(
            Arg::new("write")
                .long("write")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .conflicts_with("PROGRAM")
                .help("Replace the part of FILE between the programs markers with the table"),
        )
        .arg(Arg::new("bench").long("bench").action(ArgAction::SetTrue).hide(true))
}

fn run(arguments: &ArgMatches) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other("this takes root"));
    }
    let candidates = inits::find();
    let wanted: Vec<&String> = arguments.get_many("PROGRAM").into_iter().flatten().collect();
    let mut programs: Vec<&Program> = PROGRAMS
        .iter()
        .filter(|program| wanted.is_empty() || wanted.iter().any(|name| *name == program.name))
        .collect();
    // cargo says `--bench` in `cargo bench` and not in `cargo test --all-targets`, where running at all is the test.
    if !arguments.get_flag("bench") && wanted.is_empty() {
        programs.retain(|program| program.missing().is_none());
        programs.truncate(1);
    }

    let (missing, present): (Vec<&Program>, Vec<&Program>) =
        programs.into_iter().partition(|program| program.missing().is_some());
    for program in &missing {
        eprintln!(
            "programs: {} is not run: {} is not installed",
            program.name,
            program.missing().unwrap_or_default()
        );
    }
    let cases: Vec<&Case> = present.into_iter().flat_map(|program| program.cases).collect();
    let (rows, failed) = stop_all(&cases, &candidates);
    let text = format!("{}\n{}", table::markdown(&candidates, &rows), table::describe(&candidates));
    print!("{text}");
    if failed > 0 {
        return Err(io::Error::other(format!("{failed} runs failed")));
    }
    let Some(file) = arguments.get_one::<PathBuf>("write") else { return Ok(()) };
    if !missing.is_empty() {
        return Err(io::Error::other(format!("{} is left as it was: a program is missing", file.display())));
    }
    table::write_between_markers(file, &text)
}

/// A row for each case, and how many runs have no result.
fn stop_all<'a>(cases: &[&'a Case], candidates: &[Candidate]) -> (Vec<Row<'a>>, usize) {
    let cells = cases.iter().map(|_| candidates.iter().map(|_| Cell::default()).collect());
    let cells: Mutex<Vec<Vec<Cell>>> = Mutex::new(cells.collect());
    let failed = AtomicUsize::new(0);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let (row, column) = (number / ROUNDS / candidates.len(), number % candidates.len());
                    let Some(&case) = cases.get(row) else { return };
                    match catalog::run(case, &candidates[column].init(case)) {
                        Ok(run) => {
                            say(case, &candidates[column], &run);
                            cells.lock().expect("no thread panics with it")[row][column].add(case, &run);
                        }
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            eprintln!(
                                "programs: {} under {}: {error}",
                                case.entrypoint, candidates[column].name
                            );
                        }
                    }
                }
            });
        }
    });
    let cells = cells.into_inner().expect("no thread panics with it");
    let rows = cases.iter().zip(cells).map(|(&case, cells)| Row { case, cells }).collect();
    (rows, failed.into_inner())
}

/// How work was lost, while the table is made.
fn say(case: &Case, candidate: &Candidate, run: &Run) {
    let how = match &run.work {
        Work::Finished => return,
        Work::Lost(how) => how,
        Work::NotBegun => "it ended before there was work",
    };
    let output = run.read(OUTPUT);
    let last = output.lines().last().unwrap_or_default();
    eprintln!("programs: {} ({}) under {}: {how} ({last})", case.entrypoint, case.signal, candidate.name);
}
