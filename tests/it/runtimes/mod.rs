//! Real containers: with runc and crun from a bundle, with the others from an image, both made on the spot out of busybox. And a real
//! machine.
//!
//! If a runtime, or a program that a test needs beside it, is missing or cannot run anything here, the test says so
//! and passes; with `DRAINIT_REQUIRE_RUNTIMES=1` it fails.

mod agent;
mod between;
mod cases;
mod containerd;
mod cri;
mod daemon;
mod docker;
mod docker_build;
mod docker_examples;
mod docker_init;
mod docker_report;
mod engine;
mod exit_code;
mod guard;
mod here;
mod image;
mod killed;
mod nginx;
mod no_image_change;
mod oci;
mod podman;
mod reap;
mod scratch;
mod stop;
mod vm;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use drainit::plan::processes::Process;
use serde_json::{Value, json};
use tempfile::TempDir;

use here::{REQUIRE, UNIFIED, is_alive, obstacle_to};
pub(crate) use here::{installed, not_run};

use crate::harness::{Finished, Init, Running, descendants_of, wait_until};

/// Looks at a container that is to be deleted, at most; each takes some milliseconds.
const LOOKS: usize = 500;

/// An OCI runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runtime {
    Runc,
    Crun,
}

/// Those that can be used here. About the others the test says that it did not run with them, and why.
fn runtimes() -> Vec<Runtime> {
    [Runtime::Runc, Runtime::Crun].into_iter().filter(|runtime| runtime.is_usable()).collect()
}

impl Runtime {
    fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
        }
    }

    fn is_usable(self) -> bool {
        static RUNC: OnceLock<Option<String>> = OnceLock::new();
        static CRUN: OnceLock<Option<String>> = OnceLock::new();
        let obstacle = match self {
            Self::Runc => RUNC.get_or_init(|| self.obstacle()),
            Self::Crun => CRUN.get_or_init(|| self.obstacle()),
        };
        let Some(obstacle) = obstacle else { return true };
        not_run(self.name(), obstacle);
        false
    }

    /// Why it cannot be used here, if that is so.
    fn obstacle(self) -> Option<String> {
        if let Some(obstacle) = obstacle_to(&[self.name()]) {
            return Some(obstacle);
        }
        let run = Bundle::new(self, "busybox true").start().finish();
        (run.code != 0).then(|| format!("{} cannot run busybox here: {:?}", self.name(), run.stderr))
    }

    /// The start of a command line: a shell script whose `$1`, `$2` and so on follow.
    fn shell(self, script: &str) -> Vec<String> {
        let hide = self == Self::Crun && Path::new(UNIFIED).join("cgroup.procs").exists();
        let script = if hide { format!("umount {UNIFIED} && {script}") } else { script.to_owned() };
        let private = ["unshare", "--mount", "--propagation", "private", "--"];
        let private = if hide { &private[..] } else { &[] };
        private.iter().copied().chain(["sh", "-c", &script, "sh"]).map(str::to_owned).collect()
    }
}

/// A container in the making: its root file system and its configuration.
struct Bundle {
    runtime: Runtime,
    folder: TempDir,
    config: Value,
    /// What the runtime has for its standard input.
    terminal: Option<OwnedFd>,
}

