//! What one engine alone has.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use super::between;
use super::containerd::{containerd, snapshotter};
use super::docker::{Docker, docker};
use super::engine::{Contained, images};
use super::image::{Archive, run};
use super::podman::podman;
use crate::binary::{DRAINIT, WRAPPER};
use crate::harness::wait_until;

const IMAGE: &str = "localhost/drainit-test:plain";

/// `--init` puts an init in front already; that daemon's is another copy of drainit.
#[test]
fn docker_s_own_init_is_not_doubled() {
    let Some(docker) = docker() else { return };
    let script = "busybox cat /proc/[0-9]*/comm; busybox ls /dev/drainit 2> /dev/null";
    let mut container = docker.run(&["--init", IMAGE, "sh", "-c", script], None);
    let ended = container.end();
    ended.exits(1).silently();
    assert_eq!((ended.count("docker-init"), ended.count("drainit")), (1, 0), "{ended:#?}");
}

/// The mount's file is in /dev, which is the container's own: nothing of it gets into the image that is made of a container.
#[test]
fn docker_finds_no_trace_in_the_container_s_layer_and_execs_into_it() {
    let Some(docker) = docker() else { return };
    let words = [
        "--env",
        "DRAINIT_REMAP_EXIT=4:0",
        IMAGE,
        "fake-workload",
        "name=main",
        "catch=TERM:1ms:4",
        "ready",
        "hold",
    ];
    let mut container = Box::new(docker.run(&words, None));
    container.running().ready(&["main"]);
    let said = run(docker.client().args(["exec", &container.name, "busybox", "cat", "/proc/1/comm"]));
    assert_eq!(said, "drainit\n");
    assert_eq!(run(docker.client().args(["diff", &container.name])), "");
    container.stop();
    container.finish().exits(0).in_order(&["main got TERM", "main finished"]).silently();
}

#[test]
fn docker_starts_a_container_again() {
    let Some(docker) = docker() else { return };
    let mut container = docker.run(&[IMAGE, "sh", "-c", "busybox cat /proc/1/comm; exit 7"], None);
    container.end().exits(7).in_order(&["drainit"]);
    let output =
        docker.client().args(["start", "--attach", &container.name]).output().expect("it can be run");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(7), &b"drainit\n"[..]), "{output:?}");
}

/// A node whose drainit has gone: by its policy containers start all the same, and their log has the warning.
const WITHOUT_DRAINIT: &str = r#"#!/bin/sh
here=$(dirname "$0")
printf "policy = 'pass'\ndrainit = '/nowhere/drainit'\n" > "$here/runtime.toml"
DRAINIT_RUNTIME_CONFIG=$here/runtime.toml exec "$here/bin/drainit-runtime" "$@"
"#;

#[test]
fn a_container_that_is_let_through_says_so_in_its_own_log() {
    if docker().is_none() {
        return;
    }
    let docker = Arc::new(Docker::start_with(Some(WITHOUT_DRAINIT)).expect("one has been started"));
    let (archive, path) = images();
    docker.load(&path);
    drop(archive);
    let script = "busybox cat /proc/1/comm; exit 7";
    let ended = docker.run(&["--runtime=script", IMAGE, "sh", "-c", script], None).end();
    ended.exits(7);
    assert_eq!(ended.count("drainit"), 0, "{ended:#?}");
    let warning = "drainit-runtime: warning: cannot inject /nowhere/drainit: ";
    let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:#?}") };
    assert!(line.starts_with(warning) && line.ends_with("; the container starts without drainit"), "{line}");
}

/// As the DaemonSet of the examples does it: from an image that has the two programs and nothing else, without privileges but to be root.
#[test]
fn an_image_from_scratch_installs_both_programs_on_its_node() {
    let Some(podman) = podman() else { return };
    let archive =
        Archive::empty().image("localhost/drainit-node:1", json!({ "Entrypoint": ["/drainit-runtime"] }));
    for (program, name) in [(WRAPPER, "drainit-runtime"), (*DRAINIT, "drainit")] {
        fs::copy(program, archive.root().join(name)).expect("our own folder");
    }
    run(podman.client().args(["load", "--quiet", "--input"]).arg(archive.write()));
    let opt = podman.holder.file("opt");
    fs::create_dir(&opt).expect("our own folder");
    let volume = format!("--volume={}:/node/opt", opt.display());
    let options = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=0", &volume];
    let line = [&options[..], &["localhost/drainit-node:1", "install", "/node/opt/bin"]].concat();
    Box::new(podman.run(&line, None)).finish().exits(0).silently();
    for (program, name) in [(WRAPPER, "drainit-runtime"), (*DRAINIT, "drainit")] {
        let same =
            fs::read(opt.join("bin").join(name)).expect("it is there") == fs::read(program).expect("built");
        assert!(same, "{name}");
    }
}

