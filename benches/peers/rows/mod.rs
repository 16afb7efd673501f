//! The rows of the table, one module per thing that is measured.

mod forward;
mod growth;
mod idle;
mod orphans;
mod size;
mod start;
mod stop;

use crate::bench::Bench;
use crate::table::Line;
use crate::trouble::Trouble;

/// A measurement that makes some lines of the table.
pub(crate) struct Row {
    /// What selects it on the command line.
    pub(crate) name: &'static str,
    pub(crate) measure: fn(&Bench) -> Result<Vec<Line>, Trouble>,
}

pub(crate) const ROWS: [Row; 10] = [
    Row { name: "start", measure: start::wall_time },
    Row { name: "faults", measure: start::page_faults },
    Row { name: "calls", measure: start::system_calls },
    Row { name: "idle", measure: idle::measure },
    Row { name: "forward", measure: forward::measure },
    Row { name: "orphans", measure: orphans::measure },
    Row { name: "growth", measure: growth::measure },
    Row { name: "stop", measure: stop::time },
    Row { name: "scan", measure: stop::scan },
    Row { name: "size", measure: size::measure },
];
