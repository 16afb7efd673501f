//! Real containers of every engine, with drainit-runtime between the engine and its runtime. The images have commands, and no init in
//! front of them; those that have one come from drainit's own tests, and behave here as they do there.

mod between;
mod cases;
#[path = "../../../../tests/it/runtimes/containerd.rs"]
mod containerd;
#[path = "../../../../tests/it/runtimes/cri.rs"]
mod cri;
#[path = "../../../../tests/it/runtimes/daemon.rs"]
mod daemon;
#[path = "../../../../tests/it/runtimes/docker.rs"]
mod docker;
#[path = "../../../../tests/it/runtimes/docker_init.rs"]
mod docker_init;
#[path = "../../../../tests/it/runtimes/engine.rs"]
#[expect(dead_code, reason = "a helper of drainit's tests, not all of which is needed here")]
mod engine;
#[path = "../../../../tests/it/runtimes/here.rs"]
#[expect(dead_code, reason = "a helper of drainit's tests, not all of which is needed here")]
mod here;
#[path = "../../../../tests/it/runtimes/image.rs"]
mod image;
mod oci;
#[path = "../../../../tests/it/runtimes/podman.rs"]
mod podman;
mod pods;
mod single;

use here::{UNIFIED, installed, not_run, obstacle_to};
