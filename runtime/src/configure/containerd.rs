//! containerd's configuration: a block at the end of its file. Pure.
//!
//! Not a file that it imports: containerd 1.x takes the imported section of a plugin for the whole of it, and what the main file says of
//! the CRI would be gone.

#![forbid(unsafe_code)]

use toml::{Table, Value};

use super::{Change, HANDLER, quoted};

const BEGIN: &str = "# drainit-runtime configure: begin";
const END: &str = "# drainit-runtime configure: end";

/// containerd hands these on from the pod to the runtime.
const ANNOTATIONS: &str = "drainit.io/*";

/// The runtime that containerd has without being told.
const RUNC: &str = "runc";

/// The section of the CRI's runtimes, by the version of the configuration: containerd 1.x, 2.x.
const PLUGINS: [(i64, &str); 2] = [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.runtime")];

/// The file with the block in it.
pub(super) fn add(old: &str, binary: &str) -> Result<Change, String> {
    let base = remove(old)?;
    let table: Table = base.parse().map_err(|error| one_line(&error))?;
    // containerd 2.x reads version 2 as well.
    let version = match table.get("version").and_then(Value::as_integer) {
        None if table.is_empty() => 2,
        version => version.unwrap_or(1),
    };
    let plugin = PLUGINS.iter().find(|(known, _)| *known == version).map(|(_, plugin)| *plugin);
    let plugin =
        plugin.ok_or_else(|| format!("version {version} is not known here: containerd config migrate"))?;
    let cri = table.get("plugins").and_then(|plugins| plugins.get(plugin)?.get("containerd"));
    let runtimes = cri.and_then(|cri| cri.get("runtimes"));
    if runtimes.is_some_and(|runtimes| runtimes.get(HANDLER).is_some()) {
        return Err(format!("has a runtime {HANDLER} that was not written by this command"));
    }
    let runtime = |name: &str| runtimes.and_then(|runtimes| runtimes.get(name)).and_then(Value::as_table);
    let default = cri.and_then(|cri| cri.get("default_runtime_name")).and_then(Value::as_str);
    // A shim of another kind runs no program that stands in front of it; and the default one may be this one.
    let default =
        default.filter(|name| *name != HANDLER && runtime(name).is_none_or(is_runc_s)).unwrap_or(RUNC);
    let like = runtime(default);
    let entry = entry(like.cloned().unwrap_or_default(), binary);
    let mut block = format!("{BEGIN}\n");
    if table.is_empty() {
        block.push_str("version = 2\n");
    }
    let name = format!("plugins.{}.containerd.runtimes.{HANDLER}", quoted(plugin));
    write_table(&mut block, &name, &entry);
    block.push_str(&format!("{END}\n"));
    let gap = if base.is_empty() || base.ends_with('\n') { "" } else { "\n" };
    let text = format!("{base}{gap}{block}");
    text.parse::<Table>().map_err(|error| format!("a block cannot be added: {}", one_line(&error)))?;
    Ok(Change { text: Some(text), shown: block, note: note(&table, default, like) })
}

/// The file without the block, if containerd can do without it.
pub(super) fn uninstall(old: &str) -> Result<String, String> {
    let text = remove(old)?;
    let table: Table = text.parse().unwrap_or_default();
    let plugin = |name: &str| table.get("plugins")?.get(name)?.get("containerd")?.get("default_runtime_name");
    if PLUGINS.iter().filter_map(|(_, name)| plugin(name)).any(|name| name.as_str() == Some(HANDLER)) {
        return Err(format!("default_runtime_name is {HANDLER}: name another one first"));
    }
    Ok(text)
}

/// Whether containerd runs it by the shim that runs an OCI runtime.
fn is_runc_s(runtime: &Table) -> bool {
    let shim = runtime.get("runtime_type").and_then(Value::as_str);
    shim.is_none_or(|shim| shim.is_empty() || shim.starts_with("io.containerd.runc."))
}

/// The file without the block.
fn remove(old: &str) -> Result<String, String> {
    let mut lines = old.split_inclusive('\n');
    let mut text = String::new();
    while let Some(line) = lines.next() {
        if line.trim_end() != BEGIN {
            text.push_str(line);
        } else if !lines.any(|line| line.trim_end() == END) {
            return Err(format!("the block that begins with {BEGIN:?} has no end"));
        }
    }
    Ok(text)
}

/// The default runtime's own settings, cgroups above all, with another program.
fn entry(mut entry: Table, binary: &str) -> Table {
    entry.entry("runtime_type").or_insert_with(|| "io.containerd.runc.v2".into());
    let mut annotations: Vec<Value> =
        entry.get("pod_annotations").and_then(Value::as_array).cloned().unwrap_or_default();
    if !annotations.iter().any(|annotation| annotation.as_str() == Some(ANNOTATIONS)) {
        annotations.push(ANNOTATIONS.into());
    }
    entry.insert("pod_annotations".to_owned(), Value::Array(annotations));
    let mut options =
        entry.remove("options").and_then(|options| options.try_into::<Table>().ok()).unwrap_or_default();
    options.insert("BinaryName".to_owned(), binary.into());
    entry.insert("options".to_owned(), Value::Table(options));
    entry
}

/// What should not surprise the node's owner later.
fn note(table: &Table, default: &str, like: Option<&Table>) -> Option<String> {
    let disabled = table.get("disabled_plugins").and_then(Value::as_array);
    let is_cri = |plugin: &Value| plugin.as_str().is_some_and(|name| name == "cri" || name.ends_with(".cri"));
    if disabled.is_some_and(|plugins| plugins.iter().any(is_cri)) {
        return Some("disabled_plugins has the CRI in it: no kubelet can use this containerd".to_owned());
    }
    let imports = table.get("imports").and_then(Value::as_array).is_some_and(|imports| !imports.is_empty());
    if imports && like.is_none() {
        return Some(format!(
            "what the imported files say of its runtime {default} (SystemdCgroup) is not copied"
        ));
    }
    let program = like.and_then(|like| like.get("options")?.get("BinaryName")?.as_str());
    let program = program.filter(|program| !program.is_empty())?;
    Some(format!(
        "its runtime {default} runs {program}: say runtime = {program:?} in /etc/drainit/runtime.toml"
    ))
}

/// Its own values first: what follows a header belongs to it.
fn write_table(text: &mut String, name: &str, table: &Table) {
    text.push_str(&format!("[{name}]\n"));
    let (tables, values): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| value.is_table());
    for (key, value) in values {
        text.push_str(&format!("{} = {value}\n", word(key)));
    }
    for (key, value) in tables {
        if let Some(table) = value.as_table() {
            write_table(text, &format!("{name}.{}", word(key)), table);
        }
    }
}

