//! A pod whose image has no drainit: an init container hands it over.

use std::fs;

use serde_json::json;

use super::image::{Archive, run};
use super::podman::{Pod, podman};
use crate::harness::DRAINIT;

/// The example, with a server that the test makes in the place of the one that it names. podman 4 knows no `emptyDir`: a folder takes its place.
#[test]
fn an_init_container_hands_drainit_to_an_image_without_it() {
    let Some(podman) = podman() else { return };
    let volume = podman.holder.file("volume");
    fs::create_dir(&volume).expect("our own folder");
    let text = include_str!("../../../examples/kubernetes/no-image-change.yaml");
    let folder = format!("hostPath: {{ path: {} }}", volume.display());
    let text = text.replace("emptyDir: {}", &folder);
    // podman 4 removes an init container at once otherwise, and fails if it still runs.
    let keep = "metadata:\n  annotations: { io.podman.annotations.init.container.type: always }";
    let text = text.replace("metadata:", keep);
    let text = text
        .replace("image: drainit:", "image: localhost/drainit:")
        .replace("image: server:", "image: localhost/server:");
    assert!(text.contains(&folder) && text.contains(keep), "{text}");

    let own = Archive::empty().image(concat!("localhost/drainit:", env!("CARGO_PKG_VERSION")), json!({}));
    fs::copy(*DRAINIT, own.root().join("drainit")).expect("our own folder");
    let server = Archive::new().image("localhost/server:1.0.0", json!({ "Env": ["PATH=/bin"] }));
    fs::remove_file(server.root().join("bin/drainit")).expect("our own folder");
    let script = "#!/bin/sh\nfake-workload name=server catch=TERM:300ms ready hold &\nwait\n";
    fs::write(server.root().join("server"), script).expect("our own folder");
    run(std::process::Command::new("chmod").arg("755").arg(server.root().join("server")));
    for archive in [&own, &server] {
        run(podman.client().args(["load", "--quiet", "--input"]).arg(archive.write()));
    }
    let file = podman.holder.file("no-image-change.yaml");
    fs::write(&file, text).expect("our own folder");

    let _pod =
        Pod::new(&podman, "untouched", &["kube", "play", "--network=none", file.to_str().expect("text")]);
    podman.follows("untouched-server").ready(&["server"]);
    // Not the pod: podman would say that its init container is gone.
    run(podman.client().args(["stop", "--time=60", "untouched-server"]));
    // The shell dies of the signal; the server, which only drainit waits for, finishes.
    podman.logged("untouched-server").in_order(&["server got TERM", "server finished"]).silently();
    assert_eq!(podman.state("untouched-server", "ExitCode"), "143");
}
