//! A terminal of a test's own: what is typed, what is shown, which group is in the foreground.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use drainit::plan::processes::Process;
use drainit::processes::look_at;
use drainit::sys::kill;
use drainit::sys::process::session_of;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

use crate::harness::{DRAINIT, LIMIT, WORKLOAD, descendants_of, shell_code, wait_until};

pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const CTRL_Z: &str = "\x1a";
pub(crate) const CTRL_BACKSLASH: &str = "\x1c";

/// A program that has a terminal to itself: it leads the terminal's session. Nothing that is typed is echoed.
pub(crate) struct Screen {
    master: OwnedFd,
    child: Child,
    /// When the child was started, in clock ticks since boot.
    start: u64,
    shown: Receiver<Vec<u8>>,
    /// What was shown and not waited for yet.
    text: String,
    /// Everything, for a failure's message.
    all: String,
}

impl Screen {
    pub(crate) fn of(line: &[&str]) -> Self {
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        let mut modes = tcgetattr(&pty.slave).expect("its modes");
        modes.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &modes).expect("a terminal of this test");
        let copy = |descriptor: &OwnedFd| Stdio::from(descriptor.try_clone().expect("a descriptor"));
        let mut command = Command::new("setsid");
        crate::gate::without_test_variables(&mut command);
        let child = command
            .arg("--ctty")
            .args(line)
            .env("D", *DRAINIT)
            .env("W", WORKLOAD)
            .env("PS1", "")
            .stdin(copy(&pty.slave))
            .stdout(copy(&pty.slave))
            .stderr(pty.slave)
            .spawn()
            .expect("setsid of util-linux");
        let (sender, shown) = mpsc::channel();
        let reader = pty.master.try_clone().expect("a descriptor");
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error is the end of all that had it open.
            while let Ok(length @ 1..) = nix::unistd::read(&reader, &mut bytes) {
                let _ = sender.send(bytes.get(..length).unwrap_or_default().to_vec());
            }
        });
        let start = look_at(child.id().cast_signed()).map_or(u64::MAX, |child| child.start);
        Self { master: pty.master, child, start, shown, text: String::new(), all: String::new() }
    }

    /// An interactive shell with job control. `$D` is drainit there, and `$W` the fake workload.
    pub(crate) fn of_shell() -> Self {
        let mut screen = Self::of(&["bash", "--norc", "--noprofile", "--noediting", "-i"]);
        screen.line("echo up: $((6 * 7))").shows("up: 42");
        screen
    }

    /// The pid of the session's leader.
    pub(crate) fn leader(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub(crate) fn types(&mut self, text: &str) -> &mut Self {
        let written =
            nix::unistd::write(self.master.as_fd(), text.as_bytes()).expect("the terminal is there");
        assert_eq!(written, text.len(), "it takes so little at once");
        self
    }

    /// A line with its end.
    pub(crate) fn line(&mut self, text: &str) -> &mut Self {
        self.types(&format!("{text}\n"))
    }

    /// Waits until this is shown, and returns what came before it since the last wait.
    pub(crate) fn shows(&mut self, part: &str) -> String {
        self.shows_all(&[part]);
        let at = self.text.find(part).expect("it is shown");
        let rest = self.text.split_off(at + part.len());
        let before = std::mem::replace(&mut self.text, rest);
        before.strip_suffix(part).unwrap_or_default().to_owned()
    }

    /// Waits until each of these is shown, in any order. What is shown can be waited for again.
    pub(crate) fn shows_all(&mut self, parts: &[&str]) {
        let begun = Instant::now();
        while let Some(part) = parts.iter().find(|part| !self.text.contains(**part)) {
            match self.shown.recv_timeout(LIMIT.saturating_sub(begun.elapsed())) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    self.text.push_str(&text);
                    self.all.push_str(&text);
                }
                Err(RecvTimeoutError::Timeout) => panic!("{part:?} is not shown; shown: {:?}", self.all),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {part:?}: {:?}", self.all),
            }
        }
    }

    /// Waits for a line that begins like this, and returns what follows.
    pub(crate) fn line_after(&mut self, start: &str) -> String {
        self.shows(start);
        self.shows("\r\n").trim().to_owned()
    }

    /// The number of the foreground group.
    pub(crate) fn foreground(&self) -> i32 {
        nix::unistd::tcgetpgrp(&self.master).expect("a terminal has a foreground group").as_raw()
    }

    /// Waits until this is the foreground group.
    pub(crate) fn is_in_front(&self, group: i32) {
        wait_until("it is in the foreground", || (self.foreground() == group).then_some(()));
    }

    /// Waits until the shell has the foreground again: what is typed together with Ctrl-C may be lost with it.
    pub(crate) fn is_back(&mut self) -> &mut Self {
        self.is_in_front(self.leader());
        self
    }

    /// Waits until the shell has given the foreground to a job.
    pub(crate) fn is_given_away(&self) {
        wait_until("another group has it", || (self.foreground() != self.leader()).then_some(()));
    }

    /// Changes the size of the window, as a terminal program does.
    pub(crate) fn resize(&mut self, columns: u16) -> &mut Self {
        let master = Stdio::from(self.master.try_clone().expect("a descriptor"));
        let columns = columns.to_string();
        let set = Command::new("stty").args(["cols", &columns]).stdin(master).status();
        assert!(set.expect("stty of coreutils").success());
        self
    }

    /// Every process below the session's leader.
    pub(crate) fn processes(&self) -> Vec<Process> {
        descendants_of(self.leader())
    }

    /// The living processes with this name below the session's leader, parents first.
    pub(crate) fn named(&self, name: &str) -> Vec<Process> {
        let mut found = self.processes();
        found.retain(|process| process.name.to_string() == name && process.is_alive());
        found.sort_by_key(|process| process.start);
        found
    }

    /// Waits until each of those below the leader that has this name is in this state.
    pub(crate) fn all_are(&self, name: &str, count: usize, state: u8) {
        wait_until(&format!("{count} {name} in state {}", char::from(state)), || {
            let found = self.named(name);
            (found.len() == count && found.iter().all(|process| process.state == state)).then_some(())
        });
    }

    /// The processes of the session, its leader apart, and each drainit that has left it and has a child there.
    pub(crate) fn rest(&self) -> Vec<i32> {
        let leader = self.leader();
        let mut found = Vec::new();
        drainit::sys::procfs::each_process(|pid, stat| {
            let process = drainit::processes::stat::parse(stat).filter(Process::is_alive);
            let is_there = pid != leader && session_of(pid) == Some(leader);
            let Some(process) = process.filter(|_| is_there) else { return };
            // One that runs the tests is older.
            let init = look_at(process.parent).filter(|parent| {
                parent.start >= self.start
                    && parent.name.to_string() == crate::binary::name()
                    && session_of(parent.pid) == Some(parent.pid)
            });
            found.extend(init.map(|init| init.pid).into_iter().chain([pid]));
        });
        found
    }

    /// Waits for the end of the program, and returns its exit code as a shell has it.
    pub(crate) fn ended(&mut self) -> i32 {
        let status = wait_until("the program ends", || self.child.try_wait().expect("our own child"));
        shell_code(status)
    }

    /// Everything that was shown so far.
    pub(crate) fn everything(&mut self) -> String {
        for bytes in self.shown.try_iter() {
            self.all.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.all.clone()
    }

    /// Ends the shell, which must have no job left.
    pub(crate) fn leaves(mut self) {
        self.line("jobs; echo jobs: done");
        let jobs = self.shows("jobs: done");
        assert!(!jobs.contains("Stopped") && !jobs.contains("Running"), "{jobs:?} in {:?}", self.all);
        assert_eq!(self.foreground(), self.leader(), "the shell has its terminal: {:?}", self.all);
        let left = self.processes();
        assert!(left.is_empty(), "{left:?}");
        self.line("exit 0");
        assert_eq!(self.ended(), 0);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = kill::send(process.pid, drainit::signal::Signal::KILL);
        }
        // Those whose parents have ended are no descendants any more.
        for pid in self.rest() {
            let _ = kill::send(pid, drainit::signal::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of a field in the workload's `state` line.
pub(crate) fn field(state: &str, name: &str) -> i32 {
    let value = state.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {state:?}"))
}
