//! runc and crun behind the wrapper, from a bundle: user namespaces, without root, and by the commands that an engine gives.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::image::fill;
use super::{UNIFIED, not_run, obstacle_to};
use crate::bundle::{Node, said};
use crate::harness::{Init, Running, wait_until};

const RUNTIMES: [&str; 2] = ["runc", "crun"];

/// An ordinary user of the node.
const USER: u32 = 1500;

/// A container in the making, or one that runs. What is left of it is deleted.
struct Container {
    node: Node,
    runtime: &'static str,
    /// Runs the runtime.
    around: Vec<String>,
    global: Vec<String>,
}

/// With each runtime that can be used here.
fn with_each(test: fn(&'static str)) {
    for runtime in RUNTIMES {
        match obstacle_to(&[runtime]) {
            Some(obstacle) => not_run(runtime, &obstacle),
            None => test(runtime),
        }
    }
}

impl Container {
    fn new(runtime: &'static str, script: &str, more: &[(&str, Value)]) -> Self {
        let node = Node::new();
        fill(&node.path("bundle/rootfs"));
        let mut config = json!({
            "ociVersion": "1.0.2",
            "root": { "path": "rootfs" },
            "process": {
                "terminal": false,
                "user": { "uid": 0, "gid": 0 },
                "args": ["sh", "-c", script],
                "env": ["PATH=/bin"],
                "cwd": "/",
            },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
            ],
            "linux": { "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }] },
        });
        for (place, value) in more {
            *config.pointer_mut(place).expect("it is there") = value.clone();
        }
        node.write(&config.to_string());
        // crun does not run beside an unused cgroup2.
        let hide = format!("umount {UNIFIED} 2> /dev/null; exec \"$@\"");
        let around = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", &hide, "sh"];
        let global = ["--root".to_owned(), node.path("state").to_str().expect("text").to_owned()];
        Self { node, runtime, around: around.map(str::to_owned).to_vec(), global: global.to_vec() }
    }

    /// The same, for a user without privileges.
    fn of_user(mut self) -> Self {
        let id = USER.to_string();
        let drop = [
            "setpriv",
            &format!("--reuid={id}"),
            &format!("--regid={id}"),
            "--clear-groups",
            "--inh-caps=-all",
            "env",
            &format!("XDG_RUNTIME_DIR={}", self.node.path("run").display()),
        ];
        self.around.extend(drop.map(str::to_owned));
        if self.runtime == "crun" {
            self.global.push("--cgroup-manager=disabled".to_owned());
        }
        for name in ["run", "state"] {
            fs::create_dir(self.node.path(name)).expect("our own folder");
        }
        for name in ["run", "state", "bundle", "bundle/config.json"] {
            chown(self.node.path(name), Some(USER), Some(USER)).expect("root may");
        }
        own(&self.node.path("bundle/rootfs"));
        self
    }

    fn line(&self, words: &[&str]) -> Vec<String> {
        let wrapper = self.node.path("bin/drainit-runtime");
        let wrapper = [wrapper.to_str().expect("text"), "--runtime", self.runtime].map(str::to_owned);
        let words = words.iter().map(|word| (*word).to_owned());
        self.around.iter().cloned().chain(wrapper).chain(self.global.iter().cloned()).chain(words).collect()
    }

    /// Its name is the folder's: unique on this machine.
    fn id(&self) -> String {
        self.node.name()
    }

    fn run(&self) -> Running {
        let (id, bundle) = (self.id(), self.node.path("bundle"));
        let line = self.line(&["run", "--bundle", bundle.to_str().expect("text"), &id]);
        Init::subreaper().command(&line).env("DRAINIT_RUNTIME_CONFIG", "/nowhere").start()
    }

    fn ask(&self, words: &[&str]) -> Output {
        let line = self.line(words);
        Command::new(&line[0]).args(&line[1..]).output().expect("it can be run")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.ask(&["delete", "--force", &self.id()]);
    }
}

/// Everything below belongs to the user.
fn own(path: &Path) {
    std::os::unix::fs::lchown(path, Some(USER), Some(USER)).expect("root may");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("our own folder") {
            own(&entry.expect("an entry").path());
        }
    }
}

const SCRIPT: &str = "busybox cat /proc/1/comm; busybox grep drainit /proc/mounts; busybox cat /proc/self/uid_map; \
                      fake-workload name=server catch=TERM:300ms ready hold & wait";

#[track_caller]
fn stops_well(container: &Container) -> Vec<String> {
    let mut running = container.run();
    running.ready(&["server"]);
    let killed = container.ask(&["kill", &container.id(), "TERM"]);
    assert!(killed.status.success(), "{}: {killed:?}", container.runtime);
    let run = running.finish();
    run.exits(143).in_order(&["drainit", "server got TERM", "server finished"]);
    assert!(
        run.stdout.iter().any(|line| line.contains(" /dev/drainit ") && line.contains("ro,")),
        "{run:#?}"
    );
    run.stdout
}

