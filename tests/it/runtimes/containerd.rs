//! containerd, through ctr: a private daemon, with runc below it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::between;
use super::cases::tests_of_every_case;
use super::daemon::{Daemon, Shared, limit_pids};
use super::engine::{Contained, Engine, Wish, images};
use super::image::run;
use crate::harness::{Finished, Init, Running};

/// What ctr leaves to a container that is to have none. Those that are not there are no error.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Ends the containers of every namespace: those of ctr, and those of the CRI.
const CLEAN: &str = r#"
    c() { ctr --address "$PWD/sock" "$@"; }
    for space in $(c namespaces list --quiet); do
        for id in $(c --namespace "$space" tasks list --quiet); do
            c --namespace "$space" tasks delete --force "$id"
        done
        for id in $(c --namespace "$space" containers list --quiet); do
            c --namespace "$space" containers delete "$id"
        done
    done > /dev/null 2>&1
"#;

/// A containerd of our own.
pub(super) struct Containerd {
    pub(super) daemon: Daemon,
    next: AtomicU32,
}

/// The one that other tests use right now, or a new one, or none.
pub(super) fn containerd() -> Option<Arc<Containerd>> {
    static CONTAINERD: Shared<Containerd> = Shared::new();
    CONTAINERD.get("containerd", &["containerd", "ctr", "runc", "script"], Containerd::start)
}

tests_of_every_case!(with);

fn with(case: fn(&dyn Engine)) {
    if let Some(containerd) = containerd() {
        case(&containerd);
    }
}

impl Containerd {
    fn start() -> Result<Self, String> {
        let folder = Daemon::folder();
        fs::write(folder.path().join("config.toml"), configuration(folder.path())).expect("our own folder");
        let config = folder.path().join("config.toml");
        between::configure("containerd", &config);
        let words = ["containerd", "--log-level", "warn", "--config", config.to_str().expect("text")];
        let socket = folder.path().join("sock");
        let is_up = || {
            let output = Command::new("ctr").arg("--address").arg(&socket).arg("version").output();
            output.is_ok_and(|output| output.status.success())
        };
        let daemon = Daemon::start(folder, &words, CLEAN, is_up)?;
        let containerd = Self { daemon, next: AtomicU32::new(1) };
        let (archive, path) = images();
        for namespace in [containerd.daemon.name(), "k8s.io"] {
            run(containerd.ctr_in(namespace).args(["images", "import"]).arg(&path));
        }
        drop(archive);
        Ok(containerd)
    }

    pub(super) fn socket(&self) -> String {
        self.daemon.file("sock").to_str().expect("text").to_owned()
    }

    /// A name that no container has had yet.
    pub(super) fn new_name(&self) -> String {
        format!("c{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn ctr(&self) -> Command {
        self.ctr_in(self.daemon.name())
    }

    /// The client. The namespace is the parent of its containers' cgroups too.
    fn ctr_in(&self, namespace: &str) -> Command {
        let mut command = Command::new("ctr");
        command.args(["--address", &self.socket(), "--namespace", namespace]);
        command
    }
}

/// What containerd needs to be told to keep to its folder, and to run where less is possible than on a host of its own. Without an
/// option for runc, containerd 1.6 now and then hands its shim options that this cannot read.
fn configuration(folder: &Path) -> String {
    let folder = folder.to_str().expect("text");
    let snapshotter = snapshotter(folder);
    format!(
        r#"
version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#,
        pause = super::engine::PAUSE,
    )
}

/// Copies take the place of layers where the folder is itself in layers: those cannot be stacked.
pub(super) fn snapshotter(folder: &str) -> &'static str {
    let kind = run(Command::new("stat").args(["--file-system", "--format=%T", folder]));
    if kind.trim() == "overlayfs" { "native" } else { "overlayfs" }
}

impl Engine for Arc<Containerd> {
    fn start(&self, wish: Wish) -> Box<dyn Contained> {
        let name = self.new_name();
        let mut line: Vec<String> = ["ctr", "--address", &self.socket(), "--namespace", self.daemon.name()]
            .into_iter()
            .chain(["run", "--rm", "--snapshotter", snapshotter(self.daemon.path().to_str().expect("text"))])
            .map(str::to_owned)
            .collect();
        if let Some(bytes) = wish.memory {
            line.push(format!("--memory-limit={bytes}"));
        }
        if wish.locked_down {
            line.push("--read-only".to_owned());
            line.extend(CAPABILITIES.iter().map(|name| format!("--cap-drop={name}")));
        }
        if wish.terminal.is_some() {
            line.push("--tty".to_owned());
        }
        line.extend(between::options("containerd", self.daemon.path()));
        line.extend([wish.image(), &name].map(str::to_owned));
        line.extend(wish.words);
        let init = match wish.terminal {
            // ctr writes to the terminal that it reads from, so there is one between.
            Some(terminal) => {
                let line = shlex::try_join(line.iter().map(String::as_str)).expect("no zero byte");
                Init::subreaper().stdin(terminal).command(&["script", "-qec", &line, "/dev/null"])
            }
            None => Init::subreaper().command(&line),
        };
        let container = Task { containerd: Self::clone(self), name, running: Some(init.start()) };
        if let Some(count) = wish.pids {
            limit_pids(self.daemon.name(), &container.name, count);
        }
        Box::new(container)
    }
}

/// A container of ctr with its task.
struct Task {
    containerd: Arc<Containerd>,
    name: String,
    /// `None` after its end.
    running: Option<Running>,
}

impl Contained for Task {
    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("it has not ended")
    }

    fn stop(&mut self) {
        run(self.containerd.ctr().args(["tasks", "kill", &self.name]));
    }

    fn finish(mut self: Box<Self>) -> Finished {
        self.running.take().expect("it has not ended").finish()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.running.take().is_some() {
            let _ = self.containerd.ctr().args(["tasks", "delete", "--force", &self.name]).output();
            let _ = self.containerd.ctr().args(["containers", "delete", &self.name]).output();
        }
    }
}
