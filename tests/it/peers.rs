//! Ways in which a stop goes wrong, each under drainit and under the inits that are installed: the tables in README.md and docs/measures.md.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use drainit::signal::Signal;
use drainit::sys::kill;
use tempfile::TempDir;

use crate::generated::part_is_current;
use crate::harness::{DRAINIT, WORKLOAD, took, wait_until};
use crate::runtimes::{installed, not_run};

/// As their users run them; drainit without options.
const PEERS: [(&str, &str, &[&str]); 4] = [
    ("tini", "tini-static", &[]),
    ("tini -g", "tini-static", &["-g"]),
    ("dumb-init", "dumb-init", &[]),
    ("catatonit", "catatonit", &[]),
];

/// An init that is still there this long after drainit has ended waits for something that does not come.
const AFTER_DRAINIT: Duration = Duration::from_secs(3);

struct Situation {
    what: &'static str,
    in_readme: bool,
    /// WORKLOAD and GATE are filled in.
    command: &'static [&'static str],
    /// What is said when all are there.
    ready: &'static [&'static str],
    /// A child of the init stops itself then.
    stops: bool,
    /// The command ends by itself, when the gate is opened. Else the init gets TERM.
    ends_by_itself: bool,
    /// Said once the signal has come through: then the gate is opened, and work goes on.
    heard: Option<&'static str>,
    /// Said when the work is done.
    finished: Option<&'static str>,
    /// If there is no work: when drainit has ended at the earliest.
    at_least: Duration,
}

const SITUATION: Situation = Situation {
    what: "",
    in_readme: false,
    command: &[],
    ready: &[],
    stops: false,
    ends_by_itself: false,
    heard: None,
    finished: None,
    at_least: Duration::ZERO,
};

/// It needs a second after TERM.
const SERVER: &str = "WORKLOAD name=server catch=TERM:1s ready hold";

/// A master that waits for its worker, whose task goes on until the gate is open. The worker would die of TERM.
const POOL: &str =
    "WORKLOAD name=master child{ name=worker ready await=GATE say=finished } catch=TERM ready wait";

const SITUATIONS: &[Situation] = &[
    Situation {
        what: "`sh -c 'server & wait'`, whose server needs 1 s after TERM",
        in_readme: true,
        command: &["sh", "-c", "SERVER & wait"],
        ready: &["server ready"],
        finished: Some("server finished"),
        ..SITUATION
    },
    Situation {
        what: "a prefork pool whose master lets its workers finish",
        in_readme: true,
        command: &["sh", "-c", "exec POOL"],
        ready: &["master ready", "worker ready"],
        heard: Some("master got TERM"),
        finished: Some("worker finished"),
        ..SITUATION
    },
    Situation {
        what: "the same pool behind a shell: `sh -c 'pool; true'`",
        command: &["sh", "-c", "POOL; true"],
        ready: &["master ready", "worker ready"],
        heard: Some("master got TERM"),
        finished: Some("worker finished"),
        ..SITUATION
    },
    Situation {
        what: "a command that exits by itself, while a worker needs 1 s after TERM",
        in_readme: true,
        command: &["sh", "-c", "SERVER & exec WORKLOAD name=main ready await=GATE"],
        ready: &["server ready", "main ready"],
        ends_by_itself: true,
        finished: Some("server finished"),
        ..SITUATION
    },
    Situation {
        what: "a daemon in a session of its own, which needs 1 s after TERM",
        command: &[
            "sh",
            "-c",
            "exec WORKLOAD daemon{ name=server catch=TERM:1s ready hold } name=main ready hold",
        ],
        ready: &["server ready", "main ready"],
        finished: Some("server finished"),
        ..SITUATION
    },
    Situation {
        what: "a shell loop that ignores TERM: `trap '' TERM; while …`",
        in_readme: true,
        command: &["sh", "-c", "trap '' TERM; echo main ready; while :; do sleep 0.1; done"],
        ready: &["main ready"],
        at_least: Duration::from_secs(2),
        ..SITUATION
    },
    Situation {
        what: "a command that is stopped by SIGSTOP",
        command: &["sh", "-c", "exec WORKLOAD name=main ready stop hold"],
        ready: &["main ready"],
        stops: true,
        ..SITUATION
    },
];

/// A run under one init. Dropping it ends everything in its pid namespace.
struct Run {
    unshare: Child,
    folder: TempDir,
    stopped: Instant,
}

