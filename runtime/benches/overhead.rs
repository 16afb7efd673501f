//! What the wrapper costs: a container's start with it and without, in one run, and a configuration with 10,000 entries.
//!
//! `release/build-static amd64 && release/build-runtime amd64 && cargo bench -p drainit-runtime`, as root, with runc and busybox-static: what
//! is shipped is measured. Bundles are where engines have them, on a tmpfs. The rounds of the two take turns, and the fastest quarter of
//! each is compared: the rest is what else the machine did. Exit code 1 if the start costs more than a twentieth.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const ROUNDS: usize = 200;
const MOST: f64 = 1.05;

fn main() -> ExitCode {
    let quick = std::env::args().any(|word| word == "--quick");
    let rounds = if quick { ROUNDS / 10 } else { ROUNDS };
    let programs = programs();
    let folder = tempfile::Builder::new().prefix("drainit-").tempdir_in("/dev/shm").expect("a tmpfs");
    let node = Node { folder: folder.path() };
    node.fill(&programs);

    let (plain, wrapped) = node.starts(rounds);
    let ratio = wrapped.as_secs_f64() / plain.as_secs_f64();
    println!("a container of `true`, start to end, by runc   {}", shown(plain));
    println!("the same through drainit-runtime               {}", shown(wrapped));
    println!("ratio                                          {ratio:.3} (at most {MOST})");
    for (name, many, place) in [
        ("the wrapper alone", 0, "/process/env"),
        ("with 10,000 variables", 10_000, "/process/env"),
        ("with 10,000 annotations", 10_000, "/annotations"),
        ("with 10,000 mounts", 10_000, "/mounts"),
    ] {
        let (bare, through) = node.rewrites(rounds, many, place);
        println!("{name:<46} {}", shown(through.saturating_sub(bare)));
    }
    if ratio > MOST { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn shown(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// Where the two are that are shipped for this machine.
fn programs() -> PathBuf {
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/static").join(processor);
    for (name, script) in [("drainit", "build-static"), ("drainit-runtime", "build-runtime")] {
        assert!(folder.join(name).is_file(), "first: release/{script} {processor}");
    }
    folder
}

struct Node<'a> {
    folder: &'a Path,
}

impl Node<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn fill(&self, programs: &Path) {
        let root = self.path("bundle/rootfs");
        for name in ["bin", "dev", "proc"] {
            fs::create_dir_all(root.join(name)).expect("our own folder");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let busybox =
            std::env::split_paths(&path).map(|folder| folder.join("busybox")).find(|path| path.is_file());
        fs::copy(busybox.expect("busybox-static is installed"), root.join("bin/busybox"))
            .expect("our own folder");
        symlink("busybox", root.join("bin/true")).expect("our own folder");
        let installed =
            Command::new(programs.join("drainit-runtime")).arg("install").arg(self.path("bin")).status();
        assert!(installed.expect("it can be run").success());
        // What an engine asks for: namespaces, and paths that are hidden.
        let spec = Command::new("runc").arg("spec").current_dir(self.path("bundle")).status();
        assert!(spec.is_ok_and(|status| status.success()), "runc is installed");
        let file = self.path("bundle/config.json");
        let text = fs::read_to_string(&file).expect("runc has written it");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["true"]);
        config["process"]["env"] = json!(["PATH=/bin"]);
        config["process"]["rlimits"] = json!([]);
        config["root"]["readonly"] = json!(false);
        fs::rename(&file, self.path("spec.json")).expect("our own folder");
        fs::write(self.path("spec.json"), config.to_string()).expect("our own folder");
    }

    fn spec(&self) -> Value {
        let text = fs::read_to_string(self.path("spec.json")).expect("our own folder");
        serde_json::from_str(&text).expect("JSON")
    }

    /// How long one run takes, from a configuration that is new.
    fn time(&self, config: &str, words: &[&str]) -> Duration {
        fs::write(self.path("bundle/config.json"), config).expect("our own folder");
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.path("bundle")).stdin(Stdio::null()).stdout(Stdio::null());
        let begun = Instant::now();
        let status = command.status().expect("it can be run");
        let took = begun.elapsed();
        assert!(status.success(), "{words:?}: {status}");
        took
    }

    /// A container by runc alone, and through the wrapper.
    fn starts(&self, rounds: usize) -> (Duration, Duration) {
        let config = self.spec().to_string();
        let (state, wrapper) = (self.path("state"), self.path("bin/drainit-runtime"));
        let (state, wrapper) = (state.to_str().expect("text"), wrapper.to_str().expect("text"));
        let id = self.folder.file_name().expect("it has a name").to_str().expect("text");
        let plain = ["runc", "--root", state, "run", id];
        let wrapped = [&[wrapper, "--runtime"], &plain[..]].concat();
        compare(rounds, &mut || self.time(&config, &plain), &mut || self.time(&config, &wrapped))
    }

    /// A runtime that does nothing, and the wrapper in front of it.
    fn rewrites(&self, rounds: usize, many: usize, place: &str) -> (Duration, Duration) {
        let mut config = self.spec();
        config["annotations"] = json!({});
        let entries = config.pointer_mut(place).expect("it is there");
        for number in 0..many {
            match place {
                "/annotations" => entries[format!("key/{number}")] = json!("value"),
                "/mounts" => entries.as_array_mut().expect("a list").push(json!({
                    "destination": format!("/mnt/{number}"), "type": "bind", "source": "/x", "options": ["rbind"],
                })),
                _ => entries.as_array_mut().expect("a list").push(json!(format!("NAME{number}=value"))),
            }
        }
        let config = config.to_string();
        let (runtime, wrapper) = (self.path("bundle/rootfs/bin/true"), self.path("bin/drainit-runtime"));
        let (runtime, wrapper) = (runtime.to_str().expect("text"), wrapper.to_str().expect("text"));
        let through = [wrapper, "--runtime", runtime, "create", "id"];
        compare(rounds, &mut || self.time(&config, &[runtime]), &mut || self.time(&config, &through))
    }
}

/// The upper end of each one's fastest quarter. They take turns, and so does the first of a round.
fn compare(
    rounds: usize,
    one: &mut dyn FnMut() -> Duration,
    other: &mut dyn FnMut() -> Duration,
) -> (Duration, Duration) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            ones.push(one());
            others.push(other());
        } else {
            others.push(other());
            ones.push(one());
        }
    }
    let quarter = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 4]
    };
    (quarter(ones), quarter(others))
}
