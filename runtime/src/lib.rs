//! drainit-runtime: an OCI runtime that puts drainit in front of a container's command, and hands everything to the real one.
//!
//! This library is the program's inside, cut so that its parts can be tested; it is no interface for others.
//!
//! - [`command_line`]: what the engine asks of the runtime. Pure.
//! - [`node`], [`options`]: the node's settings, and those of a container. Pure.
//! - [`spec`], [`leave`], [`place`], [`rewrite`]: a container's configuration, and the same with drainit in it. Pure.
//! - [`bundle`]: the configuration's file.
//! - [`program`]: the real runtime, and the drainit that is mounted.
//! - [`journal`]: what is said, where the engine looks for it.
//! - [`configure`]: the program's own commands, for installing it.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::exit)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(
    test,
    expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")
)]

pub mod bundle;
pub mod command_line;
pub mod configure;
pub mod journal;
pub mod leave;
pub mod node;
pub mod options;
pub mod place;
pub mod program;
pub mod rewrite;
pub mod spec;

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use command_line::{Bundle, Invocation, Task};
use journal::{Journal, Level};
use node::{Node, Policy};
use place::Found;
use rewrite::{Around, Outcome, Problem};
use serde_json::Value;
use spec::Spec;

/// The node's settings are here, or in the file that this variable names.
const NODE: (&str, &str) = ("DRAINIT_RUNTIME_CONFIG", "/etc/drainit/runtime.toml");

/// What is at that place (a JSON pointer); null if nothing is.
fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    value.pointer(place).unwrap_or(&Value::Null)
}

/// What runc exits with.
const FAILED: u8 = 1;

/// Does what it was told to, and becomes the real runtime. Returns only if it does not: the exit code.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> u8 {
    let words = arguments.get(1..).unwrap_or_default();
    let held = hold_low_descriptors();
    if let Some(code) = configure::run(words) {
        return code;
    }
    let invocation = match command_line::read(words) {
        Ok(invocation) => invocation,
        Err(problem) => return Journal::of(&Invocation::default(), false).fail(&problem),
    };
    let (node, mistake) = read_node();
    let journal = Journal::of(&invocation, node.debug);
    let runtime = match program::runtime(&invocation, &node) {
        Ok(runtime) => runtime,
        Err(problem) => return journal.fail(&problem),
    };
    if let Err(problem) = prepare(&invocation, &node, mistake, runtime.file_name(), &journal) {
        return journal.fail(&problem);
    }
    let error = program::become_runtime(&runtime, &invocation.words, held);
    journal.fail(&format!("cannot run {}: {error}", runtime.display()))
}

/// What is opened here must not get the number of a closed standard stream: what is said would be written to it.
fn hold_low_descriptors() -> Vec<std::fs::File> {
    let mut held = Vec::new();
    while let Ok(file) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        if file.as_fd().as_raw_fd() > 2 {
            break;
        }
        held.push(file);
    }
    held
}

/// The node's settings, and what is wrong with them.
fn read_node() -> (Node, Option<String>) {
    let path = std::env::var_os(NODE.0).unwrap_or_else(|| NODE.1.into());
    let place = Path::new(&path).display();
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let (node, mistake) = node::read(&text);
            (node, mistake.map(|mistake| format!("{place}: {mistake}")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Node::default(), None),
        Err(error) => (Node::default(), Some(format!("{place}: {error}"))),
    }
}

/// Rewrites the configuration of a container that is created. An error means that it is not to be created.
fn prepare(
    invocation: &Invocation,
    node: &Node,
    mistake: Option<String>,
    runtime: Option<&OsStr>,
    journal: &Journal,
) -> Result<(), String> {
    let (bundle, restores) = match &invocation.task {
        Task::Pass => return Ok(()),
        Task::Create(bundle) => (bundle, false),
        Task::Restore(bundle) => (bundle, true),
    };
    let runtime = runtime.unwrap_or_default().to_string_lossy();
    let outcome = match mistake {
        Some(mistake) => Err(Problem::Failed(mistake)),
        None => inject(bundle, restores, node, &runtime),
    };
    match (outcome, node.policy) {
        (Ok(Outcome::Rewritten { place, warnings }), _) => {
            for warning in warnings {
                journal.say(Level::Warning, &format!("{warning}; it is left out"));
            }
            journal.say(Level::Debug, &format!("drainit is at {place}"));
            Ok(())
        }
        (Ok(Outcome::LeftAlone(reason)), _) => {
            journal.say(Level::Debug, &format!("left alone: {reason}"));
            Ok(())
        }
        (Err(Problem::Failed(problem)), Policy::Pass) => {
            journal.say(Level::Warning, &format!("{problem}; the container starts without drainit"));
            Ok(())
        }
        (Err(Problem::Failed(problem) | Problem::Refused(problem)), _) => Err(problem),
    }
}

fn inject(bundle: &Bundle, restores: bool, node: &Node, runtime: &str) -> Result<Outcome, Problem> {
    let file = bundle::File::open(bundle).map_err(Problem::Failed)?;
    let text = file.read().map_err(Problem::Failed)?;
    let spec = Spec::read(&text).map_err(|error| Problem::Failed(file.say(&error)))?;
    // This process ends soon, as another program: a large tree need not be taken apart.
    let mut spec = ManuallyDrop::new(spec);
    // Not before it is needed: a sandbox starts on a node without drainit too.
    let mut drainit = None;
    if !matches!(leave::reason(&spec.tree, runtime), Ok(Some(_))) {
        let mapped = !at(&spec.tree, "/linux/uidMappings").is_null();
        drainit = Some(program::drainit(node, mapped).map_err(Problem::Failed)?);
    }
    let root = file.root(&spec.tree);
    let look = |path: &str| root.as_ref().map_or(Found::Nothing, |root| bundle::look(root.as_fd(), path));
    let around = Around {
        drainit: drainit.as_deref().unwrap_or_default(),
        annotations: node.annotations,
        options: &node.options,
        runtime,
        look: &look,
        restores,
    };
    let outcome = rewrite::rewrite(&mut spec, &around)?;
    if let Outcome::Rewritten { .. } = &outcome {
        file.replace(&spec).map_err(Problem::Failed)?;
    }
    Ok(outcome)
}
