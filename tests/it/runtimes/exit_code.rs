//! The container's exit status is what drainit says.

use super::{Bundle, runtimes};

#[test]
fn the_command_s_own_exit_code_passes_through() {
    for runtime in runtimes() {
        Bundle::new(runtime, "drainit -- fake-workload exit=7").start().finish().exits(7).silently();
    }
}

#[test]
fn a_death_by_a_signal_is_128_and_its_number() {
    for runtime in runtimes() {
        Bundle::new(runtime, "drainit fake-workload die=RTMIN+3").start().finish().exits(165).silently();
    }
}

#[test]
fn a_missing_command_is_127_and_one_that_cannot_be_run_126() {
    for runtime in runtimes() {
        for (line, code, name) in
            [("drainit -- nowhere", 127, "nowhere"), ("drainit -- /proc/1/stat", 126, "stat")]
        {
            let run = Bundle::new(runtime, line).start().finish();
            run.exits(code);
            assert!(
                run.complaint().starts_with("drainit: error: ") && run.complaint().contains(name),
                "{run:?}"
            );
        }
    }
}
