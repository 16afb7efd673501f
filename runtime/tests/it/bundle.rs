//! Bundles, and a runtime that only says what it was given.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::{DRAINIT, WRAPPER, build};

/// Takes the runtime's place: says that it was there and what it was given, and ends with 7.
const RUNTIME: &str = "#!/bin/sh\necho runtime \"$@\"\nexit 7\n";

/// A node with both programs, a runtime, and a bundle.
pub(crate) struct Node {
    folder: TempDir,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Node {
    pub(crate) fn new() -> Self {
        build();
        let folder = tempfile::Builder::new().prefix("drainit-").tempdir().expect("a scratch folder");
        let node = Self { folder, environment: Vec::new() };
        open_to_all(node.folder.path());
        for name in ["bin", "bundle", "bundle/rootfs"] {
            fs::create_dir(node.path(name)).expect("our own folder");
            open_to_all(&node.path(name));
        }
        for (program, name) in [(WRAPPER, "drainit-runtime"), (*DRAINIT, "drainit")] {
            install(Path::new(program), &node.path("bin").join(name), Stdio::null());
        }
        node.program("bin/runtime", RUNTIME);
        node.write(&config().to_string());
        node.with("DRAINIT_RUNTIME_RUNTIME", "bin/runtime").with("DRAINIT_RUNTIME_CONFIG", "runtime.toml")
    }

    /// With a variable that is a path of the node.
    pub(crate) fn with(mut self, name: &'static str, path: &str) -> Self {
        let path = self.path(path);
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, path));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Unique on this machine while the node is there.
    pub(crate) fn name(&self) -> String {
        self.folder.path().file_name().expect("it has a name").to_str().expect("text").to_owned()
    }

    pub(crate) fn program(&self, name: &str, text: &str) {
        let (reader, mut writer) = std::io::pipe().expect("a pipe can be made");
        writer.write_all(text.as_bytes()).expect("a pipe holds that much");
        drop(writer);
        install(Path::new("/dev/stdin"), &self.path(name), reader);
    }

    /// The node's settings.
    pub(crate) fn settings(&self, text: &str) {
        fs::write(self.path("runtime.toml"), text).expect("our own folder");
    }

    pub(crate) fn write(&self, config: &str) {
        fs::write(self.path("bundle/config.json"), config).expect("our own folder");
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.path("bundle/config.json")).expect("it is there")
    }

    pub(crate) fn config(&self) -> Value {
        serde_json::from_str(&self.text()).expect("JSON")
    }

    /// The wrapper, in the bundle, with the node's environment and no other variable of its own.
    pub(crate) fn command(&self) -> Command {
        self.run_by(&[])
    }

    /// The same, started by another program, which takes a command line.
    pub(crate) fn run_by(&self, line: &[&str]) -> Command {
        let wrapper = self.path("bin/drainit-runtime");
        let mut words = line.iter().map(OsStr::new).chain([wrapper.as_os_str()]);
        let mut command = Command::new(words.next().expect("the wrapper at least"));
        command.args(words).current_dir(self.path("bundle")).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"DRAINIT_") {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, path)| (name, path)));
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command().args(line.split_whitespace()).output().expect("it can be run")
    }

    /// Creates the container of the bundle; the runtime was there.
    #[track_caller]
    pub(crate) fn creates(&self) -> Output {
        let output = self.run("create id");
        assert_eq!(code(&output), 7, "{output:?}");
        assert_eq!(said(&output.stdout), "runtime create id\n");
        output
    }

    /// The container is refused with one line, and the runtime does not hear of it.
    #[track_caller]
    pub(crate) fn refuses(&self) -> String {
        let output = self.run("create id");
        assert_eq!((code(&output), said(&output.stdout)), (1, String::new()), "{output:?}");
        let line = said(&output.stderr);
        assert!(line.starts_with("drainit-runtime: error: ") && line.lines().count() == 1, "{line}");
        line
    }

    /// The files of the bundle.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("bundle")).expect("our own folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

pub(crate) fn code(output: &Output) -> i32 {
    crate::harness::shell_code(output.status)
}

pub(crate) fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own");
}

/// By a process of its own: what this one has open for writing, another test's child has too for a moment, and then it cannot be run.
fn install(from: &Path, to: &Path, stdin: impl Into<Stdio>) {
    let status = Command::new("install").args(["-m", "755"]).args([from, to]).stdin(stdin).status();
    assert!(status.expect("install can be run").success(), "{}", to.display());
}

/// A way in which something is wrong with a node: what is said of it, and how it comes about.
pub(crate) type Spoiled<'a> = (&'a str, &'a dyn Fn(&Node));

/// A container's configuration.
pub(crate) fn config() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "unknown": { "kept": true },
        "root": { "path": "rootfs" },
        "process": { "args": ["sh", "-c", "true"], "env": ["PATH=/bin"], "cwd": "/" },
        "mounts": [{ "destination": "/dev", "type": "tmpfs", "source": "tmpfs" }],
        "linux": {},
    })
}
