//! Random worlds: which processes there are, what each does, what the kernel lets go wrong.

use std::time::Duration;

use proptest::prelude::*;

use crate::plan::processes::SignalState;
use crate::plan::schedule::ScheduledStage;
use crate::plan::{Patience, Schedule, Step, StopPolicy, Target};
use crate::signal::{Signal, SignalSet};

/// A world, before it begins.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) is_pid_one: bool,
    pub(super) main: Life,
    /// Processes that are not drainit's: they use up pids when numbers wrap around.
    pub(super) foreign: usize,
    pub(super) policy: StopPolicy,
    /// What drainit receives, and when.
    pub(super) received: Vec<(Duration, Signal)>,
    pub(super) faults: Faults,
}

/// What a process is, and what it does.
#[derive(Clone, Debug)]
pub(in crate::supervisor) struct Life {
    pub(in crate::supervisor) reaction: Reaction,
    pub(in crate::supervisor) leads_group: bool,
    /// It runs as another user, and drainit may not signal it; only if drainit is not PID 1.
    pub(in crate::supervisor) refuses: bool,
    pub(in crate::supervisor) acts: Vec<(Duration, Act)>,
    pub(in crate::supervisor) children: Vec<Self>,
}

/// What a process does about TERM, INT and QUIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::supervisor) enum Reaction {
    Dies,
    Ignores,
    /// Its handler takes this long.
    Leaves(Duration),
    /// It takes signals in `rt_sigtimedwait`.
    Takes(Duration),
    /// It passes the signal on to its children, and exits after this time.
    Relays(Duration),
    /// It passes the signal on, and exits when its children have.
    Gathers,
    /// It starts a last child that lives for this long, and exits.
    CleansUp(Duration),
    /// Its handler runs once and restores the default; it dies of a second signal before its time.
    Once(Duration),
    /// It catches the signal, and does not exit.
    Stays,
}

/// What a process does by itself.
#[derive(Clone, Debug)]
pub(in crate::supervisor) enum Act {
    Exit(u8),
    Fork(Box<Life>),
    /// It starts this process, and exits.
    Daemonize(Box<Life>),
    LeadGroup,
    /// It becomes another program.
    Exec(Reaction),
    /// Another process stops it.
    Stop,
}

/// What the kernel and the machine let go wrong; each list starts again when it is used up.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    /// Whether a look at all processes fails.
    pub(super) looks: Vec<bool>,
    /// Whether the list of our own children cannot be read.
    pub(super) lists: Vec<bool>,
    /// How long a signal takes to be delivered.
    pub(super) latencies: Vec<Duration>,
    /// How long a call into the kernel takes.
    pub(super) calls: Vec<Duration>,
    /// Whether a signal is refused for the moment.
    pub(super) sends: Vec<bool>,
    /// How much later drainit wakes up than it wanted to.
    pub(super) delays: Vec<Duration>,
    /// Whether a pid that is free again is assigned first.
    pub(super) reuses: Vec<bool>,
}

fn ms(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

/// Things happen at the same moment, or a few calls apart, more often than by chance.
fn moments() -> impl Strategy<Value = Duration> {
    let tenths = prop_oneof![1 => 0..12_u64, 1 => Just(5)];
    (tenths, 0..8_u64).prop_map(|(tenths, later)| Duration::from_millis(tenths * 100 + later))
}

fn reactions() -> impl Strategy<Value = Reaction> {
    prop_oneof![
        3 => Just(Reaction::Dies),
        2 => Just(Reaction::Ignores),
        2 => ms(0..3000).prop_map(Reaction::Leaves),
        1 => ms(0..3000).prop_map(Reaction::Takes),
        2 => ms(0..3000).prop_map(Reaction::Relays),
        1 => Just(Reaction::Gathers),
        1 => ms(0..3000).prop_map(Reaction::CleansUp),
        1 => ms(0..3000).prop_map(Reaction::Once),
        1 => Just(Reaction::Stays),
    ]
}

fn lives() -> impl Strategy<Value = Life> {
    let plain = (reactions(), any::<bool>(), prop::bool::weighted(0.03)).prop_map(
        |(reaction, leads_group, refuses)| Life {
            reaction,
            leads_group,
            refuses,
            acts: Vec::new(),
            children: Vec::new(),
        },
    );
    let leaf = (plain, prop::collection::vec((moments(), plain_acts()), 0..3))
        .prop_map(|(plain, acts)| Life { acts, ..plain });
    leaf.prop_recursive(3, 10, 3, |inner| {
        let acts = (moments(), acts(inner.clone().boxed()));
        (inner.clone(), prop::collection::vec(inner, 0..3), prop::option::of(acts)).prop_map(
            |(mut life, children, act)| {
                life.children.extend(children);
                life.acts.extend(act);
                life
            },
        )
    })
}

fn plain_acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => any::<u8>().prop_map(Act::Exit),
        3 => Just(Act::LeadGroup),
        1 => reactions().prop_map(Act::Exec),
        1 => Just(Act::Stop),
    ]
}

