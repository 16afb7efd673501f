//! The time line of a stop: one bar per step and per process.
//!
//! ```text
//! server: the stop began at 5.0s and took 2.3s
//!                0              1s              2s
//!                +--------------+---------------+----
//! pre-stop steps
//!  command drain ====|                                done in 300ms
//! processes
//!  server (7)    ----TERM===========|                 exited 0 at 1.2s
//! ```

use std::cmp::Reverse;
use std::time::Duration;

use super::page::{Line, Style};
use super::row::Row;
use super::scale::Scale;
use crate::plan::{StopReason, When};
use crate::report::format;
use crate::report::record::Record;
use crate::report::repeats::Repeats;
use crate::signal::Signal;

/// How many processes have a bar.
const PROCESS_ROWS: usize = 40;
/// The widest drawing that is easy to read.
const WIDEST: usize = 160;
/// A narrower terminal gets a drawing of this width, and cuts it.
const NARROWEST: usize = 40;

const LEGEND: [&str; 5] = ["[-] before", "[=] signalled", "[#] after KILL", "[|] end", "[>] still there"];
/// The gap between two entries of the legend.
const APART: &str = "   ";

/// What to draw on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// In characters; anything beyond the readable width is not used.
    pub width: usize,
    /// Whether the terminal supports colours.
    pub colour: bool,
}

/// Rows that belong together.
struct Section {
    heading: String,
    rows: Vec<Row>,
    /// A line about processes without a row.
    note: Option<String>,
}

/// Draws what happened from the stop on, or from main's own end if there was no stop. Every line ends in a newline.
#[must_use]
pub(super) fn draw(record: &Record, canvas: Canvas) -> String {
    let Canvas { width, colour } = canvas;
    let width = width.min(WIDEST);
    let origin = origin(record);
    let (processes, note) = processes(record, origin);
    let sections = [
        steps(record, When::PreStop),
        Section { heading: "processes".to_owned(), rows: processes, note },
        steps(record, When::PostExit),
    ];

    let (mut label, mut outcome, mut end) = (0, 0, record.end());
    for row in sections.iter().flat_map(|section| &section.rows) {
        label = label.max(row.label_width());
        outcome = outcome.max(row.outcome.len());
        end = row.ended.map_or(end, |ended| ended.max(end));
    }
    let shape = width.max(NARROWEST);
    let (label, outcome) = (label.min(shape * 3 / 10), outcome.min(shape / 2));
    let scale = Scale::new(origin, end, shape.saturating_sub(label + outcome + 2));

    let mut text = String::new();
    let mut write = |line: &Line| line.write(&mut text, width, colour);
    let title = title(record);
    for line in filled(title.split(' ').map(str::to_owned), " ", shape) {
        write(&Line::of(&line, Style::Heading));
    }
    if sections.iter().all(|section| section.rows.is_empty()) {
        return text;
    }
    let (times, marks) = scale.lines();
    for ruler in [times, marks] {
        let mut line = Line::blank(label + 1);
        line.push(&ruler, Style::Faint);
        write(&line);
    }
    for Section { heading, rows, note } in &sections {
        if !rows.is_empty() {
            write(&Line::of(heading, Style::Heading));
        }
        for row in rows {
            write(&row.line(label, scale, record.end()));
        }
        if let Some(note) = note {
            write(&Line::of(note, Style::Plain));
        }
    }
    let rows = sections.iter().flat_map(|section| &section.rows);
    for line in legend(rows.flat_map(|row| row.abbreviated(scale, record.end())), shape) {
        write(&Line::of(&line, Style::Faint));
    }
    text
}

/// The legend: what the marks mean, and which letters are which signals, in lines of this width.
fn legend(abbreviated: impl Iterator<Item = Signal>, width: usize) -> Vec<String> {
    let mut signals: Vec<Signal> = Vec::new();
    for signal in abbreviated {
        if !signals.contains(&signal) {
            signals.push(signal);
        }
    }
    let letters = signals.iter().map(ToString::to_string).map(|name| {
        let letter = name.get(..1).unwrap_or_default();
        format!("[{letter}] {name}")
    });
    filled(LEGEND.into_iter().map(str::to_owned).chain(letters), APART, width)
}

