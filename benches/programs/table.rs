//! The Markdown table, and the file that shows it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

use crate::catalog::{Case, Run, Work};
use crate::inits::Candidate;

const BEGIN: &str = "<!-- programs:begin -->";
const END: &str = "<!-- programs:end -->";

pub(crate) struct Row<'a> {
    pub(crate) case: &'a Case,
    /// One for each init.
    pub(crate) cells: Vec<Cell>,
}

/// How the runs ended, for the reader, and how many ended so.
#[derive(Default)]
pub(crate) struct Cell(BTreeMap<String, usize>);

impl Cell {
    pub(crate) fn add(&mut self, case: &Case, run: &Run) {
        let mut text = match &run.work {
            Work::Finished => "finished".to_owned(),
            Work::Lost(_) => "**lost**".into(),
            Work::NotBegun => "ends before there is work".into(),
        };
        match run.code {
            None => text.push_str(", does not end"),
            Some(code) if code == case.code => {}
            // Writing to a string cannot fail.
            Some(code) => _ = write!(text, ", exit {code}"),
        }
        *self.0.entry(text).or_default() += 1;
    }

    fn show(&self) -> String {
        let runs: usize = self.0.values().sum();
        let ends = self.0.iter().map(|(text, &count)| {
            if count == runs { text.clone() } else { format!("{text} ({count} of {runs} times)") }
        });
        ends.collect::<Vec<_>>().join("; ")
    }
}

pub(crate) fn markdown(candidates: &[Candidate], rows: &[Row]) -> String {
    let mut titles: Vec<String> =
        ["command", "in flight", "PID 1 gets", "drainit's options"].map(str::to_owned).into();
    titles.extend(candidates.iter().map(|candidate| format!("`{}`", candidate.name)));
    let mut text = line(&titles);
    text.push_str(&line(&titles.iter().map(|_| "---".to_owned()).collect::<Vec<_>>()));
    for row in rows {
        let case = row.case;
        let signals =
            case.then.map_or_else(|| case.signal.to_string(), |then| format!("{}, {then}", case.signal));
        let mut cells = vec![code(case.entrypoint), case.work.to_owned(), signals, options(case)];
        cells.extend(row.cells.iter().map(Cell::show));
        text.push_str(&line(&cells));
    }
    text
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// The part in front of a comma is code.
fn code(text: &str) -> String {
    match text.split_once(", ") {
        Some((code, rest)) => format!("`{code}`, {rest}"),
        None => format!("`{text}`"),
    }
}

fn options(case: &Case) -> String {
    if case.options.is_empty() {
        return "none".into();
    }
    let words = case.options.iter().map(|option| {
        let option = option.replace("-c @FOLDER@/nginx.conf ", "").replace("@PORT@", "PORT");
        if option.contains(' ') { format!("'{option}'") } else { option }
    });
    format!("`{}`", words.collect::<Vec<_>>().join(" "))
}

/// The lines below the table: how the inits are run, which they are, and the command.
pub(crate) fn describe(candidates: &[Candidate]) -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut text = format!(
        "{} runs each, as PID 1 of a pid namespace, without a runtime's KILL. dumb-init also has the rewrites among drainit's options. \
         An exit code is given if it is not drainit's. Linux {}.\n\n",
        crate::ROUNDS,
        release.trim()
    );
    for candidate in candidates {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- `{}`: {}", candidate.name, candidate.version);
    }
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments = if arguments.is_empty() { String::new() } else { format!(" -- {}", arguments.join(" ")) };
    let _ = writeln!(text, "\nMeasured by `cargo bench --bench programs{arguments}`.");
    text
}

/// Puts `text` between the two markers in `file`, for what is there.
pub(crate) fn write_between_markers(file: &Path, text: &str) -> io::Result<()> {
    let old = fs::read_to_string(file)?;
    let parts = old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(io::Error::other(format!("{} has no {BEGIN} with {END} after it", file.display())));
    };
    fs::write(file, format!("{before}{BEGIN}\n{text}{END}{after}"))
}
