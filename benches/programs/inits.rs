//! The inits that are compared, as their users run them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use drainit::signal::Signal;

use crate::catalog::{Case, Init};

pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    program: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Has the options of the case.
    Drainit,
    /// Has its own, the same for all.
    Fixed(&'static [&'static str]),
    /// Has of the case's options those for which it has a counterpart.
    Rewrites,
}

const PEERS: [(&str, &str, Kind); 3] = [
    ("tini-static", "tini-static", Kind::Fixed(&[])),
    ("tini-static -g", "tini-static", Kind::Fixed(&["-g"])),
    ("dumb-init", "dumb-init", Kind::Rewrites),
];

/// drainit and each peer that is there. What is missing is said on stderr.
pub(crate) fn find() -> Vec<Candidate> {
    let drainit = PathBuf::from(env!("CARGO_BIN_EXE_drainit"));
    let mut candidates = vec![Candidate::new("drainit", &drainit, Kind::Drainit)];
    for (name, program, kind) in PEERS {
        match installed(program) {
            Some(path) => candidates.push(Candidate::new(name, &path, kind)),
            None => eprintln!("programs: {program} is not installed"),
        }
    }
    candidates
}

fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

impl Candidate {
    fn new(name: &'static str, program: &Path, kind: Kind) -> Self {
        Self { name, version: version(program), program: program.to_owned(), kind }
    }

    /// This init as it is run for the case.
    pub(crate) fn init(&self, case: &Case) -> Init {
        let options = match self.kind {
            Kind::Drainit => case.options.iter().map(|&option| option.to_owned()).collect(),
            Kind::Fixed(options) => options.iter().map(|&option| option.to_owned()).collect(),
            Kind::Rewrites => rewrites_by_number(case.options),
        };
        Init { program: self.program.clone(), options }
    }
}

/// dumb-init has `--rewrite` too, with numbers, and 0 for none.
fn rewrites_by_number(options: &[&str]) -> Vec<String> {
    let number = |name: &str| name.parse().map_or(0, Signal::number);
    let pairs = options.windows(2).filter(|pair| pair[0] == "--rewrite");
    let rules = pairs.filter_map(|pair| pair[1].split_once(':'));
    rules.flat_map(|(from, to)| ["--rewrite".into(), format!("{}:{}", number(from), number(to))]).collect()
}

/// What it says about itself, on whichever of the two outputs.
fn version(program: &Path) -> String {
    let Ok(output) = Command::new(program).arg("--version").output() else { return "cannot be run".into() };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or("unknown version").into()
}
