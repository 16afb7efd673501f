//! Where the record of a run goes at its end: `--report`, `--termination-log`, `--rehearse`.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use log::warn;

use crate::error::StartError;
use crate::report::rehearsal::{self, Canvas};
use crate::report::{Record, json, message};
use crate::settings::{ReportTo, Settings};
use crate::sys::output::{self, ReportFile};
use crate::sys::tty;

/// What kubectl shows (Kubernetes, `terminationMessagePath`).
const MESSAGE_SIZE: usize = 4096;
/// Where there is no terminal.
const PLAIN_WIDTH: usize = 80;

/// Where the record goes.
#[derive(Debug, Default)]
pub(super) struct Output {
    report: Option<Report>,
    termination_log: Option<PathBuf>,
    rehearsal: bool,
}

#[derive(Debug)]
enum Report {
    Stderr,
    File(ReportFile),
}

impl Output {
    /// Opens what has to be opened before the command starts: a report that cannot be written is an error up front.
    pub(super) fn new(settings: &Settings) -> Result<Self, StartError> {
        let report = match &settings.report {
            None => None,
            Some(ReportTo::Stderr) => Some(Report::Stderr),
            Some(ReportTo::File(path)) => Some(Report::File(
                ReportFile::open(path).map_err(|error| StartError::Report { path: path.clone(), error })?,
            )),
        };
        let absolute = |path: &PathBuf| {
            let here = std::env::current_dir();
            here.map_or_else(|_| path.clone(), |here| here.join(path))
        };
        Ok(Self {
            report,
            termination_log: settings.termination_log.as_ref().map(absolute),
            rehearsal: settings.is_rehearsal(),
        })
    }

    /// Whether anybody will read the record.
    pub(super) fn is_wanted(&self) -> bool {
        self.report.is_some() || self.termination_log.is_some() || self.rehearsal
    }

    /// The report's file, which has to stay open.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.report {
            Some(Report::File(file)) => Some(file.as_fd()),
            Some(Report::Stderr) | None => None,
        }
    }

    /// Writes everything, and returns the exit code: the rehearsal's if this was one.
    pub(super) fn write(&self, record: &Record, exit_code: u8) -> u8 {
        if self.rehearsal {
            output::write_stderr(rehearsal::text(record, canvas()).as_bytes());
        }
        match &self.report {
            None => {}
            Some(Report::Stderr) => {
                output::write_stderr(json(record).as_bytes());
            }
            Some(Report::File(file)) => {
                if let Err(error) = file.write(json(record).as_bytes()) {
                    warn!("cannot write the report: {error}");
                }
            }
        }
        if let (Some(path), Some(text)) = (&self.termination_log, message(record))
            && let Err(error) = output::append_within(path, text.as_bytes(), MESSAGE_SIZE)
        {
            warn!("cannot write the termination message to {}: {error}", path.display());
        }
        if self.rehearsal { rehearsal::exit_code(record) } else { exit_code }
    }
}

/// As wide as the terminal on stderr, and in colour if it takes colours.
fn canvas() -> Canvas {
    let width = tty::width_of_stderr();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    Canvas { width: width.unwrap_or(PLAIN_WIDTH), colour: width.is_some() && !plain }
}
