//! Runs drainit with real processes and watches what happens.
//!
//! Nothing here sleeps for a fixed time: tests wait for a line, a state or an exit, with a limit that only a hang reaches.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use drainit::plan::processes::Process;
use drainit::processes;
use drainit::signal::Signal;
use drainit::sys::{kill, procfs};

pub(crate) use crate::binary::{DRAINIT, WORKLOAD};
use crate::dispositions;
pub(crate) use crate::finished::Finished;
pub(crate) use crate::gate::Gate;
use crate::idle::wait_of;

/// Only a hang takes so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Slow machines take less, and a limit that is not to be reached is longer.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// How drainit is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As PID 1 of a pid namespace with its own /proc.
    PidOne,
    /// As PID 1 where /proc shows the pids of the namespace outside.
    PidOneForeignProc,
    /// As an ordinary process, which makes itself a subreaper.
    Subreaper,
}

/// The two ways in which users run it.
pub(crate) const BOTH: [Mode; 2] = [Mode::PidOne, Mode::Subreaper];

/// A run of drainit in the making.
#[derive(Debug)]
pub(crate) struct Init {
    mode: Mode,
    wrapper: Vec<OsString>,
    flags: Vec<OsString>,
    command: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<OsString>,
    stdin: Stdio,
    /// Where drainit and the command write their errors, if the test does not read them.
    stderr: Option<Stdio>,
}

impl Init {
    pub(crate) fn new(mode: Mode) -> Self {
        dispositions::reset();
        let environment = Vec::new();
        Self {
            mode,
            wrapper: vec![],
            flags: vec![],
            command: vec![],
            environment,
            directory: None,
            stdin: Stdio::null(),
            stderr: None,
        }
    }

    pub(crate) fn pid_one() -> Self {
        Self::new(Mode::PidOne)
    }

    pub(crate) fn subreaper() -> Self {
        Self::new(Mode::Subreaper)
    }

    /// Options of drainit, as many as are given.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(OsString::from));
        self
    }

    /// What starts drainit: a program that takes a command line.
    pub(crate) fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(OsString::from).collect();
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn in_directory(mut self, directory: impl AsRef<OsStr>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// What drainit finds as its standard input; otherwise that is empty.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Where errors are written to, instead of being collected.
    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// What drainit runs.
    pub(crate) fn command<T: AsRef<OsStr>>(mut self, command: &[T]) -> Self {
        self.command = command.iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// The fake workload with these directives, written with blanks between them.
    pub(crate) fn workload(self, directives: &str) -> Self {
        let words: Vec<&str> = std::iter::once(WORKLOAD).chain(directives.split_whitespace()).collect();
        self.command(&words)
    }

    fn line(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = Vec::new();
        if self.mode != Mode::Subreaper {
            line.extend(["unshare", "--pid", "--fork", "--kill-child"].map(OsString::from));
            if !nix::unistd::geteuid().is_root() {
                line.extend(["--user", "--map-root-user"].map(OsString::from));
            }
            if self.mode == Mode::PidOne {
                line.push("--mount-proc".into());
            }
            line.push("--".into());
        }
        line.extend(self.wrapper.iter().cloned());
        line.push((*DRAINIT).into());
        line.extend(self.flags.iter().cloned());
        line.push("--".into());
        line.extend(self.command.iter().cloned());
        line
    }

    /// Starts it.
    pub(crate) fn start(self) -> Running {
        let line = self.line();
        let (program, arguments) = line.split_first().expect("a command line has a program");
        let mut command = Command::new(program);
        crate::gate::without_test_variables(&mut command);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(self.stdin).stdout(Stdio::piped());
        command.stderr(self.stderr.unwrap_or_else(Stdio::piped));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line:?}: {error}"));
        let stdout = Output::read(child.stdout.take().expect("a pipe"));
        let stderr = child.stderr.take().map_or_else(Output::none, Output::read);
        let init = find_init(&child, self.mode);
        Running { child, init, stdout, stderr, ended: None }
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(self) -> Finished {
        self.start().finish()
    }
}

/// PID 1: unshare's only child, once it is drainit. `None` if it has come and gone.
fn find_init(child: &Child, mode: Mode) -> Option<i32> {
    let pid = child.id().cast_signed();
    if mode == Mode::Subreaper {
        return Some(pid);
    }
    wait_until("PID 1 is there, or has come and gone", || {
        if state_of(pid).is_none_or(|state| state == b'Z') {
            return Some(None);
        }
        let init = descendants_of(pid).into_iter().find(|process| process.parent == pid)?;
        (init.name.to_string() == crate::binary::name() || init.state == b'Z').then_some(Some(init.pid))
    })
}

fn state_of(pid: i32) -> Option<u8> {
    procfs::stat(pid, &mut procfs::buffer()).and_then(processes::stat::parse).map(|process| process.state)
}

/// Calls `look` until it has an answer.
pub(crate) fn wait_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_at_most(LIMIT, look).unwrap_or_else(|| panic!("waited too long: {what}"))
}

