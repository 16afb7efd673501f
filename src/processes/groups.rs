//! Process groups, as far as the terminal is concerned.

use super::{look_at, stat};
use crate::plan::processes::Process;
use crate::plan::sorted::Set;
use crate::sys::{process as own, procfs};

/// Whether this process group is orphaned: no member has a parent in the same session and in another group, such as a shell (POSIX 3.264).
///
/// Without /proc only drainit's own parent is checked.
#[must_use]
pub fn is_orphaned(group: i32) -> bool {
    let Some(session) = own::session_of(own::id()) else { return true };
    let is_shell = |parent: i32| {
        parent > 0
            && own::session_of(parent) == Some(session)
            && own::group_of(parent).is_some_and(|its| its != group)
    };
    let parent = own::parent();
    // A parent in the group may be another user's, and hidden (hidepid); its own parent may be a shell.
    let is_hidden = own::group_of(parent) == Some(group) && look_at(parent).is_none();
    !is_hidden
        && !is_shell(parent)
        && !any(&|process| process.group == group && process.is_alive() && is_shell(process.parent))
}

/// Whether another process is in this process group.
#[must_use]
pub fn shares_group(group: i32) -> bool {
    any(&|process| process.group == group && process.pid != own::id())
}

/// Whether this process is the only living member of `group`, its own group, as far as /proc shows.
#[must_use]
pub fn is_alone_in(group: i32) -> bool {
    let is_other = |process: &Process| process.pid != own::id() && process.is_alive();
    // The parent may be another user's, and hidden (hidepid).
    procfs::shows_own_namespace()
        && own::group_of(own::parent()) != Some(group)
        && !any(&|process| process.group == group && is_other(process))
}

/// The groups in which a process is stopped, among the groups of those children that are still in the session in which drainit started them.
/// Until these children are reaped, the numbers cannot belong to other groups.
#[must_use]
pub fn stopped() -> Set<i32> {
    let (own, session) = (own::id(), own::first_session());
    let (mut groups, mut stopped) = (Set::default(), Set::default());
    let is_there = procfs::each_process(|pid, line| {
        let child = stat::parse(line).filter(|process| process.parent == own);
        if let Some(child) = child.filter(|_| own::session_of(pid) == session) {
            groups.insert(child.group);
        }
    });
    if is_there && !groups.is_empty() {
        procfs::each_process(|_, line| {
            let process = stat::parse(line).filter(|process| process.is_stopped());
            process.filter(|it| groups.contains(it.group)).map(|it| stopped.insert(it.group));
        });
    }
    stopped
}

/// Whether a process of this group is stopped.
#[must_use]
pub fn has_stopped(group: i32) -> bool {
    any(&|process| process.group == group && process.state == b'T')
}

/// Whether this process group was started by another process of drainit's group: it is another command of the same pipeline or script.
#[must_use]
pub fn is_held_by_sibling(group: i32) -> bool {
    let parent =
        look_at(group).map(|leader| leader.parent).filter(|parent| *parent > 0 && *parent != own::id());
    let ours = own::group_of(own::id());
    parent.is_some_and(|parent| own::group_of(parent) == ours)
}

fn any(is_it: &dyn Fn(&Process) -> bool) -> bool {
    let mut found = false;
    procfs::each_process(|_, line| found |= stat::parse(line).is_some_and(|process| is_it(&process)));
    found
}