fn word(key: &str) -> String {
    let is_bare = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { quoted(key) }
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINARY: &str = "/opt/drainit/bin/drainit-runtime";

    /// As kubeadm's documents have it.
    const NODE: &str = r#"# Kept.
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.example/pause:3.9" # and this
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    privileged_without_host_devices = false
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true"#;

    fn entry_of(text: &str, plugin: &str) -> Table {
        let table: Table = text.parse().expect("TOML");
        let entry = &table["plugins"][plugin]["containerd"]["runtimes"][HANDLER];
        entry.as_table().expect("a table").clone()
    }

    #[test]
    fn the_entry_is_a_copy_of_the_default_one_with_another_program() {
        let change = add(NODE, BINARY).expect("good");
        let text = change.text.expect("text");
        assert!(text.starts_with(NODE) && text.ends_with(&change.shown), "{text}");
        let entry = entry_of(&text, "io.containerd.grpc.v1.cri");
        assert_eq!(entry["runtime_type"].as_str(), Some("io.containerd.runc.v2"));
        assert_eq!(entry["options"]["SystemdCgroup"].as_bool(), Some(true));
        assert_eq!(entry["options"]["BinaryName"].as_str(), Some(BINARY));
        assert_eq!(entry["pod_annotations"].to_string(), "[\"drainit.io/*\"]");
        assert_eq!(change.note, None);
    }

    #[test]
    fn a_second_time_changes_nothing_and_taking_it_out_leaves_the_file_as_it_was() {
        for node in [NODE, &format!("{NODE}\n"), "", "version = 3\n"] {
            let once = add(node, BINARY).expect("good").text.expect("text");
            assert_eq!(add(&once, BINARY).expect("good").text.as_ref(), Some(&once));
            let elsewhere = add(&once, "/usr/bin/drainit-runtime").expect("good").text.expect("text");
            assert_eq!(elsewhere, once.replace(BINARY, "/usr/bin/drainit-runtime"));
            assert_eq!(remove(&once).expect("good").trim_end(), node.trim_end());
        }
    }

    #[test]
    fn a_default_that_is_no_oci_runtime_is_not_copied() {
        for (name, shim) in [("kata", "io.containerd.kata.v2"), (HANDLER, "")] {
            let other = if shim.is_empty() {
                String::new()
            } else {
                format!(
                    "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.{name}]\nruntime_type = \"{shim}\"\n"
                )
            };
            let head = "[plugins.\"io.containerd.grpc.v1.cri\".containerd]";
            let node = format!("{NODE}\n{head}\ndefault_runtime_name = \"{name}\"\n{other}");
            let text = add(&node, BINARY).expect("good").text.expect("text");
            let entry = entry_of(&text, "io.containerd.grpc.v1.cri");
            assert_eq!(entry["runtime_type"].as_str(), Some("io.containerd.runc.v2"), "{text}");
            assert_eq!(entry["options"]["SystemdCgroup"].as_bool(), Some(true), "{text}");
            assert_eq!(add(&text, BINARY).expect("good").text, Some(text.clone()));
            let uninstalled = uninstall(&text);
            assert_eq!(uninstalled.is_err(), name == HANDLER, "{uninstalled:?}");
        }
    }

    #[test]
    fn each_version_has_its_own_section() {
        let text = |old: &str| add(old, BINARY).expect("good").text.expect("text");
        entry_of(&text("version = 3\n"), "io.containerd.cri.v1.runtime");
        let new = text("");
        entry_of(&new, "io.containerd.grpc.v1.cri");
        assert_eq!(new.parse::<Table>().expect("TOML")["version"].as_integer(), Some(2));
        for old in ["version = 1\n", "root = '/x'\n", "version = 4\n"] {
            let problem = add(old, BINARY).expect_err("refused");
            assert!(problem.contains("is not known here"), "{problem}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_what_is_odd_is_noted() {
        let section = r#"plugins."io.containerd.grpc.v1.cri".containerd"#;
        for (old, said) in [
            (
                format!("version = 2\n[{section}.runtimes.drainit]\nruntime_type = 'x'\n"),
                "not written by this command",
            ),
            (format!("version = 2\n[{section}]\nruntimes = {{ runc = {{}} }}\n"), "a block cannot be added"),
            ("version = ".to_owned(), "TOML"),
            (format!("{BEGIN}\nx = 1\n"), "has no end"),
        ] {
            let problem = add(&old, BINARY).expect_err("refused");
            assert!(problem.contains(said) && !problem.contains('\n'), "{old}: {problem}");
        }
        let note = |old: &str| add(old, BINARY).expect("good").note.unwrap_or_default();
        assert!(note("version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n").contains("SystemdCgroup"));
        assert_eq!(note(&format!("imports = ['/x']\n{NODE}")), "");
        assert!(note("version = 2\ndisabled_plugins = ['cri']\n").contains("disabled_plugins"));
        let crun = format!(
            "version = 2\n[{section}]\ndefault_runtime_name = 'crun'\n[{section}.runtimes.crun.options]\nBinaryName = '/usr/bin/crun'\n"
        );
        assert!(note(&crun).contains("runtime = \"/usr/bin/crun\""), "{}", note(&crun));
    }
}
