//! What is left to read of a stop that the runtime's KILL has cut off: the report and the termination message as they were written ahead.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::cri::{CONTAINER, Cri, Pod, cri, status};
use super::docker::docker;
use super::engine::{Contained, PATIENCE, Wish};
use super::podman::podman;
use crate::harness::Finished;

/// The grace period that the runtime has.
const SHORT: Duration = Duration::from_secs(1);
/// The last bytes of the file, at most, are a container's message for the kubelet.
const MESSAGE: u64 = 4096;
/// A command whose handler takes longer.
const SLOW: &str = "fake-workload name=main catch=TERM ready hold";

/// A folder on the host's side of a mount. The file for the message is there, as the kubelet makes it.
struct Volume {
    folder: TempDir,
}

impl Volume {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        fs::write(folder.path().join("message"), "").expect("our own folder");
        Self { folder }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().expect("text")
    }

    fn message_file(&self) -> PathBuf {
        self.folder.path().join("message")
    }

    /// The file is replaced as a whole, so it is never seen half written.
    #[track_caller]
    fn report(&self) -> Value {
        let text = fs::read_to_string(self.folder.path().join("report")).expect("it was written");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What is left when the runtime has killed every process, PID 1 first.
    #[track_caller]
    fn tells_of_a_stop_that_was_cut_off(&self) {
        let report = self.report();
        assert_eq!((&report["complete"], &report["exit_code"]), (&json!(false), &Value::Null), "{report:#}");
        assert_eq!(report["stop"]["signal"], "TERM", "{report:#}");
        let main = &report["processes"][0];
        assert_eq!((&main["name"], &main["disposition"]), (&json!("fake-workload"), &json!("caught")));
        assert_eq!(main["ended"], Value::Null, "{report:#}");
        let message = last_bytes(&self.message_file());
        assert!(message.starts_with("drainit: stopped by TERM from outside the container"), "{message}");
        assert!(message.contains("), the command, sleeping: catches TERM\n"), "{message}");
    }
}

/// A container's message, read as the kubelet reads it when the container has ended.
fn last_bytes(file: &Path) -> String {
    let mut file = File::open(file).expect("it is there");
    let length = file.metadata().expect("a file").len();
    file.seek(SeekFrom::Start(length.saturating_sub(MESSAGE))).expect("a file");
    let mut message = String::new();
    file.read_to_string(&mut message).expect("text");
    message
}

/// drainit with this command. It takes the word of the runtime for the time that it has, unless `flags` say otherwise.
fn wish(flags: &str, command: &str) -> Wish {
    Wish::new(&format!("drainit --report /out/report --termination-log=/out/message {flags} -- {command}"))
}

/// The options for `run` of docker and podman: the folder is a volume.
fn line(volume: &Volume, wish: &Wish) -> Vec<String> {
    let mount = format!("--volume={}:/out", volume.path());
    std::iter::once(mount).chain(wish.line()).collect()
}

fn words(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

/// The runtime's KILL comes without a word, and drainit has none left.
#[track_caller]
fn killed(run: &Finished) {
    run.exits(137).in_order(&["main got TERM"]).silently();
}

#[test]
fn docker_stop_leaves_the_report_and_the_message() {
    let Some(docker) = docker() else { return };
    let volume = Volume::new();
    let mut container = docker.run(&words(&line(&volume, &wish("", SLOW))), None);
    container.running().ready(&["main"]);
    container.stop_within(SHORT);
    killed(&container.end());
    volume.tells_of_a_stop_that_was_cut_off();
}

#[test]
fn podman_stop_leaves_the_report_and_the_message() {
    let Some(podman) = podman() else { return };
    let volume = Volume::new();
    let mut container = Box::new(podman.run(&words(&line(&volume, &wish("", SLOW))), None));
    container.running().ready(&["main"]);
    let time = format!("--time={}", SHORT.as_secs());
    let stopping = podman.runs(&["stop", &time, &container.name], None);
    killed(&container.finish());
    // It warns that it had to resort to KILL.
    stopping.finish().exits(0);
    volume.tells_of_a_stop_that_was_cut_off();
}

/// A pod with the mounts that the kubelet makes: the message's file, which cannot be replaced by another, and a volume.
fn pod(cri: &Cri, volume: &Volume, flags: &str, command: &str) -> Box<Pod> {
    let mounts = json!({ "mounts": [
        { "container_path": "/dev/termination-log", "host_path": volume.message_file() },
        { "container_path": "/out", "host_path": volume.path() },
    ]});
    let words = format!("drainit --report /out/report --termination-log {flags} -- {command}");
    let mut pod = Box::new(cri.run(Wish::new(&words), CONTAINER, &mounts));
    pod.running().ready(&["main"]);
    pod
}

#[test]
fn stop_container_leaves_the_message_where_the_kubelet_reads_it() {
    let Some(cri) = cri() else { return };
    let volume = Volume::new();
    // `kubectl delete --grace-period=1` of a pod that was given half a minute.
    let mut pod = pod(&cri, &volume, "--grace-period 30s", SLOW);
    pod.stop_within(SHORT);
    let run = pod.finish();
    killed(&run);
    assert_eq!(status(&run), (137, "Error".to_owned()));
    volume.tells_of_a_stop_that_was_cut_off();
}

#[test]
fn a_hook_that_used_the_grace_period_up_leaves_the_message_too() {
    let Some(cri) = cri() else { return };
    let volume = Volume::new();
    let mut pod = pod(&cri, &volume, "--grace-period 20s", SLOW);
    let (_, rest) = pod.delete(Duration::from_secs(2), &["fake-workload", "hold"]);
    assert!(rest < Duration::from_secs(20), "{rest:?}");
    let run = pod.finish();
    assert_eq!(status(&run), (137, "Error".to_owned()));
    volume.tells_of_a_stop_that_was_cut_off();
}

#[test]
fn after_a_stop_that_went_well_the_kubelet_finds_no_message() {
    let Some(cri) = cri() else { return };
    let volume = Volume::new();
    let mut pod = pod(&cri, &volume, "", "fake-workload name=main catch=TERM:300ms:0 ready hold");
    pod.stop_within(PATIENCE);
    let run = pod.finish();
    assert_eq!(status(&run), (0, "Completed".to_owned()));
    assert_eq!(last_bytes(&volume.message_file()), "", "with FallbackToLogsOnError the log would be shown");
    assert_eq!(volume.report()["complete"], true);
}
