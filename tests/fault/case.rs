//! The scenarios, and what must hold in each.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::tracer::{self, Fault, Uses};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_fake-workload");
/// Every scenario is over within three seconds; the rest is for a machine with much to do.
const BOUND: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    PidOne,
    Subreaper,
}

/// What is run.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    flags: &'static str,
    /// Directives of the fake workload.
    workload: &'static str,
    /// TERM is sent once so many lines `ready` are there.
    ready: usize,
    code: i32,
}

pub(crate) const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "exit", flags: "", workload: "exit=7", ready: 0, code: 7 },
    Scenario {
        name: "server",
        flags: "--grace-period 2s",
        workload: "name=main orphan{ name=server catch=TERM:100ms ready hold } exit=3",
        ready: 0,
        code: 3,
    },
    Scenario {
        name: "ignorers",
        flags: "--pre-stop-sleep 50ms --ignored-after 100ms --grace-period 1s",
        workload: "name=main child{ name=child ignore=TERM ready hold } ignore=TERM ready hold",
        ready: 2,
        code: 137,
    },
];

/// What came of a run.
pub(crate) enum Verdict {
    /// The command's code.
    Its,
    /// 125, and a line that says why.
    Refused,
    Wrong(String),
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Self::Its | Self::Refused)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Its => f.write_str("the command's code"),
            Self::Refused => f.write_str("125 and a line"),
            Self::Wrong(why) => f.write_str(why),
        }
    }
}

/// Runs the scenario with this fault.
pub(crate) fn run(scenario: &Scenario, mode: Mode, fault: Option<Fault>, program: &Path) -> (Verdict, Uses) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mark = format!("fault-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let file = |name: &str| std::env::temp_dir().join(format!("{mark}.{name}"));
    let (out, err) = (file("out"), file("err"));
    let mut command = Command::new("sh");
    command.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]);
    if mode == Mode::PidOne {
        command.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    }
    command.arg(program).args(scenario.flags.split_whitespace()).args(["--", WORKLOAD]);
    // What the test itself is told is not for drainit, which would warn of it.
    for (name, _) in std::env::vars_os() {
        if name.as_bytes().starts_with(b"DRAINIT_") {
            command.env_remove(name);
        }
    }
    command.args(scenario.workload.split_whitespace()).env("FAULT_MARK", &mark).process_group(0);
    command.stdin(Stdio::null());
    command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
    #[expect(clippy::zombie_processes, reason = "the tracer waits for it")]
    let child = command.spawn().expect("sh");
    let first = Pid::from_raw(child.id().cast_signed());
    let stopped = waitpid(first, Some(WaitPidFlag::WUNTRACED)).expect("it stops");
    assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
    let drainit = tracer::find(first, program).expect("drainit is executed");

    let is_late = AtomicBool::new(false);
    let (over, is_over) = mpsc::channel::<()>();
    let (ended, uses) = std::thread::scope(|scope| {
        let (is_late, out) = (&is_late, &out);
        scope.spawn(move || {
            let begun = Instant::now();
            let mut has_signalled = scenario.ready == 0;
            while is_over.recv_timeout(AGAIN) == Err(RecvTimeoutError::Timeout) {
                let text = text(out);
                if !has_signalled && text.matches("ready").count() == scenario.ready {
                    has_signalled = true;
                    let _ = kill(drainit, Signal::SIGTERM);
                }
                if BOUND < begun.elapsed() {
                    is_late.store(true, Ordering::Relaxed);
                    let _ = kill(drainit, Signal::SIGKILL);
                    return;
                }
            }
        });
        let result = tracer::run(drainit, fault);
        let _ = over.send(());
        result
    });
    if drainit != first {
        let _ = waitpid(first, Some(WaitPidFlag::__WALL));
    }
    let left = marked(&mark);
    left.iter().for_each(|&pid| _ = kill(Pid::from_raw(pid), Signal::SIGKILL));
    let said = (text(&out), text(&err));
    [out, err].iter().for_each(|path| _ = std::fs::remove_file(path));
    let verdict = if is_late.into_inner() {
        Verdict::Wrong("it hangs".to_owned())
    } else if !left.is_empty() {
        Verdict::Wrong(format!("{} processes are left behind", left.len()))
    } else {
        judge(scenario, ended, &said)
    };
    (verdict, uses)
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    let _ = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    text
}

fn judge(scenario: &Scenario, ended: Option<WaitStatus>, (out, err): &(String, String)) -> Verdict {
    for name in ["main", "server", "child"] {
        let times = out.matches(&format!("{name} got TERM")).count();
        if 1 < times {
            return Verdict::Wrong(format!("{name} got TERM {times} times"));
        }
    }
    match ended {
        Some(WaitStatus::Exited(_, code)) if code == scenario.code => Verdict::Its,
        Some(WaitStatus::Exited(_, 125)) if !err.trim().is_empty() => Verdict::Refused,
        other => Verdict::Wrong(format!("{other:?}: {}", err.trim())),
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