fn wait_at_most<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = look() {
            return Some(answer);
        }
        if begun.elapsed() > limit {
            return None;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the one pause between two looks; nothing is decided by its length"
        )]
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Looks again and again for this long: what must not happen gets its chance to.
#[track_caller]
pub(crate) fn stays(long: Duration, mut look: impl FnMut() -> bool) {
    let broken = wait_at_most(long, || (!look()).then_some(()));
    assert!(broken.is_none(), "it did not stay as it was");
}

/// What began then took as long as the rule says, and nowhere near as long as another rule would have made it.
#[track_caller]
pub(crate) fn took(begun: Instant, at_least: Duration) {
    let taken = begun.elapsed();
    assert!(taken >= at_least && taken < at_least + SOON, "{taken:?}, and the rule says {at_least:?}");
}

/// Lines as they come.
#[derive(Debug)]
struct Output {
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Output {
    fn read(pipe: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { lines, seen: Vec::new() }
    }

    /// Nothing that is read here.
    fn none() -> Self {
        Self { lines: mpsc::channel().1, seen: Vec::new() }
    }

    /// Waits for a line; those before it are kept too.
    fn wait_for(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            match self.lines.recv_timeout(LIMIT.saturating_sub(begun.elapsed())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("waited too long for {what}; seen: {:#?}", self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {what}; seen: {:#?}", self.seen),
            }
        }
    }

    /// Everything until the last writer has closed it.
    fn all(mut self) -> Vec<String> {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.seen,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("a process holds the output open; seen: {:#?}", self.seen)
                }
            }
        }
    }
}

/// A drainit that runs. What is left of it when a test fails is killed.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    init: Option<i32>,
    stdout: Output,
    stderr: Output,
    ended: Option<i32>,
}

impl Running {
    /// drainit's pid as this test sees it.
    pub(crate) fn pid(&self) -> i32 {
        self.init.expect("drainit has not ended yet")
    }

    /// Waits for exactly this line on stdout.
    pub(crate) fn line(&mut self, wanted: &str) -> &mut Self {
        self.stdout.wait_for(wanted, |line| line == wanted);
        self
    }

    /// Waits for a line that begins like this, and returns what follows.
    pub(crate) fn line_after(&mut self, start: &str) -> String {
        let line = self.stdout.wait_for(start, |line| line.starts_with(start));
        line.trim_start_matches(start).trim().to_owned()
    }

    /// Waits for a line with this in it, and returns it.
    pub(crate) fn line_with(&mut self, part: &str) -> String {
        self.stdout.wait_for(part, |line| line.contains(part))
    }

    /// Waits for a line on stderr with this in it, and returns it.
    pub(crate) fn says(&mut self, part: &str) -> String {
        self.stderr.wait_for(part, |line| line.contains(part))
    }

    /// Waits until each of these has said that it is ready, in any order.
    pub(crate) fn ready(&mut self, names: &[&str]) -> &mut Self {
        self.begins(&names.iter().map(|name| format!("{name} ready ")).collect::<Vec<_>>())
    }

