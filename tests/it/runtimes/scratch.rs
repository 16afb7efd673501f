//! An image with nothing in it but drainit and a program: no shell, no libraries.

use std::fs;

use serde_json::json;

use super::{Bundle, runtimes};

#[test]
fn steps_need_nothing_from_the_image() {
    for runtime in runtimes() {
        let flags = "/drainit --pre-stop-sleep 100ms --pre-stop-idle 1 --pre-stop-http http://127.0.0.1:1/";
        let words = format!(
            "{flags} --post-exit-sleep 100ms -- /fake-workload name=main catch=TERM:1ms:4 ready hold"
        );
        let bundle = Bundle::new(runtime, &words).word("say=never").with("/process/env", json!([]));
        let root = bundle.root();
        for name in ["drainit", "fake-workload"] {
            fs::rename(root.join("bin").join(name), root.join(name)).expect("our own folder");
        }
        fs::remove_dir_all(root.join("bin")).expect("our own folder");
        let mut container = bundle.start();
        container.ready(&["main"]).kill("TERM");
        let run = container.finish();
        run.exits(4).in_order(&["main got TERM", "main finished"]);
        // The idle step, which needs /proc only, has nothing to say; no server answers the request.
        run.warns(&["pre-stop http 127.0.0.1:1: connection refused"]);
    }
}
