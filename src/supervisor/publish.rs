//! Where the record of a run goes, at its end and while the stop is under way: `--report`, `--termination-log`, `--rehearse`.

use std::fmt;
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
    writer: Option<Box<dyn Writer>>,
    rehearsal: bool,
}

/// What does the writing.
trait Writer: fmt::Debug {
    /// Does the work, and waits for its end for at most `patience`.
    fn run(&mut self, patience: Duration, work: &mut dyn FnMut(&mut State)) -> Progress;
    /// What is in the files, if nothing is under way.
    fn state(&self) -> Option<State>;
    /// How far the work is that is under way.
    fn progress_within(&mut self, patience: Duration) -> Progress;
}

impl Writer for Aside<State> {
    fn run(&mut self, patience: Duration, work: &mut dyn FnMut(&mut State)) -> Progress {
        self.run(patience, work)
    }

    fn state(&self) -> Option<State> {
        self.state()
    }

    fn progress_within(&mut self, patience: Duration) -> Progress {
        self.progress_within(patience)
    }
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
        let aside = || Aside::new(State::default()).map_err(StartError::Memory);
        let writer: Option<Box<dyn Writer>> = if has_file { Some(Box::new(aside()?)) } else { None };
        Ok(Self { report, termination_log, writer, rehearsal: settings.is_rehearsal() })
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
        self.writer.as_mut().map_or(Progress::Done, |writer| writer.progress_within(patience))
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
        let Some(mut writer) = self.writer.take() else { return Progress::Done };
        let report = self.report_file().zip(report);
        let log = self.termination_log.as_ref();
        let message = log.zip(message);
        let progress = writer.run(patience, &mut |state| {
            let report = report.map(|(file, text)| file.write(&mut state.report, text.as_bytes()));
            let message = message.map(|(log, text)| log.file.write(&mut state.message, text));
            state.failures = [report, message].map(|written| written?.err().map(file_system::number_of));
        });
        let [report, message] = writer.state().unwrap_or_default().failures;
        if let Some(error) = report {
            at!(level, "cannot write the report: {}", plain(&io::Error::from_raw_os_error(error)));
        }
        if let (Some(error), Some(log)) = (message, log) {
            let (path, error) = (log.path.display(), io::Error::from_raw_os_error(error));
            at!(level, "cannot write the termination message to {path}: {}", plain(&error));
        }
        self.writer = Some(writer);
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::fs;
    use std::path::Path;
    use std::rc::Rc;

    use super::*;
    use crate::outcome::Ended;
    use crate::plan::{KillReason, StopReason};
    use crate::report::{Sender, StopRecord, Timed};
    use crate::say::heard::lines_of;
    use crate::signal::Signal;

    const SECOND: Duration = Duration::from_secs(1);

    /// Writes in this process, or lets that fail or last, as a test wants.
    #[derive(Clone, Debug, Default)]
    struct Scripted(Rc<RefCell<Script>>);

    #[derive(Debug, Default)]
    struct Script {
        state: State,
        /// What becomes of the next works; all later ones are done.
        next: VecDeque<Progress>,
        is_under_way: bool,
        /// How long each work was waited for.
        patience: Vec<Duration>,
    }

    impl Writer for Scripted {
        fn run(&mut self, patience: Duration, work: &mut dyn FnMut(&mut State)) -> Progress {
            let mut script = self.0.borrow_mut();
            script.patience.push(patience);
            let progress = script.next.pop_front().unwrap_or(Progress::Done);
            match progress {
                Progress::Done => work(&mut script.state),
                Progress::Failed => {}
                Progress::UnderWay => script.is_under_way = true,
            }
            progress
        }

        fn state(&self) -> Option<State> {
            let script = self.0.borrow();
            (!script.is_under_way).then_some(script.state)
        }

        fn progress_within(&mut self, _: Duration) -> Progress {
            if self.0.borrow().is_under_way { Progress::UnderWay } else { Progress::Done }
        }
    }

    impl Scripted {
        fn of(next: &[Progress]) -> Self {
            let writer = Self::default();
            writer.0.borrow_mut().next = next.iter().copied().collect();
            writer
        }

        fn count(&self) -> usize {
            self.0.borrow().patience.len()
        }
    }

    /// Writes both files to these paths.
    fn output(report: &Path, message: &Path, writer: &Scripted) -> Output {
        let file = ReportFile::open(report.as_os_str()).expect("it can be opened");
        let log = MessageFile::open(message).expect("it can be opened");
        Output {
            report: Some(Report::File(file)),
            termination_log: Some(TerminationLog { path: message.to_owned(), file: log }),
            writer: Some(Box::new(writer.clone())),
            rehearsal: false,
        }
    }

    /// A stop is under way.
    fn stopping() -> Record {
        let sender = Sender::default();
        let stop = StopRecord { at: SECOND, reason: StopReason::OwnExit, signal: Signal::TERM, sender };
        Record { command: "server".to_owned(), stop: Some(stop), ..Record::default() }
    }

