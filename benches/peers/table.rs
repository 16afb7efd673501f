//! The Markdown table, and the file that shows it.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use crate::candidates::{Candidate, Side};
use crate::stats::{Samples, Summary};

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// Which way is good.
#[derive(Clone, Copy)]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// One line of the table.
pub(crate) struct Line {
    what: String,
    better: Better,
    floor: Option<Summary>,
    /// One for every candidate.
    cells: Vec<Cell>,
}

/// One candidate's result.
pub(crate) struct Cell {
    summary: Option<Summary>,
    /// A note sets it apart: it is no measure for the others.
    note: Option<&'static str>,
}

impl Line {
    /// A line of one lane per candidate.
    pub(crate) fn new(what: impl Into<String>, lanes: impl IntoIterator<Item = Samples>) -> Self {
        let cells = lanes.into_iter().map(|lane| Cell { summary: lane.summary(), note: None }).collect();
        Self { what: what.into(), better: Better::Lower, floor: None, cells }
    }

    /// A line whose first lane is what the same takes without any init.
    pub(crate) fn above_floor(what: impl Into<String>, lanes: Vec<Samples>) -> Self {
        let mut lanes = lanes.into_iter();
        let floor = lanes.next().and_then(Samples::summary);
        Self { floor, ..Self::new(what, lanes) }
    }

    pub(crate) fn not_measured(what: &str, why: &str) -> Self {
        Self::new(format!("{what}: not measured, {why}"), [])
    }

    pub(crate) fn higher_is_better(mut self) -> Self {
        self.what.push_str(" (higher is better)");
        self.better = Better::Higher;
        self
    }

    pub(crate) fn note(&mut self, candidate: usize, note: &'static str) {
        self.cells[candidate].note = Some(note);
    }

    fn best_peer(&self, candidates: &[Candidate]) -> Option<f64> {
        let medians = candidates
            .iter()
            .zip(&self.cells)
            .filter(|(candidate, cell)| candidate.side == Side::Peer && cell.note.is_none())
            .filter_map(|(_, cell)| Some(cell.summary?.median));
        medians.reduce(match self.better {
            Better::Lower => f64::min,
            Better::Higher => f64::max,
        })
    }
}

/// The table: a column for the floor, one per candidate, one per build of ours for its ratio to the best peer.
pub(crate) fn markdown(candidates: &[Candidate], lines: &[Line]) -> String {
    let ours: Vec<usize> = (0..candidates.len()).filter(|&i| candidates[i].side == Side::Ours).collect();
    let mut titles = vec!["lower is better".into(), "no init".into()];
    titles.extend(candidates.iter().map(|candidate| candidate.name.clone()));
    titles.extend(ours.iter().map(|&i| format!("{} / best peer", candidates[i].name)));

    let mut text = row(&titles);
    text.push_str(&row(&titles.iter().map(|_| "---".into()).collect::<Vec<_>>()));
    for line in lines {
        let mut cells = vec![line.what.clone(), line.floor.map_or_else(String::new, show)];
        cells.extend((0..candidates.len()).map(|i| line.cells.get(i).map_or_else(String::new, show_cell)));
        let best = line.best_peer(candidates);
        cells.extend(ours.iter().map(|&i| {
            let median = line.cells.get(i).and_then(|cell| cell.summary).map(|summary| summary.median);
            median.zip(best).map_or_else(String::new, |(median, best)| show_ratio(median, best))
        }));
        text.push_str(&row(&cells));
    }
    text
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn show_cell(cell: &Cell) -> String {
    let mut text = cell.summary.map_or_else(String::new, show);
    if let Some(note) = cell.note {
        // Writing to a string cannot fail.
        let _ = write!(text, " {note}");
    }
    text
}

fn show(summary: Summary) -> String {
    let [low, median, high] = [summary.low, summary.median, summary.high].map(show_number);
    if low == high { median } else { format!("{median} ({low}..{high})") }
}

/// Three digits, as far as there are that many.
fn show_number(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn show_ratio(ours: f64, best: f64) -> String {
    if best == 0.0 {
        if ours == 0.0 { "both 0".into() } else { format!("{} against 0", show_number(ours)) }
    } else {
        format!("{:.2}", ours / best)
    }
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