#[test]
fn as_root() {
    with_each(|runtime| {
        stops_well(&Container::new(runtime, SCRIPT, &[]));
    });
}

#[test]
fn in_a_user_namespace() {
    with_each(|runtime| {
        let namespaces = ["pid", "mount", "ipc", "uts", "user"].map(|name| json!({ "type": name }));
        let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        let linux = json!({ "namespaces": namespaces, "uidMappings": map, "gidMappings": map });
        let said = stops_well(&Container::new(runtime, SCRIPT, &[("/linux", linux)]));
        assert!(said.iter().any(|line| line.split_whitespace().eq(["0", "100000", "65536"])), "{said:#?}");
    });
}

#[test]
fn without_root() {
    with_each(|runtime| {
        let namespaces = ["pid", "mount", "ipc", "uts", "user"].map(|name| json!({ "type": name }));
        let map = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
        let linux = json!({ "namespaces": namespaces, "uidMappings": map, "gidMappings": map });
        let said = stops_well(&Container::new(runtime, SCRIPT, &[("/linux", linux)]).of_user());
        assert!(said.iter().any(|line| line.split_whitespace().eq(["0", "1500", "1"])), "{said:#?}");
    });
}

/// No folder of the container's own, and a name in the root folder that is taken.
#[test]
fn without_dev_it_is_in_the_root_folder_beside_what_is_there() {
    with_each(|runtime| {
        let mounts = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]);
        let script =
            "busybox cat /drainit; busybox tr '\\0' ' ' < /proc/1/cmdline; echo; busybox cat /proc/1/comm";
        let container = Container::new(runtime, script, &[("/mounts", mounts)]);
        fs::write(container.node.path("bundle/rootfs/drainit"), "the image's own\n").expect("our own folder");
        let run = container.run().finish();
        run.exits(0).in_order(&["the image's own", "drainit"]);
        let line = run.stdout.iter().find(|line| line.starts_with("/drainit-1/drainit -- sh -c "));
        assert!(line.is_some(), "{run:#?}");
    });
}

/// Without a folder of its own for the mount, the runtime leaves an empty file in the container's layer. It must not be in the way for ever.
#[test]
fn a_container_that_is_started_again_has_it_in_the_same_place() {
    with_each(|runtime| {
        let mounts = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]);
        let container =
            Container::new(runtime, "busybox tr '\\0' ' ' < /proc/1/cmdline", &[("/mounts", mounts)]);
        for own in ["", "the image's own\n"] {
            if !own.is_empty() {
                fs::write(container.node.path("bundle/rootfs/drainit"), own).expect("our own folder");
            }
            let place = if own.is_empty() { "/drainit" } else { "/drainit-1/drainit" };
            for _ in 0..3 {
                let before = container.node.text();
                let run = container.run().finish();
                run.exits(0);
                assert!(run.stdout.iter().any(|line| line.starts_with(&format!("{place} -- "))), "{run:#?}");
                container.node.write(&before);
            }
        }
    });
}

#[test]
fn created_started_executed_killed_and_deleted_one_after_the_other() {
    with_each(|runtime| {
        let container = Container::new(runtime, "exec busybox sleep infinity", &[]);
        let (id, bundle) = (container.id(), container.node.path("bundle"));
        let well = |words: &[&str]| {
            // What a container says would hold a pipe open.
            let line = container.line(words);
            let mut command = Command::new(&line[0]);
            let file = fs::File::create(container.node.path("said")).expect("our own folder");
            let both = file.try_clone().expect("it is open");
            let status = command.args(&line[1..]).stdout(file).stderr(both).status().expect("it can be run");
            let said = fs::read_to_string(container.node.path("said")).expect("it is there");
            assert!(status.success(), "{runtime} {words:?}: {said}");
            said
        };
        let state = || -> Value { serde_json::from_str(&well(&["state", &id])).expect("JSON") };
        well(&["create", "--bundle", bundle.to_str().expect("text"), &id]);
        assert_eq!(state()["status"], "created");
        let config = container.node.text();
        well(&["start", &id]);
        assert_eq!(state()["status"], "running");
        wait_until("drainit is PID 1", || {
            (well(&["exec", &id, "busybox", "cat", "/proc/1/comm"]) == "drainit\n").then_some(())
        });
        well(&["kill", &id, "TERM"]);
        wait_until("it has stopped", || (state()["status"] == "stopped").then_some(()));
        assert_eq!(container.node.text(), config, "only its creation rewrites it");
        well(&["delete", &id]);
        let gone = container.ask(&["state", &id]);
        assert!(!gone.status.success() && !said(&gone.stderr).is_empty(), "{gone:?}");
    });
}
