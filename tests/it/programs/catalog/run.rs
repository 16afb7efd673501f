//! One run: a program as the command of a PID 1, stopped in the middle of its work.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, io};

use drainit::signal::Signal;
use drainit::sys::kill;

use super::client::{self, Client};
use super::place::{BEGUN, Place};
use super::{Case, Ready, Stage, tools};

/// Only a hang takes so long.
const LIMIT: Duration = Duration::from_secs(60);

/// The file with what the program and its init wrote.
pub(crate) const OUTPUT: &str = "output";

/// What is PID 1.
pub(crate) struct Init {
    pub(crate) program: PathBuf,
    /// Its options. [`Place::fill`] fills them.
    pub(crate) options: Vec<String>,
}

/// What came of it.
pub(crate) struct Run {
    /// The init's exit code, as a shell has it. None: it had not ended after a minute.
    pub(crate) code: Option<i32>,
    pub(crate) work: Work,
    place: Place,
}

/// What became of the work in flight.
pub(crate) enum Work {
    Finished,
    /// How that was seen.
    Lost(String),
    /// The init ended before there was any.
    NotBegun,
}

impl Run {
    /// A file in the folder of the run, such as [`OUTPUT`].
    pub(crate) fn read(&self, name: &str) -> String {
        self.place.read(name)
    }
}

/// Runs the case under this init. An error is a stage that cannot be laid out, or a program that does not get to work.
pub(crate) fn run(case: &Case, init: &Init) -> io::Result<Run> {
    let place = Place::new()?;
    let mut stage = (case.stage)(&place)?;
    let mut container = Container::start(init, &place, &stage)?;
    let client = begin_work(&mut container, &mut stage, &place);
    let client = match client.map_err(|error| explained(&error, &place))? {
        Some(client) if container.signal(case.signal)? => client,
        Some(_) | None => {
            let code = container.end()?;
            return Ok(Run { code, work: Work::NotBegun, place });
        }
    };
    let (code, said) = match case.then {
        None => (container.end()?, client.said()),
        Some(then) => {
            let said = client.said();
            container.signal(then)?;
            (container.end()?, said)
        }
    };
    let work = match said.and_then(|()| (stage.check)(&place)) {
        Ok(()) => Work::Finished,
        Err(lost) => Work::Lost(lost),
    };
    Ok(Run { code, work, place })
}

/// Waits until the work is in flight. None: the init has ended before.
fn begin_work(container: &mut Container, stage: &mut Stage, place: &Place) -> io::Result<Option<AtWork>> {
    let is_up = || is_up(&stage.ready, place).then_some(());
    if container.reaches("the program is up", is_up)?.is_none() {
        return Ok(None);
    }
    let mut client = AtWork::begin(std::mem::replace(&mut stage.client, client::none()));
    let begun = container.reaches("the work is in flight", || {
        // In this order: a client may be quick.
        let has_failed = client.has_failed();
        (place.has(BEGUN) || has_failed).then_some(())
    })?;
    match begun {
        Some(()) if place.has(BEGUN) => Ok(Some(client)),
        Some(()) if !container.ends_within(SOON)? => {
            Err(io::Error::other(format!("the work was not begun: {:?}", client.said())))
        }
        Some(()) | None => Ok(None),
    }
}

/// A client that does its part.
struct AtWork {
    thread: Option<JoinHandle<Result<(), String>>>,
    said: Result<(), String>,
}

impl AtWork {
    fn begin(client: Client) -> Self {
        Self { thread: Some(thread::spawn(client)), said: Ok(()) }
    }

    /// Does not wait.
    fn has_failed(&mut self) -> bool {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            self.said = joined(thread);
        }
        self.said.is_err()
    }

    fn said(self) -> Result<(), String> {
        self.thread.map_or(self.said, joined)
    }
}

fn joined(thread: JoinHandle<Result<(), String>>) -> Result<(), String> {
    thread.join().unwrap_or_else(|_| Err("the client panicked".into()))
}

fn is_up(ready: &Ready, place: &Place) -> bool {
    match ready {
        Ready::Port => TcpStream::connect(("127.0.0.1", place.port())).is_ok(),
        Ready::Socket(name) => UnixStream::connect(place.path(name)).is_ok(),
        Ready::Answers(name, question) => client::answers(place, name, question),
        Ready::Says(text) => [OUTPUT, "log"].iter().any(|name| place.read(name).contains(text)),
        Ready::Workers(count) => place.workers() >= *count,
        Ready::All(signs) => signs.iter().all(|sign| is_up(sign, place)),
        Ready::AtWork => place.has(BEGUN),
    }
}

fn explained(error: &io::Error, place: &Place) -> io::Error {
    io::Error::other(format!("{error}\n{}", place.read(OUTPUT)))
}

/// What a killed program leaves in these folders goes with its mounts. The shell becomes the init. sshd wants its folder.
const OWN_FOLDERS: &str =
    "mount -t tmpfs tmpfs /run && mkdir /run/sshd && mount -t tmpfs tmpfs /dev/shm && exec \"$@\"";

/// How soon an init ends that has lost its command.
const SOON: Duration = Duration::from_secs(5);

/// An init as PID 1 of a pid namespace of its own, which ends with it.
struct Container {
    unshare: Child,
    status: Option<ExitStatus>,
}

impl Container {
    fn start(init: &Init, place: &Place, stage: &Stage) -> io::Result<Self> {
        let output = File::create(place.path(OUTPUT))?;
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--ipc",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
            "sh",
            "-c",
            OWN_FOLDERS,
            "sh",
        ]);
        command.arg(&init.program);
        command.args(init.options.iter().map(|option| place.fill(option))).arg("--").args(&stage.command);
        command.env_clear().env("PATH", tools::search_path()).env("HOME", place.path(""));
        command.env("TMPDIR", place.path(""));
        command.envs(stage.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(place.path("")).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        Ok(Self { unshare: command.spawn()?, status: None })
    }

    /// Looks until there is an answer. None: it has ended without.
    fn reaches<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> io::Result<Option<T>> {
        let begun = Instant::now();
        loop {
            // In this order: what it did before it ended counts.
            let has_ended = self.has_ended()?;
            if let Some(answer) = look() {
                return Ok(Some(answer));
            }
            if has_ended {
                return Ok(None);
            }
            if begun.elapsed() > LIMIT {
                return Err(io::Error::other(format!("waited too long: {what}")));
            }
            pause();
        }
    }

    fn has_ended(&mut self) -> io::Result<bool> {
        if self.status.is_none() {
            self.status = self.unshare.try_wait()?;
        }
        Ok(self.status.is_some())
    }

    fn ends_within(&mut self, limit: Duration) -> io::Result<bool> {
        let begun = Instant::now();
        while !self.has_ended()? && begun.elapsed() < limit {
            pause();
        }
        self.has_ended()
    }

    /// Whether there was still an init to be signalled.
    fn signal(&mut self, signal: Signal) -> io::Result<bool> {
        if self.has_ended()? {
            return Ok(false);
        }
        let pid = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        // It may be just ending.
        let Ok(init) = children.trim().parse() else { return Ok(false) };
        Ok(kill::send(init, signal).is_ok())
    }

    /// Its exit code, or None after the limit.
    fn end(&mut self) -> io::Result<Option<i32>> {
        self.ends_within(LIMIT)?;
        let Some(status) = self.status else { return Ok(None) };
        Ok(status.code().or(status.signal().map(|signal| 128 + signal)))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Takes the init with it, and the init all others. It may have ended by itself.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one pause between two looks; nothing is decided by its length"
)]
fn pause() {
    thread::sleep(Duration::from_millis(5));
}
