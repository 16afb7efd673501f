//! A simulated world: random processes, a kernel that is late and fails, time that jumps; and in it the real plan, rules, stopper and
//! recorder.
//!
//! | file | duty |
//! |---|---|
//! | [`spec`] | random worlds |
//! | [`world`] | the kernel: processes, signals, time |
//! | [`sim`] | the kernel as the stopper and the recorder see it |
//! | [`watch`] | what must hold, after every event |
//! | [`run`] | the supervisor's loop |
//!
//! `DRAINIT_WORLDS` is the number of worlds, `DRAINIT_SEED` the number that they are made from (0: a new one). A world that fails is made
//! smaller until nothing can be left out of it.

#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, reason = "a place in the world is never given up")]
#![expect(clippy::print_stdout, reason = "a test says what it ran")]

mod dice;
mod run;
mod sim;
mod spec;
mod watch;
mod world;

use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::Main;
use super::publish::Output;
use super::recorder::Recorder;
use super::stopper::Stopper;
use crate::plan::{Cause, StopPolicy, StopSignal, Target};
use crate::signal::Signal;
pub(super) use sim::Sim;
pub(super) use spec::{Act, Life, Reaction};
use spec::{Faults, Spec};
use world::World;

/// Bugs that drainit had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Processes that had exited before KILL were reported as killed.
    PhantomKill,
    /// If main left its group between the look and the signal, nothing was sent to it.
    GroupIsGone,
    /// After a failed look every process counted as not signalled.
    ForgetsAfterFailedLook,
}

const WORLDS: u32 = 10_000;
/// The same worlds each time, so that only a change of the code makes the test fail.
const SEED: u64 = 7;
/// An old bug is found within this many worlds, which takes less than a minute.
const FOUND_WITHIN: u32 = 40_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect(name))
}

/// Runs this many worlds; returns the smallest one that fails, and why.
fn explore(worlds: u32, seed: u64, bug: Option<Bug>) -> Result<(), Box<(Spec, String)>> {
    let config =
        Config { cases: worlds, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let explored = runner.run(&spec::specs(), |spec| run::run(&spec, bug).map_err(TestCaseError::fail));
    match explored {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, spec)) => Err(Box::new((spec, reason.message().to_owned()))),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// A kernel in which nothing goes wrong, for a test of one room: drainit, which is not PID 1, and its child, whose pid is returned.
pub(super) fn quiet(child: Life) -> (Sim, i32) {
    let (world, pid) = World::new(&Spec {
        is_pid_one: false,
        main: child,
        foreign: 0,
        policy: StopPolicy::default(),
        received: Vec::new(),
        faults: Faults::none(),
    });
    (Sim::new(world, None), pid)
}

fn new_seed() -> u64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
    u64::try_from(now.as_nanos() & u128::from(u64::MAX)).expect("64 bits")
}

#[test]
fn every_world_ends_well() {
    let seed = number("DRAINIT_SEED").map_or(SEED, |seed| if seed == 0 { new_seed() } else { seed });
    let worlds =
        number("DRAINIT_WORLDS").map_or(WORLDS, |worlds| worlds.try_into().expect("a number of worlds"));
    let begun = Instant::now();
    println!("DRAINIT_SEED={seed} DRAINIT_WORLDS={worlds}");
    if let Err(failure) = explore(worlds, seed, None) {
        let (spec, why) = *failure;
        panic!("DRAINIT_SEED={seed} DRAINIT_WORLDS={worlds}: {why}\n{spec:#?}");
    }
    println!("{worlds} worlds in {:?}", begun.elapsed());
}

/// As in gVisor. With a limit there is nothing to warn of.
#[test]
fn if_nothing_is_known_of_signals_that_is_said_once() {
    for (hides_signals, limit, patience, is_said) in [
        (true, None, Some(Duration::ZERO), true),
        (false, None, Some(Duration::ZERO), false),
        (true, Some(Duration::MAX), Some(Duration::ZERO), false),
        (true, None, None, false),
    ] {
        let mut spec = spec::specs().new_tree(&mut TestRunner::deterministic()).expect("a world").current();
        spec.faults = Faults::none();
        let (mut world, main) = World::new(&spec);
        world.hides_signals = hides_signals;
        let sim = Sim::new(world, None);
        let mut stopper = Stopper::new(sim.clone(), patience);
        let mut recorder = Recorder::new(sim, Output::kept(), "p".to_owned(), main, None);
        stopper.set_limit(limit);
        let signal = StopSignal::plain(Signal::TERM);
        stopper.begin_stage(signal, Target::All, Cause::Requested, Main::Alive(main), &mut recorder);
        assert_eq!(stopper.has_said_hidden(), is_said, "{hides_signals} {limit:?} {patience:?}");
    }
}

#[test]
fn bugs_of_old_are_found() {
    for (bug, says) in [
        (Bug::PhantomKill, "it had left before"),
        (Bug::GroupIsGone, "was not signalled"),
        (Bug::ForgetsAfterFailedLook, "a second time in one stage"),
    ] {
        let begun = Instant::now();
        let (_, why) = *explore(FOUND_WITHIN, 1, Some(bug)).expect_err("the bug is found");
        println!("{bug:?} after {:?}: {why}", begun.elapsed());
        assert!(why.contains(says), "{bug:?}: {why}");
    }
}

/// What answers for others may have refused the signal; so may what answers for those.
#[test]
fn below_two_that_refuse_the_signal_it_is_sent() {
    let below = |reaction, refuses, children| Life {
        reaction,
        leads_group: false,
        refuses,
        acts: Vec::new(),
        children,
    };
    let last = below(Reaction::Dies, false, Vec::new());
    let spec = Spec {
        is_pid_one: false,
        main: below(
            Reaction::Leaves(Duration::ZERO),
            true,
            vec![below(Reaction::Leaves(Duration::ZERO), true, vec![last])],
        ),
        foreign: 0,
        policy: StopPolicy {
            forward_to: Target::Auto,
            grace_period: None,
            ignored_after: Some(Duration::ZERO),
            ..StopPolicy::default()
        },
        received: vec![(Duration::ZERO, Signal::TERM)],
        faults: Faults::none(),
    };
    assert_eq!(run::run(&spec, None), Ok(()));
}

/// As without memory: what main leaves behind is signalled all the same, before KILL.
#[test]
fn if_only_the_first_looks_succeed_orphans_are_signalled() {
    let leaves = |children| Life {
        reaction: Reaction::Leaves(Duration::from_millis(100)),
        leads_group: false,
        refuses: false,
        acts: Vec::new(),
        children,
    };
    for (is_pid_one, succeed) in [true, false].into_iter().flat_map(|is| (1..8).map(move |count| (is, count)))
    {
        let looks = (0..1_000).map(|look| succeed <= look).collect();
        let spec = Spec {
            is_pid_one,
            main: leaves(vec![leaves(Vec::new()), leaves(Vec::new())]),
            foreign: 0,
            policy: StopPolicy {
                forward_to: Target::Auto,
                grace_period: Some(Duration::from_secs(2)),
                ignored_after: None,
                ..StopPolicy::default()
            },
            received: vec![(Duration::ZERO, Signal::TERM)],
            faults: Faults { looks, ..Faults::none() },
        };
        assert!(!run::kills(&spec), "as PID 1: {is_pid_one}, after {succeed} looks");
    }
}
