//! Images out of what is installed here, in the format of `docker save`, which every runtime can load. No registry is asked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{installed, not_run};
use crate::harness::{DRAINIT, WORKLOAD};

/// Everything in an archive is as old as that: it depends on nothing but the files.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Puts what the tests run into a root folder: `drainit`, `fake-workload`, and busybox with `sh`.
pub(super) fn fill(root: &Path) {
    for name in ["bin", "dev", "proc"] {
        fs::create_dir_all(root.join(name)).expect("our own folder");
    }
    let bin = root.join("bin");
    fs::copy(installed("busybox").expect("looked for before"), bin.join("busybox")).expect("our own folder");
    for (program, name) in [(*DRAINIT, "drainit"), (WORKLOAD, "fake-workload")] {
        // They are large, and there are many containers.
        let copy = |_| fs::copy(program, bin.join(name)).map(|_| ());
        fs::hard_link(program, bin.join(name)).or_else(copy).expect("our own folder");
    }
    symlink("busybox", bin.join("sh")).expect("our own folder");
}

/// An image archive in the making: one layer, and any number of images that consist of it.
pub(super) struct Archive {
    folder: TempDir,
    images: Vec<(String, Value)>,
}

impl Archive {
    /// With an empty root folder.
    pub(super) fn empty() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("drainit-image-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a scratch folder");
        fs::create_dir(folder.path().join("rootfs")).expect("our own folder");
        Self { folder, images: Vec::new() }
    }

    /// With what the tests run.
    pub(super) fn new() -> Self {
        let archive = Self::empty();
        fill(&archive.root());
        for program in ["drainit", "fake-workload"].map(|name| archive.root().join("bin").join(name)) {
            strip(&program);
        }
        archive
    }

    /// What containers will see as their root folder.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// One more image with this name (`localhost/name:tag`) and configuration: `Entrypoint`, `Cmd`, `Env`, `StopSignal` and so on.
    pub(super) fn image(mut self, name: &str, config: Value) -> Self {
        self.images.push((name.to_owned(), config));
        self
    }

    /// Writes it, and returns where it is: in a folder of this archive, which it leaves when it is dropped.
    pub(super) fn write(&self) -> PathBuf {
        let parts = self.folder.path().join("parts");
        fs::create_dir_all(&parts).expect("our own folder");
        pack(&self.root(), &parts.join("layer.tar"));
        let layer = sha256(&parts.join("layer.tar"));
        let mut manifest = Vec::new();
        for (name, config) in &self.images {
            let config = json!({
                "architecture": architecture(),
                "os": "linux",
                "created": CREATED,
                "config": config,
                "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
                "history": [{ "created": CREATED, "created_by": "drainit's tests" }],
            });
            let new = parts.join("new");
            fs::write(&new, config.to_string()).expect("our own folder");
            // An image's name for itself is the hash of its configuration.
            let file = format!("{}.json", sha256(&new));
            fs::rename(&new, parts.join(&file)).expect("our own folder");
            manifest.push(json!({ "Config": file, "RepoTags": [name], "Layers": ["layer.tar"] }));
        }
        fs::write(parts.join("manifest.json"), json!(manifest).to_string()).expect("our own folder");
        let archive = self.folder.path().join("image.tar");
        pack(&parts, &archive);
        archive
    }
}

/// Takes debugging information out, which is most of it, if the tool for that is there: a small image loads sooner.
fn strip(program: &Path) {
    if installed("strip").is_none() {
        return;
    }
    let small = program.with_extension("small");
    run(Command::new("strip").arg("-o").args([&small, program]));
    // Not in place: the program may be a link to the one that all tests run.
    fs::rename(&small, program).expect("our own folder");
}

/// The folder's content as a tar file that is the same for the same files.
fn pack(folder: &Path, archive: &Path) {
    let plain = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"];
    // Without "./" in front: not every runtime knows such a `manifest.json`.
    let names =
        fs::read_dir(folder).expect("our own folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    run(Command::new("tar").args(plain).arg("-C").arg(folder).arg("-cf").arg(archive).arg("--").args(names));
}

fn sha256(file: &Path) -> String {
    let line = run(Command::new("sha256sum").arg("--").arg(file));
    line.split_whitespace().next().expect("a sum").to_owned()
}

/// What images call the processor.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Runs it to its end, which is a good one, and returns what it said.
#[track_caller]
pub(super) fn run(command: &mut Command) -> String {
    let output = command.stdin(std::process::Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_archive_is_the_same_for_the_same_files() {
    if installed("busybox").is_none() {
        not_run("images", "busybox-static is not installed");
        return;
    }
    let sum = || {
        let archive =
            Archive::new().image("localhost/one:1", json!({ "Cmd": ["/bin/drainit", "--version"] }));
        fs::create_dir(archive.root().join("a folder")).expect("our own folder");
        sha256(&archive.write())
    };
    assert_eq!(sum(), sum());
}
