//! The line before a thread: bounded, and in the order of the calls.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// So many entries.
    pub(super) count: usize,
    /// So many bytes; one entry alone may be larger.
    pub(super) bytes: usize,
}

/// A bounded line. Whoever finds it full is refused at once: waiting for room would let a later call overtake.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    bound: Bound,
}

struct State<T> {
    entries: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

/// Why an entry was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// It is full.
    Full(Bound),
    /// It was closed.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(bound: Bound) -> Arc<Queue<T>> {
        let state = State { entries: VecDeque::new(), bytes: 0, closed: false };
        Arc::new(Queue { state: Mutex::new(state), filled: Condvar::new(), bound })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while it holds the lock; if it did, the line is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the line.
    ///
    /// # Errors
    /// It is full or closed.
    pub(super) fn enter(&self, entry: T, bytes: usize) -> Result<(), Shut> {
        let mut state = self.lock();
        if state.closed {
            return Err(Shut::Closed);
        }
        let full = state.entries.len() >= self.bound.count
            || state.bytes.saturating_add(bytes) > self.bound.bytes && !state.entries.is_empty();
        if full {
            return Err(Shut::Full(self.bound));
        }
        state.entries.push_back((entry, bytes));
        state.bytes += bytes;
        self.filled.notify_one();
        Ok(())
    }

    /// Takes the first, and those behind it while `take` says so; `take` is asked of the first too, so that it can count.
    /// Waits until there is something. `None` once it is closed and empty.
    pub(super) fn take(&self, mut take: impl FnMut(&T) -> bool) -> Option<Vec<T>> {
        let mut state = self.lock();
        while state.entries.is_empty() {
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken = Vec::new();
        while let Some((entry, _)) = state.entries.front() {
            let goes_along = take(entry);
            if !goes_along && !taken.is_empty() {
                break;
            }
            if let Some((entry, bytes)) = state.entries.pop_front() {
                state.bytes -= bytes;
                taken.push(entry);
            }
            if !goes_along {
                break;
            }
        }
        Some(taken)
    }

    /// Takes out every entry that `which` names, wherever it stands.
    pub(super) fn remove(&self, mut which: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut state = self.lock();
        let (mut removed, mut kept) = (Vec::new(), VecDeque::new());
        for (entry, bytes) in std::mem::take(&mut state.entries) {
            if which(&entry) {
                state.bytes -= bytes;
                removed.push(entry);
            } else {
                kept.push_back((entry, bytes));
            }
        }
        state.entries = kept;
        removed
    }

    /// Lets nobody in any more; what stands in line is still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_binds_and_the_order_of_the_calls_holds() {
        let queue = Queue::new(Bound { count: 3, bytes: 100 });
        for n in 1..=3 {
            assert_eq!(queue.enter(n, 1), Ok(()));
        }
        assert!(matches!(queue.enter(4, 1), Err(Shut::Full(_))));
        assert_eq!(queue.take(|n| *n < 2), Some(vec![1]));
        assert_eq!(queue.enter(5, 1), Ok(()));
        assert_eq!(queue.take(|_| false), Some(vec![2]), "one is always taken, and alone");
        assert_eq!(queue.take(|_| true), Some(vec![3, 5]));
    }

    #[test]
    fn bytes_are_bounded_too_but_one_large_entry_passes_alone() {
        let queue = Queue::new(Bound { count: 9, bytes: 100 });
        assert_eq!(queue.enter(1, 1000), Ok(()));
        assert!(matches!(queue.enter(2, 1), Err(Shut::Full(_))));
        assert_eq!(queue.take(|_| true), Some(vec![1]));
        assert_eq!(queue.enter(3, 60), Ok(()));
        assert_eq!(queue.enter(4, 40), Ok(()));
        assert!(matches!(queue.enter(5, 1), Err(Shut::Full(_))));
        assert_eq!(queue.remove(|n| *n == 3), vec![3]);
        assert_eq!(queue.enter(6, 60), Ok(()), "what was taken out has given its room back");
        assert_eq!(queue.take(|_| true), Some(vec![4, 6]));
    }

    #[test]
    fn a_closed_line_is_emptied_and_lets_nobody_in() {
        let queue = Queue::new(Bound { count: 2, bytes: 100 });
        assert_eq!(queue.enter(1, 1), Ok(()));
        queue.close();
        assert_eq!(queue.enter(2, 1), Err(Shut::Closed));
        assert_eq!(queue.take(|_| true), Some(vec![1]));
        assert_eq!(queue.take(|_| true), None);
    }
}
