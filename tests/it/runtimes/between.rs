//! What stands between an engine and its runtime: nothing. The tests of drainit-runtime have a module of this name too.

use std::path::Path;

use serde_json::{Value, json};

/// Has a say in the engine's configuration before the engine is started.
pub(super) fn configure(_engine: &str, _file: &Path) {}

/// What the engine's client needs to be told for each container.
pub(super) fn options(_engine: &str, _folder: &Path) -> Vec<String> {
    Vec::new()
}

/// What a pod's configuration has besides.
pub(super) fn pod() -> Value {
    json!({})
}
