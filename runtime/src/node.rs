//! `/etc/drainit/runtime.toml`: what holds for every container of the node. Pure.
//!
//! Each key is read by itself: a file with a mistake in it still says which runtime ends the containers that run, and what is to be done
//! about the mistake.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use toml::{Table, Value};

use crate::options::Chosen;

/// What the file says; the defaults for what it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The real runtime: a path, or a name to be looked for in PATH.
    pub runtime: Option<String>,
    /// The drainit that is put into containers.
    pub drainit: Option<PathBuf>,
    /// What becomes of a container whose configuration cannot be rewritten.
    pub policy: Policy,
    /// What becomes of a container with an annotation that drainit does not take.
    pub annotations: Annotations,
    /// Debug lines are written to the runtime's log.
    pub debug: bool,
    /// drainit's options, for containers that do not set them.
    pub options: Vec<Chosen>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It is not created.
    #[default]
    Fail,
    /// It starts as it is.
    Pass,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Annotations {
    /// It is not created.
    #[default]
    Refuse,
    /// The annotation is left out.
    Warn,
}

/// Reads the file's text. What is wrong keeps its default, and the first mistake is told too.
#[must_use]
pub fn read(text: &str) -> (Node, Option<String>) {
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => return (Node::default(), Some(one_line(&toml::de::Error::to_string(&error)))),
    };
    let mut node = Node::default();
    let mut mistakes = table.iter().filter_map(|(key, value)| node.set(key, value).err());
    let first = mistakes.next();
    // The others are not told, but what is right behind them is read.
    mistakes.for_each(drop);
    (node, first)
}

impl Node {
    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "runtime" => {
                let name = text(key, value)?;
                // A relative one would be looked for in the bundle.
                if name.contains('/') && !name.starts_with('/') {
                    return Err(format!("{key} = {value}: neither a name nor an absolute path"));
                }
                self.runtime = Some(name);
            }
            "drainit" => {
                let path = PathBuf::from(text(key, value)?);
                if !path.is_absolute() {
                    return Err(format!("{key} = {value}: not an absolute path"));
                }
                self.drainit = Some(path);
            }
            "policy" => self.policy = one_of(key, value, &[("fail", Policy::Fail), ("pass", Policy::Pass)])?,
            "annotations" => {
                let known = [("refuse", Annotations::Refuse), ("warn", Annotations::Warn)];
                self.annotations = one_of(key, value, &known)?;
            }
            "debug" => {
                self.debug = value.as_bool().ok_or_else(|| format!("{key} = {value}: not true or false"))?;
            }
            "options" => {
                let table = value.as_table().ok_or_else(|| format!("{key} = {value}: not a table"))?;
                for (name, value) in table {
                    let text = scalar(value).ok_or_else(|| format!("options.{name}: not a string"))?;
                    let chosen = Chosen::new(name, &text).map_err(|why| format!("options.{name}: {why}"))?;
                    self.options.push(chosen);
                }
            }
            _ => return Err(format!("unknown key '{}'", one_line(key))),
        }
        Ok(())
    }
}

fn text(key: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().filter(|text| !text.is_empty() && !text.contains('\0'));
    text.map(str::to_owned).ok_or_else(|| format!("{key} = {value}: not a path"))
}

fn one_of<T: Copy>(key: &str, value: &Value, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| value.as_str() == Some(name));
    found.map(|&(_, meaning)| meaning).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("{key} = {value}: not one of {}", names.join(", "))
    })
}

/// As the environment would spell it.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(is_on) => Some(is_on.to_string()),
        Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

/// The parser's message has several lines, with a drawing of the place.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(read(""), (Node::default(), None));
        assert_eq!(
            (Node::default().policy, Node::default().annotations),
            (Policy::Fail, Annotations::Refuse)
        );
    }

    #[test]
    fn every_key_is_read() {
        let text = "
            runtime = 'crun'
            drainit = '/opt/drainit/bin/drainit'
            policy = 'pass'
            annotations = 'warn'
            debug = true
            [options]
            grace-period = '28s'
            wait-for-all = true
            pre-stop-sleep = 5
        ";
        let (node, mistake) = read(text);
        assert_eq!(mistake, None);
        let options = [("grace-period", "28s"), ("wait-for-all", "true"), ("pre-stop-sleep", "5")];
        let mut options: Vec<Chosen> =
            options.iter().map(|(name, value)| Chosen::new(name, value).expect("good")).collect();
        options.sort_by_key(|chosen| chosen.setting.name());
        let mut found = node.options.clone();
        found.sort_by_key(|chosen| chosen.setting.name());
        assert_eq!(found, options);
        let expected = Node {
            runtime: Some("crun".to_owned()),
            drainit: Some("/opt/drainit/bin/drainit".into()),
            policy: Policy::Pass,
            annotations: Annotations::Warn,
            debug: true,
            options: node.options.clone(),
        };
        assert_eq!(node, expected);
    }

    #[test]
    fn a_mistake_is_one_line_that_names_the_key_and_the_rest_is_read_all_the_same() {
        for (text, start) in [
            ("polcy = 'pass'", "unknown key 'polcy'"),
            ("policy = 'maybe'", "policy = \"maybe\": not one of fail, pass"),
            ("annotations = true", "annotations = true: not one of refuse, warn"),
            ("drainit = 'drainit'", "drainit = \"drainit\": not an absolute path"),
            ("drainit = ''", "drainit = \"\": not a path"),
            ("debug = 'yes'", "debug = \"yes\": not true or false"),
            ("options = 3", "options = 3: not a table"),
            ("options.grace-period = 'soon'", "options.grace-period: invalid value 'soon': "),
            ("options.grace = '1s'", "options.grace: drainit has no option of that name"),
            ("options.user = [1]", "options.user: not a string"),
        ] {
            let (node, mistake) = read(&format!("{text}\nruntime = 'crun'\n"));
            let mistake = mistake.unwrap_or_else(|| panic!("{text} was taken"));
            assert!(mistake.starts_with(start) && !mistake.contains('\n'), "{text}: {mistake}");
            assert_eq!(node.runtime.as_deref(), Some("crun"), "{text}");
            assert_eq!(node.policy, Policy::Fail);
        }
        let relative = read("runtime = './runc'").1;
        assert_eq!(relative.as_deref(), Some("runtime = \"./runc\": neither a name nor an absolute path"));
        let (node, mistake) = read("runtime = 'crun\npolicy = 'pass'");
        assert_eq!(node, Node::default());
        assert!(mistake.is_some_and(|mistake| !mistake.contains('\n')));
    }
}
