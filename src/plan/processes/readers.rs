//! A process that reads from a pipe of another descendant ends by itself, at end of file, and its death would give the writer a SIGPIPE:
//! `server | tee log` would lose the last lines of the log. So such a reader is spared, as long as its writer gets the signal.
//!
//! A writer that would never get it (the reader's own descendant, or two processes that read from each other) spares no reader.

use crate::plan::sorted::{Map, Set};

/// Readers that may be spared, and what writes into their pipes.
#[derive(Debug, Default)]
pub(super) struct Readers {
    /// Each reader and its pipe, in the order in which the rule reached them.
    readers: Vec<(i32, u64)>,
    by_pipe: Map<u64, Vec<i32>>,
    /// For each reader, the pipes that it or its descendants write into.
    below: Map<i32, Set<u64>>,
    /// The pipes into which other processes write. Those get the signal.
    heard: Set<u64>,
}

impl Readers {
    pub(super) fn add(&mut self, reader: i32, pipe: u64) {
        self.readers.push((reader, pipe));
        self.by_pipe.or_default(pipe).push(reader);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    pub(super) fn pids(&self) -> Set<i32> {
        self.readers.iter().map(|&(reader, _)| reader).collect()
    }

    /// A process writes into this pipe. It gets the signal, unless it is this reader or below it: then it ends only after that reader.
    pub(super) fn writes(&mut self, pipe: u64, below: Option<i32>) {
        match below {
            Some(reader) => _ = self.below.or_default(reader).insert(pipe),
            None => _ = self.heard.insert(pipe),
        }
    }

    /// The readers that have to be signalled, because nothing else would end them.
    pub(super) fn not_spared(&self) -> Set<i32> {
        let mut settled = Set::default();
        let mut not_spared = Set::default();
        // Pipes that will come to their end, and the reader whose end causes it.
        let mut ending: Vec<(u64, Option<i32>)> = self.heard.iter().map(|pipe| (pipe, None)).collect();
        let mut done: Map<u64, u8> = Map::default();
        let mut order = self.readers.iter();
        loop {
            while let Some((pipe, of)) = ending.pop() {
                // A reader may read its own pipe, and its end must not spare itself. So a pipe's end by a reader spares the pipe's other
                // readers; if a second reader ends the pipe too, it also spares the first.
                let times = done.or_default(pipe);
                if *times == 2 {
                    continue;
                }
                *times = if of.is_none() { 2 } else { *times + 1 };
                for &reader in self.by_pipe.get(pipe).into_iter().flatten() {
                    if of != Some(reader) && settled.insert(reader) {
                        ending.extend(self.ends_with(reader));
                    }
                }
            }
            let Some(&(next, _)) = order.find(|&&(reader, _)| settled.insert(reader)) else {
                return not_spared;
            };
            not_spared.insert(next);
            ending.extend(self.ends_with(next));
        }
    }

    fn ends_with(&self, reader: i32) -> impl Iterator<Item = (u64, Option<i32>)> {
        self.below.get(reader).into_iter().flat_map(Set::iter).map(move |pipe| (pipe, Some(reader)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(readers: &[(i32, u64)], writers: &[(u64, Option<i32>)], expected: &[i32]) {
        let mut all = Readers::default();
        readers.iter().for_each(|&(reader, pipe)| all.add(reader, pipe));
        writers.iter().for_each(|&(pipe, below)| all.writes(pipe, below));
        assert_eq!(all.not_spared().iter().collect::<Vec<i32>>(), expected);
    }

    #[test]
    fn a_reader_is_spared_if_its_writer_hears_of_the_stop() {
        check(&[(8, 5)], &[(5, None)], &[]);
        // A pipe from outside.
        check(&[(8, 5)], &[], &[8]);
    }

    #[test]
    fn a_reader_of_a_reader_is_spared_too() {
        check(&[(9, 6), (8, 5)], &[(5, None), (6, Some(8))], &[]);
    }

    #[test]
    fn what_reads_from_its_own_descendant_is_signalled() {
        check(&[(8, 5)], &[(5, Some(8))], &[8]);
        check(&[(8, 5)], &[(5, Some(8)), (5, None)], &[]);
    }

    #[test]
    fn of_two_that_read_from_each_other_one_is_signalled() {
        check(&[(8, 5), (9, 6)], &[(6, Some(8)), (5, Some(9))], &[8]);
    }

    #[test]
    fn many_that_share_one_pipe_take_no_time() {
        let readers: Vec<(i32, u64)> = (10..20_000).map(|pid| (pid, 5)).collect();
        let writers: Vec<(u64, Option<i32>)> = readers.iter().map(|&(pid, _)| (5, Some(pid))).collect();
        check(&readers, &writers, &[10]);
    }
}