#[test]
fn podman_s_annotations_set_drainit_or_are_refused() {
    let Some(podman) = podman() else { return };
    let start = |annotation: &str, words: &[&str]| {
        let option = format!("--annotation={annotation}");
        Box::new(podman.run(&[&[&option, IMAGE], words].concat(), None))
    };
    start("drainit.io/remap-exit=7", &["fake-workload", "exit=7"]).finish().exits(0).silently();
    let script = "busybox ls /dev/drainit 2> /dev/null; busybox cat /proc/1/comm";
    let left = start("drainit.io/inject=false", &["sh", "-c", script]).finish();
    left.exits(0).silently();
    assert_eq!(left.stdout.len(), 1, "{left:#?}");
    assert_eq!(left.count("drainit"), 0, "{left:#?}");
    let line = [
        "run",
        "--rm",
        "--network=none",
        "--annotation=drainit.io/grace-period=soon",
        IMAGE,
        "busybox",
        "true",
    ];
    let output = podman.client().args(line).output().expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("annotation drainit.io/grace-period: invalid value 'soon'"),
        "{said}"
    );
}

/// What cleans up after a container has to find the runtime that made it.
#[test]
fn podman_leaves_nothing_with_the_runtime() {
    let Some(podman) = podman() else { return };
    let create = ["create", "--network=none", IMAGE, "busybox", "cat", "/proc/1/comm"];
    let id = run(podman.client().args(create)).trim().to_owned();
    assert_eq!(run(podman.client().args(["start", "--attach", &id])), "drainit\n");
    run(podman.client().args(["rm", &id]));
    let state = std::path::Path::new("/run/crun").join(&id);
    wait_until("crun has forgotten it", || (!state.exists()).then_some(()));
}

#[test]
fn ctr_tells_why_a_container_was_refused() {
    let Some(containerd) = containerd() else { return };
    let folder = containerd.daemon.path();
    let options = between::options("containerd", folder);
    let snapshotter = snapshotter(folder.to_str().expect("text"));
    let name = containerd.new_name();
    let line = ["run", "--rm", "--snapshotter", snapshotter, "--annotation", "drainit.io/stop-signal=NOPE"];
    let mut command: Command = containerd.ctr();
    let output = command.args(line).args(options).args([IMAGE, &name, "busybox", "true"]).output();
    let output = output.expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("annotation drainit.io/stop-signal: invalid value 'NOPE'"),
        "{said}"
    );
    let _ = containerd.ctr().args(["containers", "delete", &name]).output();
}

/// containerd reads what was written, and the rest of its file still holds.
#[test]
fn containerd_and_docker_read_what_was_written() {
    let Some(containerd) = containerd() else { return };
    let config = containerd.daemon.file("config.toml");
    let dump = run(Command::new("containerd").arg("--config").arg(&config).args(["config", "dump"]));
    let table: toml::Table = dump.parse().expect("TOML");
    let cri = &table["plugins"]["io.containerd.grpc.v1.cri"];
    let entry = &cri["containerd"]["runtimes"]["drainit"];
    let wrapper = between::installed_in(containerd.daemon.path());
    assert_eq!(entry["options"]["BinaryName"].as_str(), wrapper.to_str());
    assert_eq!(entry["options"]["SystemdCgroup"].as_bool(), Some(false), "as runc's entry has it");
    assert_eq!(entry["pod_annotations"].to_string(), "[\"drainit.io/*\"]");
    assert_eq!(cri["sandbox_image"].as_str(), Some(super::engine::PAUSE), "the rest holds");
    let Some(docker) = docker() else { return };
    let runtimes =
        run(docker.client().args(["info", "--format", "{{range $name, $_ := .Runtimes}}{{$name}} {{end}}"]));
    assert!(runtimes.split_whitespace().any(|name| name == "drainit"), "{runtimes}");
}
