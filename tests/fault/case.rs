//! The scenarios, and what must hold in each.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::tracer::{self, Fault, Uses};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_fake-workload");
/// Every scenario is over within three seconds; the rest is for a machine with much to do.
const BOUND: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(5);

/// A job that has not come back is stopped all the same.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    PidOne,
    Subreaper,
}

pub(crate) const MODES: [Mode; 2] = [Mode::PidOne, Mode::Subreaper];

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PidOne => "pid-one",
            Self::Subreaper => "subreaper",
        })
    }
}

/// What is run.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    flags: &'static str,
    /// Directives of the fake workload.
    workload: &'static str,
    /// Once so many lines `ready` are there, the gate is opened that the workload waits for; or TERM is sent if it waits for none.
    ready: usize,
    /// Under a shell that has a terminal, and brings it to the foreground when it was stopped.
    is_job: bool,
    code: i32,
    /// They say once that they got TERM.
    signalled: &'static [&'static str],
}

pub(crate) const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "exit",
        flags: "",
        workload: "exit=7",
        ready: 0,
        is_job: false,
        code: 7,
        signalled: &[],
    },
    Scenario {
        name: "server",
        flags: "--grace-period 2s",
        workload: "name=main orphan{ name=server catch=TERM:100ms ready hold } await=GATE exit=3",
        ready: 1,
        is_job: false,
        code: 3,
        signalled: &["server"],
    },
    Scenario {
        name: "ignorers",
        flags: "--pre-stop-sleep 50ms --ignored-after 100ms --grace-period 1s",
        workload: "name=main child{ name=child ignore=TERM ready hold } ignore=TERM ready hold",
        ready: 2,
        is_job: false,
        code: 137,
        signalled: &[],
    },
    Scenario {
        name: "report",
        flags: "--grace-period 2s --report REPORT --termination-log=MESSAGE",
        workload: "name=main child{ name=child catch=TERM:50ms:1 ready hold } catch=TERM:50ms:4 ready hold",
        ready: 2,
        is_job: false,
        code: 4,
        signalled: &["main"],
    },
    Scenario {
        name: "job",
        flags: "--grace-period 2s",
        workload: "name=main catch=TERM:50ms:9 ready die=TSTP ready hold",
        ready: 2,
        is_job: true,
        code: 9,
        signalled: &["main"],
    },
];

/// What came of a run.
pub(crate) enum Verdict {
    /// The command's code.
    Its,
    /// 125, and a line that says why.
    Refused,
    /// One of these, in time; and so many processes are left behind.
    Left(usize),
    Wrong(String),
}

impl Verdict {
    /// As a subreaper drainit finds the processes by /proc alone. If no file can be opened or read there any more, or orphans are not
    /// drainit's, what main has left behind is not found: drainit ends in time, and they are left.
    pub(crate) fn is_good(&self, mode: Mode, fault: Fault) -> bool {
        match self {
            Self::Its | Self::Refused => true,
            Self::Left(_) => {
                let is_sight = fault.for_ever && tracer::SIGHT.contains(&fault.number);
                let is_adoption = fault.number == tracer::PRCTL && fault.at == 1;
                mode == Mode::Subreaper && (is_sight || is_adoption)
            }
            Self::Wrong(_) => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Its => f.write_str("the command's code"),
            Self::Refused => f.write_str("125 and a line"),
            Self::Left(count) => write!(f, "{count} processes are left behind"),
            Self::Wrong(why) => f.write_str(why),
        }
    }
}

/// What a run writes to, and waits for.
struct Files {
    mark: String,
    out: PathBuf,
    err: PathBuf,
    gate: PathBuf,
    report: PathBuf,
    message: PathBuf,
}

impl Files {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("fault-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let file = |name: &str| std::env::temp_dir().join(format!("{mark}.{name}"));
        let (out, err, gate) = (file("out"), file("err"), file("gate"));
        let (report, message) = (file("report"), file("message"));
        Self { mark, out, err, gate, report, message }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let all = [&self.out, &self.err, &self.gate, &self.report, &self.message];
        all.iter().for_each(|path| _ = std::fs::remove_file(path));
    }
}

/// A shell that stops itself, and then becomes what is run, or starts it as its job.
fn command(
    scenario: &Scenario,
    mode: Mode,
    program: &Path,
    files: &Files,
    terminal: Option<&OwnedFd>,
) -> Command {
    let err = File::create(&files.err).expect("a file");
    let mut command = Command::new(if terminal.is_some() { "setsid" } else { "sh" });
    if let Some(terminal) = terminal {
        // Bash takes the terminal of its stderr for the one that its jobs have.
        let shell = "kill -STOP $$; \"$@\" 2>\"$FAULT_ERR\"; while fg; do :; done >/dev/null 2>&1";
        command.args(["--ctty", "bash", "--norc", "-mc", shell, "bash"]).env("FAULT_ERR", &files.err);
        let copy = || terminal.try_clone().expect("a descriptor");
        command.stdin(copy()).stderr(copy());
    } else {
        command.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).process_group(0);
        command.stdin(Stdio::null()).stderr(err);
    }
    if mode == Mode::PidOne {
        command.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    }
    let name = |path: &Path| path.to_str().expect("text").to_owned();
    let flags =
        scenario.flags.replace("REPORT", &name(&files.report)).replace("MESSAGE", &name(&files.message));
    command.arg(program).args(flags.split_whitespace()).args(["--", WORKLOAD]);
    let workload = scenario.workload.replace("GATE", files.gate.to_str().expect("text"));
    command.args(workload.split_whitespace());
    // What the test itself is told is not for drainit, which would warn of it.
    let told = std::env::vars_os().map(|(name, _)| name);
    told.filter(|name| name.as_bytes().starts_with(b"DRAINIT_"))
        .for_each(|name| _ = command.env_remove(name));
    command.env("FAULT_MARK", &files.mark).stdout(File::create(&files.out).expect("a file"));
    command
}

