//! Which processes descend from drainit, in a table that was read while processes came and went.

use super::Process;

/// If a parent has gone since the table was read, its child has another parent by now, and is read again. More rounds than this are needed
/// only if parents die faster than /proc can be read.
const ROUNDS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    Unknown,
    Descendant,
    Foreign,
    /// Its line of parents ends at the process with this index, whose parent is not in the table.
    Lost(usize),
}

/// The descendants of `own`, in order of their pids. `reread` looks at one process again.
pub fn descendants(mut all: Vec<Process>, own: i32, reread: impl Fn(i32) -> Option<Process>) -> Vec<Process> {
    all.sort_unstable_by_key(|process| process.pid);
    let mut kin = kinship(&all, own);
    for _ in 0..ROUNDS {
        let mut changed = false;
        let mut lost: Vec<usize> =
            kin.iter().filter_map(|kin| if let Kin::Lost(at) = *kin { Some(at) } else { None }).collect();
        lost.sort_unstable();
        lost.dedup();
        for at in lost {
            let Some(process) = all.get_mut(at) else { continue };
            let parent =
                reread(process.pid).filter(|now| now.start == process.start).map_or(0, |now| now.parent);
            changed |= process.parent != parent;
            process.parent = parent;
        }
        if !changed {
            break;
        }
        kin = kinship(&all, own);
    }
    all.iter().zip(&kin).filter(|(_, kin)| **kin == Kin::Descendant).map(|(p, _)| *p).collect()
}

/// For each process of the sorted table, whether its line of parents leads to `own`.
fn kinship(all: &[Process], own: i32) -> Vec<Kin> {
    let mut kin = vec![Kin::Unknown; all.len()];
    let mut line = Vec::new();
    for start in 0..all.len() {
        let mut at = start;
        line.clear();
        let found = loop {
            match (all.get(at), kin.get(at)) {
                (_, Some(&known)) if known != Kin::Unknown => break known,
                // A cycle: a pid was reused while the table was read.
                (Some(_), _) if line.len() > all.len() => break Kin::Foreign,
                (Some(process), _) => {
                    line.push(at);
                    if process.pid == own || process.parent == 0 {
                        break Kin::Foreign;
                    }
                    if process.parent == own {
                        break Kin::Descendant;
                    }
                    match all.binary_search_by_key(&process.parent, |parent| parent.pid) {
                        Ok(parent) => at = parent,
                        Err(_) => break Kin::Lost(at),
                    }
                }
                (None, _) => break Kin::Foreign,
            }
        };
        for &at in &line {
            if let Some(kin) = kin.get_mut(at) {
                *kin = found;
            }
        }
    }
    kin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32) -> Process {
        super::super::fixtures::process(pid, parent, pid, u64::try_from(pid * 10).expect("a pid"))
    }

    fn found(table: &[(i32, i32)], own: i32, again: &[(i32, i32)]) -> Vec<i32> {
        let all = table.iter().map(|&(pid, parent)| process(pid, parent)).collect();
        let reread =
            |pid| again.iter().find(|(known, _)| *known == pid).map(|&(pid, parent)| process(pid, parent));
        descendants(all, own, reread).iter().map(|process| process.pid).collect()
    }

    #[test]
    fn children_and_their_children_are_found_whatever_their_numbers() {
        assert_eq!(found(&[(1, 0), (9, 1), (5, 9), (7, 5), (3, 7)], 1, &[]), [3, 5, 7, 9]);
        assert_eq!(found(&[(1, 0), (2, 1), (10, 2), (11, 10), (12, 2)], 10, &[]), [11]);
    }

    #[test]
    fn a_process_from_outside_is_no_descendant_nor_are_its_children() {
        assert_eq!(found(&[(1, 0), (2, 1), (20, 0), (21, 20)], 1, &[]), [2]);
    }

    #[test]
    fn an_orphan_that_changed_hands_while_we_read_is_found() {
        assert_eq!(found(&[(1, 0), (6, 5), (7, 6)], 1, &[(6, 1)]), [6, 7]);
        assert_eq!(found(&[(1, 0), (6, 5)], 1, &[]), [0_i32; 0], "it is gone itself");
        assert_eq!(found(&[(10, 1), (16, 15)], 10, &[(16, 1)]), [0_i32; 0], "another process has it");
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(found(&[(1, 0), (5, 6), (6, 5)], 1, &[(5, 6), (6, 5)]), [0_i32; 0]);
    }
}