fn acts(lives: BoxedStrategy<Life>) -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => lives.clone().prop_map(|life| Act::Fork(Box::new(life))),
        1 => lives.prop_map(|life| Act::Daemonize(Box::new(life))),
    ]
}

fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        4 => Just(Target::Auto), 2 => Just(Target::Group), 1 => Just(Target::Main), 1 => Just(Target::All),
    ]
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let signal = prop_oneof![Just(Signal::TERM), Just(Signal::INT), Just(Signal::QUIT)];
    let patience = prop_oneof![
        4 => ms(0..5000).prop_map(Patience::For),
        1 => Just(Patience::Forever),
    ];
    let stage = (signal, prop::option::of(targets()), patience)
        .prop_map(|(signal, target, patience)| ScheduledStage { signal, target, patience });
    prop::collection::vec(stage, 1..3).prop_map(Schedule::new)
}

fn policies() -> impl Strategy<Value = StopPolicy> {
    let grace = prop_oneof![1 => Just(None), 4 => ms(0..12_000).prop_map(Some)];
    let patience = prop_oneof![1 => Just(None), 3 => ms(0..3000).prop_map(Some)];
    let schedule = prop::option::weighted(0.2, schedules());
    let sleep = prop::option::weighted(0.2, ms(0..2000));
    (targets(), grace, patience, schedule, sleep, any::<bool>(), any::<bool>()).prop_map(
        |(forward_to, grace_period, ignored_after, schedule, sleep, wait_for_all, observes)| StopPolicy {
            stop_signals: SignalSet::default().with(Signal::TERM),
            forward_to,
            grace_period,
            ignored_after,
            schedule,
            pre_stop: sleep.map(Step::Sleep).into_iter().collect(),
            wait_for_all,
            observes,
            ..StopPolicy::default()
        },
    )
}

fn often<T: Clone + std::fmt::Debug + 'static>(
    usual: T,
    other: impl Strategy<Value = T> + 'static,
    weight: u32,
) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(prop_oneof![weight => Just(usual), 1 => other], 0..12)
}

fn faults() -> impl Strategy<Value = Faults> {
    (
        often(false, Just(true), 6),
        often(false, Just(true), 6),
        often(Duration::ZERO, ms(0..60), 3),
        often(Duration::ZERO, ms(0..8), 3),
        often(false, Just(true), 8),
        often(Duration::ZERO, prop_oneof![6 => ms(0..40), 1 => ms(1100..30_000)], 6),
        often(false, Just(true), 1),
    )
        .prop_map(|(looks, lists, latencies, calls, sends, delays, reuses)| Faults {
            looks,
            lists,
            latencies,
            calls,
            sends,
            delays,
            reuses,
        })
}

/// Any world.
pub(super) fn specs() -> impl Strategy<Value = Spec> {
    let signal = prop_oneof![5 => Just(Signal::TERM), 1 => Just(Signal::INT), 1 => Just(Signal::HUP)];
    let received = prop::collection::vec((moments(), signal), 1..4);
    // Most worlds have a kernel that works: more must hold there.
    let faults = prop_oneof![
        1 => Just(Faults::none()),
        2 => faults(),
    ];
    (any::<bool>(), lives(), 0..3_usize, policies(), received, faults).prop_map(
        |(is_pid_one, main, foreign, policy, received, faults)| Spec {
            is_pid_one,
            main,
            foreign,
            policy,
            received,
            faults,
        },
    )
}

impl Faults {
    pub(super) fn none() -> Self {
        Self {
            looks: Vec::new(),
            lists: Vec::new(),
            latencies: Vec::new(),
            calls: Vec::new(),
            sends: Vec::new(),
            delays: Vec::new(),
            reuses: Vec::new(),
        }
    }
}

impl Life {
    /// It does this about a signal, and nothing else.
    pub(in crate::supervisor) fn new(reaction: Reaction) -> Self {
        Self { reaction, leads_group: false, refuses: false, acts: Vec::new(), children: Vec::new() }
    }
}

impl Reaction {
    /// Whether it has a handler for TERM, or waits for it.
    pub(super) fn handles(self) -> bool {
        !matches!(self, Self::Dies | Self::Ignores)
    }

    pub(super) fn signals(self) -> SignalState {
        let set = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM]
            .into_iter()
            .fold(SignalSet::default(), SignalSet::with);
        let none = SignalSet::default();
        let (caught, ignored) = match self {
            Self::Dies | Self::Takes(_) => (none, none),
            Self::Ignores => (none, set),
            Self::Leaves(_)
            | Self::Relays(_)
            | Self::Gathers
            | Self::CleansUp(_)
            | Self::Once(_)
            | Self::Stays => (set, none),
        };
        SignalState { blocked: none, ignored, caught }
    }
}