/// Runs the scenario with this fault.
pub(crate) fn run(scenario: &Scenario, mode: Mode, fault: Option<Fault>, program: &Path) -> (Verdict, Uses) {
    let files = Files::new();
    let terminal = scenario.is_job.then(|| openpty(None, None).expect("a terminal"));
    let slave = terminal.as_ref().map(|terminal| &terminal.slave);
    #[expect(clippy::zombie_processes, reason = "the tracer waits for it")]
    let child = command(scenario, mode, program, &files, slave).spawn().expect("a shell");
    let first = Pid::from_raw(child.id().cast_signed());
    let stopped = waitpid(first, Some(WaitPidFlag::WUNTRACED)).expect("it stops");
    assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
    let drainit = tracer::find(first, program).expect("drainit is executed");

    let is_late = AtomicBool::new(false);
    let (over, is_over) = mpsc::channel::<()>();
    let (ended, uses) = std::thread::scope(|scope| {
        let (files, is_late) = (&files, &is_late);
        scope.spawn(move || accompany(scenario, drainit, files, &is_over, is_late));
        let result = tracer::run(drainit, fault);
        let _ = over.send(());
        result
    });
    if drainit != first {
        let _ = waitpid(first, Some(WaitPidFlag::__WALL));
    }
    let left = marked(&files.mark);
    left.iter().for_each(|&pid| _ = kill(Pid::from_raw(pid), Signal::SIGKILL));
    let verdict = if is_late.into_inner() {
        Verdict::Wrong("it hangs".to_owned())
    } else {
        match judge(scenario, ended, &files, !left.is_empty()) {
            Verdict::Its | Verdict::Refused if !left.is_empty() => Verdict::Left(left.len()),
            other @ (Verdict::Its | Verdict::Refused | Verdict::Left(_) | Verdict::Wrong(_)) => other,
        }
    };
    (verdict, uses)
}

/// Stops drainit, or opens the gate, when the workload is ready; and ends it if it does not end.
fn accompany(scenario: &Scenario, drainit: Pid, files: &Files, is_over: &Receiver<()>, is_late: &AtomicBool) {
    let begun = Instant::now();
    let mut has_signalled = scenario.ready == 0;
    while is_over.recv_timeout(AGAIN) == Err(RecvTimeoutError::Timeout) {
        let is_ready = text(&files.out).matches("ready").count() == scenario.ready;
        if !has_signalled && (is_ready || (scenario.is_job && PATIENCE < begun.elapsed())) {
            has_signalled = true;
            if scenario.workload.contains("GATE") {
                let _ = File::create(&files.gate);
            } else {
                let _ = kill(drainit, Signal::SIGTERM);
            }
        }
        if BOUND < begun.elapsed() {
            is_late.store(true, Ordering::Relaxed);
            let _ = kill(drainit, Signal::SIGKILL);
            return;
        }
    }
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    let _ = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    text
}

fn judge(scenario: &Scenario, ended: Option<WaitStatus>, files: &Files, are_left: bool) -> Verdict {
    let (out, err) = (text(&files.out), text(&files.err));
    let is_its = matches!(ended, Some(WaitStatus::Exited(_, code)) if code == scenario.code);
    for name in scenario.signalled {
        let times = out.matches(&format!("{name} got TERM")).count();
        if 1 < times || (is_its && times == 0 && !are_left) {
            return Verdict::Wrong(format!("{name} got TERM {times} times"));
        }
    }
    // It is empty at first, then whole at every moment.
    let report = text(&files.report);
    if !report.is_empty() && serde_json::from_str::<serde_json::Value>(&report).is_err() {
        return Verdict::Wrong(format!("half a report: {report}"));
    }
    match ended {
        Some(WaitStatus::Exited(_, _)) if is_its => Verdict::Its,
        Some(WaitStatus::Exited(_, 125)) if !err.trim().is_empty() => Verdict::Refused,
        other => Verdict::Wrong(format!("{other:?}: {} {}", out.trim(), err.trim())),
    }
}

/// The processes of this run that are there.
fn marked(mark: &str) -> Vec<i32> {
    let mark = format!("FAULT_MARK={mark}");
    let is_marked = |pid: i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| is_marked(pid)).collect()
}
