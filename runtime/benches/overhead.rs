//! What the wrapper costs: a container's start with it and without, in one run, and a configuration with 10,000 entries.
//!
//! `release/build-static amd64 && release/build-runtime amd64 && cargo bench -p drainit-runtime`, as root, with runc and busybox-static: what
//! is shipped is measured. Bundles are where engines have them, on a tmpfs. Rounds with and without take turns, all on one processor, so that
//! nothing that drainit does is hidden behind what another processor does meanwhile.
//!
//! A container is started as engines do it, by `create` and `start`, and the clock stops when the command says its first byte; and by `run`, from start
//! to end. Of both, the processor time of all their processes is measured too, the end included. It hardly depends on what else the machine does, and it
//! leaves out what a runtime waits for, which would make the ratio smaller. The fastest quarter of each is compared. Exit code 1 if the
//! processor time of `create`, `start` and the end grows by more than a twentieth.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;
use serde_json::{Value, json};

const ROUNDS: usize = 300;
/// Not counted, at the beginning.
const WARM_UP: usize = 10;
const MOST: f64 = 1.05;

fn main() -> ExitCode {
    let quick = std::env::args().any(|word| word == "--quick");
    let rounds = if quick { ROUNDS / 10 } else { ROUNDS };
    let programs = programs();
    let folder = tempfile::Builder::new().prefix("drainit-").tempdir_in("/dev/shm").expect("a tmpfs");
    let node = Node { folder: folder.path() };
    node.fill(&programs);
    stay_on_one_processor();
    // The processes of a container are this one's once its runtime has exited, and so is their processor time.
    nix::sys::prctl::set_child_subreaper(true).expect("Linux has that");

    println!("{:<46} {:>8}  {:>8}  {:>6}", "", "runc", "wrapped", "ratio");
    let started = node.starts(rounds);
    show("until the command says a byte", &started, |cost| cost.time);
    let ratio = show("processor time of create, start and the end", &started, |cost| cost.work);
    let ran = node.runs(rounds);
    show("`run true`, start to end", &ran, |cost| cost.time);
    show("processor time of `run true`", &ran, |cost| cost.work);
    for (name, many, place) in [
        ("the wrapper alone", 0, "/process/env"),
        ("with 10,000 variables", 10_000, "/process/env"),
        ("with 10,000 annotations", 10_000, "/annotations"),
        ("with 10,000 mounts", 10_000, "/mounts"),
    ] {
        let (bare, through) = node.rewrites(rounds, many, place);
        let cost = quarter(&through, |cost| cost.time).saturating_sub(quarter(&bare, |cost| cost.time));
        println!("{name:<46} {:>18}", shown(cost));
    }
    println!("the processor time of create, start and the end: {ratio:.3}, at most {MOST}");
    if ratio > MOST { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints what it is with and without, and returns the ratio.
fn show(name: &str, (plain, wrapped): &(Vec<Cost>, Vec<Cost>), of: fn(&Cost) -> Duration) -> f64 {
    let (plain, wrapped) = (quarter(plain, of), quarter(wrapped, of));
    let ratio = wrapped.as_secs_f64() / plain.as_secs_f64();
    println!("{name:<46} {}  {}  {ratio:>6.3}", shown(plain), shown(wrapped));
    ratio
}

fn stay_on_one_processor() {
    let mut one = CpuSet::new();
    let processor = nix::sched::sched_getcpu().expect("Linux has that");
    one.set(processor).expect("a processor's number");
    sched_setaffinity(Pid::from_raw(0), &one).expect("it is on that one already");
}

/// What a container takes.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    /// The processor's, of all processes.
    work: Duration,
}

/// The upper end of the fastest quarter.
fn quarter(costs: &[Cost], of: fn(&Cost) -> Duration) -> Duration {
    let mut times: Vec<Duration> = costs.iter().map(of).collect();
    times.sort();
    times[times.len() / 4]
}

/// The processor time of all processes that were waited for.
fn work() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("Linux has that");
    let micros = (usage.user_time() + usage.system_time()).num_microseconds();
    Duration::from_micros(micros.try_into().expect("not negative"))
}

