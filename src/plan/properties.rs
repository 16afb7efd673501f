//! What must hold whatever happens: random policies, random events, random times.

use proptest::prelude::*;

use super::schedule::ScheduledStage;
use super::*;
use crate::signal::SignalSet;

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        4 => Just(Signal::TERM),
        2 => Just(Signal::INT),
        1 => Just(Signal::HUP),
        1 => (1..=64).prop_filter_map("received", Signal::new).prop_filter("forwarded", |s| s.can_be_forwarded()),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Command(vec!["step".into()])),
        (0..4_000_u64).prop_map(|slept| Step::Sleep(Duration::from_millis(slept))),
    ];
    prop::collection::vec(step, 0..3)
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let patience = prop_oneof![
        3 => (0..5_000_u64).prop_map(|time| Patience::For(Duration::from_millis(time))),
        1 => Just(Patience::Forever),
    ];
    let target = prop::option::of(
        prop_oneof![2 => Just(Target::Auto), 1 => Just(Target::Group), 1 => Just(Target::Main), 1 => Just(Target::All)],
    );
    let stage = (signals(), target, patience).prop_map(|(signal, target, patience)| ScheduledStage {
        signal,
        target,
        patience,
    });
    prop::collection::vec(stage, 1..4).prop_map(Schedule::new)
}

/// Adds a drain and a schedule to a plain policy.
fn policies() -> impl Strategy<Value = StopPolicy> {
    let patience = prop::option::of((0..4_000_u64).prop_map(Duration::from_millis));
    let after = prop::option::weighted(0.2, (1..9_000_u64).prop_map(Duration::from_millis));
    (plain_policies(), steps(), steps(), 0..6_000_u64, prop::option::of(schedules()), patience, after)
        .prop_map(|(plain, pre_stop, post_exit, timeout, schedule, ignored_after, stop_after)| StopPolicy {
            pre_stop,
            post_exit,
            pre_stop_timeout: Duration::from_millis(timeout),
            schedule,
            ignored_after,
            stop_after,
            ..plain
        })
}

fn plain_policies() -> impl Strategy<Value = StopPolicy> {
    let target = prop_oneof![2 => Just(Target::Auto), 1 => Just(Target::Group), 1 => Just(Target::Main), 1 => Just(Target::All)];
    let grace = prop_oneof![Just(None), Just(Some(0)), (1..20_000_u64).prop_map(Some), Just(Some(u64::MAX))];
    let rewrite = (signals(), prop::option::of(signals()));
    (target, grace, any::<bool>(), prop::option::of(rewrite), signals()).prop_map(
        |(forward_to, grace, wait_for_all, rewrite, own_signal)| {
            let mut rewrites = Rewrites::default();
            if let Some((from, to)) = rewrite {
                rewrites.set(from, Rewrite { to, target: None });
            }
            StopPolicy {
                stop_signals: SignalSet::default().with(own_signal),
                own_signal,
                rewrites,
                forward_to,
                grace_period: grace.map(Duration::from_millis),
                wait_for_all,
                ..StopPolicy::default()
            }
        },
    )
}

/// One thing that happens to a plan.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// The time before it, in milliseconds.
    pause: u64,
    what: What,
    /// What a look in this turn finds.
    found: Outlook,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Signal(Signal),
    MainEnds,
    /// The step that is under way, if one is.
    StepEnds,
    NoneIsLeft,
    ChildEnds,
    Held,
    /// Ticks come at random times too: a late or an early one is legal.
    Tick,
}

fn stories() -> impl Strategy<Value = Vec<Turn>> {
    let what = prop_oneof![
        4 => signals().prop_map(What::Signal),
        2 => Just(What::MainEnds),
        3 => Just(What::StepEnds),
        1 => Just(What::ChildEnds),
        1 => Just(What::NoneIsLeft),
        1 => Just(What::Held),
        3 => Just(What::Tick),
    ];
    let turn = (0..4_000_u64, what, findings()).prop_map(|(pause, what, found)| Turn { pause, what, found });
    prop::collection::vec(turn, 0..40)
}

fn findings() -> impl Strategy<Value = Outlook> {
    prop_oneof![
        3 => Just(Outlook::KeepWaiting),
        1 => Just(Outlook::SignalOthersFirst),
        2 => Just(Outlook::Futile),
        1 => Just(Outlook::Unknown),
    ]
}

/// A plan in a world that does nothing impossible: main ends once, a step ends only if it was started, and after the last process has ended
/// there is nothing but a step.
struct PlanRun<'a> {
    plan: Plan<'a>,
    history: Vec<(Duration, Action)>,
    now: Duration,
    main_lives: bool,
    step: Option<StepId>,
    found: Outlook,
}

