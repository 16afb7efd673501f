//! podman, which has no daemon: everything that it keeps is in a folder of the tests' own, and so are its mounts.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use drainit::plan::processes::Process;
use serde_json::json;

use super::between;
use super::cases::tests_of_every_case;
use super::daemon::{Daemon, Shared};
use super::engine::{Clients, Contained, ENTRYPOINT, Engine, PATIENCE, PAUSE, Wish, images};
use super::image::{Archive, run};
use crate::harness::{DRAINIT, Finished, Init, Running, look_again, took, wait_until};

/// podman as the tests call it: with its own settings, and with the mounts of the process that stands for a daemon.
const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
export CONTAINERS_CONF="$here/containers.conf" CONTAINERS_STORAGE_CONF="$here/storage.conf" TMPDIR="$here"
export CONTAINERS_REGISTRIES_CONF="$here/registries.conf" PODMAN_IGNORE_CGROUPSV1_WARNING=1
exec nsenter --mount --target "$(cat "$here/pid")" -- podman --tmpdir "$here/tmp" --runtime crun "$@"
"#;

/// Whoever still watches a container, or has not quite ended, would write to the folder once more.
const CLEAN: &str = r#"
    # Nobody reads what is said here, where the test has died; and podman dies of it.
    exec > /dev/null 2>&1
    pods="$("$PWD/podman" pod ps --quiet --no-trunc) $(cat pods)"
    for round in $(seq 100); do
        "$PWD/podman" pod rm --all --force --time 0
        "$PWD/podman" rm --all --force --time 0
        busy=
        for name in $(grep -lsxE 'conmon|podman' /proc/[0-9]*/comm); do
            ! grep -qsF "$PWD" "${name%comm}cmdline" || busy=yes
        done
        [ "$busy" ] || break
        sleep 0.1
    done
    for mount in $(grep -o " $PWD/[^ ]*" /proc/self/mounts | sort -r); do umount --lazy "$mount"; done
    for top in /sys/fs/cgroup /sys/fs/cgroup/*; do
        for pod in $pods; do
            [ ! -d "$top/libpod_parent/$pod" ] || find "$top/libpod_parent/$pod" -depth -type d -exec rmdir {} \;
        done
        [ ! -d "$top/libpod_parent" ] || rmdir "$top/libpod_parent/conmon" "$top/libpod_parent"
    done
"#;

/// A podman of our own.
pub(super) struct Podman {
    /// Holds the mounts, and cleans up.
    pub(super) holder: Daemon,
    next: AtomicU32,
}

/// The one that other tests use right now, or a new one, or none.
pub(super) fn podman() -> Option<Arc<Podman>> {
    static PODMAN: Shared<Podman> = Shared::new();
    PODMAN.get("podman", &["podman", "conmon", "crun", "nsenter"], Podman::start)
}

tests_of_every_case!(with);

fn with(case: fn(&dyn Engine)) {
    if let Some(podman) = podman() {
        case(&podman);
    }
}

#[test]
fn an_image_that_starts_drainit_by_itself() {
    let Some(podman) = podman() else { return };
    let mut container = Box::new(podman.run(&[ENTRYPOINT], None));
    container.running().ready(&["main"]);
    container.stop();
    container.finish().exits(6).in_order(&["drained", "main got TERM", "main finished"]).silently();
}

#[test]
fn as_podman_s_own_init_it_reaps_and_waits() {
    let Some(podman) = podman() else { return };
    let wish = Wish::new(
        "fake-workload daemon{ name=daemon catch=TERM:300ms ready hold } orphan*5{ exit=1 } \
         name=main state catch=TERM:1ms:4 ready hold",
    );
    let line = [vec!["--init".to_owned()], wish.line()].concat();
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut container = Box::new(podman.run(&line, None));
    let running = container.running();
    running.begins(&["daemon ready ", "main state pid=2 ppid=1 ", "main ready "]);
    container.stop();
    container.finish().exits(4).in_order(&["daemon got TERM", "daemon finished"]).silently();
}

/// A pod as it is written for Kubernetes. podman reads its lifecycle and its grace period, and heeds neither: the first is for drainit to show.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: drained
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 50
  containers:
    - name: good
      image: localhost/drainit-test:plain
      command: [drainit, "--pre-stop=fake-workload say=drained", --grace-period=40s, --]
      args: [fake-workload, name=good, "catch=TERM:300ms:4", ready, hold]
      lifecycle:
        preStop:
          exec:
            command: [fake-workload, exit=0]
    - name: bad
      image: localhost/drainit-test:plain
      command: [drainit, --]
      args: [sh, -c, "trap '' TERM; echo bad ready 0; while :; do busybox sleep 1; done"]
"#;

#[test]
fn a_pod_that_is_played_drains_and_ends_in_order() {
    let Some(podman) = podman() else { return };
    let file = podman.holder.file("pod.yaml");
    fs::write(&file, POD).expect("our own folder");
    let pod = Pod::new(&podman, "drained", &["kube", "play", "--network=none", file.to_str().expect("text")]);
    podman.follows("drained-good").ready(&["good"]);
    podman.follows("drained-bad").ready(&["bad"]);
    let begun = Instant::now();
    pod.stop();
    // The container that ignores TERM takes two seconds, and none takes the whole time.
    took(begun, Duration::from_secs(2));
    podman.logged("drained-good").in_order(&["drained", "good got TERM", "good finished"]).silently();
    podman.logged("drained-bad").warns(&["TERM is ignored"]);
    for (name, code) in [("drained-good", "4"), ("drained-bad", "137")] {
        assert_eq!(podman.state(name, "ExitCode"), code, "{name}");
    }
}

/// The example of a Deployment, with a server that the test makes in the place of the one that it names.
#[test]
fn the_example_of_a_deployment_drains_and_ends_in_order() {
    let Some(podman) = podman() else { return };
    let text = include_str!("../../../examples/kubernetes/deployment.yaml");
    // podman would want a bridge for a port that is named, and one pod is enough.
    let text = text.replace("replicas: 3", "replicas: 1");
    let text = text.replace("          ports:\n            - containerPort: 8080\n", "");
    assert!(text.contains("replicas: 1") && !text.contains("ports:"), "{text}");
    let archive = Archive::new().image("localhost/web:1.0.0", json!({ "Env": ["PATH=/bin"] }));
    let server = archive.root().join("server");
    fs::write(&server, "#!/bin/sh\nexec fake-workload name=server catch=TERM:300ms:4 ready hold\n")
        .expect("our own folder");
    fs::set_permissions(server, fs::Permissions::from_mode(0o755)).expect("our own folder");
    fs::rename(archive.root().join("bin/drainit"), archive.root().join("drainit")).expect("our own folder");
    run(podman.client().args(["load", "--quiet", "--input"]).arg(archive.write()));
    let file = podman.holder.file("deployment.yaml");
    fs::write(&file, text).expect("our own folder");

    let play = ["kube", "play", "--network=none", file.to_str().expect("text")];
    let pod = Pod::new(&podman, "web-pod-0", &play);
    podman.follows("web-pod-0-web").ready(&["server"]);
    let begun = Instant::now();
    pod.stop();
    // The sleep before the drain's idle step.
    took(begun, Duration::from_secs(5));
    podman.logged("web-pod-0-web").in_order(&["server got TERM", "server finished"]).silently();
    assert_eq!(podman.state("web-pod-0-web", "ExitCode"), "4");
}

#[test]
fn in_a_shared_pid_namespace_drainit_is_the_pause() {
    let Some(podman) = podman() else { return };
    let create = "pod create --name=shared --infra-name=shared-pause --share=ipc,uts,net,pid --network=none";
    let mut pod = Pod::new(&podman, "shared", &create.split_whitespace().collect::<Vec<_>>());
    pod.have(&["pod", "start", "shared"]);
    let wish = Wish::new("drainit -- fake-workload name=main catch=TERM:1ms:4 ready hold");
    let line =
        [["run", "--pod=shared", "--name=shared-main"].map(str::to_owned).to_vec(), wish.line()].concat();
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut main = podman.runs(&line, None);
    main.ready(&["main"]);
    // Nobody but PID 1 adopts the orphans of an exec. The shell ends when no zombie is left, and not otherwise.
    let script = "fake-workload orphan*20{ exit=1 }; \
                  while busybox grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; busybox cat /proc/1/comm";
    let exec = podman.runs(&["exec", "shared-main", "sh", "-c", script], None).finish();
    exec.exits(0).in_order(&["drainit"]).silently();
    run(podman.client().args(["stop", "--time=60", "shared-main"]));
    main.finish().exits(4).in_order(&["main got TERM", "main finished"]).silently();
    run(podman.client().args(["kill", "--signal=TERM", "shared-pause"]));
    assert_eq!(run(podman.client().args(["wait", "shared-pause"])).trim(), "0");
}

#[test]
fn a_test_that_fails_leaves_nothing_of_podman_behind() {
    let Some(podman) = podman() else { return };
    let family =
        "drainit fake-workload daemon{ ignore=all name=daemon ready hold } name=main ignore=all ready hold";
    let line = Wish::new(family).line();
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut container = podman.run(&line, None);
    container.running().ready(&["daemon", "main"]);
    let processes = container.running().descendants();
    assert!(processes.len() >= 4, "conmon, drainit, main, daemon: {processes:?}");

    let name = container.name.clone();
    drop(container);

    assert!(
        !run(podman.client().args(["ps", "--all", "--format={{.Names}}"])).lines().any(|line| line == name)
    );
    let lives = |process: &Process| look_again(process).is_some_and(|now| now.is_alive());
    wait_until("all are gone", || (!processes.iter().any(lives)).then_some(()));
}

impl Podman {
    /// It touches no network: its containers have none, or the host's.
    fn start() -> Result<Self, String> {
        let folder = Daemon::folder();
        let path = folder.path().to_str().expect("text").to_owned();
        let write =
            |name: &str, text: String| fs::write(folder.path().join(name), text).expect("our own folder");
        fs::copy(*DRAINIT, folder.path().join("init")).expect("our own folder");
        // Without the right to raise limits, the usual ones cannot be set. Locks would be in a place that all podmans share.
        write(
            "containers.conf",
            format!(
                "[containers]\ninit_path = \"{path}/init\"\nlog_driver = \"k8s-file\"\ndefault_ulimits = []\noom_score_adj = 0\n\
                 [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nlock_type = \"file\"\ninfra_image = \"{PAUSE}\"\n\
                 [network]\nnetwork_config_dir = \"{path}/net\"\n"
            ),
        );
        let storage =
            format!("driver = \"overlay\"\ngraphroot = \"{path}/root\"\nrunroot = \"{path}/run\"\n");
        write("storage.conf", format!("[storage]\n{storage}"));
        write("registries.conf", String::new());
        write("pods", String::new());
        write("podman", SCRIPT.to_owned());
        let script = folder.path().join("podman");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own folder");
        between::configure("podman", &script);
        let is_up = || Command::new(&script).arg("info").output().is_ok_and(|output| output.status.success());
        let holder = Daemon::start(folder, &["sleep", "infinity"], CLEAN, is_up)?;
        let podman = Self { holder, next: AtomicU32::new(1) };
        let (archive, path) = images();
        run(podman.client().args(["load", "--quiet", "--input"]).arg(path));
        drop(archive);
        Ok(podman)
    }

    pub(super) fn client(&self) -> Command {
        Command::new(self.holder.file("podman"))
    }

    /// podman with these words. What it leaves behind to watch a container is a part of it.
    fn init(&self, words: &[&str]) -> Init {
        let script = self.holder.file("podman");
        let line: Vec<&str> =
            std::iter::once(script.to_str().expect("text")).chain(words.iter().copied()).collect();
        Init::subreaper().flags(&["--wait-for-all"]).command(&line)
    }

    pub(super) fn runs(&self, words: &[&str], terminal: Option<OwnedFd>) -> Running {
        let init = self.init(words);
        match terminal {
            Some(terminal) => init.stdin(terminal).start(),
            None => init.start(),
        }
    }

    /// `podman run` in the foreground with these options, image and words.
    pub(super) fn run(self: &Arc<Self>, line: &[&str], terminal: Option<OwnedFd>) -> Container {
        let name = format!("c{}", self.next.fetch_add(1, Ordering::Relaxed));
        let group = format!("--cgroup-parent=/{}", self.holder.name());
        let line = [&["run", "--network=none", &group, "--name", &name], line].concat();
        let clients = Clients::new(self.runs(&line, terminal));
        Container { podman: Arc::clone(self), name, clients }
    }

    /// What a container logs, while it runs: podman stops following shortly after the container's end, and may miss its last lines.
    pub(super) fn follows(&self, name: &str) -> Running {
        self.runs(&["logs", "--follow", name], None)
    }

    /// What a container that has ended has logged.
    #[track_caller]
    pub(super) fn logged(&self, name: &str) -> Finished {
        let logs = self.runs(&["logs", name], None).finish();
        logs.exits(0);
        logs
    }

    /// What `podman inspect` says of the state of a container.
    pub(super) fn state(&self, name: &str, field: &str) -> String {
        let format = format!("{{{{.State.{field}}}}}");
        run(self.client().args(["inspect", "--format", &format, name])).trim().to_owned()
    }
}

impl Engine for Arc<Podman> {
    fn start(&self, wish: Wish) -> Box<dyn Contained> {
        let line = wish.line();
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        Box::new(self.run(&line, wish.terminal))
    }
}

/// A pod that runs. It is removed at the end, whatever state it is in.
pub(super) struct Pod {
    podman: Arc<Podman>,
    name: &'static str,
    /// Each podman that has made something of it, and what that has left behind to watch its containers.
    made: Vec<Running>,
}

impl Pod {
    pub(super) fn new(podman: &Arc<Podman>, name: &'static str, words: &[&str]) -> Self {
        let mut pod = Self { podman: Arc::clone(podman), name, made: Vec::new() };
        pod.have(words);
        // It leaves cgroups behind, in a folder that all podmans share.
        let id = run(podman.client().args(["pod", "inspect", "--format={{.Id}}", name]));
        let mut pods =
            OpenOptions::new().append(true).open(podman.holder.file("pods")).expect("our own folder");
        pods.write_all(id.as_bytes()).expect("our own folder");
        pod
    }

    /// Has podman do this, which it says something about when it is done.
    fn have(&mut self, words: &[&str]) {
        let init = self.podman.init(words).stderr(Stdio::inherit());
        let mut podman = init.start();
        podman.line_with("");
        self.made.push(podman);
    }

    fn stop(&self) {
        let patience = format!("--time={}", PATIENCE.as_secs());
        self.podman.runs(&["pod", "stop", &patience, self.name], None).finish().exits(0).silently();
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.podman.client().args(["pod", "rm", "--force", "--time=0", self.name]).output();
    }
}

pub(super) struct Container {
    podman: Arc<Podman>,
    pub(super) name: String,
    clients: Clients,
}

impl Contained for Container {
    fn running(&mut self) -> &mut Running {
        self.clients.running()
    }

    fn stop(&mut self) {
        let patience = format!("--time={}", PATIENCE.as_secs());
        self.clients.stop_with(self.podman.runs(&["stop", &patience, &self.name], None));
    }

    fn finish(mut self: Box<Self>) -> Finished {
        let run = self.clients.finish();
        assert_eq!(self.podman.state(&self.name, "ExitCode"), run.code.to_string());
        run
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // First podman: whoever kills a container and its monitor under its hands leaves it puzzled. Then what it did not know yet.
        let remove =
            || self.podman.client().args(["rm", "--force", "--ignore", "--time=0", &self.name]).output();
        let _ = remove();
        if self.clients.abandon() {
            let _ = remove();
        }
    }
}
