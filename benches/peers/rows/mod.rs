//! The rows of the table, one module per thing that is measured.

mod forward;
mod growth;
mod idle;
mod orphans;
mod size;
mod start;
mod stop;

use std::io;

use crate::Bench;
use crate::table::Line;

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

/// Why a row has no lines.
pub(crate) enum Trouble {
    /// This machine cannot measure it.
    Missing(String),
    Failed(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}
