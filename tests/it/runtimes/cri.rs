//! The CRI of containerd: what a kubelet asks of it, in the kubelet's order.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::between;
use super::cases::tests_of_these_cases;
use super::containerd::{Containerd, containerd};
use super::daemon::limit_pids;
use super::engine::{Clients, Contained, Engine, NOBODY, PATIENCE, Wish, report, swap_can_be_limited};
use super::not_run;
use crate::harness::{Finished, Init, Running, took};

const CLIENT: &str = include_str!("cri.py");

/// Of the CRI's modes for a namespace: the pod's, the container's own, the host's.
pub(super) const POD: u32 = 0;
pub(super) const CONTAINER: u32 = 1;
pub(super) const NODE: u32 = 2;

/// The kubelet gives a container as much after its hook, whatever is left of the grace period.
const LEAST: Duration = Duration::from_secs(2);

// Typing into a terminal of the CRI goes through its streaming server, which is the same terminal in the end.
tests_of_these_cases! { with,
    the_exit_status_passes_through
    term_ends_it_after_the_drain
    other_stop_signals_drain_and_end_it_too
    an_entrypoint_that_ignores_the_signal_ends_long_before_the_timeout
    a_server_under_a_shell_that_dies_finishes_its_work
    orphans_leave_no_zombie
    out_of_memory_is_told_as_it_was
    a_full_pids_limit_does_not_hinder_the_stop
    nothing_needs_privileges_or_a_folder_to_write_to
}

fn with(case: fn(&dyn Engine)) {
    if let Some(cri) = cri() {
        case(&cri);
    }
}

/// containerd, and a Python that can call it.
#[derive(Clone)]
pub(super) struct Cri {
    pub(super) containerd: Arc<Containerd>,
    python: &'static str,
}

