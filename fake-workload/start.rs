//! Starting itself again.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use drainit::signal::SignalSet;
use drainit::sys::signals;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getsid};

use crate::directive::{ABANDON, ADOPTED, Form, SESSION};

/// How this process starts others.
pub(crate) struct Starter {
    program: OsString,
    /// Whether what it starts is to be orphaned: it waits until this process is gone before it begins.
    pub(crate) abandons: bool,
}

impl Starter {
    /// `program` is the zeroth argument, which children get too.
    pub(crate) const fn new(program: OsString) -> Self {
        Self { program, abandons: false }
    }

    /// Starts `count` processes with these directives, and returns those that are children of this one.
    pub(crate) fn start(&self, form: Form, count: u32, directives: &[OsString]) -> io::Result<Vec<Child>> {
        match form {
            Form::Orphan => return self.orphan("child", count, directives),
            Form::Daemon => return self.orphan("session", count, directives),
            Form::Bomb => return self.bomb(count, directives),
            Form::Child | Form::Group | Form::Session => {}
        }
        let mut arguments = directives.to_vec();
        if self.abandons {
            arguments.insert(0, format!("{ADOPTED}={}", std::process::id()).into());
        }
        if form == Form::Session {
            // Before ADOPTED: this process waits for the session and the child then waits for the end of this process.
            arguments.insert(0, SESSION.into());
        }
        let children = (0..count).map(|_| self.execute(form, &arguments));
        let mut children = children.collect::<io::Result<Vec<_>>>()?;
        if form == Form::Session {
            children.iter_mut().for_each(wait_for_session);
        }
        Ok(children)
    }

    /// Starts `count` children that exit at once, and returns when all are zombies.
    pub(crate) fn start_zombies(&self, count: u32) -> io::Result<()> {
        for child in self.start(Form::Child, count, &[])? {
            let leave_it = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            // ECHILD is no failure: if SIGCHLD is ignored, there are no zombies.
            while waitid(Id::Pid(pid_of(&child)), leave_it) == Err(Errno::EINTR) {}
        }
        Ok(())
    }

    /// Two children, each of which is to start half of the rest before it goes on.
    fn bomb(&self, count: u32, inner: &[OsString]) -> io::Result<Vec<Child>> {
        let halves = [count.div_ceil(2), count / 2].into_iter().filter(|half| *half > 0);
        let mut children = Vec::new();
        for half in halves {
            let mut arguments: Vec<OsString> = vec![format!("bomb*{}{{", half - 1).into()];
            arguments.extend_from_slice(inner);
            arguments.push("}".into());
            arguments.extend_from_slice(inner);
            children.extend(self.start(Form::Child, 1, &arguments)?);
        }
        Ok(children)
    }

    /// By way of a process that starts them and exits.
    fn orphan(&self, form: &str, count: u32, inner: &[OsString]) -> io::Result<Vec<Child>> {
        let mut arguments: Vec<OsString> = vec![ABANDON.into(), format!("{form}*{count}{{").into()];
        arguments.extend_from_slice(inner);
        arguments.push("}".into());
        // The only error is ECHILD, if SIGCHLD is ignored: the process between is gone.
        let status = self.execute(Form::Child, &arguments)?.wait().unwrap_or_default();
        if !status.success() {
            return Err(io::Error::other(format!("the process between: {status}")));
        }
        Ok(Vec::new())
    }

    /// By its path first: executing /proc/self/exe names the new process "exe".
    fn execute(&self, form: Form, arguments: &[OsString]) -> io::Result<Child> {
        let path = std::env::current_exe().ok();
        let others = ["/proc/self/exe".into(), PathBuf::from(&self.program)];
        let mut result = Err(io::ErrorKind::NotFound.into());
        for path in path.into_iter().chain(others) {
            result = self.command(path.as_os_str(), form, arguments).spawn();
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn command(&self, path: &OsStr, form: Form, arguments: &[OsString]) -> Command {
        let mut command = Command::new(path);
        command.arg0(&self.program).args(arguments);
        // The group that it has: no change, but for this std forks instead of calling posix_spawn(3). There glibc makes the child ignore 32
        // and 33, and takes them out of its mask.
        command.gid(nix::unistd::getgid().as_raw());
        if form == Form::Group {
            command.process_group(0);
        }
        command
    }
}

/// Returns when the child leads a session, or has ended.
fn wait_for_session(child: &mut Child) {
    let pid = pid_of(child);
    while getsid(Some(pid)) != Ok(pid) && matches!(child.try_wait(), Ok(None)) {
        signals::wait(SignalSet::default(), Some(Duration::from_millis(1)));
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}