impl<'a> PlanRun<'a> {
    fn new(policy: &'a StopPolicy) -> Self {
        Self {
            plan: Plan::new(policy),
            history: Vec::new(),
            now: Duration::ZERO,
            main_lives: true,
            step: None,
            found: Outlook::KeepWaiting,
        }
    }

    /// If `on_time`, with the ticks that the loop delivers: each at its deadline.
    fn play(policy: &'a StopPolicy, story: &[Turn], on_time: bool) -> Self {
        let mut world = Self::new(policy);
        for turn in story {
            let next = world.now + Duration::from_millis(turn.pause);
            world.found = turn.found;
            while let Some(due) = world.plan.deadline().filter(|&due| on_time && due <= next) {
                world.now = due.max(world.now);
                world.feed(Event::Tick);
            }
            world.now = next;
            world.happen(turn.what);
        }
        world
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Signal(signal) => self.feed(Event::Signal(signal, Origin::Process)),
            What::MainEnds if self.main_lives => self.feed(Event::MainEnded),
            What::StepEnds => {
                if let Some(step) = self.step.take() {
                    self.feed(Event::StepEnded(step));
                }
            }
            What::NoneIsLeft => {
                let step = self.step.take();
                self.feed(Event::NoneLeft);
                if let Some(step) = step {
                    self.feed(Event::StepEnded(step));
                }
            }
            What::ChildEnds => self.feed(Event::ChildEnded),
            What::Held => self.feed(Event::Held),
            What::Tick => self.feed(Event::Tick),
            What::MainEnds => {}
        }
    }

    fn feed(&mut self, event: Event) {
        self.main_lives &= !matches!(event, Event::MainEnded | Event::NoneLeft);
        for action in self.plan.handle(self.now, event) {
            self.history.push((self.now, action));
            match action {
                Action::Look { judges } => self.feed(Event::Looked(judges.then_some(self.found))),
                Action::StartStep { step, .. } => {
                    let is_process = !matches!(self.plan.step(step), Some(Step::Sleep(_)));
                    self.step = is_process.then_some(step);
                }
                Action::BeginStop { .. }
                | Action::Forward { .. }
                | Action::Signal { .. }
                | Action::SignalOthers
                | Action::LastCall { .. }
                | Action::SayWaiting { .. }
                | Action::Observe
                | Action::EndStep { .. }
                | Action::SignalLeftovers
                | Action::KillStep
                | Action::Kill(_)
                | Action::Leave(_) => {}
            }
        }
    }

    /// No process ends: only the time goes on, until nothing but looks is left to do.
    fn let_time_pass(&mut self) {
        for _ in 0..1_000 {
            let Some(deadline) = self.plan.deadline() else { return };
            self.now = deadline.max(self.now);
            self.feed(Event::Tick);
        }
        assert!(matches!(self.plan.phase, Phase::Stopping(_)), "it never comes to rest: {:?}", self.plan);
    }

    fn actions(&self) -> impl Iterator<Item = Action> {
        self.history.iter().map(|&(_, action)| action)
    }

    fn leaves(&self) -> usize {
        self.actions().filter(|action| matches!(action, Action::Leave(_))).count()
    }

    fn first_kill(&self) -> Option<usize> {
        self.actions().position(|action| matches!(action, Action::Kill(_)))
    }
}

/// The signal of an action that begins a stage.
fn signals_with(action: Action) -> Option<Signal> {
    if let Action::Signal { signal, .. } = action { Some(signal.rewritten) } else { None }
}

