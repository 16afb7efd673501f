//! `daemon.json`: one more entry of `runtimes`. Pure.

#![forbid(unsafe_code)]

use serde_json::{Map, Value, json};

use super::{Change, HANDLER};

const RUNTIMES: &str = "runtimes";
const DEFAULT: &str = "default-runtime";

/// The file with the entry. If it is there, the file is as it was.
pub(super) fn add(old: &str, binary: &str) -> Result<Change, String> {
    let mut config = read(old)?;
    let before = config.clone();
    let runtimes = config.entry(RUNTIMES).or_insert_with(|| json!({}));
    let runtimes = runtimes.as_object_mut().ok_or("runtimes is no object")?;
    let entry = runtimes.entry(HANDLER).or_insert_with(|| json!({}));
    let entry = entry.as_object_mut().ok_or("runtimes.drainit is no object")?;
    entry.insert("path".to_owned(), binary.into());
    let text = if config == before { old.to_owned() } else { write(&config) };
    Ok(Change { shown: text.clone(), text: Some(text), note: None })
}

/// The file without it; empty if there is nothing else.
pub(super) fn remove(old: &str) -> Result<String, String> {
    let mut config = read(old)?;
    if config.get(DEFAULT).and_then(Value::as_str) == Some(HANDLER) {
        return Err(format!("{DEFAULT} is {HANDLER}: name another one first"));
    }
    let Some(runtimes) = config.get_mut(RUNTIMES).and_then(Value::as_object_mut) else {
        return Ok(old.to_owned());
    };
    if runtimes.shift_remove(HANDLER).is_none() {
        return Ok(old.to_owned());
    }
    if runtimes.is_empty() {
        config.shift_remove(RUNTIMES);
    }
    Ok(if config.is_empty() { String::new() } else { write(&config) })
}

fn read(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn write(config: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(config).map(|text| text + "\n").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINARY: &str = "/usr/bin/drainit-runtime";

    fn added(old: &str) -> String {
        add(old, BINARY).expect("good").text.expect("text")
    }

    #[test]
    fn it_is_one_more_runtime_and_the_rest_stays_in_its_order() {
        let old = r#"{"zz": 1, "runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}, "aa": 1.50}"#;
        let expected = r#"{
  "zz": 1,
  "runtimes": {
    "nvidia": {
      "path": "nvidia-container-runtime",
      "runtimeArgs": []
    },
    "drainit": {
      "path": "/usr/bin/drainit-runtime"
    }
  },
  "aa": 1.50
}
"#;
        assert_eq!(added(old), expected);
        assert_eq!(added(expected), expected);
        let left: Value = serde_json::from_str(&remove(expected).expect("good")).expect("JSON");
        assert_eq!(left, serde_json::from_str::<Value>(old).expect("JSON"));
    }

    #[test]
    fn a_file_of_its_own_is_gone_again() {
        for old in ["", "\n", "{}"] {
            assert_eq!(remove(&added(old)).expect("good"), "");
        }
        assert_eq!(remove("{ \"a\": 1 }").expect("good"), "{ \"a\": 1 }");
    }

    #[test]
    fn what_docker_starts_by_default_is_not_taken_away() {
        let default = added(r#"{"default-runtime":"drainit"}"#);
        assert!(remove(&default).is_err_and(|problem| problem.starts_with("default-runtime is drainit: ")));
        assert!(remove(&added(r#"{"default-runtime":"crun"}"#)).is_ok());
    }

    #[test]
    fn arguments_that_are_there_stay() {
        let old = r#"{"runtimes":{"drainit":{"path":"/old","runtimeArgs":["--runtime=crun"]}}}"#;
        let new: Value = serde_json::from_str(&added(old)).expect("JSON");
        assert_eq!(new["runtimes"]["drainit"], json!({ "path": BINARY, "runtimeArgs": ["--runtime=crun"] }));
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for old in ["[]", "{", r#"{"runtimes": []}"#, r#"{"runtimes": {"drainit": "x"}}"#] {
            assert!(add(old, BINARY).is_err(), "{old}");
        }
    }
}