fn shown(time: Duration) -> String {
    format!("{:5.2} ms", time.as_secs_f64() * 1000.0)
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
        for name in ["bin", "dev", "proc", "sys"] {
            fs::create_dir_all(root.join(name)).expect("our own folder");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let busybox =
            std::env::split_paths(&path).map(|folder| folder.join("busybox")).find(|path| path.is_file());
        fs::copy(busybox.expect("busybox-static is installed"), root.join("bin/busybox"))
            .expect("our own folder");
        for name in ["true", "echo"] {
            symlink("busybox", root.join("bin").join(name)).expect("our own folder");
        }
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
        config["process"]["env"] = json!(["PATH=/bin"]);
        config["process"]["rlimits"] = json!([]);
        config["root"]["readonly"] = json!(false);
        fs::rename(&file, self.path("spec.json")).expect("our own folder");
        fs::write(self.path("spec.json"), config.to_string()).expect("our own folder");
    }

    fn spec(&self, command: &str) -> Value {
        let text = fs::read_to_string(self.path("spec.json")).expect("our own folder");
        let mut spec: Value = serde_json::from_str(&text).expect("JSON");
        spec["process"]["args"] = json!([command]);
        spec
    }

    /// A configuration that is new, and a command in its bundle.
    fn command(&self, config: &str, words: &[&str]) -> Command {
        fs::write(self.path("bundle/config.json"), config).expect("our own folder");
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.path("bundle")).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// What one run takes.
    fn run(&self, config: &str, words: &[&str]) -> Cost {
        let mut command = self.command(config, words);
        let (worked, begun) = (work(), Instant::now());
        let status = command.status().expect("it can be run");
        let time = begun.elapsed();
        assert!(status.success(), "{words:?}: {status}");
        Cost { time, work: work() - worked }
    }

    /// What a container takes that an engine starts: until it says something, and all its processor time.
    fn start(&self, config: &str, runtime: &[&str], id: &str) -> Cost {
        let words = |task: &'static str| [runtime, &[task, id]].concat();
        let (mut output, input) = std::io::pipe().expect("a pipe");
        let mut create = self.command(config, &words("create"));
        create.stdout(input);
        let mut start = Command::new(runtime[0]);
        start.args(&words("start")[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        let (worked, begun) = (work(), Instant::now());
        let created = create.status().expect("it can be run");
        assert!(created.success(), "create: {created}");
        drop(create);
        let mut started = start.spawn().expect("it can be run");
        output.read_exact(&mut [0]).expect("the command says something");
        let time = begun.elapsed();
        assert!(started.wait().expect("our own child").success());
        // The container's own process, which is this one's child now.
        while nix::sys::wait::wait().is_ok() {}
        let work = work() - worked;
        let delete = ["--root", self.state().as_str(), "delete", id].map(str::to_owned);
        let deleted = Command::new("runc").args(delete).status().expect("it can be run");
        assert!(deleted.success(), "delete: {deleted}");
        Cost { time, work }
    }

    fn state(&self) -> String {
        self.path("state").to_str().expect("text").to_owned()
    }

    /// runc alone, and through the wrapper.
    fn runtimes(&self) -> (Vec<String>, Vec<String>) {
        let wrapper = self.path("bin/drainit-runtime").to_str().expect("text").to_owned();
        let plain = ["runc".to_owned(), "--root".to_owned(), self.state()].to_vec();
        let wrapped = [[wrapper, "--runtime".to_owned()].as_slice(), &plain].concat();
        (plain, wrapped)
    }

    fn id(&self) -> &str {
        self.folder.file_name().expect("it has a name").to_str().expect("text")
    }

    fn starts(&self, rounds: usize) -> (Vec<Cost>, Vec<Cost>) {
        let config = self.spec("echo").to_string();
        let (plain, wrapped) = self.runtimes();
        let start = |runtime: &[String]| {
            let runtime: Vec<&str> = runtime.iter().map(String::as_str).collect();
            self.start(&config, &runtime, self.id())
        };
        compare(rounds, &mut || start(&plain), &mut || start(&wrapped))
    }

    fn runs(&self, rounds: usize) -> (Vec<Cost>, Vec<Cost>) {
        let config = self.spec("true").to_string();
        let (plain, wrapped) = self.runtimes();
        let run = |runtime: &[String]| {
            let words = runtime.iter().map(String::as_str).chain(["run", self.id()]);
            self.run(&config, &words.collect::<Vec<&str>>())
        };
        compare(rounds, &mut || run(&plain), &mut || run(&wrapped))
    }

    /// A runtime that does nothing, and the wrapper in front of it.
    fn rewrites(&self, rounds: usize, many: usize, place: &str) -> (Vec<Cost>, Vec<Cost>) {
        let mut config = self.spec("true");
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
        compare(rounds, &mut || self.run(&config, &[runtime]), &mut || self.run(&config, &through))
    }
}

/// They take turns, and so does the first of a round.
fn compare(
    rounds: usize,
    one: &mut dyn FnMut() -> Cost,
    other: &mut dyn FnMut() -> Cost,
) -> (Vec<Cost>, Vec<Cost>) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + rounds {
        let (first, second) = if round % 2 == 0 {
            let first = one();
            (first, other())
        } else {
            let second = other();
            (one(), second)
        };
        if round >= WARM_UP {
            ones.push(first);
            others.push(second);
        }
    }
    (ones, others)
}
