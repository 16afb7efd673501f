//! What must hold whatever happens: random policies, random events, random times.

use proptest::prelude::*;

use super::*;
use crate::settings::Rewrites;
use crate::signal::SignalSet;

/// What was done, when.
type History = Vec<(Duration, Action)>;

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        4 => Just(Signal::TERM),
        2 => Just(Signal::INT),
        1 => Just(Signal::HUP),
        1 => (1..=64).prop_filter_map("received", Signal::new).prop_filter("forwarded", |s| s.can_be_forwarded()),
    ]
}

fn policies() -> impl Strategy<Value = StopPolicy> {
    let target = prop_oneof![Just(Target::Group), Just(Target::Main), Just(Target::All)];
    let grace = prop_oneof![Just(None), Just(Some(0)), (1..20_000_u64).prop_map(Some), Just(Some(u64::MAX))];
    let rewrite = (signals(), prop::option::of(signals()));
    (target, grace, any::<bool>(), prop::option::of(rewrite), signals()).prop_map(
        |(forward_to, grace, wait_for_all, rewrite, own_signal)| {
            let mut rewrites = Rewrites::default();
            if let Some((from, to)) = rewrite {
                rewrites.set(from, to);
            }
            StopPolicy {
                stop_signals: SignalSet::default().with(own_signal),
                own_signal,
                rewrites,
                forward_to,
                grace_period: grace.map(Duration::from_millis),
                wait_for_all,
            }
        },
    )
}

/// Events as they come, with the milliseconds before each. Ticks come at random times too: a late or an early one is legal.
fn stories() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let event = prop_oneof![
        4 => signals().prop_map(Event::Signal),
        2 => Just(Event::MainEnded),
        1 => Just(Event::NobodyLeft),
        3 => Just(Event::Tick),
    ];
    prop::collection::vec((0..4_000_u64, event), 0..40)
}

/// A world that cannot do what real ones cannot: main ends once, and nothing happens after the last one has left.
fn play(policy: &StopPolicy, story: &[(u64, Event)]) -> (Plan, History, Duration) {
    play_with(policy, story, false)
}

/// The same, `on_time` with the ticks that the loop delivers: each at its deadline.
fn play_with(policy: &StopPolicy, story: &[(u64, Event)], on_time: bool) -> (Plan, History, Duration) {
    let mut plan = Plan::new(policy.clone());
    let mut history = History::new();
    let (mut now, mut main_lives, mut over) = (Duration::ZERO, true, false);
    for &(pause, event) in story {
        let next = now + Duration::from_millis(pause);
        while let Some(due) = plan.deadline().filter(|&due| on_time && due <= next) {
            now = due.max(now);
            history.extend(plan.handle(now, Event::Tick).into_iter().map(|action| (now, action)));
        }
        now = next;
        if over || (event == Event::MainEnded && !main_lives) {
            continue;
        }
        main_lives &= event != Event::MainEnded;
        over = event == Event::NobodyLeft;
        history.extend(plan.handle(now, event).into_iter().map(|action| (now, action)));
    }
    (plan, history, now)
}

/// Nobody listens, nothing dies: only the clock goes on.
fn let_time_pass(plan: &mut Plan, now: &mut Duration, history: &mut History) {
    for _ in 0..1_000 {
        let Some(deadline) = plan.deadline() else { return };
        *now = deadline.max(*now);
        history.extend(plan.handle(*now, Event::Tick).into_iter().map(|action| (*now, action)));
    }
    panic!("the plan never comes to rest: {plan:?}");
}

fn is_asking(action: &Action) -> bool {
    matches!(action, Action::Ask { .. } | Action::AskTheRest { .. })
}

fn leaves(history: &History) -> usize {
    history.iter().filter(|(_, action)| matches!(action, Action::Leave(_))).count()
}