impl Run {
    fn start(situation: &Situation, init: &Path, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let gate = folder.path().join("gate").display().to_string();
        let words = situation.command.iter().map(|word| {
            let word = word.replace("SERVER", SERVER).replace("POOL", POOL);
            word.replace("WORKLOAD", WORKLOAD).replace("GATE", &gate)
        });
        let output = File::create(folder.path().join("output")).expect("our own folder");
        let mut command = Command::new("unshare");
        crate::gate::without_test_variables(&mut command);
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .arg(init)
            .args(flags)
            .arg("--");
        command.args(words).stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
        let unshare = command.spawn().expect("unshare is there");
        let run = Self { unshare, folder, stopped: Instant::now() };
        for line in situation.ready {
            wait_until(line, || run.says(line).then_some(()));
        }
        run
    }

    fn says(&self, line: &str) -> bool {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default().contains(line)
    }

    fn open_gate(&self) {
        fs::write(self.folder.path().join("gate"), "").expect("our own folder");
    }

    /// The first child of this process.
    fn child_of(pid: u32) -> Option<u32> {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Stops it, or lets its command end.
    fn stop(&mut self, situation: &Situation) {
        let init = wait_until("an init", || Self::child_of(self.unshare.id()));
        if situation.stops {
            wait_until("it is stopped", || {
                let main = Self::child_of(init)?;
                fs::read_to_string(format!("/proc/{main}/stat")).ok()?.contains(") T ").then_some(())
            });
        }
        self.stopped = Instant::now();
        if situation.ends_by_itself {
            return self.open_gate();
        }
        kill::send(init.cast_signed(), Signal::TERM).expect("the init is there");
        if let Some(line) = situation.heard {
            wait_until(line, || (self.says(line) || self.has_ended()).then_some(()));
            self.open_gate();
        }
    }

    fn has_ended(&mut self) -> bool {
        self.unshare.try_wait().expect("our own child").is_some()
    }

    /// What a reader wants to know. Waits until it has ended, or for so long.
    fn came_to(mut self, situation: &Situation, limit: Duration) -> &'static str {
        let over = wait_until("it ends, or it does not", || {
            if self.has_ended() { Some(true) } else { (self.stopped.elapsed() > limit).then_some(false) }
        });
        match situation.finished {
            _ if !over => "stays until KILL",
            Some(line) if self.says(line) => "finishes",
            Some(_) => "**lost**",
            None if situation.at_least.is_zero() => "ends",
            None => {
                took(self.stopped, situation.at_least);
                "ends after 2 s"
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// The row: drainit, and the others, which are given more time than drainit took.
fn row(situation: &Situation, peers: &[(PathBuf, &'static [&'static str])]) -> Vec<&'static str> {
    let mut runs: Vec<Run> = [(PathBuf::from(*DRAINIT), &[][..])]
        .iter()
        .chain(peers)
        .map(|(init, flags)| Run::start(situation, init, flags))
        .collect();
    for run in &mut runs {
        run.stop(situation);
    }
    let mut runs = runs.into_iter();
    let drainit = runs.next().expect("the first");
    let began = drainit.stopped;
    let drainit = drainit.came_to(situation, crate::harness::LIMIT);
    let limit = began.elapsed() + AFTER_DRAINIT;
    let mut cells = vec![drainit];
    cells.extend(runs.map(|run| run.came_to(situation, limit)));
    cells
}

fn table<'a>(rows: impl Iterator<Item = &'a (&'a Situation, Vec<&'static str>)>) -> String {
    let names = PEERS.map(|(name, ..)| format!(" {name} |")).concat();
    let mut text = format!("| what is stopped | drainit |{names}\n|---|---|---|---|---|---|\n");
    for (situation, cells) in rows {
        text.push_str(&format!("| {} | {} |\n", situation.what, cells.join(" | ")));
    }
    text
}

#[test]
fn each_table_of_situations_is_current() {
    let mut peers = Vec::new();
    for (_, program, flags) in PEERS {
        let Some(path) = installed(program) else {
            return not_run(program, "it is not installed");
        };
        peers.push((path, flags));
    }
    if !nix::unistd::geteuid().is_root() {
        return not_run("the situations", "this takes root");
    }
    let rows: Vec<(&Situation, Vec<&str>)> = thread::scope(|scope| {
        let peers = &peers;
        let threads: Vec<_> = SITUATIONS
            .iter()
            .map(|situation| (situation, scope.spawn(move || row(situation, peers))))
            .collect();
        threads.into_iter().map(|(situation, row)| (situation, row.join().expect("a row"))).collect()
    });
    part_is_current("docs/measures.md", "situations", &table(rows.iter()));
    let short = rows.iter().filter(|(situation, _)| situation.in_readme);
    part_is_current("README.md", "situations", &table(short));
}
