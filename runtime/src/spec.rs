//! A container's configuration in memory. Pure.
//!
//! Most of it is neither read here nor changed, and stays text: a tree of thousands of mounts or of a filter of system calls took ten times what it
//! takes to pass over them.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Write};

use serde_core::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

const MOUNTS: &str = "mounts";
const PROCESS: &str = "process";

/// What is read of these sections; all of the others that are not left out.
const READ_OF_PROCESS: &[&str] = &["args", "env"];
const READ_OF_LINUX: &[&str] = &["uidMappings", "maskedPaths", "readonlyPaths", "devices", "resources"];
/// Sections of which nothing is read.
const NOT_READ: [&str; 4] = [MOUNTS, "hooks", "hostname", "domainname"];

/// The configuration.
#[derive(Debug)]
pub struct Spec<'a> {
    /// What is read here of it; null for what is not. Only a change to what is read of the process is written.
    pub tree: Value,
    /// The mounts, as far as they matter here.
    pub mounts: Vec<Mount>,
    /// All of it.
    members: Members<'a>,
    /// The process, if it is an object.
    process: Option<Members<'a>>,
    added: Option<Value>,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub destination: String,
    /// A file system that begins empty with this container.
    pub is_fresh: bool,
}

impl<'a> Spec<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// It is no JSON, or no object, or its mounts are none, or a name is in an object twice.
    pub fn read(text: &'a [u8]) -> serde_json::Result<Self> {
        let members: Members<'a> = serde_json::from_slice(text)?;
        let (mut tree, mut process, mut mounts) = (Map::new(), None, None);
        for (name, text) in &members.0 {
            let value = match name.as_str() {
                MOUNTS => {
                    mounts = serde_json::from_str(text.get())?;
                    Value::Null
                }
                name if NOT_READ.contains(&name) => Value::Null,
                PROCESS if is_object(text) => {
                    process.insert(serde_json::from_str::<Members<'a>>(text.get())?).tree(READ_OF_PROCESS)?
                }
                "linux" if is_object(text) => {
                    serde_json::from_str::<Members<'a>>(text.get())?.tree(READ_OF_LINUX)?
                }
                _ => serde_json::from_str(text.get())?,
            };
            tree.insert(name.clone(), value);
        }
        let mounts = mounts.unwrap_or_default();
        Ok(Self { tree: Value::Object(tree), mounts, members, process, added: None })
    }

    /// One more mount, behind all others: those in front of it are made first.
    pub fn add_mount(&mut self, mount: Value) {
        self.added = Some(mount);
    }

    /// Writes it, in the order in which it was read.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut object = Object::begin(to)?;
        for (name, text) in &self.members.0 {
            let to = object.member(name)?;
            match name.as_str() {
                MOUNTS => self.write_mounts(text.get(), to)?,
                PROCESS => self.write_process(text, to)?,
                _ => to.write_all(text.get().as_bytes())?,
            }
        }
        if self.added.is_some() && !self.members.has(MOUNTS) {
            self.write_mounts("[]", object.member(MOUNTS)?)?;
        }
        object.end()
    }

    fn write_process(&self, text: &RawValue, to: &mut impl Write) -> io::Result<()> {
        let (Some(members), Some(read)) = (&self.process, self.tree.get(PROCESS).and_then(Value::as_object))
        else {
            return to.write_all(text.get().as_bytes());
        };
        let mut object = Object::begin(to)?;
        for (name, text) in &members.0 {
            let to = object.member(name)?;
            match read.get(name) {
                Some(value) => serde_json::to_writer(to, value)?,
                None => to.write_all(text.get().as_bytes())?,
            }
        }
        for (name, value) in read.iter().filter(|(name, _)| !members.has(name)) {
            serde_json::to_writer(object.member(name)?, value)?;
        }
        object.end()
    }

    fn write_mounts(&self, text: &str, to: &mut impl Write) -> io::Result<()> {
        let Some(added) = &self.added else { return to.write_all(text.as_bytes()) };
        to.write_all(text.strip_suffix(']').unwrap_or("[").as_bytes())?;
        if !self.mounts.is_empty() {
            to.write_all(b",")?;
        }
        serde_json::to_writer(&mut *to, added)?;
        to.write_all(b"]")
    }
}

/// The members of an object, each as it is written.
#[derive(Debug)]
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// A tree of those with these names.
    fn tree(&self, names: &[&str]) -> serde_json::Result<Value> {
        let wanted = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let mut tree = Map::new();
        for (name, text) in wanted {
            tree.insert(name.clone(), serde_json::from_str(text.get())?);
        }
        Ok(Value::Object(tree))
    }
}

