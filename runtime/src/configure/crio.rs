//! CRI-O's configuration: a file of its own in its folder. Pure.

#![forbid(unsafe_code)]

use super::{Change, HANDLER, quoted};

const HEAD: &str = "# Written by drainit-runtime configure --crio.";

/// The whole file.
pub(super) fn add(old: &str, binary: &str) -> Result<Change, String> {
    remove(old)?;
    let text = format!(
        "{HEAD}\n[crio.runtime.runtimes.{HANDLER}]\nruntime_path = {}\nruntime_type = \"oci\"\nruntime_root = \"/run/runc\"\n",
        quoted(binary)
    );
    Ok(Change { shown: text.clone(), text: Some(text), note: None })
}

/// Nothing, if the file is this command's own.
pub(super) fn remove(old: &str) -> Result<String, String> {
    if old.is_empty() || old.starts_with(HEAD) {
        return Ok(String::new());
    }
    Err("was not written by this command".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_its_own() {
        let text = add("", "/opt/drainit/bin/drainit-runtime").expect("good").text.expect("text");
        let table: toml::Table = text.parse().expect("TOML");
        let entry = &table["crio"]["runtime"]["runtimes"]["drainit"];
        assert_eq!(entry["runtime_path"].as_str(), Some("/opt/drainit/bin/drainit-runtime"));
        assert_eq!(entry["runtime_type"].as_str(), Some("oci"));
        assert_eq!(add(&text, "/opt/drainit/bin/drainit-runtime").expect("good").text, Some(text.clone()));
        assert_eq!(remove(&text), Ok(String::new()));
        assert!(add("[crio]\n", "/x").is_err() && remove("[crio]\n").is_err());
    }
}
