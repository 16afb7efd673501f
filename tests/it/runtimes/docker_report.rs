//! The example that keeps the report of a rehearsal, as a job runs it: whoever the image's user is, the report is in the job's folder.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use serde_json::{Value, json};

use super::docker::docker;
use super::image::Archive;
use crate::docs;

/// The user of distroless images.
const NONROOT: u32 = 65532;

#[test]
fn the_job_of_the_example_has_the_report() {
    let Some(docker) = docker() else { return };
    let example = docs::read("examples/github/rehearsal-report.yml");
    let steps = example.lines().filter_map(|line| line.trim().strip_prefix("- run: "));
    let steps: Vec<&str> = steps.filter(|step| !step.starts_with("docker build ")).collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    // The daemon here has no network to give, and the server is up at once.
    let job = steps.join("\n");
    let job = job.replace("docker run ", "docker run --network=none ").replace("=10s", "=1s");
    for (disposition, exit) in [("catch=TERM:1ms", 0), ("ignore=TERM", 124)] {
        let config = json!({
            "User": NONROOT.to_string(),
            "Entrypoint": ["/bin/drainit", "--"],
            "Cmd": ["/bin/fake-workload", "name=main", disposition, "ready", "hold"],
        });
        docker.load(&Archive::new().image("image:latest", config).write());
        let folder = tempfile::tempdir().expect("a scratch folder");
        let mut shell = Command::new("sh");
        shell.args(["-euc", &job]).current_dir(folder.path()).envs(docker.environment());
        let output = shell.output().expect("it can be run");
        assert_eq!(output.status.code(), Some(exit), "{output:?}");
        let file = folder.path().join("report/stop.json");
        let report: Value = serde_json::from_slice(&fs::read(&file).expect("it was written")).expect("JSON");
        assert_eq!(report["stop"]["reason"], "time", "{report}");
        assert_eq!(fs::metadata(&file).expect("it is there").uid(), NONROOT);
    }
}