pub(super) fn cri() -> Option<Cri> {
    let can = |python: &&str| {
        let output = Command::new(python).args(["-c", "import grpc"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    // The system's own one, even if another is found first.
    let Some(python) = ["python3", "/usr/bin/python3"].into_iter().find(can) else {
        not_run("the CRI", "python3-grpcio is not installed");
        return None;
    };
    Some(Cri { containerd: containerd()?, python })
}

impl Cri {
    fn log_folder(&self) -> PathBuf {
        self.containerd.daemon.file("logs")
    }

    /// One call, as the kubelet makes it.
    pub(super) fn call(&self, method: &str, request: &Value) -> Output {
        let arguments = ["-c", CLIENT, &self.containerd.socket(), "call", method, &request.to_string()];
        Command::new(self.python).args(arguments).output().expect("looked for before")
    }

    /// A pod with one container. `pid` says whose processes it sees; `more` is added to the container's configuration.
    pub(super) fn run(&self, wish: Wish, pid: u32, more: &Value) -> Pod {
        self.run_in(&between::pod(), wish, pid, more)
    }

    /// The same; the first is added to the pod's configuration. Its `runtime_handler` is that of the request.
    pub(super) fn run_in(&self, pod: &Value, wish: Wish, pid: u32, more: &Value) -> Pod {
        assert!(wish.terminal.is_none(), "nothing could be typed into it");
        let name = self.containerd.new_name();
        let namespaces = json!({ "network": NODE, "pid": pid, "ipc": POD });
        let mut sandbox = json!({
            "metadata": { "name": name, "uid": name, "namespace": "default" },
            "log_directory": self.log_folder(),
            "linux": {
                "cgroup_parent": format!("/{}", self.containerd.daemon.name()),
                "security_context": { "namespace_options": namespaces },
            },
        });
        add(&mut sandbox, pod);
        let mut container = json!({
            "metadata": { "name": "main" },
            "image": { "image": wish.image() },
            "command": wish.words,
            "log_path": format!("{name}.log"),
            "linux": { "security_context": { "namespace_options": namespaces } },
        });
        if let Some(bytes) = wish.memory {
            container["linux"]["resources"] = json!({ "memory_limit_in_bytes": bytes });
            if swap_can_be_limited() {
                // Together.
                container["linux"]["resources"]["memory_swap_limit_in_bytes"] = json!(bytes);
            }
        }
        if wish.locked_down {
            let context = &mut container["linux"]["security_context"];
            context["capabilities"] = json!({ "drop_capabilities": ["ALL"] });
            context["run_as_user"] = json!({ "value": NOBODY });
            context["run_as_group"] = json!({ "value": NOBODY });
            context["readonly_rootfs"] = json!(true);
            context["no_new_privs"] = json!(true);
        }
        add(&mut container, more);
        let socket = self.containerd.socket();
        let line = [self.python, "-c", CLIENT, &socket, "run", &sandbox.to_string(), &container.to_string()];
        let mut running = Init::subreaper().command(&line).start();
        let pod = running.line_after("pod ");
        let clients = Clients::new(running);
        let mut pod = Pod { cri: self.clone(), pod, container: String::new(), clients };
        pod.container = pod.running().line_after("container ");
        if let Some(count) = wish.pids {
            limit_pids(self.containerd.daemon.name(), &pod.container, count);
        }
        pod
    }
}

/// Sets these fields.
fn add(message: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        message[key] = value.clone();
    }
}

impl Engine for Cri {
    fn start(&self, wish: Wish) -> Box<dyn Contained> {
        Box::new(self.run(wish, CONTAINER, &json!({})))
    }
}

/// A pod with its container.
pub(super) struct Pod {
    cri: Cri,
    pub(super) pod: String,
    pub(super) container: String,
    clients: Clients,
}

impl Pod {
    /// What the kubelet does when it deletes a pod: the preStop hook, which uses up the grace period; then the container has the rest of
    /// it, in whole seconds. Returns what became of the hook, and the rest.
    pub(super) fn delete(&mut self, grace: Duration, hook: &[&str]) -> (Output, Duration) {
        let begun = Instant::now();
        let request = json!({ "container_id": self.container, "cmd": hook, "timeout": grace.as_secs() });
        let output = self.cri.call("ExecSync", &request);
        let spent = Duration::from_secs(begun.elapsed().as_secs());
        let rest = grace.saturating_sub(spent).max(LEAST);
        self.stop_within(rest);
        (output, rest)
    }

    /// StopContainer with this time. Does not wait.
    pub(super) fn stop_within(&mut self, time: Duration) {
        let request = json!({ "container_id": self.container, "timeout": time.as_secs() }).to_string();
        let socket = self.cri.containerd.socket();
        let line = [self.cri.python, "-c", CLIENT, &socket, "call", "StopContainer", &request];
        self.clients.stop_with(Init::subreaper().command(&line).start());
    }
}

impl Contained for Pod {
    fn running(&mut self) -> &mut Running {
        self.clients.running()
    }

    fn stop(&mut self) {
        self.stop_within(PATIENCE);
    }

    fn finish(mut self: Box<Self>) -> Finished {
        self.clients.finish()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if self.clients.abandon() {
            let pod = json!({ "pod_sandbox_id": self.pod });
            let _ = self.cri.call("StopPodSandbox", &pod);
            let _ = self.cri.call("RemovePodSandbox", &pod);
        }
    }
}

/// The container's exit code and reason, as the CRI reports them.
#[track_caller]
pub(super) fn status(run: &Finished) -> (u64, String) {
    let line = run.stdout.iter().find_map(|line| line.strip_prefix("status "));
    let status: Value =
        serde_json::from_str(line.unwrap_or_else(|| panic!("no status: {run:#?}"))).expect("JSON");
    let reason = status["reason"].as_str().expect("text").to_owned();
    (status["exit_code"].as_u64().expect("a number"), reason)
}

#[test]
fn the_exit_code_and_the_reason_are_those_of_the_command() {
    let Some(cri) = cri() else { return };
    for (words, code, reason) in [
        ("drainit -- fake-workload exit=0", 0, "Completed"),
        ("drainit -- fake-workload exit=7", 7, "Error"),
        ("drainit -- fake-workload die=SEGV", 139, "Error"),
        ("drainit --remap-exit 7 -- fake-workload exit=7", 0, "Completed"),
        ("drainit -- nowhere", 127, "Error"),
    ] {
        let run = cri.start(Wish::new(words)).finish();
        assert_eq!(status(&run), (code, reason.to_owned()), "{words}");
    }
}

#[test]
fn a_hook_of_the_kubelet_uses_up_the_grace_period_and_the_command_has_the_rest() {
    let Some(cri) = cri() else { return };
    let wish =
        Wish::new("drainit --pre-stop-sleep 100ms -- fake-workload name=main catch=TERM:300ms:4 ready hold");
    let mut pod = Box::new(cri.run(wish, CONTAINER, &json!({})));
    pod.running().ready(&["main"]);
    // Says so in the container's own output.
    let hook = ["sh", "-c", "fake-workload name=hook say=begins sleep=1s say=ends > /proc/1/fd/1"];
    let (hook, rest) = pod.delete(Duration::from_secs(10), &hook);
    assert!(hook.status.success(), "{hook:?}");
    assert!(rest < Duration::from_secs(10) && rest > LEAST, "{rest:?}");
    let run = pod.finish();
    run.in_order(&["hook begins", "hook ends", "main got TERM", "main finished"]).silently();
    assert_eq!(status(&run), (4, "Error".to_owned()));
}

#[test]
fn after_a_hook_that_takes_the_whole_grace_period_two_seconds_are_enough() {
    let Some(cri) = cri() else { return };
    let wish =
        Wish::new("drainit -- sh -c").word("fake-workload name=server catch=TERM:300ms ready hold & wait");
    let mut pod = Box::new(cri.run(wish, CONTAINER, &json!({})));
    pod.running().ready(&["server"]);
    let (hook, rest) = pod.delete(Duration::from_secs(2), &["fake-workload", "hold"]);
    assert!(String::from_utf8_lossy(&hook.stdout).contains("DEADLINE_EXCEEDED"), "{hook:?}");
    assert_eq!(rest, LEAST);
    let run = pod.finish();
    run.in_order(&["server got TERM", "server finished"]).silently();
    assert_eq!(status(&run), (143, "Error".to_owned()));
}

#[test]
fn no_grace_period_is_kill_without_a_signal() {
    let Some(cri) = cri() else { return };
    let wish = Wish::new("drainit -- fake-workload name=main catch=TERM ready hold");
    let mut pod = Box::new(cri.run(wish, CONTAINER, &json!({})));
    pod.running().ready(&["main"]);
    pod.stop_within(Duration::ZERO);
    let run = pod.finish();
    assert_eq!(run.count("main got TERM"), 0, "{run:#?}");
    assert_eq!(status(&run), (137, "Error".to_owned()));
}

#[test]
fn in_a_pod_with_one_pid_namespace_drainit_is_not_pid_one_and_all_the_same_waits_for_every_process() {
    let Some(cri) = cri() else { return };
    let wish = Wish::new(
        "drainit --report - -- fake-workload orphan*5{ exit=1 } daemon{ name=daemon catch=TERM:300ms ready hold } \
         name=main state catch=TERM:1ms:4 ready hold",
    );
    let mut pod = Box::new(cri.run(wish, POD, &json!({})));
    pod.running().ready(&["main", "daemon"]);
    pod.stop();
    let run = pod.finish();
    run.in_order(&["main got TERM", "daemon finished"]);
    assert_eq!(status(&run), (4, "Error".to_owned()));
    let foreign = |line: &String| line.starts_with("main state ") && !line.contains(" ppid=1 ");
    assert!(run.stdout.iter().any(foreign), "drainit is not PID 1 here: {run:#?}");
    assert_eq!(report(&run)["orphans_reaped"], 5, "{run:#?}");
}

#[test]
fn out_of_memory_is_the_reason_that_the_cri_gives() {
    let Some(cri) = cri() else { return };
    let run = || {
        let wish = Wish::new("drainit -- busybox dd if=/dev/zero of=/dev/null bs=512M count=1");
        let run = cri.start(Wish { memory: Some(64 << 20), ..wish }).finish();
        let (code, reason) = status(&run);
        assert_eq!(code, 137, "{run:#?}");
        reason
    };
    // containerd is told of the lack of memory and of the end by different ways, and if the end comes first it calls that an error.
    assert!((0..5).any(|_| run() == "OOMKilled"));
}

#[test]
fn the_termination_log_is_where_the_kubelet_reads_it() {
    let Some(cri) = cri() else { return };
    let file = cri.containerd.daemon.file(&format!("termination-{}", cri.containerd.new_name()));
    fs::write(&file, "").expect("our own folder");
    // As the kubelet makes it.
    let mounts = json!({ "mounts": [{ "container_path": "/dev/termination-log", "host_path": file }] });
    let wish = Wish::new(
        "drainit --termination-log --grace-period 500ms -- fake-workload name=main catch=TERM ready hold",
    );
    let mut pod = Box::new(cri.run(wish, CONTAINER, &mounts));
    pod.running().ready(&["main"]);
    let begun = Instant::now();
    pod.stop();
    let run = pod.finish();
    took(begun, Duration::from_millis(500));
    assert_eq!(status(&run), (137, "Error".to_owned()));
    let message = fs::read_to_string(&file).expect("it was there before");
    assert!(message.contains("fake-workload"), "{message:?}");
}
