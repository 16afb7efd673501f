//! The corpus of the fuzzers: what was found once is not found again.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::Path;

#[test]
fn the_corpus_harms_nothing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    type Target = fn(&[u8]);
    let all: [(&str, Target); 3] =
        [("proc", targets::proc), ("net", targets::net), ("settings", targets::settings)];
    for (name, target) in all {
        let entries = std::fs::read_dir(corpus.join(name)).expect("a corpus");
        let count = entries
            .map(|entry| target(&std::fs::read(entry.expect("an entry").path()).expect("bytes")))
            .count();
        assert!(0 < count, "{name} has a corpus");
    }
}
