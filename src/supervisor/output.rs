//! Where the record of a run goes at its end: `--report`, `--termination-log`, `--rehearse`.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use log::warn;

use crate::error::StartError;
use crate::report::timeline::{self, Canvas};
use crate::report::verdict::{self, Verdict};
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

    pub(super) fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// The report's file, which has to stay open.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.report {
            Some(Report::File(file)) => Some(file.as_fd()),
            Some(Report::Stderr) | None => None,
        }
    }

    /// Writes everything, and returns the exit code: the rehearsal's where this was one.
    pub(super) fn write(&self, record: &Record) -> u8 {
        let verdict = self.rehearsal.then(|| verdict::verdict(record));
        if let Some(verdict) = &verdict {
            rehearsed(record, verdict);
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
        verdict.map_or(record.exit_code, |verdict| verdict::exit_code(&verdict))
    }
}

fn rehearsed(record: &Record, verdict: &Verdict) {
    let width = tty::width_of_stderr();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let canvas = Canvas { width: width.unwrap_or(PLAIN_WIDTH), colour: width.is_some() && !plain };
    output::write_stderr(timeline::draw(record, canvas).as_bytes());
    output::write_stderr(verdict::text(record, verdict).as_bytes());
}
