//! Docker builds and runs what is in `examples/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::docker::Docker;
use super::docker_build::{build, builder, hollow, nginx, stops_gracefully};
use super::engine::Contained;
use super::image::{Archive, run};
use super::{installed, not_run};
use crate::harness::{DRAINIT, WORKLOAD, took};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// What a Dockerfile is built on: the image behind `FROM`, after that behind `COPY --from=` has been made.
fn base(docker: &Docker, folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("Dockerfile")).expect("an example");
    let word = |start: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(start)?.split_whitespace().next());
        found.unwrap_or_else(|| panic!("no {start} in {text}")).to_owned()
    };
    let alone = Archive::empty();
    fs::copy(*DRAINIT, alone.root().join("drainit")).expect("our own folder");
    docker.load(&alone.image(&word("COPY --from="), json!({ "Entrypoint": ["/drainit"] })).write());
    word("FROM ")
}

/// An image that stands for one with Python.
fn python(name: &str) -> Archive {
    hollow().image(name, json!({ "Env": ["PATH=/usr/bin:/bin"], "Cmd": ["python3"] }))
}

#[test]
fn the_image_with_nginx_finishes_its_requests() {
    if installed("nginx").is_none() {
        return not_run("the image with nginx", "nginx is not installed");
    }
    let Some(docker) = builder() else { return };
    let folder = examples().join("docker/nginx");
    docker.load(&nginx(&base(&docker, &folder)).write());
    build(&docker, &folder, &[], "example-nginx");
    stops_gracefully(docker.run(&["example-nginx"], None));
}

#[test]
fn the_image_with_python_finishes_though_its_shell_dies() {
    let Some(docker) = builder() else { return };
    let folder = examples().join("docker/python");
    docker.load(&python(&base(&docker, &folder)).write());
    build(&docker, &folder, &[], "example-python");
    let mut server = docker.run(&["example-python"], None);
    server.running().line("server: up");
    server.stop();
    server.end().exits(0).in_order(&["server: up", "server: finished"]).silently();
}

#[test]
fn the_image_without_a_shell_drains() {
    let Some(docker) = builder() else { return };
    let folder = examples().join("docker/distroless");
    // The base has nothing that is needed; the user's server is ours.
    let empty = Archive::empty();
    fs::write(empty.root().join("empty"), "").expect("our own folder");
    docker.load(&empty.image(&base(&docker, &folder), json!({})).write());
    let context = tempfile::tempdir().expect("a scratch folder");
    for (from, name) in [(&folder.join("Dockerfile"), "Dockerfile"), (&PathBuf::from(WORKLOAD), "server")] {
        fs::copy(from, context.path().join(name)).expect("our own folder");
    }
    build(&docker, context.path(), &[], "example-distroless");
    let line = ["--runtime=runc", "example-distroless", "/server"];
    let directives = ["name=main", "catch=TERM:1ms:4", "ids", "ready", "hold"];
    let mut server = docker.run(&[&line[..], &directives[..]].concat(), None);
    server.running().ready(&["main"]);
    let begun = Instant::now();
    server.stop();
    let run = server.end();
    // What its balancer gets to hear of it.
    took(begun, Duration::from_secs(2));
    run.exits(4).in_order(&["main got TERM"]).silently();
    assert!(run.stdout.iter().any(|line| line.starts_with("main ids uid=65532 ")), "{run:#?}");
}

/// `docker compose`, or what it was before it was part of docker.
fn compose() -> Option<Vec<&'static str>> {
    let candidates = [vec!["docker", "compose"], vec!["docker-compose"]];
    let works = |line: &Vec<&str>| {
        let output = Command::new(line[0]).args(&line[1..]).arg("version").output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = candidates.into_iter().find(works);
    if found.is_none() {
        not_run("docker compose", "docker-compose is not installed");
    }
    found
}

#[test]
fn compose_starts_and_stops_its_services() {
    if installed("nginx").is_none() {
        return not_run("docker compose", "nginx is not installed");
    }
    let (Some(compose), Some(docker)) = (compose(), builder()) else { return };
    let project = tempfile::tempdir().expect("a scratch folder");
    let nginx_folder = project.path().join("docker/nginx");
    fs::create_dir_all(&nginx_folder).expect("our own folder");
    fs::copy(examples().join("docker/nginx/Dockerfile"), nginx_folder.join("Dockerfile"))
        .expect("our own folder");
    let text = fs::read_to_string(examples().join("compose.yaml")).expect("an example");
    // As it is, but for the network: the daemon here has none to give.
    let ports = "    ports:\n      - \"8080:80\"\n";
    assert_eq!(text.matches(ports).count(), 1, "{text}");
    let text = text
        .replace(ports, "    network_mode: none\n")
        .replace("    init: true\n", "    init: true\n    network_mode: none\n");
    fs::write(project.path().join("compose.yaml"), &text).expect("our own folder");

    docker.load(&nginx(&base(&docker, &nginx_folder)).write());
    let worker = text.lines().find_map(|line| line.trim().strip_prefix("image: ")).expect("one has an image");
    docker.load(&python(worker).write());
    let ask = |words: &[&str]| {
        let mut command = Command::new(compose[0]);
        command.args(&compose[1..]).args(words).current_dir(project.path());
        command.envs(docker.environment()).env("DOCKER_BUILDKIT", "0").env("COMPOSE_DOCKER_CLI_BUILD", "0");
        run(&mut command)
    };
    ask(&["up", "--detach"]);
    let [web, worker] = ["web", "worker"].map(|service| ask(&["ps", "--quiet", service]).trim().to_owned());
    assert_eq!(docker.inspect(&worker, ".Path"), "python3", "{text}");
    assert_eq!(docker.inspect(&worker, ".HostConfig.Init"), "true");
    let begun = Instant::now();
    ask(&["stop"]);
    // The drain of the one that has one. Both are done before Docker's own ten seconds, let alone the thirty that are granted.
    took(begun, Duration::from_secs(2));
    assert_eq!(docker.inspect(&web, ".State.ExitCode"), "0");
    assert_eq!(docker.inspect(&worker, ".State.ExitCode"), "143", "the command died of TERM");
    ask(&["rm", "--force"]);
}
