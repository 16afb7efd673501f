//! What the stopper sends, to whom. What it decides over a whole stop is tried in [`simulation`](super::super::simulation).

use std::io;

use super::*;
use crate::say::heard::lines_of;
use crate::supervisor::publish::Output;
use crate::supervisor::simulation::{Life, Reaction, quiet};

#[test]
fn a_child_is_signalled_by_its_pid_and_any_other_process_only_if_it_is_still_the_same() {
    let (sim, main) =
        quiet(Life { children: vec![Life::new(Reaction::Ignores)], ..Life::new(Reaction::Ignores) });
    let [main, below] = [main, main + 1].map(|pid| sim.process(pid).expect("it is there"));
    assert_eq!([&main, &below].map(|process| send::one(&sim, process, Signal::TERM)), [Delivery::Sent; 2]);
    let _ = sim.take_sent();
    let other = Process { start: below.start + 1, ..below };
    assert_eq!((send::one(&sim, &other, Signal::TERM), sim.take_sent()), (Delivery::Gone, Vec::new()));
}

#[test]
fn a_signal_that_is_refused_is_told_from_one_that_fails_for_now() {
    for (errno, delivery) in [(1, Delivery::Refused), (3, Delivery::Gone), (11, Delivery::Failed)] {
        assert_eq!(send::to_delivery(&io::Error::from_raw_os_error(errno)), delivery, "errno {errno}");
    }
}

#[test]
fn without_a_look_the_target_is_main_or_its_group_and_of_orphans_nothing_is_known() {
    for (target, reached, sent) in [
        (Target::Main, send::Reached::Main, &["TERM to 101"][..]),
        (Target::Group, send::Reached::Group(101), &["TERM to group 101"]),
        (Target::Auto, send::Reached::Group(101), &["TERM to group 101"]),
        (Target::All, send::Reached::Group(101), &["TERM to group 101", "CONT to group 101"]),
    ] {
        let (sim, main) = quiet(Life::new(Reaction::Ignores));
        assert_eq!(send::without_table(&sim, Signal::TERM, target, Main::Alive(main)), reached, "{target:?}");
        assert_eq!(sim.take_sent(), sent);
        let gone = Main::Gone(Ended::Exited(0));
        assert_eq!(
            send::without_table(&sim, Signal::TERM, target, gone),
            send::Reached::Nothing,
            "{target:?}"
        );
        assert_eq!(sim.take_sent(), [""; 0], "its group's number may be another's");
    }
}

#[test]
fn a_signal_is_forwarded_to_main_if_it_handles_it_and_else_to_its_group() {
    for (reaction, to, expected) in [
        (Reaction::Stays, Recipients::MainOrGroup, "TERM to 101"),
        (Reaction::Dies, Recipients::MainOrGroup, "TERM to group 101"),
        (Reaction::Ignores, Recipients::MainOrGroup, "TERM to group 101"),
        (Reaction::Dies, Recipients::Main, "TERM to 101"),
        (Reaction::Stays, Recipients::Group, "TERM to group 101"),
    ] {
        let (sim, main) = quiet(Life::new(reaction));
        let mut stopper = Stopper::new(sim.clone(), None);
        let mut recorder = Recorder::new(sim.clone(), Output::kept(), "p".to_owned(), main, None);
        stopper.forward(Signal::TERM, to, Main::Alive(main), &mut recorder);
        assert_eq!(sim.take_sent(), [expected], "{reaction:?} {to:?}");
        assert!(stopper.has_forwarded(Signal::TERM) && !stopper.has_forwarded(Signal::INT));
    }
}

#[test]
fn main_s_orphans_get_a_forwarded_signal_each_or_with_their_groups() {
    let member = || Life::new(Reaction::Dies);
    let orphan = |reaction| Life { leads_group: true, children: vec![member()], ..Life::new(reaction) };
    for (to, expected) in [
        (Recipients::Adopted, &["TERM to 102", "TERM to 104"][..]),
        (Recipients::AdoptedOrGroups, &["TERM to 102", "TERM to 104", "TERM to 105"]),
    ] {
        let children = vec![orphan(Reaction::Stays), orphan(Reaction::Dies)];
        let (sim, main) = quiet(Life { children, ..Life::new(Reaction::Dies) });
        sim.end(main);
        let mut stopper = Stopper::new(sim.clone(), None);
        let mut recorder = Recorder::new(sim.clone(), Output::kept(), "p".to_owned(), main, None);
        stopper.forward(Signal::TERM, to, Main::Gone(Ended::Exited(0)), &mut recorder);
        assert_eq!(sim.take_sent(), expected, "{to:?}");
    }
}

#[test]
fn a_refusal_is_logged_once_for_each_process_and_the_signal_was_not_sent() {
    let (sim, main) = quiet(Life { refuses: true, ..Life::new(Reaction::Stays) });
    let mut stopper = Stopper::new(sim.clone(), None);
    let mut recorder = Recorder::new(sim, Output::kept(), "p".to_owned(), main, None);
    let lines = lines_of(|| {
        for _ in 0..2 {
            stopper.forward(Signal::TERM, Recipients::Main, Main::Alive(main), &mut recorder);
        }
    });
    let warnings: Vec<&String> = lines.iter().filter(|line| line.starts_with("WARN: ")).collect();
    assert!(
        warnings.len() == 1 && warnings.iter().all(|line| line.contains("TERM to p1.0 (101) was refused")),
        "{lines:?}"
    );
    assert!(recorder.record().sent.last.is_empty());
}