/// Packs as many of these into a line as there is room for.
fn filled(entries: impl Iterator<Item = String>, apart: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for entry in entries {
        match lines.last_mut().filter(|line| line.len() + apart.len() + entry.len() <= width) {
            Some(line) => line.extend([apart, &entry]),
            None => lines.push(entry),
        }
    }
    lines
}

fn origin(record: &Record) -> Duration {
    let main_ended = || record.main_ended.map(|end| end.at);
    record.stop.map(|stop| stop.at).or_else(main_ended).unwrap_or(record.end())
}

fn title(record: &Record) -> String {
    let command = format::command(record);
    let after = format::duration(origin(record));
    let Some(stop) = record.stop else { return format!("{command}: ended by itself after {after}; no stop") };
    let why = match stop.reason {
        StopReason::Elapsed => String::new(),
        StopReason::Signal => format!(" with {}", format::received(stop)),
        StopReason::OwnExit => " with its own exit".to_owned(),
    };
    let took = format::duration(record.stop_took().unwrap_or_default());
    format!("{command}: the stop began at {after}{why} and took {took}")
}

fn steps(record: &Record, when: When) -> Section {
    let rows = record.steps_of(when).map(|step| Row::of_step(record, step)).collect();
    Section { heading: format!("{} steps", format::when(when)), rows, note: None }
}

/// Main, then the slowest processes; and how many more there are.
fn processes(record: &Record, origin: Duration) -> (Vec<Row>, Option<String>) {
    let all = Repeats::of(&record.processes);
    let mut rows: Vec<Row> = all.iter().map(|one| Row::of_repeats(record, one, origin)).collect();
    rows.sort_by_key(|row| (!row.is_main, Reverse(row.ended.unwrap_or(Duration::MAX))));
    let main_ended = record.main_ended.filter(|end| record.stop.is_some_and(|stop| stop.at <= end.at));
    if let (false, Some(end)) = (rows.first().is_some_and(|row| row.is_main), main_ended) {
        rows.insert(0, Row::of_main(record, end, origin));
    }

    let rest = rows.split_off(rows.len().min(PROCESS_ROWS));
    let unnoted = record.more_processes;
    let last = rest.iter().map(|row| row.ended).try_fold(Duration::ZERO, |last, end| Some(last.max(end?)));
    let note = match (rest.iter().map(|row| row.count).sum::<usize>(), last, unnoted) {
        (0, _, 0) => None,
        (0, _, _) => Some(format!(" and {unnoted} more that were not followed")),
        (count, Some(last), 0) => {
            let within = format::duration(last.saturating_sub(origin));
            Some(format!(" and {count} more that ended within {within}"))
        }
        (count, _, _) => Some(format!(" and {} more", unnoted.saturating_add(count as u64))),
    };
    (rows, note)
}

#[cfg(test)]
mod tests {
    use super::super::properties;
    use super::*;
    use crate::outcome::Ended;
    use crate::report::fixtures::*;
    use crate::report::record::*;
    use crate::signal::Signal;

    fn plain(record: &Record) -> String {
        draw(record, Canvas { width: 80, colour: false })
    }

    #[track_caller]
    fn is_drawn(drawn: &str, golden: &str) {
        assert!(drawn == golden, "drawn:\n{drawn}\nbut should be:\n{golden}");
    }

