//! Where the record of a run goes, at its end and while the stop is under way: `--report`, `--termination-log`, `--rehearse`.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Duration;

use log::Level;

use crate::error::StartError;
use crate::report::rehearsal::{self, Canvas};
use crate::report::{Record, json, message, message_ahead};
use crate::say::{at, debug, warn};
use crate::settings::{ReportTo, Settings};
use crate::sys::clock::Clock;
use crate::sys::message_file::{MessageFile, MessageState};
use crate::sys::report_file::{ReportFile, ReportState};
use crate::sys::spawn::{Aside, Progress};
use crate::sys::{file_system, memory, output, tty};
use crate::text::plain;

/// How long drainit waits for a write while the stop is under way. A healthy disk takes less; a slow one finishes later, in the helper.
const AHEAD_PATIENCE: Duration = Duration::from_millis(50);
/// How long it waits at the end.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// The width without a terminal.
const PLAIN_WIDTH: usize = 80;

/// Where the record goes.
#[derive(Debug, Default)]
pub(super) struct Output {
    report: Option<Report>,
    termination_log: Option<TerminationLog>,
    /// Where the files are written: a disk that does not answer must not block drainit.
    aside: Option<Aside<State>>,
    rehearsal: bool,
}

/// What is in the files.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    report: ReportState,
    message: MessageState,
    /// Why the last write of each has failed: errno(3).
    failures: [Option<i32>; 2],
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
        let has_file = matches!(report, Some(Report::File(_))) || termination_log.is_some();
        let aside =
            if has_file { Some(Aside::new(State::default()).map_err(StartError::Memory)?) } else { None };
        Ok(Self { report, termination_log, aside, rehearsal: settings.is_rehearsal() })
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
        let report = self.report_file().map(ReportFile::descriptors);
        let log = self.termination_log.as_ref().map(|log| log.file.descriptors());
        report.into_iter().flatten().chain(log.into_iter().flatten()).collect()
    }

    /// Whether no earlier write is under way.
    pub(super) fn is_idle(&mut self) -> bool {
        self.progress_within(Duration::ZERO) != Progress::UnderWay
    }

    /// Writes what is known so far: the runtime's KILL would leave no time for it.
    pub(super) fn write_ahead(&mut self, record: &Record, now: Duration) {
        let report = self
            .report_file()
            .filter(|file| file.can_be_replaced())
            .and_then(|_| text_of(record, Level::Debug));
        let log = self.termination_log.as_ref().filter(|log| log.file.can_be_replaced());
        let message = log.map(|_| message_ahead(record, now));
        let progress = self.write_files(report.as_deref(), message.as_deref(), Level::Debug, AHEAD_PATIENCE);
        if progress == Progress::UnderWay {
            debug!(
                "the report or the termination message is not written ahead: its disk does not answer yet"
            );
        }
    }

    /// Writes everything, and returns the exit code: the rehearsal's, if this is one.
    pub(super) fn write(&mut self, record: &Record, exit_code: u8) -> u8 {
        if self.rehearsal {
            output::write_stderr(rehearsal::text(record, canvas()).as_bytes());
        }
        let report = self.report.as_ref().and_then(|_| text_of(record, Level::Warn));
        if let (Some(Report::Stderr), Some(text)) = (&self.report, &report) {
            output::write_stderr(text.as_bytes());
        }
        let message = self.termination_log.as_ref().map(|_| message(record).unwrap_or_default());
        self.write_at_the_end(report.as_deref(), message.as_deref());
        if self.rehearsal { rehearsal::exit_code(record) } else { exit_code }
    }

    /// If the helper fails, another one is made, once.
    fn write_at_the_end(&mut self, report: Option<&str>, message: Option<&str>) {
        let clock = Clock::start();
        let left = || END_PATIENCE.saturating_sub(clock.now());
        let mut progress = self.progress_within(left());
        for _ in 0..2 {
            if progress != Progress::UnderWay {
                progress = self.write_files(report, message, Level::Warn, left());
            }
            if progress == Progress::Done {
                return;
            }
        }
        let why = match progress {
            Progress::Failed => "the process that writes them has failed",
            Progress::Done | Progress::UnderWay => "their disk does not answer yet",
        };
        warn!("the report or the termination message is not written: {why}");
    }

    fn progress_within(&mut self, patience: Duration) -> Progress {
        self.aside.as_mut().map_or(Progress::Done, |aside| aside.progress_within(patience))
    }

    /// Writes these texts to their files, and waits for at most `patience`; failures are logged at `level`.
    fn write_files(
        &mut self,
        report: Option<&str>,
        message: Option<&str>,
        level: Level,
        patience: Duration,
    ) -> Progress {
        if report.is_none() && message.is_none() {
            return Progress::Done;
        }
        let Some(mut aside) = self.aside.take() else { return Progress::Done };
        let report = self.report_file().zip(report);
        let log = self.termination_log.as_ref();
        let message = log.zip(message);
        let progress = aside.run(patience, &mut |state| {
            let report = report.map(|(file, text)| file.write(&mut state.report, text.as_bytes()));
            let message = message.map(|(log, text)| log.file.write(&mut state.message, text));
            state.failures = [report, message].map(|written| written?.err().map(file_system::number_of));
        });
        let [report, message] = aside.state().unwrap_or_default().failures;
        if let Some(error) = report {
            at!(level, "cannot write the report: {}", plain(&io::Error::from_raw_os_error(error)));
        }
        if let (Some(error), Some(log)) = (message, log) {
            let (path, error) = (log.path.display(), io::Error::from_raw_os_error(error));
            at!(level, "cannot write the termination message to {path}: {}", plain(&error));
        }
        self.aside = Some(aside);
        progress
    }

    fn report_file(&self) -> Option<&ReportFile> {
        match &self.report {
            Some(Report::File(file)) => Some(file),
            Some(Report::Stderr) | None => None,
        }
    }
}

/// The report needs more memory than anything else; without it the rest of the stop can go on. That is logged at this level.
fn text_of(record: &Record, level: Level) -> Option<String> {
    const ROOM: usize = 64 * 1024;
    const ROOM_FOR_EACH: usize = 2560;
    let is_there = memory::is_there(ROOM + record.processes.len() * ROOM_FOR_EACH);
    if !is_there {
        at!(level, "cannot write the report: out of memory");
    }
    is_there.then(|| json(record))
}

/// As wide as the terminal on stderr, and in colour if it takes colours.
fn canvas() -> Canvas {
    let width = tty::width_of_stderr();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    Canvas { width: width.unwrap_or(PLAIN_WIDTH), colour: width.is_some() && !plain }
}
