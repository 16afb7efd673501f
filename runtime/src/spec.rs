//! A container's configuration in memory. Pure.
//!
//! It is a tree, but for the mounts: there may be thousands, and a tree of each took ten times what it takes to read them. They stay text, to which
//! one is added.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Write};

use serde_core::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

const MOUNTS: &str = "mounts";

/// The configuration.
#[derive(Debug)]
pub struct Spec<'a> {
    /// Everything but the mounts; null is in their place.
    pub tree: Value,
    /// The mounts, as far as they matter here.
    pub mounts: Vec<Mount>,
    /// The mounts as they were; empty if there is no list.
    text: &'a str,
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
    /// It is no JSON, or no object, or its mounts are none.
    pub fn read(text: &'a [u8]) -> serde_json::Result<Self> {
        let Parts { tree, mounts } = serde_json::from_slice(text)?;
        let text = mounts.map(RawValue::get).filter(|text| *text != "null").unwrap_or_default();
        let mounts = if text.is_empty() { Vec::new() } else { serde_json::from_str(text)? };
        Ok(Self { tree, mounts, text, added: None })
    }

    /// One more mount, behind all others: those in front of it are made first.
    pub fn add_mount(&mut self, mount: Value) {
        if let Some(tree) = self.tree.as_object_mut() {
            tree.entry(MOUNTS).or_insert(Value::Null);
        }
        self.added = Some(mount);
    }

    /// Writes it, in the order in which it was read.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut before = "{";
        for (key, value) in self.tree.as_object().into_iter().flatten() {
            to.write_all(before.as_bytes())?;
            before = ",";
            serde_json::to_writer(&mut *to, key)?;
            to.write_all(b":")?;
            if key == MOUNTS { self.write_mounts(to)? } else { serde_json::to_writer(&mut *to, value)? }
        }
        to.write_all(if before == "{" { b"{}" } else { b"}" })
    }

    fn write_mounts(&self, to: &mut impl Write) -> io::Result<()> {
        let Some(added) = &self.added else {
            return to.write_all(if self.text.is_empty() { b"null" } else { self.text.as_bytes() });
        };
        let list = self.text.strip_suffix(']').unwrap_or("[");
        to.write_all(list.as_bytes())?;
        if !self.mounts.is_empty() {
            to.write_all(b",")?;
        }
        serde_json::to_writer(&mut *to, added)?;
        to.write_all(b"]")
    }
}

/// The two of them, as they are read.
struct Parts<'a> {
    tree: Value,
    mounts: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Parts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut tree, mut mounts) = (Map::new(), None);
                while let Some(key) = map.next_key::<String>()? {
                    let value = if key == MOUNTS {
                        mounts = Some(map.next_value()?);
                        Value::Null
                    } else {
                        map.next_value()?
                    };
                    tree.insert(key, value);
                }
                Ok(Parts { tree: Value::Object(tree), mounts })
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
            r#"{"mounts":["x"]}"#,
            "{} x",
            "\"\u{1}\"",
        ] {
            assert!(Spec::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
