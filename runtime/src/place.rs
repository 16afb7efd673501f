//! Where in the container drainit is mounted: where nothing else is. Pure.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use serde_json::Value;

use crate::spec::Spec;

/// The program's name in the container, and so the process's.
const NAME: &str = "drainit";

/// Folders that containers usually have on a file system of their own. A file that is made there for the mount is gone with the
/// container, and works with a read-only root file system; in the last one it stays behind, empty, in the container's own layer.
const FOLDERS: [&str; 3] = ["/dev", "/run", "/"];

/// How many names are tried in a folder.
const TRIES: usize = 16;

/// What the root file system has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// As an earlier start of the container leaves one behind: nothing is lost below a mount.
    EmptyFile,
    Something,
}

/// The first place that collides with no mount, no device, and nothing in the root file system, which `look` looks into.
pub fn find(spec: &Spec<'_>, look: &dyn Fn(&str) -> Found) -> Option<String> {
    let mounts = &spec.mounts;
    let destinations: Vec<Cow<'_, str>> = mounts.iter().map(|mount| normal(&mount.destination)).collect();
    let spec = &spec.tree;
    let mut taken = destinations.clone();
    for place in ["/linux/maskedPaths", "/linux/readonlyPaths"] {
        taken.extend(list(spec, place).iter().filter_map(Value::as_str).map(normal));
    }
    taken
        .extend(list(spec, "/linux/devices").iter().filter_map(|device| device["path"].as_str()).map(normal));
    for folder in FOLDERS {
        let covering =
            mounts.iter().zip(&destinations).rfind(|(_, destination)| is_within(folder, destination));
        let is_good = match covering {
            Some((mount, destination)) => mount.is_fresh && destination == folder,
            None => folder == "/",
        };
        if !is_good {
            continue;
        }
        for number in 0..TRIES {
            let sub = if number == 0 { String::new() } else { format!("drainit-{number}/") };
            // The entry that is made in the folder; the mount is it, or is in it.
            let entry = format!("{}/{}", folder.trim_end_matches('/'), sub.trim_end_matches('/'));
            let place = format!("{}/{sub}{NAME}", folder.trim_end_matches('/'));
            let entry = if number == 0 { &place } else { &entry };
            let collides = |path: &Cow<'_, str>| is_within(path, entry) || is_below_mask(path, entry, folder);
            let is_free = || look(entry) == Found::Nothing || look(&place) == Found::EmptyFile;
            if !taken.iter().any(collides) && is_free() {
                return Some(place);
            }
        }
    }
    None
}

/// Whether what is at `path` hides the entry, without hiding the whole folder (which was looked at before).
fn is_below_mask(path: &str, entry: &str, folder: &str) -> bool {
    is_within(entry, path) && !is_within(folder, path)
}

fn list<'a>(spec: &'a Value, place: &str) -> &'a [Value] {
    spec.pointer(place).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether the path is that folder, or is in it.
fn is_within(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path from the root, without what goes nowhere.
fn normal(path: &str) -> Cow<'_, str> {
    let is_normal = path
        .strip_prefix('/')
        .is_some_and(|path| path.split('/').all(|part| !matches!(part, "" | "." | "..")));
    if is_normal {
        return Cow::Borrowed(path);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    Cow::Owned(format!("/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tmpfs(destination: &str) -> Value {
        json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"] })
    }

    fn bind(destination: &str) -> Value {
        json!({ "destination": destination, "type": "bind", "source": "/x", "options": ["rbind", "rw"] })
    }

    fn found(spec: &Value, look: &dyn Fn(&str) -> Found) -> Option<String> {
        find(&Spec::read(spec.to_string().as_bytes()).expect("good"), look)
    }

    fn nothing(_: &str) -> Found {
        Found::Nothing
    }

    #[track_caller]
    fn finds(mounts: &[Value], place: &str) {
        let spec = json!({ "mounts": mounts, "linux": {} });
        assert_eq!(found(&spec, &nothing).as_deref(), Some(place), "{spec}");
    }

    #[test]
    fn a_file_system_of_the_container_s_own_is_best() {
        finds(&[tmpfs("/dev")], "/dev/drainit");
        finds(&[tmpfs("/dev/"), bind("/dev/shm"), bind("/dev/termination-log")], "/dev/drainit");
        finds(&[bind("/dev"), tmpfs("/run")], "/run/drainit");
        finds(&[tmpfs("/dev"), bind("/dev")], "/drainit");
        finds(&[], "/drainit");
        finds(&[tmpfs("/run"), bind("/tmp")], "/run/drainit");
        // The host's /dev is not to get a file.
        finds(&[bind("/dev")], "/drainit");
    }

    #[test]
    fn what_is_there_is_neither_hidden_nor_hides_it() {
        finds(&[tmpfs("/dev"), bind("/dev/drainit")], "/dev/drainit-1/drainit");
        finds(&[tmpfs("/dev"), bind("/dev/./drainit/below")], "/dev/drainit-1/drainit");
        finds(&[tmpfs("/dev"), bind("/dev/x/../drainit"), bind("/dev/drainit-1")], "/dev/drainit-2/drainit");
        // The last mount is on top of the others.
        finds(&[tmpfs("/dev"), tmpfs("/")], "/drainit");
        finds(&[tmpfs("/"), tmpfs("/dev")], "/dev/drainit");
        let spec = |key: &str, value: Value| json!({ "mounts": [tmpfs("/dev")], "linux": { key: value } });
        for spec in [
            spec("devices", json!([{ "path": "/dev/drainit", "type": "c" }])),
            spec("maskedPaths", json!(["/proc/kcore", "/dev/drainit"])),
            spec("readonlyPaths", json!(["/dev/drainit/"])),
        ] {
            assert_eq!(found(&spec, &nothing).as_deref(), Some("/dev/drainit-1/drainit"), "{spec}");
        }
        assert_eq!(
            found(&spec("devices", json!([{ "path": "/dev/fuse" }])), &nothing).as_deref(),
            Some("/dev/drainit")
        );
    }

    #[test]
    fn what_the_root_file_system_has_is_asked_for() {
        let spec = json!({ "mounts": [], "linux": {} });
        let has = |path: &str| match path {
            "/drainit" | "/drainit-1" => Found::Something,
            _ => Found::Nothing,
        };
        assert_eq!(found(&spec, &has).as_deref(), Some("/drainit-2/drainit"));
        assert_eq!(found(&spec, &|_| Found::Something), None);
    }

    #[test]
    fn what_an_earlier_start_has_left_is_used_again() {
        let spec = json!({ "mounts": [], "linux": {} });
        let left = |files: &'static [(&str, Found)]| {
            move |path: &str| {
                files.iter().find(|(known, _)| *known == path).map_or(Found::Nothing, |(_, found)| *found)
            }
        };
        let first = left(&[("/drainit", Found::EmptyFile)]);
        assert_eq!(found(&spec, &first).as_deref(), Some("/drainit"));
        let second = left(&[
            ("/drainit", Found::Something),
            ("/drainit-1", Found::Something),
            ("/drainit-1/drainit", Found::EmptyFile),
        ]);
        assert_eq!(found(&spec, &second).as_deref(), Some("/drainit-1/drainit"));
    }
}