fn is_object(text: &RawValue) -> bool {
    text.get().starts_with('{')
}

/// An object that is being written.
struct Object<'w, W: Write> {
    to: &'w mut W,
    before: &'static [u8],
}

impl<'w, W: Write> Object<'w, W> {
    fn begin(to: &'w mut W) -> io::Result<Self> {
        to.write_all(b"{")?;
        Ok(Self { to, before: b"" })
    }

    /// Writes the name; the value is to follow.
    fn member(&mut self, name: &str) -> io::Result<&mut W> {
        self.to.write_all(std::mem::replace(&mut self.before, b","))?;
        serde_json::to_writer(&mut *self.to, name)?;
        self.to.write_all(b":")?;
        Ok(self.to)
    }

    fn end(self) -> io::Result<()> {
        self.to.write_all(b"}")
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members(Vec::new());
                while let Some(name) = map.next_key::<String>()? {
                    // Readers differ in which of the two counts.
                    if members.has(&name) {
                        return Err(A::Error::custom(format_args!("{name:?} is there twice")));
                    }
                    members.0.push((name, map.next_value()?));
                }
                Ok(members)
            }
        }
        from.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Mount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mount")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mount, A::Error> {
                let (mut destination, mut is_tmpfs, mut is_bind) = (None, false, false);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "destination" => destination = Some(map.next_value()?),
                        "type" => is_tmpfs = map.next_value::<Option<String>>()?.as_deref() == Some("tmpfs"),
                        "options" => {
                            let options = map.next_value::<Option<Vec<String>>>()?.unwrap_or_default();
                            is_bind = options.iter().any(|option| option == "bind" || option == "rbind");
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                let destination = destination.ok_or_else(|| A::Error::missing_field("destination"))?;
                Ok(Mount { destination, is_fresh: is_tmpfs && !is_bind })
            }
        }
        from.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(spec: &Spec<'_>) -> String {
        let mut text = Vec::new();
        spec.write(&mut text).expect("memory can be written");
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn what_is_read_is_written_to_the_last_digit() {
        for text in [
            r#"{}"#,
            r#"{"b":1.50,"a":18446744073709551616,"mounts":[ {"destination":"\u002fx","future":[1e3]} ],"z":null}"#,
            r#"{"mounts":null}"#,
            r#"{"mounts":[]}"#,
            r#"{"process":{"a":[ 1.0],"env":null,"args":["/",2]},"linux":{"seccomp":{"a": 1}}}"#,
            r#"{"process":null,"linux":[]}"#,
        ] {
            assert_eq!(written(&Spec::read(text.as_bytes()).expect("good")), text);
        }
    }

    #[test]
    fn a_mount_is_added_to_a_list_to_an_empty_one_and_to_none() {
        for (text, expected) in [
            (
                r#"{"mounts":[{"destination":"/x"} ],"z":1}"#,
                r#"{"mounts":[{"destination":"/x"} ,{"a":1}],"z":1}"#,
            ),
            (r#"{"mounts":[ ]}"#, r#"{"mounts":[ {"a":1}]}"#),
            (r#"{"mounts":null,"z":1}"#, r#"{"mounts":[{"a":1}],"z":1}"#),
            (r#"{"z":1}"#, r#"{"z":1,"mounts":[{"a":1}]}"#),
        ] {
            let mut spec = Spec::read(text.as_bytes()).expect("good");
            spec.add_mount(json!({ "a": 1 }));
            assert_eq!(written(&spec), expected);
        }
    }

    #[test]
    fn of_a_mount_it_is_known_where_it_is_and_whether_it_is_fresh() {
        let text = r#"{"mounts":[{"type":"tmpfs","destination":"\u002fdev","options":["nosuid"]},{"destination":"/a","type":"tmpfs","options":["rbind"]},
            {"destination":"/b","type":null,"options":null},{"destination":"/c","type":"bind","x":{"y":[]}}]}"#;
        let found = Spec::read(text.as_bytes()).expect("good").mounts;
        let mount = |destination: &str, is_fresh| Mount { destination: destination.to_owned(), is_fresh };
        assert_eq!(found, [mount("/dev", true), mount("/a", false), mount("/b", false), mount("/c", false)]);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "",
            "[]",
            "{",
            r#"{"mounts":{}}"#,
            r#"{"mounts":[{}]}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"process":{"args":[],"args":[]}}"#,
            r#"{"process":{"args":[}}"#,
            r#"{"mounts":["x"]}"#,
            "{} x",
            "\"\u{1}\"",
        ] {
            assert!(Spec::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
