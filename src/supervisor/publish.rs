//! Where the record of a run goes, at its end and while the stop is under way: `--report`, `--termination-log`, `--rehearse`.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::StartError;
use crate::report::rehearsal::{self, Canvas};
use crate::report::{Record, json, message, message_ahead};
use crate::say::{debug, warn};
use crate::settings::{ReportTo, Settings};
use crate::sys::message_file::MessageFile;
use crate::sys::report_file::ReportFile;
use crate::sys::{memory, output, tty};
use crate::text::plain;

/// The file that kubectl shows (Kubernetes, `terminationMessagePath`).
const MESSAGE_SIZE: usize = 4096;
/// The width without a terminal.
const PLAIN_WIDTH: usize = 80;

/// Where the record goes.
#[derive(Debug, Default)]
pub(super) struct Output {
    report: Option<Report>,
    termination_log: Option<TerminationLog>,
    rehearsal: bool,
}

#[derive(Debug)]
enum Report {
    Stderr,
    File(ReportFile),
}

#[derive(Debug)]
struct TerminationLog {
    path: PathBuf,
    file: MessageFile,
}

impl Output {
    /// Opens what has to be open before the command starts: a report that could not be written is an error up front. A missing termination
    /// log is none, because there may be no kubelet.
    pub(super) fn new(settings: &Settings) -> Result<Self, StartError> {
        let report = match &settings.report {
            None => None,
            Some(ReportTo::Stderr) => Some(Report::Stderr),
            Some(ReportTo::File(path)) => Some(Report::File(
                ReportFile::open(path).map_err(|error| StartError::Report { path: path.clone(), error })?,
            )),
        };
        let termination_log =
            settings.termination_log.as_ref().and_then(|path| match MessageFile::open(path) {
                Ok(file) => Some(TerminationLog { path: path.clone(), file }),
                Err(error) => {
                    warn!("cannot open the termination log {}: {}", path.display(), plain(&error));
                    None
                }
            });
        Ok(Self { report, termination_log, rehearsal: settings.is_rehearsal() })
    }

    /// An output that only keeps the record, for a test.
    #[cfg(test)]
    pub(super) fn kept() -> Self {
        Self { report: Some(Report::Stderr), ..Self::default() }
    }

    /// Whether the record will be read.
    pub(super) fn is_wanted(&self) -> bool {
        self.report.is_some() || self.termination_log.is_some() || self.rehearsal
    }

    pub(super) fn is_rehearsal(&self) -> bool {
        self.rehearsal
    }

    /// The descriptors that have to stay open.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let report = match &self.report {
            Some(Report::File(file)) => Some(file.descriptors()),
            Some(Report::Stderr) | None => None,
        };
        let log = self.termination_log.as_ref().map(|log| log.file.descriptors());
        report.into_iter().flatten().chain(log.into_iter().flatten()).collect()
    }

    /// Writes what is known so far: the runtime's KILL would leave no time for it.
    pub(super) fn write_ahead(&mut self, record: &Record, now: Duration) {
        if let Some(Report::File(file)) = &mut self.report
            && file.can_be_replaced()
            && let Err(error) = has_room(record).and_then(|()| file.write(json(record).as_bytes()))
        {
            debug!("cannot write the report ahead: {}", plain(&error));
        }
        if let Some(log) = self.termination_log.as_mut().filter(|log| log.file.can_be_replaced())
            && let Err(error) = log.file.write(Some(&message_ahead(record, now)), MESSAGE_SIZE)
        {
            debug!("cannot write the termination message ahead: {}", plain(&error));
        }
    }

    /// Writes everything, and returns the exit code: the rehearsal's, if this is one.
    pub(super) fn write(&mut self, record: &Record, exit_code: u8) -> u8 {
        if self.rehearsal {
            output::write_stderr(rehearsal::text(record, canvas()).as_bytes());
        }
        match &mut self.report {
            None => {}
            Some(Report::Stderr) => {
                output::write_stderr(json(record).as_bytes());
            }
            Some(Report::File(file)) => {
                if let Err(error) = has_room(record).and_then(|()| file.write(json(record).as_bytes())) {
                    warn!("cannot write the report: {}", plain(&error));
                }
            }
        }
        if let Some(log) = &mut self.termination_log
            && let Err(error) = log.file.write(message(record).as_deref(), MESSAGE_SIZE)
        {
            warn!("cannot write the termination message to {}: {}", log.path.display(), plain(&error));
        }
        if self.rehearsal { rehearsal::exit_code(record) } else { exit_code }
    }
}

/// The report needs more memory than anything else; without it the rest of the stop can go on.
fn has_room(record: &Record) -> io::Result<()> {
    const ROOM: usize = 64 * 1024;
    const ROOM_FOR_EACH: usize = 2560;
    let is_there = memory::is_there(ROOM + record.processes.len() * ROOM_FOR_EACH);
    if is_there { Ok(()) } else { Err(io::ErrorKind::OutOfMemory.into()) }
}

/// As wide as the terminal on stderr, and in colour if it takes colours.
fn canvas() -> Canvas {
    let width = tty::width_of_stderr();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    Canvas { width: width.unwrap_or(PLAIN_WIDTH), colour: width.is_some() && !plain }
}
