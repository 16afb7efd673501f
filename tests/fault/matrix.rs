//! What came of each fault, in a table.

use std::collections::BTreeMap;
use std::fmt;

use crate::ERRORS;
use crate::case::Verdict;
use crate::tracer::{self, Fault};

/// A row for each call, a column for each error, and in it a letter for each case: `.` the command's code, `r` 125 and a line, `l` processes are left and
/// that cannot be helped, `W` wrong.
#[derive(Default)]
pub(crate) struct Matrix(BTreeMap<(u64, i32), Cell>);

/// By the use that failed, and whether all did from then on.
type Cell = BTreeMap<(usize, bool), char>;

impl Matrix {
    pub(crate) fn note(&mut self, fault: Fault, verdict: &Verdict, is_good: bool) {
        let letter = match verdict {
            Verdict::Its => '.',
            Verdict::Refused => 'r',
            Verdict::Left(_) if is_good => 'l',
            Verdict::Left(_) | Verdict::Wrong(_) => 'W',
        };
        let cell = self.0.entry((fault.number, fault.error)).or_default();
        cell.insert((fault.at, fault.for_ever), letter);
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<18}", "")?;
        ERRORS.iter().try_for_each(|(_, name)| write!(f, " {name:<8}"))?;
        writeln!(f)?;
        let mut calls: Vec<u64> = self.0.keys().map(|(number, _)| *number).collect();
        calls.dedup();
        for number in calls {
            write!(f, "{:<18}", tracer::name(number))?;
            for (error, _) in ERRORS {
                let cell: String =
                    self.0.get(&(number, error)).into_iter().flat_map(BTreeMap::values).collect();
                write!(f, " {cell:<8}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
