//! What to do when there is no memory.
//!
//! The system refuses memory when an address space or a cgroup is at its limit, and that may last. drainit then uses a spare, which takes
//! no page until it is needed. What would need much memory, a look at all processes, asks first ([`is_there`]) and is skipped if there is
//! none.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The spare is handed out in pieces of this size.
const PIECE: usize = 64;
const PIECES: usize = 8192;

/// The system's allocator. If it has no memory the spare is used, and if that does not suffice `failed` is called, which must not allocate.
/// The standard library would abort, and that death by ABRT would look like the command's own.
#[derive(Debug)]
pub struct Allocator {
    pub failed: fn() -> !,
}

// SAFETY: everything is the system's allocator's or the spare's, which knows its own; a null pointer is never returned.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        self.or_spare(unsafe { System.alloc(layout) }, layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            return memory;
        }
        let memory = self.or_spare(memory, layout);
        // SAFETY: it was given for this layout just now, so as many bytes are there.
        unsafe { memory.write_bytes(0, layout.size()) };
        memory
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !SPARE.has(memory) {
            // SAFETY: the caller's promise; it is the system's, because it is not the spare's.
            let moved = unsafe { System.realloc(memory, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller promises that the size is a possible one.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller promises that the size is not zero.
        let moved = unsafe { self.alloc(new) };
        // SAFETY: both are as large as what is copied, and the new one was not given away before.
        unsafe { ptr::copy_nonoverlapping(memory, moved, layout.size().min(size)) };
        // SAFETY: the caller's promise; nothing uses it any more.
        unsafe { self.dealloc(memory, layout) };
        moved
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if SPARE.has(memory) {
            return SPARE.give_back(memory, layout);
        }
        // SAFETY: the caller's promise; it is the system's, because it is not the spare's.
        unsafe { System.dealloc(memory, layout) };
    }
}

impl Allocator {
    fn or_spare(&self, memory: *mut u8, layout: Layout) -> *mut u8 {
        if memory.is_null() { self.take_spare(layout) } else { memory }
    }

    fn take_spare(&self, layout: Layout) -> *mut u8 {
        SPARE.take(layout).unwrap_or_else(|| (self.failed)())
    }
}

/// Whether this many bytes could be allocated now. None are kept.
#[must_use]
pub fn is_there(bytes: usize) -> bool {
    let Ok(layout) = Layout::from_size_align(bytes.max(1), align_of::<u64>()) else { return false };
    // SAFETY: the size is not zero.
    let memory = unsafe { System.alloc(layout) };
    if memory.is_null() {
        return SPARE.take(layout).map(|memory| SPARE.give_back(memory, layout)).is_some();
    }
    // SAFETY: the system has just given it for this layout.
    unsafe { System.dealloc(memory, layout) };
    true
}

static SPARE: Spare = Spare {
    bytes: Bytes(UnsafeCell::new([0; PIECE * PIECES])),
    is_taken: [const { AtomicBool::new(false) }; PIECES],
};

struct Spare {
    bytes: Bytes,
    /// Whether each piece is in use.
    is_taken: [AtomicBool; PIECES],
}

#[repr(align(64))]
struct Bytes(UnsafeCell<[u8; PIECE * PIECES]>);

// SAFETY: a piece is handed out to one user at a time, and not touched here.
unsafe impl Sync for Bytes {}

impl Spare {
    fn start(&self) -> *mut u8 {
        self.bytes.0.get().cast()
    }

    fn has(&self, memory: *mut u8) -> bool {
        memory.addr().wrapping_sub(self.start().addr()) < PIECE * PIECES
    }

    /// The first run of free pieces that is long enough.
    fn take(&self, layout: Layout) -> Option<*mut u8> {
        let wanted = layout.size().div_ceil(PIECE).max(1);
        if PIECE < layout.align() {
            return None;
        }
        let mut first = 0;
        for at in 0..PIECES {
            if self.is_taken.get(at)?.swap(true, Ordering::Acquire) {
                self.release(first, at);
                first = at + 1;
            } else if at + 1 - first == wanted {
                return Some(self.start().wrapping_add(first * PIECE));
            }
        }
        self.release(first, PIECES);
        None
    }

    fn give_back(&self, memory: *mut u8, layout: Layout) {
        let first = (memory.addr() - self.start().addr()) / PIECE;
        self.release(first, first + layout.size().div_ceil(PIECE).max(1));
    }

    fn release(&self, first: usize, end: usize) {
        let pieces = self.is_taken.get(first..end).unwrap_or_default();
        pieces.iter().for_each(|piece| piece.store(false, Ordering::Release));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("small")
    }

    #[test]
    fn the_spare_is_given_away_and_taken_back_in_any_order() {
        static OWN: Spare = Spare {
            bytes: Bytes(UnsafeCell::new([0; PIECE * PIECES])),
            is_taken: [const { AtomicBool::new(false) }; PIECES],
        };
        let spare = &OWN;
        let sizes = [1, 64, 65, 1000, PIECE * 1000];
        let given = sizes.map(|size| spare.take(layout(size)).expect("there is room"));
        let ends = given.iter().zip(sizes).map(|(memory, size)| memory.addr() + size);
        let starts = given.iter().skip(1).map(|memory| memory.addr());
        assert!(ends.zip(starts).all(|(end, next)| end <= next), "none overlap");
        assert!(given.iter().all(|&memory| spare.has(memory) && memory.addr() % PIECE == 0));
        assert_eq!(spare.take(layout(PIECE * (PIECES - 1000))), None, "so much is not left");

        // The gap between two others is used again, and all of it is free in the end.
        spare.give_back(given[3], layout(sizes[3]));
        assert_eq!(spare.take(layout(900)), Some(given[3]));
        spare.give_back(given[3], layout(900));
        for (memory, size) in given.into_iter().zip(sizes).rev().filter(|(memory, _)| *memory != given[3]) {
            spare.give_back(memory, layout(size));
        }
        assert!(spare.take(layout(PIECE * PIECES)).is_some());
        assert_eq!(spare.take(layout(1)), None);
        assert!(!spare.has(ptr::null_mut()));
    }

    #[test]
    fn what_can_be_had_is_there_and_what_cannot_is_not() {
        assert!(is_there(0) && is_there(1 << 20));
        assert!(!is_there(usize::MAX) && !is_there(usize::MAX / 4));
    }
}
