//! Processes that are reported as one: commands that a loop starts one after the other would fill a page.

use super::format;
use super::record::ProcessRecord;

/// One process, or several of the same name and parent, each of which began after the one before had ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeats<'a> {
    first: &'a ProcessRecord,
    rest: Vec<&'a ProcessRecord>,
}

impl<'a> Repeats<'a> {
    /// In the order of their first processes.
    pub(super) fn of(processes: impl IntoIterator<Item = &'a ProcessRecord>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for process in processes {
            match groups.iter_mut().find(|group| follows(group.last(), process)) {
                Some(group) => group.rest.push(process),
                None => groups.push(Self { first: process, rest: Vec::new() }),
            }
        }
        groups
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &'a ProcessRecord> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }

    pub(super) fn last(&self) -> &'a ProcessRecord {
        self.rest.last().copied().unwrap_or(self.first)
    }

    pub(super) fn count(&self) -> usize {
        1 + self.rest.len()
    }

    /// `sleep (7)`, or `sleep, 12 times`.
    pub(super) fn name(&self) -> String {
        match self.count() {
            1 => format::process(self.first.name, self.first.pid),
            _ => format!("{}{}", self.first.name, self.times()),
        }
    }

    /// `, 12 times`; empty for one process.
    pub(super) fn times(&self) -> String {
        if self.count() == 1 { String::new() } else { format!(", {} times", self.count()) }
    }
}

/// `server (12), worker (13) and 4 more`.
pub(super) fn list(processes: &[&ProcessRecord], limit: usize) -> String {
    let groups = Repeats::of(processes.iter().copied());
    let names = groups.iter().map(|group| match group.count() {
        1 => group.name(),
        count => format!("{} ({count} times)", group.first.name),
    });
    format::list(names, limit)
}

fn follows(last: &ProcessRecord, next: &ProcessRecord) -> bool {
    let had_gone = last.ended.is_some_and(|end| end.at <= next.first_seen);
    let is_like_it = last.name == next.name && last.parent == next.parent;
    is_like_it && had_gone && !last.is_main && !next.is_main
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ms, one};
    use super::*;

    /// A sleep that was seen from and to these times.
    fn sleep(pid: i32, from: u64, to: u64) -> ProcessRecord {
        ProcessRecord { parent: 7, first_seen: ms(from), last_seen: Some(ms(to)), ..one(pid, "sleep", to) }
    }

    #[test]
    fn what_a_loop_starts_is_one() {
        let all = [sleep(8, 100, 100), sleep(9, 350, 600), sleep(12, 850, 850)];
        let groups = Repeats::of(&all);
        assert_eq!(groups.iter().map(Repeats::name).collect::<Vec<_>>(), ["sleep, 3 times"]);
        assert_eq!(groups.first().map(|group| group.last().pid), Some(12));
        assert_eq!(list(&all.each_ref(), 5), "sleep (3 times)");
    }

    #[test]
    fn what_was_there_together_or_is_of_another_kind_is_apart() {
        let other = ProcessRecord { parent: 1, ..sleep(12, 900, 950) };
        let [main, again] = [950, 990].map(|at| ProcessRecord { is_main: true, ..sleep(20, at, at) });
        let all = [sleep(8, 100, 600), sleep(9, 100, 600), sleep(10, 600, 600), other, main, again];
        assert_eq!(
            Repeats::of(&all).len(),
            5,
            "the one that was seen when another had just ended is not apart"
        );
        assert_eq!(list(&all.each_ref(), 3), "sleep (2 times), sleep (9), sleep (12) and 2 more");
    }
}
