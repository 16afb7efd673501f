//! Which containers are left alone, and why. Pure.

#![forbid(unsafe_code)]

use serde_json::Value;

use crate::at;

/// Told to the wrapper, and no option of drainit.
pub const INJECT: &str = "drainit.io/inject";

/// The annotations by which engines mark the container that holds a pod's namespaces.
const SANDBOXES: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];

/// Annotations that have crun hand the container to something else than the kernel: a micro VM, a WebAssembly engine.
const HANDLERS: [&str; 2] = ["run.oci.handler", "module.wasm.image/variant"];

/// Systems that a configuration may be for instead of Linux, by the section that each has.
const SYSTEMS: [&str; 5] = ["windows", "solaris", "zos", "freebsd", "vm"];

/// Runtimes below which there is a virtual machine with an agent of its own.
const MACHINES: [&str; 2] = ["kata", "krun"];

/// Inits, by the name of the program.
const INITS: [&str; 9] = [
    "tini",
    "tini-static",
    "dumb-init",
    "catatonit",
    "docker-init",
    "podman-init",
    "s6-svscan",
    "systemd",
    "drainit",
];

/// Inits whose names say little, by what stands in the command (podman 3 has its own in /dev); and the pause container of cri-dockerd, which sets no annotation.
const WORDS: [&str; 7] =
    ["init", "/init", "/dev/init", "/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init", "/pause"];

/// Why the container is started as it is; `None` if drainit goes in front. `runtime` is the real runtime's file name.
///
/// # Errors
/// The annotation that asks for it is neither on nor off.
pub fn reason(spec: &Value, runtime: &str) -> Result<Option<String>, String> {
    if let Some(name) = MACHINES.iter().find(|name| runtime.starts_with(**name)) {
        return Ok(Some(format!("{name} runs it in a virtual machine")));
    }
    if let Some(section) =
        SYSTEMS.iter().find(|section| spec.get(**section).is_some_and(|found| !found.is_null()))
    {
        return Ok(Some(format!("its configuration has a section {section:?}")));
    }
    if at(spec, "/linux").is_null() {
        return Ok(Some("its configuration has no section \"linux\"".to_owned()));
    }
    let annotation = |name: &str| at(spec, "/annotations").get(name).and_then(Value::as_str);
    if let Some(name) = SANDBOXES.iter().find(|name| annotation(name) == Some("sandbox")) {
        return Ok(Some(format!("it is a pod's sandbox ({name})")));
    }
    if let Some(name) = HANDLERS.iter().find(|name| annotation(name).is_some()) {
        return Ok(Some(format!("it is for another engine ({name})")));
    }
    let Some(program) = at(spec, "/process/args/0").as_str() else {
        return Ok(Some("it has no command".to_owned()));
    };
    if is_init(program) {
        return Ok(Some(format!("its command is an init already: {program:?}")));
    }
    if at(spec, "/linux/resources/pids/limit").as_i64() == Some(1) {
        return Ok(Some("it may have one process only".to_owned()));
    }
    match annotation(INJECT).map(str::to_ascii_lowercase).as_deref() {
        None | Some("1" | "true" | "yes" | "on") => Ok(None),
        Some("0" | "false" | "no" | "off") => Ok(Some(format!("{INJECT} says so"))),
        Some(value) => Err(format!("annotation {INJECT}: neither true nor false: {value:?}")),
    }
}

fn is_init(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or_default();
    INITS.contains(&name) || WORDS.contains(&program)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> Value {
        json!({ "process": { "args": ["sh", "-c", "x"] }, "linux": {} })
    }

    /// With this at that place.
    fn with(place: &str, key: &str, value: Value) -> Value {
        let mut spec = spec();
        spec[place][key] = value;
        spec
    }

    #[track_caller]
    fn is_left(spec: &Value, why: &str) {
        let reason = reason(spec, "runc").expect("good").unwrap_or_else(|| panic!("{spec} is wrapped"));
        assert!(reason.contains(why), "{reason}");
    }

    #[test]
    fn an_ordinary_container_is_wrapped() {
        for spec in [
            spec(),
            with("annotations", "io.kubernetes.cri.container-type", json!("container")),
            with("annotations", "io.kubernetes.cri-o.ContainerType", json!("container")),
            with("annotations", INJECT, json!("true")),
        ] {
            assert_eq!(reason(&spec, "runc"), Ok(None), "{spec}");
        }
        for program in
            ["sleep", "/bin/tini-like", "my-init", "./init", "/app/init", "/bin/pause", "pause", "/"]
        {
            let spec = with("process", "args", json!([program]));
            assert_eq!(reason(&spec, "crun"), Ok(None), "{program}");
        }
    }

    #[test]
    fn sandboxes_are_left_alone() {
        for name in SANDBOXES {
            is_left(&with("annotations", name, json!("sandbox")), name);
        }
        is_left(&with("process", "args", json!(["/pause"])), "/pause");
    }

    #[test]
    fn inits_are_left_alone() {
        for name in INITS {
            for folder in ["", "/", "/usr/bin/"] {
                is_left(&with("process", "args", json!([format!("{folder}{name}"), "--", "x"])), name);
            }
        }
        for word in WORDS {
            is_left(&with("process", "args", json!([word])), word);
        }
    }

    #[test]
    fn what_is_not_for_this_kernel_is_left_alone() {
        for section in SYSTEMS {
            let mut spec = spec();
            spec[section] = json!({});
            is_left(&spec, section);
        }
        let mut other = spec();
        other.as_object_mut().expect("an object").remove("linux");
        is_left(&other, "linux");
        for name in HANDLERS {
            is_left(&with("annotations", name, json!("wasm")), name);
        }
        for runtime in ["kata-runtime", "krun"] {
            assert!(reason(&spec(), runtime).expect("good").is_some(), "{runtime}");
        }
    }

    #[test]
    fn what_runs_nothing_is_left_alone() {
        is_left(&with("process", "args", json!([])), "no command");
        is_left(&json!({ "linux": {} }), "no command");
        is_left(&with("process", "args", json!([7])), "no command");
    }

    #[test]
    fn what_has_room_for_one_process_is_left_alone() {
        let with_limit = |limit: i64| with("linux", "resources", json!({ "pids": { "limit": limit } }));
        is_left(&with_limit(1), "one process only");
        for limit in [2, 0, -1] {
            assert_eq!(reason(&with_limit(limit), "runc"), Ok(None), "{limit}");
        }
    }

    #[test]
    fn the_annotation_is_on_or_off() {
        for value in ["false", "0", "no", "OFF", "False"] {
            is_left(&with("annotations", INJECT, json!(value)), INJECT);
        }
        for value in ["", "nope", "false "] {
            let said = reason(&with("annotations", INJECT, json!(value)), "runc").expect_err("refused");
            assert!(said.contains(INJECT) && !said.contains('\n'), "{said}");
        }
    }
}