impl Bundle {
    /// What the container runs, with blanks between the words. `drainit`, `fake-workload`, `sh` and `busybox` are there.
    fn new(runtime: Runtime, words: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("drainit-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a scratch folder");
        let root = folder.path().join("rootfs");
        image::fill(&root);
        let config = json!({
            "ociVersion": "1.0.2",
            "root": { "path": "rootfs", "readonly": false },
            "process": {
                "terminal": false,
                "user": { "uid": 0, "gid": 0 },
                "args": words.split_whitespace().collect::<Vec<_>>(),
                "env": ["PATH=/bin"],
                "cwd": "/",
                "noNewPrivileges": true,
            },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
            ],
            "linux": {
                "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
            },
        });
        Self { runtime, folder, config, terminal: None }
    }

    /// One more word to run, which may have blanks in it.
    fn word(mut self, word: &str) -> Self {
        self.setting("/process/args").as_array_mut().expect("a list").push(json!(word));
        self
    }

    /// Changes the configuration at this place (a JSON pointer).
    fn with(mut self, place: &str, value: Value) -> Self {
        *self.setting(place) = value;
        self
    }

    fn without_pid_namespace(mut self) -> Self {
        let namespaces = self.setting("/linux/namespaces").as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "pid");
        self
    }

    /// With a terminal for the container.
    fn with_terminal(mut self) -> Self {
        self = self.with("/process/terminal", json!(true));
        self.setting("/mounts").as_array_mut().expect("a list").push(json!({
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
        }));
        self
    }

    /// What the container sees as its root folder.
    fn root(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    fn setting(&mut self, place: &str) -> &mut Value {
        self.config.pointer_mut(place).unwrap_or_else(|| panic!("{place} is not in the configuration"))
    }

    fn start(self) -> Container {
        self.start_with(r#"exec "$1" --root "$2/state" run --bundle "$2" "$3""#, &[])
    }

    /// Passes the container's terminal to the process that listens on this socket, and does not wait for its end.
    fn start_detached(self, socket: &str) -> Container {
        let script = r#"exec "$1" --root "$2/state" run --detach --console-socket "$4" --bundle "$2" "$3""#;
        self.start_with(script, &[socket])
    }

    fn start_with(self, script: &str, extra: &[&str]) -> Container {
        let Self { runtime, folder, config, terminal } = self;
        fs::write(folder.path().join("config.json"), config.to_string()).expect("our own folder");
        let id = folder.path().file_name().expect("it has a name").to_str().expect("text").to_owned();
        let mut container = Container { runtime, folder, id, running: None, gone: false };
        container.running = Some(container.runs(script, extra, terminal));
        container
    }
}

/// A container that runs. It is deleted when a test fails, whatever state it is in.
struct Container {
    runtime: Runtime,
    folder: TempDir,
    /// The folder's name: unique on this machine while the folder is there.
    id: String,
    /// The runtime's own process, in the foreground. `None` before its start and after its end.
    running: Option<Running>,
    gone: bool,
}

impl Container {
    /// Starts a script that runs the runtime: `$1` is its name, `$2` our folder, `$3` the container, `$4` the first extra word.
    fn runs(&self, script: &str, extra: &[&str], terminal: Option<OwnedFd>) -> Running {
        let mut line = self.runtime.shell(script);
        line.extend([self.runtime.name(), self.path(), &self.id].map(str::to_owned));
        line.extend(extra.iter().map(|word| (*word).to_owned()));
        // What `Init` puts at the end (drainit's place outside) is a parameter that the script does not look at: the
        // configuration says what runs.
        let init = terminal.map_or_else(Init::subreaper, |terminal| Init::subreaper().stdin(terminal));
        init.under(&line.iter().map(String::as_str).collect::<Vec<_>>()).start()
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().expect("text")
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("it has not ended")
    }

    /// Waits until each of these workloads has said that it is ready, in any order.
    fn ready(&mut self, names: &[&str]) -> &mut Self {
        self.running().ready(names);
        self
    }

    /// Makes a file in the container's root folder, for `await=/NAME`.
    fn make(&self, name: &str) {
        fs::write(self.root().join(name), "").expect("our own folder");
    }

    /// Sends PID 1 a signal in the runtime's way.
    fn kill(&mut self, signal: &str) -> &mut Self {
        let output = self.ask("kill", &[&self.id, signal]);
        assert!(output.status.success(), "{} kill {signal}: {output:?}", self.runtime.name());
        self
    }

    /// Has the runtime do this with it: `pause`, `resume`.
    fn ask_well(&mut self, command: &str) -> &mut Self {
        let output = self.ask(command, &[&self.id]);
        assert!(output.status.success(), "{} {command}: {output:?}", self.runtime.name());
        self
    }

    /// What it sees as its root folder.
    fn root(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// Runs one more workload in the container, as `kubectl exec` does.
    fn exec(&self, directives: &str) -> Running {
        self.runs(r#"exec "$1" --root "$2/state" exec "$3" fake-workload $4"#, &[directives], None)
    }

    /// The processes below drainit, living and dead, as this test's /proc shows them.
    fn family(&mut self) -> Vec<Process> {
        let init = wait_until("drainit is there", || {
            self.running().descendants().into_iter().find(|process| process.name.to_string() == "drainit")
        });
        descendants_of(init.pid)
    }

    /// Waits for the end of the runtime, whose exit status is the container's.
    fn finish(mut self) -> Finished {
        let run = self.running.take().expect("it has not ended").finish();
        self.gone = true;
        run
    }

    fn is_made(&self) -> bool {
        let output = self.ask("state", &[&self.id]);
        serde_json::from_slice::<Value>(&output.stdout).is_ok_and(|state| {
            ["running", "paused", "stopped"].iter().any(|status| state["status"] == *status)
        })
    }

    fn delete(&self) {
        // If it is not frozen, that is an error, and nothing else. KILL does not end what is frozen.
        let _ = self.ask("resume", &[&self.id]);
        let _ = self.ask("delete", &["--force", &self.id]);
    }

    /// Another run of the runtime, until its end.
    fn ask(&self, command: &str, arguments: &[&str]) -> Output {
        let line = self.runtime.shell(r#"exec "$@""#);
        let (program, words) = line.split_first().expect("a shell at least");
        let state = self.folder.path().join("state");
        Command::new(program)
            .args(words)
            .args([self.runtime.name(), "--root", state.to_str().expect("text"), command])
            .args(arguments)
            .output()
            .expect("the shell can be run")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        for _ in 0..LOOKS {
            if !self.running.as_ref().is_some_and(|running| is_alive(running.pid())) {
                break;
            }
            // A runtime whose container is deleted under its hands while it still makes it leaves parts of it behind.
            if self.is_made() {
                self.delete();
            }
        }
        // First what is left of a runtime that hangs, then what that leaves.
        self.running = None;
        self.delete();
    }
}
