//! runc and crun as engines: what holds in every runtime, and what only those can be asked who are called directly.

use serde_json::json;

use super::cases::tests_of_every_case;
use super::engine::{Contained, Engine, NOBODY, StopSignal, Wish};
use super::{Bundle, Container, Runtime};
use crate::harness::{Finished, Running};

mod runc {
    super::tests_of_every_case!(|case| super::with(crate::runtimes::Runtime::Runc, case));
}

mod crun {
    super::tests_of_every_case!(|case| super::with(crate::runtimes::Runtime::Crun, case));
}

fn with(runtime: Runtime, case: fn(&dyn Engine)) {
    if runtime.is_usable() {
        case(&runtime);
    }
}

impl Engine for Runtime {
    fn start(&self, wish: Wish) -> Box<dyn Contained> {
        let stop_signal = wish.stop_signal;
        Box::new(Bundled { container: bundle(*self, wish).start(), stop_signal })
    }
}

/// The configuration that a wish comes to.
fn bundle(runtime: Runtime, wish: Wish) -> Bundle {
    let mut bundle = wish.words.iter().fold(Bundle::new(runtime, ""), |bundle, word| bundle.word(word));
    let linux = bundle.setting("/linux");
    linux["resources"] = json!({});
    if let Some(bytes) = wish.memory {
        linux["resources"]["memory"] = json!({ "limit": bytes });
    }
    if let Some(count) = wish.pids {
        linux["resources"]["pids"] = json!({ "limit": count });
    }
    if wish.locked_down {
        bundle = bundle
            .with("/root/readonly", json!(true))
            .with("/process/user", json!({ "uid": NOBODY, "gid": NOBODY }));
        bundle.setting("/process")["capabilities"] =
            json!({ "bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": [] });
    }
    match wish.terminal {
        Some(terminal) => bundle.on_terminal(terminal),
        None => bundle,
    }
}

/// A container, and the signal that an image of it would name.
struct Bundled {
    container: Container,
    stop_signal: StopSignal,
}

impl Contained for Bundled {
    fn running(&mut self) -> &mut Running {
        self.container.running()
    }

    fn stop(&mut self) {
        self.container.kill(self.stop_signal.number());
    }

    fn finish(self: Box<Self>) -> Finished {
        self.container.finish()
    }
}