    #[test]
    fn a_stop_that_went_well() {
        is_drawn(
            &plain(&well()),
            r"server: the stop began at 5.0s and took 1.9s
                0         500ms     1s        1.5s
                +---------+---------+---------+----------+
pre-stop steps
 sleep          ====|                                      done in 200ms
processes
 server (7)     ----TERM==============HUP=============|    exited with 0 at 1.9s
 worker (13)        TERM============|                      exited with 0 at 1.0s
 worker (12)    ----T                                      gone at 220ms
post-exit steps
 command upload                                       ===| done in 100ms
[-] before   [=] signalled   [#] after KILL   [|] end   [>] still there
[T] TERM
",
        );
    }

    #[test]
    fn a_stop_that_did_not() {
        is_drawn(
            &plain(&ignoring_shell()),
            r"/entrypoint.sh: the stop began at 5.0s with TERM from outside the container and
took 4.6s
                         0           2s          4s
                         +-----------+-----------+----
pre-stop steps
 command notify.sh       =|                            exited with 1 after 200ms
processes
 entrypoint.sh (7)        TERM==========K              killed at 2.5s
 \x1b[2J\n (9)            TERM==========KILL#########> left behind
 quite-a-long~ (1234567)  T                            died of TERM at 210ms
[-] before   [=] signalled   [#] after KILL   [|] end   [>] still there
[K] KILL   [T] TERM
",
        );
    }

    #[test]
    fn colours_on_a_terminal() {
        let drawn = draw(&ignoring_shell(), Canvas { width: 80, colour: true });
        is_drawn(
            &drawn.replace('\x1b', "^"),
            r"^[1m/entrypoint.sh: the stop began at 5.0s with TERM from outside the container and^[0m
^[1mtook 4.6s^[0m
                         ^[90m0           2s          4s^[0m
                         ^[90m+-----------+-----------+----^[0m
^[1mpre-stop steps^[0m
 command notify.sh       ^[33;43m=^[0m^[90m|^[0m                            ^[31mexited with 1 after 200ms^[0m
^[1mprocesses^[0m
 entrypoint.sh (7)        ^[30;47mTERM^[0m^[33;43m==========^[0m^[97;41mK^[0m              ^[31mkilled at 2.5s^[0m
 \x1b[2J\n (9)            ^[30;47mTERM^[0m^[33;43m==========^[0m^[97;41mKILL^[0m^[31;41m#########^[0m^[90m>^[0m ^[31mleft behind^[0m
 quite-a-long~ (1234567)  ^[30;47mT^[0m                            died of TERM at 210ms
^[90m[-] before   [=] signalled   [#] after KILL   [|] end   [>] still there^[0m
^[90m[K] KILL   [T] TERM^[0m
",
        );
    }

    #[test]
    fn a_canvas_is_used_up_to_160_columns() {
        let widest = |width, colour| {
            let drawn = draw(&well(), Canvas { width, colour });
            properties::plain(&drawn).lines().map(str::len).max()
        };
        assert!(widest(80, false) <= Some(80));
        assert_eq!(widest(1_000, false), widest(1_000, true));
        assert!(widest(1_000, true) > Some(150));
        assert!(widest(120, true) <= Some(120));
        assert_eq!(widest(10, true), Some(10));
    }

    #[test]
    fn title_outcomes_and_legend_are_whole_at_50_columns() {
        let drawn = draw(&ignoring_shell(), Canvas { width: 50, colour: false });
        assert!(
            drawn.starts_with(
                "/entrypoint.sh: the stop began at 5.0s with TERM\nfrom outside the container and took 4.6s\n"
            ),
            "{drawn}"
        );
        assert!(
            drawn.contains("exited with 1 after 200ms\n") && drawn.contains("died of TERM at 210ms\n"),
            "{drawn}"
        );
        let legend: Vec<&str> = drawn.lines().skip_while(|line| !line.starts_with("[-]")).collect();
        assert_eq!(
            legend,
            [
                "[-] before   [=] signalled   [#] after KILL",
                "[|] end   [>] still there   [T] TERM   [K] KILL"
            ],
            "{drawn}"
        );
    }

    #[test]
    fn what_a_loop_starts_has_one_bar() {
        let mut record = well();
        record.processes.truncate(1);
        let sleeps = (0..12).map(|at| ProcessRecord {
            parent: MAIN,
            first_seen: ms(5_200 + at * 100),
            signalled: (at == 0).then(|| timed(5_200, Signal::TERM)),
            ..one(20 + at as i32, "sleep", 5_300 + at * 100)
        });
        record.processes.extend(sleeps);
        let drawn = plain(&record);
        let rows: Vec<&str> = drawn.lines().filter(|line| line.contains("sleep,")).collect();
        assert!(matches!(rows.as_slice(), [row] if row.starts_with(" sleep, 12 times")), "{drawn}");
        assert!(drawn.contains("TERM=") && drawn.contains("exited with 0 at 1.4s"), "{drawn}");
    }

    #[test]
    fn no_stop_has_nothing_to_draw() {
        assert_eq!(plain(&left_alone()), "true: ended by itself after 3ms; no stop\n");
    }

    #[test]
    fn a_stop_of_no_time() {
        let at_once = Some(timed(5_000, ProcessEnd::Reaped(Ended::Killed(Signal::TERM))));
        let mut record =
            Record { steps: Vec::new(), signalled_at: Some(ms(5_000)), ended_at: Some(ms(5_000)), ..well() };
        record.processes.truncate(1);
        record.sent = Sent::default();
        for process in &mut record.processes {
            (process.signalled, process.ended) = (Some(timed(5_000, Signal::TERM)), at_once);
        }
        is_drawn(
            &plain(&record),
            r"server: the stop began at 5.0s and took 0ms
            0                      5ms
            +----------------------+-----------------------+
processes
 server (7) T                                                died of TERM at 0ms
[-] before   [=] signalled   [#] after KILL   [|] end   [>] still there
[T] TERM
",
        );
    }

    #[test]
    fn a_stop_of_hours_with_many_processes() {
        let mut record = Record { steps: Vec::new(), ended_at: Some(ms(2 * 3_600_000)), ..well() };
        record.processes.truncate(1);
        for process in &mut record.processes {
            process.ended = Some(timed(6_000_000, ProcessEnd::Reaped(Ended::Exited(0))));
        }
        record.processes.extend((0..60).map(|at| one(100 + at, "job", 7_000 + at as u64 * 120_000)));
        let drawn = plain(&record);
        let lines: Vec<&str> = drawn.lines().collect();
        is_drawn(
            &lines.get(..8).map(|first| first.join("\n")).unwrap_or_default(),
            r"server: the stop began at 5.0s and took 1h59m
            0          30m        1h         1h30m
            +----------+----------+----------+-----------
processes
 server (7) TERM================================|         exited with 0 at 1h39m
 job (159)  TERM=======================================|  exited with 0 at 1h58m
 job (158)  TERM======================================|   exited with 0 at 1h56m
 job (157)  TERM=====================================|    exited with 0 at 1h54m",
        );
        assert_eq!(lines.len(), 1 + 2 + 1 + PROCESS_ROWS + 1 + 1, "{drawn}");
        assert!(drawn.contains("\n and 21 more that ended within 40m2s\n"), "{drawn}");

        record.more_processes = 7;
        assert!(plain(&record).contains("\n and 28 more\n"));
        record.processes.truncate(3);
        assert!(plain(&record).contains("\n and 7 more that were not followed\n"));
    }

    #[test]
    fn main_has_a_bar_even_if_it_ended_during_the_drain() {
        let mut record = Record { signalled_at: None, ended_at: Some(ms(5_100)), ..well() };
        record.processes.clear();
        record.main_ended = Some(timed(5_100, Ended::Exited(3)));
        assert!(plain(&record).contains("\n server "), "{}", plain(&record));
        assert!(plain(&record).contains("| "), "{}", plain(&record));
        assert!(plain(&record).contains("exited with 3 at 100ms\n"), "{}", plain(&record));
    }

    #[test]
    fn a_signal_is_marked_on_the_bars_of_the_processes_that_it_reached() {
        let marks = |to| {
            let mut record = well();
            record.steps.clear();
            record.processes.push(ProcessRecord { group: 14, ..one(14, "daemon", 6_500) });
            record.note_sent(ms(5_600), Signal::USR1, to);
            let drawn = plain(&record);
            let rows = drawn.lines().filter(|line| line.starts_with(' ') && line.contains("USR1"));
            rows.map(|row| row.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(marks(Receiver::Main), ["server (7)"]);
        assert_eq!(marks(Receiver::Group), ["server (7)", "worker (13)"], "12 was gone");
        assert_eq!(marks(Receiver::All), ["server (7)", "daemon (14)", "worker (13)"]);
        assert_eq!(marks(Receiver::Process(13)), ["worker (13)"]);
        assert_eq!(marks(Receiver::Process(12)), [""; 0]);
    }
}
