//! Inits that are started, watched and ended; and what /proc tells about them.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::watchdog::{Watchdog, pause};

/// How long what should be over soon may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// An init whose command is a helper that is ready. Dropping it kills it.
pub(crate) struct Running<'a> {
    child: Child,
    /// Its command line, for messages.
    name: String,
    /// Not the child's if something in between put the init into a namespace.
    pub(crate) init: Pid,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    watchdog: &'a Watchdog,
}

impl<'a> Running<'a> {
    /// Starts what becomes the init itself.
    pub(crate) fn start(command: &mut Command, watchdog: &'a Watchdog) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let name = format!("{command:?}");
        let mut running = Self { init: pid_of(&child), child, name, input, output, watchdog };
        match running.line()?.as_str() {
            "ready" => Ok(running),
            // The helper's word for: there cannot be so many processes.
            "cannot" => Err(io::ErrorKind::ResourceBusy.into()),
            other => Err(running.defect(&format!("says {other:?}, not that it is ready"))),
        }
    }

    /// Starts what has the init as its only child.
    pub(crate) fn start_wrapped(command: &mut Command, watchdog: &'a Watchdog) -> io::Result<Self> {
        let mut running = Self::start(command, watchdog)?;
        running.init = match children_of(running.init)?.as_slice() {
            [only] => only.pid,
            others => return Err(running.defect(&format!("has {} children", others.len()))),
        };
        Ok(running)
    }

    pub(crate) fn line(&mut self) -> io::Result<String> {
        let _guard = self.watchdog.over(pid_of(&self.child));
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().into())
    }

    /// Does `action`, then waits for the byte with which the helper answers: the time for both.
    pub(crate) fn time_to_answer(
        &mut self,
        action: impl FnOnce(Pid) -> io::Result<()>,
    ) -> io::Result<Duration> {
        let _guard = self.watchdog.over(pid_of(&self.child));
        let mut byte = [0];
        let start = Instant::now();
        action(self.init)?;
        self.output.read_exact(&mut byte).map_err(|_| self.defect("does not answer"))?;
        Ok(start.elapsed())
    }

    pub(crate) fn go(&mut self) -> io::Result<()> {
        self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"\n")
    }

    /// Does `action`, then waits for the end, whatever the status: the time for both.
    pub(crate) fn time_to_end(mut self, action: impl FnOnce(Pid) -> io::Result<()>) -> io::Result<Duration> {
        let guard = self.watchdog.over(pid_of(&self.child));
        let start = Instant::now();
        action(self.init)?;
        waitid(Id::Pid(pid_of(&self.child)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        let time = start.elapsed();
        drop(guard);
        self.child.wait()?;
        Ok(time)
    }

    /// Ends the helper, and with it the init.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.input = None;
        let mut status = None;
        eventually(SOON, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.defect(&format!("ended with {status}"))),
            None => Err(self.defect("has not ended with its command")),
        }
    }

    pub(crate) fn defect(&self, what: &str) -> io::Error {
        io::Error::other(format!("{} {what}", self.name))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Both do nothing if it was reaped already. The helper asked to die with its parent.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it, waits for its end, and reaps it.
pub(crate) fn run_to_end(command: &mut Command, watchdog: &Watchdog) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    let guard = watchdog.over(pid_of(&child));
    waitid(Id::Pid(pid_of(&child)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    drop(guard);
    child.wait()
}

/// As [`run_to_end`]; anything but success is an error.
pub(crate) fn succeed(command: &mut Command, watchdog: &Watchdog) -> io::Result<()> {
    match run_to_end(command, watchdog)? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(format!("{command:?} ended with {status}"))),
    }
}

/// Looks until `condition` holds, for at most `limit`: whether it came to hold.
pub(crate) fn eventually(
    limit: Duration,
    mut condition: impl FnMut() -> io::Result<bool>,
) -> io::Result<bool> {
    let end = Instant::now() + limit;
    while !condition()? {
        if Instant::now() > end {
            return Ok(false);
        }
        pause(Duration::from_millis(10));
    }
    Ok(true)
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// A process as its parent finds it.
pub(crate) struct Stat {
    pub(crate) pid: Pid,
    pub(crate) state: char,
    parent: i32,
}

/// One file of /proc/PID.
pub(crate) fn proc_file(pid: Pid, name: &str) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{name}"))
}

pub(crate) fn stat_of(pid: Pid) -> io::Result<Stat> {
    let text = proc_file(pid, "stat")?;
    // The name stands in parentheses and may hold anything.
    let after_name = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = after_name.split(' ');
    let state = fields.next().and_then(|state| state.chars().next());
    let parent = fields.next().and_then(|parent| parent.parse().ok());
    match (state, parent) {
        (Some(state), Some(parent)) => Ok(Stat { pid, state, parent }),
        _ => Err(io::Error::other(format!("/proc/{pid}/stat is {text:?}"))),
    }
}

pub(crate) fn children_of(parent: Pid) -> io::Result<Vec<Stat>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw);
        // Processes may end while we look.
        children.extend(pid.and_then(|pid| stat_of(pid).ok()).filter(|stat| stat.parent == parent.as_raw()));
    }
    Ok(children)
}

/// The number after `key:` in a file of lines such as /proc/PID/status.
pub(crate) fn number_in(text: &str, key: &str) -> io::Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no number {key}")))
}