proptest! {
    #[test]
    fn an_idle_plan_has_no_deadline(policy in policies(), signal in signals()) {
        let mut plan = Plan::new(&policy);
        prop_assert_eq!(plan.deadline(), policy.stop_after);
        if !policy.stop_signals.contains(signal) {
            let _ = plan.handle(Duration::ZERO, Event::Signal(signal, Origin::Process));
            prop_assert_eq!(plan.deadline(), policy.stop_after);
        }
    }

    #[test]
    fn without_a_deadline_no_time_has_come(policy in policies(), story in stories(), on_time in any::<bool>()) {
        let mut plan = PlanRun::play(&policy, &story, on_time).plan;
        let before = format!("{plan:?}");
        if plan.deadline().is_none() {
            prop_assert_eq!(plan.handle(Duration::MAX, Event::Tick), Actions::none());
            prop_assert_eq!(format!("{plan:?}"), before);
        }
    }

    #[test]
    fn it_leaves_once_and_does_nothing_afterwards(policy in policies(), story in stories(), on_time in any::<bool>()) {
        let mut world = PlanRun::play(&policy, &story, on_time);
        prop_assert!(world.leaves() <= 1);
        if world.leaves() == 1 {
            prop_assert!(matches!(world.actions().last(), Some(Action::Leave(_))));
            prop_assert_eq!(world.plan.deadline(), None);
            for event in [Event::Tick, Event::NoneLeft, Event::Signal(Signal::TERM, Origin::Process)] {
                prop_assert_eq!(world.plan.handle(world.now, event), Actions::none());
            }
        }
    }

    #[test]
    fn when_no_process_is_left_it_leaves_at_once_or_after_the_last_step(policy in policies(), story in stories()) {
        let mut world = PlanRun::play(&policy, &story, false);
        world.happen(What::NoneIsLeft);
        prop_assert!(!policy.post_exit.is_empty() || world.leaves() == 1);
        for _ in 0..policy.post_exit.len() {
            world.happen(What::NoneIsLeft);
            while let (None, Some(due)) = (world.step, world.plan.deadline()) {
                world.now = due.max(world.now);
                world.feed(Event::Tick);
            }
        }
        world.happen(What::NoneIsLeft);
        prop_assert_eq!(world.leaves(), 1);
    }

    #[test]
    fn the_end_comes_within_grace_and_two_seconds_whatever_is_reported(
        policy in policies(), story in stories(), found in findings(),
    ) {
        let mut world = PlanRun::play(&policy, &story, true);
        world.found = found;
        world.let_time_pass();
        // A limit of thousands of years would take too many looks.
        if let Some(grace_ends) = world.plan.grace_ends.filter(|&ends| ends < Duration::from_secs(200)) {
            prop_assert_eq!(world.leaves(), 1);
            let left = world.history.last().map(|&(at, _)| at);
            prop_assert!(left <= Some(grace_ends.saturating_add(KILL_PATIENCE)));
        }
    }

    #[test]
    fn nothing_is_signalled_or_forwarded_after_kill(
        policy in policies(), story in stories(), on_time in any::<bool>(),
    ) {
        let mut world = PlanRun::play(&policy, &story, on_time);
        world.let_time_pass();
        if let Some(first) = world.first_kill() {
            let later = world.actions().skip(first);
            for action in later {
                let is_late = matches!(action, Action::Forward { .. } | Action::Look { .. });
                prop_assert!(signals_with(action).is_none() && !is_late, "{:?}", action);
            }
        }
    }

    #[test]
    fn kill_comes_after_a_signal_and_if_that_is_ignored_after_term(policy in policies(), story in stories()) {
        let mut world = PlanRun::play(&policy, &story, true);
        world.found = Outlook::Futile;
        world.let_time_pass();
        let Some(first) = world.first_kill() else { return Ok(()) };
        let signalled: Vec<_> = world.actions().take(first).filter_map(signals_with).collect();
        match world.actions().nth(first) {
            Some(Action::Kill(KillReason::Ignored(_))) => prop_assert!(signalled.contains(&Signal::TERM)),
            _ => {
                let dropped = Signal::all().any(|signal| policy.rewrites.apply(signal).to.is_none());
                let at_the_end = world.actions().any(|action| matches!(
                    action,
                    Action::StartStep { step: StepId { when: When::PostExit, .. }, .. }
                ));
                let never = policy.grace_period == Some(Duration::ZERO) || dropped || at_the_end;
                prop_assert!(never || !signalled.is_empty());
            }
        }
    }

    #[test]
    fn each_step_is_started_once_and_those_before_a_stop_before_it(
        policy in policies(), story in stories(), on_time in any::<bool>(),
    ) {
        let mut world = PlanRun::play(&policy, &story, on_time);
        world.let_time_pass();
        let started = |when| {
            let starts = |action| if let Action::StartStep { step, .. } = action { Some(step) } else { None };
            let steps = world.actions().filter_map(starts).filter(move |step| step.when == when);
            steps.map(|step| step.at).collect::<Vec<_>>()
        };
        for when in [When::PreStop, When::PostExit] {
            prop_assert!(started(when).windows(2).all(|pair| pair.first() < pair.last()));
        }
        let is_pre_stop = |action: Action| {
            matches!(action, Action::StartStep { step: StepId { when: When::PreStop, .. }, .. })
        };
        let signalled = world.actions().position(|action| signals_with(action).is_some());
        let last_step = world.actions().collect::<Vec<_>>().into_iter().rposition(is_pre_stop);
        if let (Some(signalled), Some(last_step)) = (signalled, last_step) {
            prop_assert!(last_step < signalled);
        }
    }

    #[test]
    fn no_pre_stop_step_is_started_if_main_has_ended_by_itself(policy in policies(), rest in stories()) {
        let policy = StopPolicy { wait_for_all: false, stop_after: None, ..policy };
        let main_ends = Turn { pause: 0, what: What::MainEnds, found: Outlook::KeepWaiting };
        let world = PlanRun::play(&policy, &[&[main_ends], rest.as_slice()].concat(), true);
        for action in world.actions() {
            let starts = matches!(action, Action::StartStep { step: StepId { when: When::PreStop, .. }, .. });
            prop_assert!(!starts, "{:?}", action);
        }
    }

    #[test]
    fn the_target_is_signalled_once_in_each_stage_and_the_rest_twice_at_most(
        policy in policies(), story in stories(), on_time in any::<bool>(), found in findings(),
    ) {
        let mut world = PlanRun::play(&policy, &story, on_time);
        world.found = found;
        world.let_time_pass();
        // The scheduled ones or the stop signal, and the TERM that comes before KILL.
        let stages = 1 + policy.schedule.as_ref().map_or(1, |schedule| (0..).take_while(|&at| schedule.stage(at).is_some()).count());
        let signalled = world.actions().filter(|action| matches!(action, Action::Signal { .. })).count();
        let rest = world.actions().filter(|action| matches!(action, Action::SignalOthers)).count();
        prop_assert!(signalled <= stages, "{signalled} > {stages}");
        prop_assert!(rest <= stages, "{rest} > {stages}");
    }

    #[test]
    fn kill_is_never_sent_before_the_limit(policy in plain_policies(), story in stories()) {
        let helps: Vec<_> = story.into_iter().map(|turn| Turn { found: Outlook::KeepWaiting, ..turn }).collect();
        let world = PlanRun::play(&policy, &helps, false);
        let killed = world.history.iter().find(|(_, action)| matches!(action, Action::Kill(_)));
        if let (Some((signalled, _)), Some((killed, _))) = (world.history.iter().find(|(_, action)| signals_with(*action).is_some()), killed) {
            let patience = policy.grace_period.unwrap_or(OWN_EXIT_LIMIT);
            prop_assert!(*killed >= signalled.saturating_add(patience));
        }
    }

    #[test]
    fn main_is_out_of_reach_once_it_is_reaped(policy in policies(), story in stories()) {
        let mut world = PlanRun::new(&policy);
        for turn in story {
            let seen = world.history.len();
            world.now += Duration::from_millis(turn.pause);
            world.found = turn.found;
            world.happen(turn.what);
            for (_, action) in world.history.iter().skip(seen) {
                if let Action::Forward { to, .. } = action {
                    let is_main = matches!(to, Recipients::Main | Recipients::Group | Recipients::MainOrGroup);
                    prop_assert!(world.main_lives || !is_main, "{:?}", action);
                }
            }
        }
    }

    #[test]
    fn every_signal_is_forwarded_or_dropped_for_a_reason(policy in policies(), story in stories(), signal in signals()) {
        let PlanRun { mut plan, now, .. } = PlanRun::play(&policy, &story, false);
        let phase = plan.phase;
        let actions: Vec<_> = plan.handle(now, Event::Signal(signal, Origin::Process)).into_iter().collect();
        let is_request = policy.stop_signals.contains(signal);
        match phase {
            Phase::Over | Phase::Killing(_) | Phase::PostExit(_) => prop_assert_eq!(actions, vec![]),
            Phase::Draining(_) if is_request => prop_assert_eq!(actions, vec![]),
            Phase::Stopping(stop) if is_request && now - stop.signalled_at < DUPLICATE_WINDOW => {
                prop_assert_eq!(actions, vec![]);
            }
            Phase::Running if is_request => {
                let drains = matches!(plan.phase, Phase::Draining(_));
                let dropped = policy.rewrites.apply(signal).to.is_none();
                prop_assert!(drains || dropped || actions.len() == 2);
            }
            Phase::Running | Phase::Draining(_) | Phase::Stopping(_) => {
                let passed_on = usize::from(policy.rewrites.apply(signal).to.is_some());
                prop_assert_eq!(actions.len(), passed_on);
            }
        }
    }

    #[test]
    fn a_tick_that_is_not_due_changes_nothing(policy in policies(), story in stories()) {
        let PlanRun { mut plan, now, .. } = PlanRun::play(&policy, &story, false);
        if plan.deadline().is_none_or(|deadline| deadline > now) {
            let before = plan.phase;
            prop_assert_eq!(plan.handle(now, Event::Tick), Actions::none());
            prop_assert_eq!(plan.phase, before);
        }
    }
}