    /// The same stop is over, and went well unless processes were killed.
    fn over(was_killed: bool) -> Record {
        let killed = was_killed.then_some(Timed { at: SECOND * 2, what: KillReason::Elapsed });
        let main_ended = Some(Timed { at: SECOND * 3, what: Ended::Exited(0) });
        Record { killed, main_ended, ended_at: Some(SECOND * 3), exit_code: Some(0), ..stopping() }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn what_is_written_ahead_says_that_the_stop_was_not_over_and_is_replaced_at_the_end() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (report, message) = (folder.path().join("report"), folder.path().join("message"));
        let writer = Scripted::default();
        let mut output = output(&report, &message, &writer);
        assert!(text(&report).is_empty() && !message.exists(), "nothing before a stop");
        output.write_ahead(&stopping(), SECOND * 2);
        assert!(text(&report).contains("\"exit_code\":null"), "{}", text(&report));
        assert!(text(&message).contains("the stop was not over when this was last written, 1.0s after"));
        assert_eq!(output.write(&over(true), 7), 7, "the exit code is the run's");
        assert!(text(&report).contains("\"exit_code\":0"), "{}", text(&report));
        assert!(
            text(&message).contains("the stop took 2.0s") && !text(&message).contains("was not over"),
            "{}",
            text(&message)
        );
        assert_eq!(output.write(&over(false), 7), 7);
        assert!(!message.exists(), "there is nothing to tell of a stop that went well");
    }

    #[test]
    fn a_stream_gets_nothing_ahead_because_it_could_not_be_replaced() {
        let null = Path::new("/dev/null");
        let writer = Scripted::default();
        let mut output = output(null, null, &writer);
        output.write_ahead(&stopping(), SECOND * 2);
        assert_eq!(writer.count(), 0);
        let _ = output.write(&over(true), 0);
        assert_eq!(writer.count(), 1, "at the end it does");
    }

    #[test]
    fn a_disk_delays_the_stop_by_no_more_than_a_moment_and_the_end_by_two_seconds() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let writer = Scripted::default();
        let mut output = output(&folder.path().join("report"), &folder.path().join("message"), &writer);
        output.write_ahead(&stopping(), SECOND * 2);
        let _ = output.write(&over(false), 0);
        let patience = writer.0.borrow().patience.clone();
        let [ahead, end] = patience.as_slice() else { panic!("{patience:?}") };
        assert!(*ahead <= Duration::from_millis(50) && SECOND < *end && *end <= SECOND * 2, "{patience:?}");
    }

    #[test]
    fn while_a_disk_does_not_answer_nothing_else_is_written_and_the_end_says_so() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let writer = Scripted::of(&[Progress::UnderWay]);
        let mut output = output(&folder.path().join("report"), &folder.path().join("message"), &writer);
        assert!(output.is_idle());
        let lines = lines_of(|| output.write_ahead(&stopping(), SECOND * 2));
        assert_eq!(
            (lines.as_slice(), output.is_idle()),
            (&[][..], false),
            "the stop goes on without a warning"
        );
        let lines = lines_of(|| _ = output.write(&over(false), 0));
        let line =
            "WARN: the report or the termination message is not written: their disk does not answer yet";
        assert_eq!((lines.as_slice(), writer.count()), (&[line.to_owned()][..], 1));
    }

    #[test]
    fn a_process_that_fails_to_write_the_end_is_replaced_once() {
        for (next, line) in [
            (&[Progress::Failed][..], None),
            (
                &[Progress::Failed, Progress::Failed],
                Some(
                    "WARN: the report or the termination message is not written: the process that writes them has failed",
                ),
            ),
        ] {
            let folder = tempfile::tempdir().expect("a scratch folder");
            let (report, writer) = (folder.path().join("report"), Scripted::of(next));
            let mut output = output(&report, &folder.path().join("message"), &writer);
            let lines = lines_of(|| _ = output.write(&over(true), 0));
            assert_eq!((writer.count(), lines), (2, line.map(str::to_owned).into_iter().collect()));
            assert_eq!(text(&report).is_empty(), line.is_some());
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_a_warning_at_the_end_and_none_before() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let gone = folder.path().join("gone");
        fs::create_dir(&gone).expect("our own folder");
        let message = gone.join("message");
        let mut output = output(Path::new("/dev/full"), &message, &Scripted::default());
        fs::remove_dir(&gone).expect("it is empty");
        assert_eq!(lines_of(|| output.write_ahead(&stopping(), SECOND * 2)), [""; 0]);
        let lines = lines_of(|| _ = output.write(&over(true), 0));
        assert_eq!(
            lines,
            [
                "WARN: cannot write the report: no space left on device".to_owned(),
                format!(
                    "WARN: cannot write the termination message to {}: no such file or directory",
                    message.display()
                ),
            ]
        );
    }

    #[test]
    fn a_record_is_wanted_if_anything_is_to_be_made_of_it() {
        assert!(!Output::default().is_wanted());
        assert!(Output { rehearsal: true, ..Output::default() }.is_wanted());
        assert!(Output { report: Some(Report::Stderr), ..Output::default() }.is_wanted());
        let file = MessageFile::open(Path::new("/dev/null")).expect("it is there");
        let termination_log = Some(TerminationLog { path: PathBuf::from("/dev/null"), file });
        assert!(Output { termination_log, ..Output::default() }.is_wanted());
    }
}
