//! A container's configuration with drainit in it. Pure: what is read from the bundle goes in, what is written to it comes out.

#![forbid(unsafe_code)]

use serde_json::{Map, Value, json};

use crate::node::Annotations;
use crate::options::Chosen;
use crate::place::{self, Found};
use crate::spec::Spec;
use crate::{at, leave};

/// What begins the name of an annotation that is drainit's.
const PREFIX: &str = "drainit.io/";

/// What is known besides the configuration.
pub struct Around<'a> {
    /// The drainit on the host, which is checked.
    pub drainit: &'a str,
    /// What annotations that drainit does not take come to.
    pub annotations: Annotations,
    /// The node's options.
    pub options: &'a [Chosen],
    /// The real runtime's file name.
    pub runtime: &'a str,
    /// What the root file system has at a path.
    pub look: &'a dyn Fn(&str) -> Found,
    /// Whether processes are restored: they have their command already.
    pub restores: bool,
}

/// What became of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is another one now: drainit is mounted at this path. The warnings are about annotations that were left out.
    Rewritten { place: String, warnings: Vec<String> },
    /// It is as it was, for this reason.
    LeftAlone(String),
}

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The configuration cannot be rewritten: the node's policy says what follows.
    Failed(String),
    /// The container asks for something that there is not: it is not created.
    Refused(String),
}

/// Puts drainit in front of the container's command.
///
/// # Errors
/// The configuration is as it was, and why.
pub fn rewrite(spec: &mut Spec<'_>, around: &Around<'_>) -> Result<Outcome, Problem> {
    check_version(&spec.tree).map_err(Problem::Failed)?;
    let mut warnings = Vec::new();
    let mut refuse_or_warn = |problem: String| match around.annotations {
        Annotations::Refuse => Err(Problem::Refused(problem)),
        Annotations::Warn => {
            warnings.push(problem);
            Ok(())
        }
    };
    match leave::reason(&spec.tree, around.runtime) {
        Ok(Some(reason)) => return Ok(Outcome::LeftAlone(reason)),
        Ok(None) => {}
        Err(problem) => refuse_or_warn(problem)?,
    }
    let (chosen, problems) = annotated(&spec.tree);
    problems.into_iter().try_for_each(refuse_or_warn)?;
    let no_place = || Problem::Failed("no place in the container is free for drainit".to_owned());
    let place = place::find(spec, around.look).ok_or_else(no_place)?;
    let odd = || Problem::Failed("process, process.args or process.env is not what it should be".to_owned());
    if !around.restores {
        // The nearest wins: what the container's environment has, then the pod's annotations, then the node.
        let options = chosen.iter().chain(around.options);
        set_command(&mut spec.tree, &place, options).ok_or_else(odd)?;
    }
    spec.add_mount(json!({
        "destination": place,
        "type": "bind",
        "source": around.drainit,
        "options": ["bind", "ro", "nosuid", "nodev"],
    }));
    Ok(Outcome::Rewritten { place, warnings })
}

/// Another major version may have another shape.
fn check_version(spec: &Value) -> Result<(), String> {
    match at(spec, "/ociVersion").as_str() {
        Some(version) if version.starts_with("1.") => Ok(()),
        Some(version) => Err(format!("ociVersion {version:?} is not known here")),
        None => Err("it has no ociVersion".to_owned()),
    }
}

/// The options that the annotations set, and what is wrong with the others.
fn annotated(spec: &Value) -> (Vec<Chosen>, Vec<String>) {
    let (mut chosen, mut problems) = (Vec::new(), Vec::new());
    for (key, value) in at(spec, "/annotations").as_object().into_iter().flatten() {
        let Some(name) = key.strip_prefix(PREFIX).filter(|_| key != leave::INJECT) else { continue };
        let text = value.as_str().ok_or_else(|| "not a string".to_owned());
        match text.and_then(|text| Chosen::new(name, text)) {
            Ok(option) => chosen.push(option),
            Err(why) => problems.push(format!("annotation {PREFIX}{}: {why}", name.escape_debug())),
        }
    }
    (chosen, problems)
}

/// drainit in front of the command, and the options that the environment does not have yet, the first of each name.
fn set_command<'a>(spec: &mut Value, place: &str, options: impl Iterator<Item = &'a Chosen>) -> Option<()> {
    let process = spec.get_mut("process")?.as_object_mut()?;
    let mut words = vec![json!(place), json!("--")];
    let args = process.get_mut("args")?.as_array_mut()?;
    words.append(args);
    *args = words;
    let options: Vec<&Chosen> = options.collect();
    if options.is_empty() {
        return Some(());
    }
    let environment = entry(process, "env")?;
    for option in options {
        let start = format!("{}=", option.setting.variable());
        if !environment.iter().filter_map(Value::as_str).any(|known| known.starts_with(&start)) {
            environment.push(json!(format!("{start}{}", option.value)));
        }
    }
    Some(())
}

/// The list of that name, which may be missing, or null as Go writes an empty one.
fn entry<'a>(object: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Vec<Value>> {
    let list = object.entry(name).or_insert(Value::Null);
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut()
}

#[cfg(test)]
mod tests;
