//! What the tests ask of a runtime, whichever it is.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::image::Archive;
use crate::harness::{Finished, Running};

/// How long a runtime is told to wait before it kills. Nothing here is to take so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A user without privileges, and its group.
pub(super) const NOBODY: u32 = 65534;

/// A container to be, in terms that every runtime has.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) words: Vec<String>,
    pub(super) stop_signal: StopSignal,
    /// In bytes.
    pub(super) memory: Option<u64>,
    pub(super) pids: Option<u64>,
    /// A root folder that cannot be written, no new privileges, no capabilities, and not root.
    pub(super) locked_down: bool,
    /// The container gets a terminal, and what is typed comes from this one.
    pub(super) terminal: Option<OwnedFd>,
}

/// The signal that an image asks to be stopped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopSignal {
    /// The image names none.
    Unsaid,
    Quit,
    RtMin3,
}

impl StopSignal {
    /// As images spell it.
    fn in_image(self) -> Option<&'static str> {
        match self {
            Self::Unsaid => None,
            Self::Quit => Some("SIGQUIT"),
            Self::RtMin3 => Some("SIGRTMIN+3"),
        }
    }

    /// The number, which every version of every runtime understands.
    pub(super) fn number(self) -> &'static str {
        match self {
            Self::Unsaid => "15",
            Self::Quit => "3",
            Self::RtMin3 => "37",
        }
    }
}

impl Wish {
    /// These words, with blanks between them.
    pub(super) fn new(words: &str) -> Self {
        Self {
            words: words.split_whitespace().map(str::to_owned).collect(),
            stop_signal: StopSignal::Unsaid,
            memory: None,
            pids: None,
            locked_down: false,
            terminal: None,
        }
    }

    /// One more word, which may have blanks in it.
    pub(super) fn word(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// More words, with blanks between them.
    pub(super) fn and(mut self, words: &str) -> Self {
        self.words.extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// As options of `run`, which docker and podman spell alike, with the image and the words behind them.
    pub(super) fn line(&self) -> Vec<String> {
        let mut line: Vec<String> = Vec::new();
        if let Some(bytes) = self.memory {
            line.push(format!("--memory={bytes}"));
            if swap_can_be_limited() {
                // Together.
                line.push(format!("--memory-swap={bytes}"));
            }
        }
        if let Some(count) = self.pids {
            line.push(format!("--pids-limit={count}"));
        }
        if self.locked_down {
            let locks = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];
            line.extend(locks.map(str::to_owned));
            line.push(format!("--user={NOBODY}:{NOBODY}"));
        }
        if self.terminal.is_some() {
            line.extend(["--interactive", "--tty"].map(str::to_owned));
        }
        line.push(self.image().to_owned());
        line.extend(self.words.iter().cloned());
        line
    }

    /// The image that it is a container of, for runtimes that have images.
    pub(super) fn image(&self) -> &'static str {
        match (self.stop_signal, self.locked_down) {
            (StopSignal::Quit, _) => "localhost/drainit-test:quit",
            (StopSignal::RtMin3, _) => "localhost/drainit-test:rtmin3",
            (StopSignal::Unsaid, true) => "localhost/drainit-test:nobody",
            (StopSignal::Unsaid, false) => "localhost/drainit-test:plain",
        }
    }
}

/// Whether a limit of memory can be one of swap space too. If not, a process that has too much may be swapped out and live on.
pub(super) fn swap_can_be_limited() -> bool {
    let files = ["memory/memory.memsw.limit_in_bytes", "cgroup.controllers"];
    files.iter().any(|file| Path::new("/sys/fs/cgroup").join(file).exists())
}

/// An image that starts drainit by itself: its ENTRYPOINT and CMD, and its environment.
pub(super) const ENTRYPOINT: &str = "localhost/drainit-test:entrypoint";

/// What holds a pod's namespaces together.
pub(super) const PAUSE: &str = "localhost/drainit-test:pause";

/// The archive of all images that a wish may name. It is gone when the first of the two is dropped.
pub(super) fn images() -> (Archive, PathBuf) {
    let plain = json!({ "Env": ["PATH=/bin"], "WorkingDir": "/" });
    let with = |key: &str, value: Value| {
        let mut config = plain.clone();
        config[key] = value;
        config
    };
    let mut entrypoint = with("Entrypoint", json!(["/bin/drainit", "--"]));
    entrypoint["Cmd"] = json!(["fake-workload", "name=main", "catch=TERM:1ms:6", "ready", "hold"]);
    entrypoint["Env"] = json!(["PATH=/bin", "DRAINIT_PRE_STOP=fake-workload say=drained"]);
    entrypoint["Labels"] = json!({ "of": "drainit's tests" });
    let signal = |signal: StopSignal| with("StopSignal", json!(signal.in_image()));
    let archive = Archive::new()
        .image("localhost/drainit-test:quit", signal(StopSignal::Quit))
        .image("localhost/drainit-test:rtmin3", signal(StopSignal::RtMin3))
        .image("localhost/drainit-test:nobody", with("User", json!(format!("{NOBODY}:{NOBODY}"))))
        .image(PAUSE, with("Entrypoint", json!(["/bin/drainit", "--pause"])))
        .image(ENTRYPOINT, entrypoint)
        .image("localhost/drainit-test:plain", plain);
    let path = archive.write();
    (archive, path)
}

/// A runtime that can be used here.
pub(super) trait Engine {
    fn start(&self, wish: Wish) -> Box<dyn Contained>;
}

/// A container that runs. It is deleted when a test fails, whatever state it is in.
pub(super) trait Contained {
    /// The runtime's client in the foreground: it says what the container says, and ends as it ends.
    fn running(&mut self) -> &mut Running;

    /// Has the runtime ask it to stop, with the signal that its image names. Does not wait.
    fn stop(&mut self);

    /// Waits for the end of the client, whose exit status is the container's.
    fn finish(self: Box<Self>) -> Finished;
}

/// A runtime's clients for one container.
pub(super) struct Clients {
    /// In the foreground, and ends as the container ends. `None` after that.
    running: Option<Running>,
    /// Asks for the stop, and waits for the end.
    stopping: Option<Running>,
}

impl Clients {
    pub(super) fn new(running: Running) -> Self {
        Self { running: Some(running), stopping: None }
    }

    pub(super) fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("it has not ended")
    }

    pub(super) fn stop_with(&mut self, stopping: Running) {
        self.stopping = Some(stopping);
    }

    /// Waits for the end of both, and returns the first one's.
    pub(super) fn finish(&mut self) -> Finished {
        let run = self.running.take().expect("it has not ended").finish();
        if let Some(stopping) = self.stopping.take() {
            stopping.finish().exits(0).silently();
        }
        run
    }

    /// Ends the one in the foreground, if the container has not. Returns whether that was so.
    pub(super) fn abandon(&mut self) -> bool {
        self.running.take().is_some()
    }
}

impl dyn Contained + '_ {
    /// Waits until each of these workloads has said that it is ready, in any order.
    pub(super) fn ready(&mut self, names: &[&str]) -> &mut Self {
        self.running().ready(names);
        self
    }
}

/// The report that drainit wrote to stderr.
#[track_caller]
pub(super) fn report(run: &Finished) -> Value {
    let line = run.stderr.iter().find(|line| line.starts_with(r#"{"schema":"#));
    let line = line.unwrap_or_else(|| panic!("no report: {run:#?}"));
    serde_json::from_str(line).expect("JSON")
}
