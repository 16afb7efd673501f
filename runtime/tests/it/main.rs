//! drainit-runtime with real bundles, real runtimes and real engines.
//!
//! The harness, the engines and their images are those of drainit's own tests.

mod binary;
mod dispositions;
#[path = "../../../tests/it/finished.rs"]
#[expect(dead_code, reason = "a helper of drainit's tests, not all of which is needed here")]
mod finished;
#[path = "../../../tests/it/gate.rs"]
#[expect(dead_code, reason = "a helper of drainit's tests, not all of which is needed here")]
mod gate;
#[path = "../../../tests/it/harness.rs"]
#[expect(dead_code, unused_imports, reason = "a helper of drainit's tests, not all of which is needed here")]
mod harness;
#[path = "../../../tests/it/idle.rs"]
mod idle;

mod bundle;
mod configure;
mod examples;
mod handing_over;
mod layers;
mod policy;
mod runtimes;
mod security;
mod size;
