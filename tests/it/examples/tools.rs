//! Each example in the eyes of the tool that is there for its kind.
//!
//! The tools are in `DRAINIT_TOOLS`, a folder, or in PATH. About one that is missing the test says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::{Kind, examples, path, read};
use crate::docs;
use crate::runtimes::{installed, not_run};

fn tool(name: &str) -> Option<PathBuf> {
    let in_folder = std::env::var_os("DRAINIT_TOOLS").map(|folder| Path::new(&folder).join(name));
    in_folder.filter(|path| path.is_file()).or_else(|| installed(name))
}

/// The project's own, which a package leaves out.
const WORKFLOWS: &[&str] = &[".github/workflows/ci.yml", ".github/workflows/release.yml"];

/// Runs it; its errors are those of the files.
#[track_caller]
fn accepts(tool: &Path, options: &[&str], files: &[PathBuf]) -> Output {
    let output = Command::new(tool).args(options).args(files).output().expect("it can be run");
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{} refuses: {text}", tool.display());
    output
}

/// Runs the tool on these files, if it is installed.
#[track_caller]
fn check(name: &str, options: &[&str], files: &[PathBuf]) {
    assert!(!files.is_empty(), "{name} has nothing to look at");
    match tool(name) {
        Some(tool) => {
            accepts(&tool, options, files);
        }
        None => not_run(name, &format!("{name} is neither in DRAINIT_TOOLS nor in PATH")),
    }
}

fn paths(kind: Kind) -> Vec<PathBuf> {
    examples(kind).iter().map(|file| path(file)).collect()
}

/// The project's own files of this kind, which a package may leave out.
fn own(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| docs::root().join(name)).filter(|path| path.is_file()).collect()
}

#[test]
fn kubernetes_takes_its_examples() {
    let kinds = [Kind::Kubernetes, Kind::NodePod, Kind::Node];
    check("kubernetes-validate", &["--strict"], &kinds.map(paths).concat());
}

#[test]
fn hadolint_has_nothing_to_say() {
    let mut files = paths(Kind::Dockerfile);
    files.extend(own(&["Dockerfile", "Dockerfile.example"]));
    check("hadolint", &[], &files);
}

#[test]
fn the_workflows_fit_their_schema() {
    let mut files = paths(Kind::Workflow);
    files.extend(own(WORKFLOWS));
    check("check-jsonschema", &["--builtin-schema", "vendor.github-workflows"], &files);
    // It sees more than the schema (expressions, the shell's words), but is not to be had everywhere.
    if let Some(actionlint) = tool("actionlint") {
        accepts(&actionlint, &[], &files);
    }
}

/// An action is pinned to a commit, with its version beside it: a tag can be moved to other code.
#[test]
fn actions_are_pinned() {
    let mut files = paths(Kind::Workflow);
    files.extend(own(WORKFLOWS));
    for file in files {
        let text = docs::read(&file);
        let actions: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, action)| action).collect();
        assert!(!actions.is_empty(), "{} uses nothing", file.display());
        for action in actions {
            let (pin, version) =
                action.split_once(" # v").unwrap_or_else(|| panic!("no version beside {action}"));
            let (_, commit) = pin.split_once('@').expect("an action has a version");
            let is_commit = commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit());
            assert!(is_commit && version.starts_with(|first: char| first.is_ascii_digit()), "{action}");
        }
        assert!(
            text.contains("\npermissions:\n  contents: read\n"),
            "{}: more than it needs",
            file.display()
        );
    }
}

/// By `docker compose` if that is installed; by the specification's schema in any case.
#[test]
fn compose_takes_its_example() {
    let files = paths(Kind::Compose);
    check("check-jsonschema", &["--builtin-schema", "vendor.compose-spec"], &files);
    let Some(docker) = installed("docker") else { return };
    let has_plugin = Command::new(&docker).args(["compose", "version"]).output();
    if !has_plugin.is_ok_and(|output| output.status.success()) {
        return;
    }
    for file in files {
        accepts(&docker, &["compose", "--file", file.to_str().expect("text"), "config", "--quiet"], &[]);
    }
}

/// By dockerd if it can (23 and later); by its known keys in any case.
#[test]
fn the_docker_daemon_takes_its_example() {
    for file in examples(Kind::DockerDaemon) {
        let config: Value = serde_json::from_str(&read(&file)).expect("JSON");
        let config = config.as_object().expect("an object");
        assert_eq!(config.keys().collect::<Vec<_>>(), ["init", "init-path"]);
        assert_eq!(config["init"], true);
        let init = config["init-path"].as_str().expect("a path");
        assert!(init.starts_with('/') && init.ends_with("/docker-init"), "{init}");
        let Some(dockerd) = installed("dockerd") else { continue };
        let help = Command::new(&dockerd).arg("--help").output().expect("it can be run");
        if String::from_utf8_lossy(&help.stdout).contains("--validate") {
            let config = path(&file);
            accepts(&dockerd, &["--validate", "--config-file", config.to_str().expect("text")], &[]);
        }
    }
}

/// podman's own list is not to be had from podman 4: it takes what it does not know. So the keys are looked at here too.
#[test]
fn podman_takes_its_example() {
    for file in examples(Kind::ContainersConf) {
        let config: toml::Table = read(&file).parse().expect("TOML");
        let tables: Vec<&str> = config.keys().map(String::as_str).collect();
        assert_eq!(tables, ["containers", "engine"]);
        let keys = |table: &str| {
            config[table].as_table().expect("a table").keys().map(String::as_str).collect::<Vec<_>>()
        };
        assert_eq!(keys("containers"), ["init", "init_path"]);
        assert_eq!(keys("engine"), ["stop_timeout"]);
        assert_eq!(config["containers"]["init"].as_bool(), Some(true));
        let init = config["containers"]["init_path"].as_str().expect("a path");
        assert!(init.starts_with('/') && init.ends_with("/podman-init"), "{init}");
        let Some(podman) = installed("podman") else { continue };
        let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch folder");
        let folder = |name: &str| scratch.path().join(name).to_str().expect("text").to_owned();
        let output = Command::new(podman)
            .args(["--root", &folder("root"), "--runroot", &folder("run"), "--tmpdir", &folder("tmp")])
            .args(["--log-level", "debug", "create", "--help"])
            .env("CONTAINERS_CONF", path(&file))
            .output()
            .expect("it can be run");
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        // What it has read is the default of its own options.
        assert!(help.contains(&format!("(default \"{init}\")")), "{help}");
    }
}
