//! The examples for nodes say what the program does.

use std::process::Command;

use drainit_runtime::node;

use crate::binary::WRAPPER;
use crate::bundle::{Node, said};

const SETTINGS: &str = include_str!("../../../examples/kubernetes/node/runtime.toml");
const CRIO: &str = include_str!("../../../examples/kubernetes/node/crio.conf");
const INSTALLER: &str = include_str!("../../../examples/kubernetes/node/installer.yaml");
const PAGE: &str = include_str!("../../../docs/node.md");

/// Every key of a settings file that is read; `set` is the one place that knows them.
fn keys() -> Vec<&'static str> {
    let source = include_str!("../../src/node.rs");
    let set =
        source.split("match key {").nth(1).and_then(|rest| rest.split("_ => ").next()).expect("one match");
    set.lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => "))
        .map(|(key, _)| key)
        .collect()
}

#[test]
fn the_settings_have_every_key_with_its_default() {
    let (read, mistake) = node::read(SETTINGS);
    assert_eq!(mistake, None);
    let table: toml::Table = SETTINGS.parse().expect("TOML");
    let keys = keys();
    assert!(keys.len() == 6 && keys.iter().all(|key| table.contains_key(*key)), "{keys:?}");
    let plain = node::Node::default();
    assert_eq!((read.policy, read.annotations, read.debug), (plain.policy, plain.annotations, plain.debug));
    for key in keys {
        assert!(PAGE.contains(&format!("| `{key}` |")), "docs/node.md does not have {key}");
    }
}

#[test]
fn the_file_for_cri_o_is_what_configure_prints() {
    let line = ["configure", "--crio", "--binary=/opt/drainit/bin/drainit-runtime"];
    let output = Command::new(WRAPPER).args(line).output().expect("it can be run");
    assert_eq!(said(&output.stdout), CRIO);
}

/// Both programs are of one version, and so is the image that has them.
#[test]
fn the_versions_are_one() {
    let own = env!("CARGO_PKG_VERSION");
    let table: toml::Table = include_str!("../../../Cargo.toml").parse().expect("TOML");
    assert_eq!(table["workspace"]["package"]["version"].as_str(), Some(own));
    for text in [INSTALLER, PAGE, include_str!("../../../Dockerfile")] {
        let names: Vec<&str> = text.split("drainit-node:").skip(1).collect();
        assert!(!names.is_empty() && names.iter().all(|name| name.starts_with(own)), "{names:?}");
    }
}

/// As the DaemonSet's init containers do it, with the node's folders in other places.
#[test]
fn the_installer_s_commands_install_and_configure() {
    let node = Node::new();
    std::fs::create_dir(node.path("etc")).expect("our own folder");
    std::fs::write(node.path("etc/config.toml"), "version = 2\n").expect("our own folder");
    let place = |text: &str| {
        text.replace("/node/", &format!("{}/", node.path("").display().to_string().trim_end_matches('/')))
    };
    assert!(INSTALLER.contains("command: [/drainit-runtime, install, /node/opt/bin]"));
    let configure: Vec<String> = INSTALLER
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- --"))
        .map(|word| place(&format!("--{word}")))
        .collect();
    assert_eq!(configure.len(), 4, "{configure:?}");
    let run = |words: &[&str]| {
        let output =
            Command::new(node.path("bin/drainit-runtime")).args(words).output().expect("it can be run");
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    run(&["install", &place("/node/opt/bin")]);
    let words: Vec<&str> = std::iter::once("configure").chain(configure.iter().map(String::as_str)).collect();
    run(&words);
    let text = std::fs::read_to_string(node.path("etc/config.toml")).expect("it is there");
    assert!(text.contains("BinaryName = \"/opt/drainit/bin/drainit-runtime\""), "{text}");
    assert!(node.path("opt/bin/drainit").is_file() && node.path("opt/bin/drainit-runtime").is_file());
}
