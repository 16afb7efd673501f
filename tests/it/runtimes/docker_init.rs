//! `docker run --init`: drainit is what the daemon's `init-path` names.

use super::docker::docker;
use super::engine::Contained;
use super::image::run;

const IMAGE: &str = "localhost/drainit-test:plain";

#[test]
fn the_daemon_understands_the_version() {
    let Some(docker) = docker() else { return };
    let format =
        "{{range .Server.Components}}{{.Name}}={{.Version}}/{{index .Details \"GitCommit\"}};{{end}}";
    let components = run(docker.client().args(["version", "--format", format]));
    let expected = format!("docker-init={}_drainit/;", env!("CARGO_PKG_VERSION"));
    assert!(components.contains(&expected), "{expected} is not in {components}");
    // The client warns if these two differ.
    let format = "{{.InitBinary}} '{{.InitCommit.ID}}' '{{.InitCommit.Expected}}'";
    let info = run(docker.client().args(["info", "--format", format]));
    assert!(info.trim().ends_with("/docker-init '' ''"), "{info}");
}

/// Docker runs `/sbin/docker-init -- COMMAND`, and under that name the command alone gets the signals.
#[test]
fn the_command_alone_gets_signals_and_every_process_is_waited_for() {
    let Some(docker) = docker() else { return };
    let family = [
        "child{",
        "name=worker",
        "catch=USR1",
        "catch=TERM:300ms",
        "ready",
        "hold",
        "}",
        "name=main",
        "catch=USR1",
        "catch=TERM:1ms:6",
        "ready",
        "hold",
    ];
    let line = [&["--init", IMAGE, "fake-workload"][..], &family].concat();
    let mut container = Box::new(docker.run(&line, None));
    container.running().ready(&["main", "worker"]);
    run(docker.client().args(["kill", "--signal", "USR1", &container.name]));
    container.running().line("main got USR1");
    container.stop();
    let ended = container.finish();
    ended.exits(6).silently();
    assert_eq!((ended.count("worker got USR1"), ended.count("worker finished")), (0, 1), "{ended:?}");
}

/// There is no other place for options.
#[test]
fn variables_of_the_container_are_options() {
    let Some(docker) = docker() else { return };
    for (variable, code) in [("DRAINIT_REMAP_EXIT=5:0", 0), ("TINI_VERBOSITY=1", 5)] {
        let line = ["--init", "--env", variable, IMAGE, "fake-workload", "orphan{", "exit=1", "}", "exit=5"];
        Box::new(docker.run(&line, None)).finish().exits(code).silently();
    }
}
