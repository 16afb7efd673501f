//! Docker Engine: a private daemon, with runc below it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use super::between;
use super::cases::tests_of_every_case;
use super::daemon::{Daemon, Shared};
use super::engine::{Clients, Contained, ENTRYPOINT, Engine, PATIENCE, Wish, images};
use super::image::run;
use crate::harness::{Finished, Init, Running};

const CLEAN: &str = r#"
    export DOCKER_HOST="unix://$PWD/sock" DOCKER_CONFIG="$PWD/client"
    for id in $(docker ps --all --quiet); do docker rm --force "$id" > /dev/null; done
"#;

pub(super) const PROGRAMS: [&str; 4] = ["docker", "dockerd", "containerd", "runc"];

/// A dockerd of our own.
pub(super) struct Docker {
    daemon: Daemon,
    next: AtomicU32,
}

/// The one that other tests use right now, or a new one, or none.
pub(super) fn docker() -> Option<Arc<Docker>> {
    static DOCKER: Shared<Docker> = Shared::new();
    DOCKER.get("docker", &PROGRAMS, Docker::start)
}

tests_of_every_case!(with);

fn with(case: fn(&dyn Engine)) {
    if let Some(docker) = docker() {
        case(&docker);
    }
}

impl Docker {
    /// It touches neither the network nor the firewall: its containers have no network or the host's.
    fn start() -> Result<Self, String> {
        let docker = Self::start_with(None)?;
        let (archive, path) = images();
        docker.load(&path);
        drop(archive);
        Ok(docker)
    }

    /// Without images. `runtime` is a script that takes runc's place.
    pub(super) fn start_with(runtime: Option<&str>) -> Result<Self, String> {
        let folder = Daemon::folder();
        let path = folder.path().to_str().expect("text").to_owned();
        let name = folder.path().file_name().expect("it has a name").to_str().expect("text");
        // dockerd asks it for its version, and understands the answer of one with this name.
        let init = folder.path().join("docker-init");
        fs::copy(*crate::harness::DRAINIT, &init).expect("our own folder");
        let mut config = json!({
            "data-root": format!("{path}/data"),
            "exec-root": format!("{path}/exec"),
            "pidfile": format!("{path}/dockerd.pid"),
            "hosts": [format!("unix://{path}/sock")],
            "cgroup-parent": format!("/{name}"),
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "bridge": "none",
            "iptables": false,
            "ip6tables": false,
            "ip-forward": false,
            "userland-proxy": false,
            "log-level": "warn",
            "init-path": init,
        });
        if let Some(script) = runtime {
            let program = folder.path().join("runtime");
            fs::write(&program, script).expect("our own folder");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("our own folder");
            config["runtimes"] = json!({ "script": { "path": program } });
            config["default-runtime"] = json!("script");
        }
        let file = folder.path().join("daemon.json");
        fs::write(&file, config.to_string()).expect("our own folder");
        between::configure("docker", &file);
        let socket = format!("unix://{path}/sock");
        let is_up = || {
            let output = Command::new("docker").args(["--host", &socket, "version"]).output();
            output.is_ok_and(|output| output.status.success())
        };
        let words = ["dockerd", "--config-file", file.to_str().expect("text")];
        let daemon = Daemon::start(folder, &words, CLEAN, is_up)?;
        Ok(Self { daemon, next: AtomicU32::new(1) })
    }

    pub(super) fn load(&self, archive: &Path) {
        run(self.client().args(["load", "--quiet", "--input"]).arg(archive));
    }

    pub(super) fn environment(&self) -> [(&'static str, String); 2] {
        let path = self.daemon.path().to_str().expect("text");
        [("DOCKER_HOST", format!("unix://{path}/sock")), ("DOCKER_CONFIG", format!("{path}/client"))]
    }

    pub(super) fn client(&self) -> Command {
        let mut command = Command::new("docker");
        command.envs(self.environment());
        command
    }

    /// `docker run` in the foreground with these options, image and words.
    pub(super) fn run(self: &Arc<Self>, line: &[&str], terminal: Option<std::os::fd::OwnedFd>) -> Container {
        let name = format!("c{}", self.next.fetch_add(1, Ordering::Relaxed));
        let options = between::options("docker", self.daemon.path());
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let line = [&["docker", "run", "--network=none", "--name", &name], &options[..], line].concat();
        let init = Init::subreaper().command(&line);
        let init = self.environment().into_iter().fold(init, |init, (name, value)| init.env(name, value));
        let init = match terminal {
            Some(terminal) => init.stdin(terminal),
            None => init,
        };
        Container { docker: Arc::clone(self), name, clients: Clients::new(init.start()) }
    }

    /// What `docker inspect` says of a container or an image.
    pub(super) fn inspect(&self, name: &str, place: &str) -> String {
        let format = format!("{{{{{place}}}}}");
        run(self.client().args(["inspect", "--format", &format, name])).trim().to_owned()
    }
}

impl Engine for Arc<Docker> {
    fn start(&self, wish: Wish) -> Box<dyn Contained> {
        let line = wish.line();
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        Box::new(self.run(&line, wish.terminal))
    }
}

pub(super) struct Container {
    docker: Arc<Docker>,
    pub(super) name: String,
    clients: Clients,
}

impl Contained for Container {
    fn running(&mut self) -> &mut Running {
        self.clients.running()
    }

    fn stop(&mut self) {
        self.stop_within(PATIENCE);
    }

    fn finish(mut self: Box<Self>) -> Finished {
        self.end()
    }
}

impl Container {
    /// `docker stop` with this time. Does not wait.
    pub(super) fn stop_within(&mut self, time: Duration) {
        let time = format!("--time={}", time.as_secs());
        let init = Init::subreaper().command(&["docker", "stop", &time, &self.name]);
        let environment = self.docker.environment();
        let init = environment.into_iter().fold(init, |init, (name, value)| init.env(name, value));
        self.clients.stop_with(init.start());
    }

    /// Waits for its end. It can be inspected until it is dropped.
    pub(super) fn end(&mut self) -> Finished {
        let run = self.clients.finish();
        assert_eq!(self.docker.inspect(&self.name, ".State.ExitCode"), run.code.to_string());
        run
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.clients.abandon();
        let _ = self.docker.client().args(["rm", "--force", &self.name]).output();
    }
}

#[test]
fn an_image_that_starts_drainit_needs_nothing_else() {
    let Some(docker) = docker() else { return };
    let mut container = docker.run(&[ENTRYPOINT], None);
    container.running().ready(&["main"]);
    container.stop();
    container.end().exits(6).in_order(&["drained", "main got TERM", "main finished"]).silently();
    assert_eq!(docker.inspect(ENTRYPOINT, "index .Config.Labels \"of\""), "drainit's tests");
}

#[test]
fn out_of_memory_is_what_docker_says_too() {
    let Some(docker) = docker() else { return };
    let wish = Wish::new("drainit -- busybox dd if=/dev/zero of=/dev/null bs=512M count=1");
    let line = Wish { memory: Some(64 << 20), ..wish }.line();
    let mut container = docker.run(&line.iter().map(String::as_str).collect::<Vec<_>>(), None);
    container
        .end()
        .exits(137)
        .warns(&["died of a KILL that drainit did not send: its control group ran out of memory"]);
    assert_eq!(docker.inspect(&container.name, ".State.OOMKilled"), "true");
}