proptest! {
    #[test]
    fn an_idle_plan_has_no_deadline(policy in policies(), signal in signals()) {
        let mut plan = Plan::new(policy.clone());
        prop_assert_eq!(plan.deadline(), None);
        if !policy.stop_signals.contains(signal) {
            let _ = plan.handle(Duration::from_secs(1), Event::Signal(signal));
            prop_assert_eq!(plan.deadline(), None);
        }
    }

    #[test]
    fn it_leaves_once_and_does_nothing_afterwards(policy in policies(), story in stories()) {
        let (mut plan, history, now) = play(&policy, &story);
        prop_assert!(leaves(&history) <= 1);
        if leaves(&history) == 1 {
            prop_assert!(matches!(history.last(), Some((_, Action::Leave(_)))));
            prop_assert_eq!(plan.deadline(), None);
            for event in [Event::Tick, Event::NobodyLeft, Event::Signal(Signal::TERM)] {
                prop_assert_eq!(plan.handle(now, event), Actions::none());
            }
        }
    }

    #[test]
    fn it_leaves_at_once_when_nobody_is_left(policy in policies(), story in stories()) {
        let (mut plan, history, now) = play(&policy, &story);
        let farewell: Vec<_> = plan.handle(now, Event::NobodyLeft).into_iter().collect();
        let expected = if leaves(&history) == 0 { vec![Action::Leave(Farewell::NobodyLeft)] } else { vec![] };
        prop_assert_eq!(farewell, expected);
    }

    #[test]
    fn a_grace_period_ends_in_kill_and_the_end_whatever_is_reported(policy in policies(), story in stories()) {
        let (mut plan, mut history, mut now) = play_with(&policy, &story, true);
        let begun = history.iter().any(|(_, action)| is_asking(action) || *action == Action::Kill);
        let_time_pass(&mut plan, &mut now, &mut history);
        if begun && policy.grace_period.is_some() {
            prop_assert_eq!(leaves(&history), 1);
        }
        let killed = history.iter().find(|(_, action)| *action == Action::Kill).map(|&(at, _)| at);
        if let (Some(killed), Some(&(left, Action::Leave(farewell)))) = (killed, history.last()) {
            prop_assert!(left <= killed.saturating_add(KILL_PATIENCE));
            if farewell == Farewell::SomeCannotBeKilled {
                prop_assert_eq!(left, killed.saturating_add(KILL_PATIENCE));
            }
        }
    }

    #[test]
    fn with_ticks_on_time_the_end_comes_within_grace_and_two_seconds(policy in policies()) {
        let mut plan = Plan::new(policy.clone());
        let (mut now, mut history) = (Duration::from_secs(7), History::new());
        history.extend(plan.handle(now, Event::Signal(policy.own_signal)).into_iter().map(|action| (now, action)));
        let_time_pass(&mut plan, &mut now, &mut history);
        match policy.grace_period {
            Some(grace) => {
                prop_assert_eq!(now, Duration::from_secs(7).saturating_add(grace).saturating_add(KILL_PATIENCE));
                prop_assert_eq!(leaves(&history), 1);
            }
            None => prop_assert!(history.iter().all(|(_, action)| is_asking(action))),
        }
    }

    #[test]
    fn everybody_is_asked_at_most_once(policy in policies(), story in stories()) {
        let (_, history, _) = play(&policy, &story);
        let (rest, target): (History, History) = history
            .into_iter()
            .filter(|(_, action)| is_asking(action))
            .partition(|(_, action)| matches!(action, Action::AskTheRest { .. }));
        prop_assert!(rest.len() <= 1 && target.len() <= 1);
    }

    #[test]
    fn kill_is_never_sent_before_the_limit(policy in policies(), story in stories()) {
        let (_, history, _) = play(&policy, &story);
        let asked = history.iter().find(|(_, action)| is_asking(action));
        let killed = history.iter().find(|(_, action)| *action == Action::Kill);
        if let (Some((asked, _)), Some((killed, _))) = (asked, killed) {
            let patience = policy.grace_period.unwrap_or(OWN_EXIT_LIMIT);
            prop_assert!(*killed >= asked.saturating_add(patience));
        }
        if let (None, Some(_)) = (asked, killed) {
            let dropped = policy.rewrites.apply(policy.own_signal).is_none();
            prop_assert!(policy.grace_period == Some(Duration::ZERO) || dropped);
        }
    }

    #[test]
    fn main_is_out_of_reach_once_it_is_reaped(policy in policies(), story in stories()) {
        let mut plan = Plan::new(policy);
        let mut main_lives = true;
        for (at, &(_, event)) in story.iter().enumerate() {
            main_lives &= !matches!(event, Event::MainEnded | Event::NobodyLeft);
            for action in plan.handle(Duration::from_secs(at as u64), event) {
                if let Action::Forward { target, .. } | Action::Ask { target, .. } = action {
                    prop_assert!(main_lives || target == Target::All, "{:?}", action);
                }
            }
        }
    }

    #[test]
    fn every_signal_is_passed_on_or_was_dropped_for_a_reason(policy in policies(), story in stories(), signal in signals()) {
        let (mut plan, _, now) = play(&policy, &story);
        let phase = plan.phase;
        let actions: Vec<_> = plan.handle(now, Event::Signal(signal)).into_iter().collect();
        let is_request = policy.stop_signals.contains(signal);
        match phase {
            Phase::Over | Phase::Killing { .. } => prop_assert_eq!(actions, vec![]),
            Phase::Running | Phase::Stopping(_) if policy.rewrites.apply(signal).is_none() => {
                prop_assert!(actions.iter().all(|action| *action == Action::Kill));
            }
            Phase::Stopping(stop) if is_request && now - stop.asked_at < DUPLICATE_WINDOW => {
                prop_assert_eq!(actions, vec![]);
            }
            Phase::Running | Phase::Stopping(_) => prop_assert_eq!(actions.len(), 1),
        }
    }

    #[test]
    fn a_tick_that_is_not_due_changes_nothing(policy in policies(), story in stories()) {
        let (mut plan, _, now) = play(&policy, &story);
        if plan.deadline().is_none_or(|deadline| deadline > now) {
            let before = plan.phase;
            prop_assert_eq!(plan.handle(now, Event::Tick), Actions::none());
            prop_assert_eq!(plan.phase, before);
        }
    }
}
