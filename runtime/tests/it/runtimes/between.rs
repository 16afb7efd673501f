//! What stands between an engine and its runtime: drainit-runtime, which each engine is told of by `drainit-runtime configure`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::image::run;
use crate::binary::{WRAPPER, build};

/// Of the folder that the engine has for itself.
pub(super) fn installed_in(folder: &Path) -> PathBuf {
    folder.join("bin/drainit-runtime")
}

/// Installs both programs beside the engine's configuration, and tells the engine.
pub(super) fn configure(engine: &str, file: &Path) {
    build();
    let folder = file.parent().expect("a file has a folder");
    run(Command::new(WRAPPER).arg("install").arg(folder.join("bin")));
    let wrapper = installed_in(folder);
    if engine == "podman" {
        // Its own environment does not reach the runtime, and what cleans up is not given the flags of `--runtime-flag`.
        let settings = folder.join("runtime.toml");
        fs::write(&settings, "runtime = 'crun'\n").expect("our own folder");
        let between = folder.join("bin/between");
        let text = format!(
            "#!/bin/sh\nDRAINIT_RUNTIME_CONFIG={} exec {} \"$@\"\n",
            settings.display(),
            wrapper.display()
        );
        // By a process of its own: what this one has open for writing cannot be run.
        let write = "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"";
        run(Command::new("sh").args(["-c", write, "sh"]).arg(&between).arg(text));
        let script = fs::read_to_string(file).expect("our own folder");
        let ours = script.replace("--runtime crun", &format!("--runtime {}", between.display()));
        assert_ne!(ours, script, "the script names a runtime");
        return fs::write(file, ours).expect("our own folder");
    }
    run(Command::new(wrapper)
        .arg("configure")
        .arg(format!("--{engine}"))
        .args(["--write", "--config"])
        .arg(file));
}

/// Docker and containerd go on with runc if they are not told otherwise.
pub(super) fn options(engine: &str, folder: &Path) -> Vec<String> {
    match engine {
        "containerd" => vec![format!("--runc-binary={}", installed_in(folder).display())],
        "docker" => vec!["--runtime=drainit".to_owned()],
        other => panic!("{other} has no such option"),
    }
}

/// As a RuntimeClass says it.
pub(super) fn pod() -> Value {
    json!({ "runtime_handler": "drainit" })
}
