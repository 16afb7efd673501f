//! What is packed for others has what it needs.

use std::collections::BTreeSet;
use std::process::Command;

use crate::docs;

/// The files that Cargo packs.
fn packed() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(docs::root())
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// What the build reads, what tests read, what packages for systems are made from. The machinery stays out.
#[test]
fn the_crate_has_what_it_needs() {
    let packed = packed();
    for needed in [
        ".cargo/config.toml",
        "build.rs",
        "docs/drainit.1",
        "docs/fake-workload.md",
        "docs/report.schema.json",
        "examples/kubernetes/deployment.yaml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
    ] {
        assert!(packed.contains(needed), "{needed} is not packed: {packed:#?}");
    }
    assert!(
        !packed.iter().any(|file| file.starts_with(".ci/") || file.starts_with(".github/")),
        "{packed:#?}"
    );
}

/// From where to where, as `cargo deb` reads it.
fn assets() -> Vec<(String, String)> {
    let manifest: toml::Table = docs::read("Cargo.toml").parse().expect("TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().expect("a list");
    let text = |asset: &toml::Value, at: usize| asset[at].as_str().expect("text").to_owned();
    assets.iter().map(|asset| (text(asset, 0), text(asset, 1))).collect()
}

#[test]
fn the_debian_package_has_all_that_is_made_for_users() {
    let assets = assets();
    for (from, _) in assets.iter().filter(|(from, _)| !from.starts_with("target/")) {
        let file = from.split_once("/*").map_or(from.as_str(), |(folder, _)| folder);
        assert!(docs::root().join(file).exists(), "{from} is not there");
    }
    for program in ["drainit", "drainit-runtime"] {
        let asset = (format!("target/release/{program}"), "usr/bin/".to_owned());
        assert!(assets.contains(&asset), "{program} is not in the Debian package");
    }
    let to = |file: &str| assets.iter().find(|(from, _)| from == file).map(|(_, to)| to.as_str());
    assert_eq!(to("docs/drainit.1"), Some("usr/share/man/man1/drainit.1"));
    for completion in std::fs::read_dir(docs::root().join("completions")).expect("a folder") {
        let name = completion.expect("an entry").file_name().into_string().expect("text");
        assert!(to(&format!("completions/{name}")).is_some(), "{name} is not in the Debian package");
    }
}

/// What `cargo binstall` fetches is what the release workflow uploads.
#[test]
fn the_release_has_the_files_that_binstall_fetches() {
    let workflow = docs::root().join(".github/workflows/release.yml");
    if !workflow.is_file() {
        eprintln!("not compared with the workflow: a package has none");
        return;
    }
    let workflow = docs::read(workflow);
    let manifest: toml::Table = docs::read("Cargo.toml").parse().expect("TOML");
    let fetched = manifest["package"]["metadata"]["binstall"]["overrides"].as_table().expect("a table");
    let list = workflow.split_once("for arch in ").and_then(|(_, rest)| rest.split_once(';'));
    let mut uploaded: Vec<&str> = list.expect("it names them").0.split(' ').collect();
    assert!(workflow.contains("\"dist/drainit-$GITHUB_REF_NAME-linux-$arch\""), "the names have changed");
    let mut wanted: Vec<&str> = fetched
        .values()
        .map(|target| {
            let url = target["pkg-url"].as_str().expect("text");
            url.strip_prefix("{ repo }/releases/download/v{ version }/drainit-v{ version }-linux-")
                .expect("a release's file")
        })
        .collect();
    uploaded.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(wanted, uploaded);
}
