//! `cargo bench`: drainit side by side with the inits that are installed, as one Markdown table.
//!
//! Whatever can be is measured in turns, one round of each init after the other, so that a machine that gets
//! slower gets slower for all of them, and on one processor, so that it is the inits that are compared and not where
//! the scheduler puts them. To add a row, write a function like those in [`rows`] and list it there.

mod bench;
mod candidates;
mod machine;
mod process;
mod rows;
mod scheduling;
mod stats;
mod table;
mod tools;
mod trouble;
mod watchdog;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::bench::Bench;
use crate::rows::{ROWS, Row};
use crate::stats::Effort;
use crate::table::Line;
use crate::tools::Tools;
use crate::trouble::Trouble;
use crate::watchdog::Watchdog;

fn main() -> ExitCode {
    match run(&command_line().get_matches()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command_line() -> Command {
    Command::new("cargo bench --")
        .about("Measures drainit side by side with the inits that are installed")
        .arg(Arg::new("ROW").num_args(0..).value_parser(ROWS.map(|row| row.name)).help("Only these rows"))
        .arg(flag("quick").help("A tenth of the rounds"))
        .arg(
            Arg::new("candidate")
                .long("candidate")
                .value_name("NAME=PATH")
                .value_parser(parse_candidate)
                .action(ArgAction::Append)
                .help("A further build of drainit"),
        )
        .arg(
            Arg::new("write")
                .long("write")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .conflicts_with("ROW")
                .help("Replace the part of FILE between the bench markers with the table"),
        )
        .arg(flag("bench").hide(true))
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn parse_candidate(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.into(), path.into())),
        _ => Err("expected NAME=PATH".into()),
    }
}

fn run(arguments: &ArgMatches) -> io::Result<ExitCode> {
    // No init is to find a terminal on its standard input and hand it to its command.
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    machine::stay_on_one_processor()?;
    let group = scheduling::Group::enter();
    if let Err(error) = &group {
        eprintln!("peers: not in a cgroup of its own: {error}");
    }
    // cargo says `--bench` in `cargo bench` and not in `cargo test --all-targets`, where running at all is the test.
    let thorough = arguments.get_flag("bench") && !arguments.get_flag("quick");
    let tools = Tools::prepare()?;
    let watchdog = Watchdog::start();
    let extra = arguments.get_many("candidate").into_iter().flatten().cloned().collect();
    let (candidates, all_work) = candidates::find(extra, &tools, &watchdog)?;
    let bench =
        Bench { candidates, tools, effort: if thorough { Effort::Full } else { Effort::Quick }, watchdog };

    let wanted: Vec<&String> = arguments.get_many("ROW").into_iter().flatten().collect();
    let rows = ROWS.iter().filter(|row| wanted.is_empty() || wanted.iter().any(|name| *name == row.name));
    let (lines, none_failed) = measure(&bench, rows);
    let is_complete = all_work && none_failed;

    let text = format!(
        "{}\n{}",
        table::markdown(&bench.candidates, &lines),
        machine::describe(&bench.candidates, group.is_ok())
    );
    print!("{text}");
    if let Some(file) = arguments.get_one::<PathBuf>("write") {
        if !is_complete {
            return Err(io::Error::other(format!("{} is left as it was: something failed", file.display())));
        }
        table::write_between_markers(file, &text)?;
    }
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The rows' lines, and whether no row failed.
fn measure<'a>(bench: &Bench, rows: impl Iterator<Item = &'a Row>) -> (Vec<Line>, bool) {
    let mut lines = Vec::new();
    let mut is_complete = true;
    for row in rows {
        eprintln!("peers: measuring {}", row.name);
        match (row.measure)(bench) {
            Ok(measured) => lines.extend(measured),
            Err(Trouble::Missing(what)) => lines.push(Line::not_measured(row.name, &what)),
            Err(Trouble::Failed(error)) => {
                eprintln!("peers: {} failed: {error}", row.name);
                lines.push(Line::not_measured(row.name, "it failed"));
                is_complete = false;
            }
        }
    }
    (lines, is_complete)
}