    /// Waits until a line has begun with each of these, in any order.
    pub(crate) fn begins<T: AsRef<str>>(&mut self, starts: &[T]) -> &mut Self {
        let mut missing: Vec<&str> = starts.iter().map(AsRef::as_ref).collect();
        while !missing.is_empty() {
            let line = self
                .stdout
                .wait_for(&missing.join(", "), |line| missing.iter().any(|start| line.starts_with(start)));
            missing.retain(|start| !line.starts_with(start));
        }
        self
    }

    /// Whether this line has come since the last look. Does not wait.
    pub(crate) fn try_line(&mut self, wanted: &str) -> bool {
        let new: Vec<String> = self.stdout.lines.try_iter().collect();
        self.stdout.seen.extend(new.iter().cloned());
        new.iter().any(|line| line == wanted)
    }

    /// Sends drainit a signal.
    pub(crate) fn signal(&mut self, signal: Signal) -> &mut Self {
        kill::send(self.pid(), signal).expect("drainit is there");
        self
    }

    /// The processes below drainit, living and dead.
    pub(crate) fn descendants(&self) -> Vec<Process> {
        self.init.map(descendants_of).unwrap_or_default()
    }

    /// Kills every process below drainit, which ends it.
    pub(crate) fn end(self) -> Finished {
        // The youngest first: what outlives its parent would be signalled.
        for process in self.descendants().iter().rev() {
            let _ = kill::send(process.pid, Signal::KILL);
        }
        let mut run = self.finish();
        run.stderr.retain(|line| !line.contains("died of a KILL that drainit did not send"));
        run
    }

    /// Waits until a process of this name is below drainit.
    pub(crate) fn has(&mut self, name: &str) -> &mut Self {
        wait_until("the process is there", || {
            self.descendants().iter().any(|process| process.name.to_string() == name).then_some(())
        });
        self
    }

    /// Waits until every process below drainit waits for something.
    pub(crate) fn settled(&mut self) -> &mut Self {
        wait_until("the processes wait", || {
            self.descendants().iter().all(|process| process.state != b'R').then_some(())
        });
        self
    }

    /// Waits until drainit waits for a signal: it has nothing left to do.
    pub(crate) fn idle(&mut self) -> &mut Self {
        wait_until("drainit is idle", || wait_of(self.pid()));
        self
    }

    /// Waits until drainit has ended, whatever is left. Returns its exit code.
    pub(crate) fn ended(&mut self) -> i32 {
        let status = wait_until("drainit ends", || self.child.try_wait().expect("our own child"));
        let code = shell_code(status);
        self.ended = Some(code);
        code
    }

    /// Waits for the end of drainit and of all that can still write, and returns everything that was said.
    pub(crate) fn finish(mut self) -> Finished {
        let code = self.ended();
        let stdout = std::mem::replace(&mut self.stdout, Output::none()).all();
        let stderr = std::mem::replace(&mut self.stderr, Output::none()).all();
        Finished { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let left = self.descendants();
        for pid in self.init.into_iter().chain(left.iter().map(|process| process.pid)) {
            let _ = kill::send(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The exit code as a shell has it: 128 + N for a death by signal N.
pub(crate) fn shell_code(status: ExitStatus) -> i32 {
    let raw = std::os::unix::process::ExitStatusExt::into_raw(status);
    if raw & 0x7f == 0 { raw >> 8 } else { 128 + (raw & 0x7f) }
}

/// The same process as it is now; `None` if it is gone, even if another one has its pid.
pub(crate) fn look_again(known: &Process) -> Option<Process> {
    processes::look_at(known.pid).filter(|now| now.is_same(known))
}

/// Every process below this one, as this test's /proc shows it.
pub(crate) fn descendants_of(root: i32) -> Vec<Process> {
    let mut all = Vec::new();
    procfs::each_process(|_, stat| all.extend(processes::stat::parse(stat)));
    let mut found: Vec<Process> = Vec::new();
    loop {
        let known = |pid| pid == root || found.iter().any(|process: &Process| process.pid == pid);
        let new: Vec<_> = all.iter().filter(|one| known(one.parent) && !known(one.pid)).copied().collect();
        if new.is_empty() {
            return found;
        }
        found.extend(new);
    }
}

/// A pipe: what is read, what is written. No process inherits an end that it is not given.
pub(crate) fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe can be made")
}
