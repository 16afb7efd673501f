//! The examples are good: each file in `examples/` is checked by something, and what it says of drainit holds.

mod command_lines;
mod run;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use crate::docs;

/// What an example is, and so by what it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kubernetes,
    /// A pod of a node that has drainit-runtime: its annotations are drainit's options.
    NodePod,
    /// What else Kubernetes needs for such a node.
    Node,
    /// What is for drainit-runtime, whose own tests read it.
    NodeSettings,
    Dockerfile,
    Compose,
    DockerDaemon,
    ContainersConf,
    Workflow,
    /// Part of the Python image, which is run.
    PythonImage,
    Index,
}

impl Kind {
    /// By its name and place. `None`: nothing here knows how to check it.
    fn of(file: &str) -> Option<Self> {
        Some(match file {
            "README.md" => Self::Index,
            "compose.yaml" => Self::Compose,
            "daemon.json" => Self::DockerDaemon,
            "containers.conf" => Self::ContainersConf,
            "docker/python/entrypoint.sh" | "docker/python/server.py" => Self::PythonImage,
            "kubernetes/node/pod.yaml" => Self::NodePod,
            "kubernetes/node/runtime.toml" | "kubernetes/node/crio.conf" => Self::NodeSettings,
            _ if file.starts_with("kubernetes/node/") && file.ends_with(".yaml") => Self::Node,
            _ if file.starts_with("kubernetes/") && file.ends_with(".yaml") => Self::Kubernetes,
            _ if file.starts_with("docker/") && file.ends_with("/Dockerfile") => Self::Dockerfile,
            _ if file.starts_with("github/") && file.ends_with(".yml") => Self::Workflow,
            _ => return None,
        })
    }
}

fn folder() -> PathBuf {
    docs::root().join("examples")
}

/// Every file, by its path below `examples/`.
pub(crate) fn files() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current).expect("a folder of this project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder()).expect("below it").to_str().expect("text");
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The files of a kind; there is one at least.
fn examples(kind: Kind) -> Vec<String> {
    let found: Vec<String> = files().into_iter().filter(|file| Kind::of(file) == Some(kind)).collect();
    assert!(!found.is_empty(), "no example is a {kind:?}");
    found
}

fn path(file: &str) -> PathBuf {
    folder().join(file)
}

fn read(file: &str) -> String {
    docs::read(Path::new("examples").join(file))
}

#[test]
fn every_file_is_checked_by_something() {
    let unknown: Vec<String> = files().into_iter().filter(|file| Kind::of(file).is_none()).collect();
    assert!(unknown.is_empty(), "nothing checks {unknown:?}");
}

/// Whatever names drainit's image names this version.
#[test]
fn the_image_is_of_this_version() {
    let own = [
        "Dockerfile",
        "Dockerfile.example",
        ".github/workflows/ci.yml",
        "README.md",
        "docs/install.md",
        "docs/kubernetes.md",
        "docs/node.md",
    ];
    let own = own.map(|name| docs::root().join(name));
    let mut seen = 0;
    for file in files().iter().map(|file| path(file)).chain(own.into_iter().filter(|file| file.is_file())) {
        let text = docs::read(&file);
        let starts = ["drainit:", "drainit-node:", "drainit-v", "drainit-runtime-v", "download/v"];
        for rest in starts.into_iter().flat_map(|start| text.split(start).skip(1)) {
            let number = |character: char| character.is_ascii_digit() || character == '.';
            let version = rest.split(|character| !number(character)).next().unwrap_or_default();
            let version = version.trim_end_matches('.');
            if !version.is_empty() {
                assert_eq!(version, env!("CARGO_PKG_VERSION"), "{}", file.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "nothing names the image");
}

#[test]
fn every_file_is_in_the_index() {
    let index = read("README.md");
    let links = docs::links(&index);
    for file in files().iter().filter(|file| *file != "README.md") {
        assert!(links.contains(&file.as_str()), "{file} is not in examples/README.md");
    }
}
