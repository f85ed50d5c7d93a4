//! A bounded queue between the thread that brings audio and the one that recognises it.
//!
//! Its fill is measured in time. A full queue either holds the one who pushes, or drops the oldest audio; everything
//! else in it is never dropped and never reordered. Both ends can be released at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What a queue holds.
pub trait Timed {
    /// How long it lasts, in ns; 0 for what is no audio, which is never dropped.
    fn duration_ns(&self) -> u64;

    /// How much before this was dropped, in ns, as [`follows_dropped`](Self::follows_dropped) said.
    fn dropped_before_ns(&self) -> u64;

    /// So much more before this was dropped, in ns.
    fn follows_dropped(&mut self, dropped_ns: u64);
}

/// What became of a push or a pop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released;

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    level_ns: u64,
    released: bool,
}

/// The queue.
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let state = State { items: VecDeque::new(), level_ns: 0, released: true };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T: Timed> Queue<T> {
    /// Appends an item, and waits first while more than `limit_ns` are in the queue. Errors: [`Released`].
    pub fn push_waiting(&self, item: T, limit_ns: u64) -> Result<(), Released> {
        let mut state = self.lock();
        while !state.released && item.duration_ns() > 0 && state.level_ns >= limit_ns.max(1) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.append(state, item)
    }

    /// Appends an item without waiting; where more than `limit_ns` are then in the queue, drops the oldest audio until
    /// at most `keep_ns`, and no less than the newest, are left. Gives the time dropped. Errors: [`Released`].
    pub fn push_dropping(&self, item: T, limit_ns: u64, keep_ns: u64) -> Result<u64, Released> {
        self.append(self.lock(), item)?;
        let mut state = self.lock();
        let (mut dropped_ns, mut before_ns) = (0, 0);
        if state.level_ns > limit_ns {
            let mut excess_ns = state.level_ns.saturating_sub(keep_ns);
            let newest = state.items.len() - 1;
            let mut at = 0;
            state.items.retain(|item| {
                let duration_ns = item.duration_ns();
                let drop = duration_ns > 0 && excess_ns > 0 && at < newest;
                at += 1;
                if drop {
                    excess_ns = excess_ns.saturating_sub(duration_ns);
                    dropped_ns += duration_ns;
                    before_ns += item.dropped_before_ns();
                }
                !drop
            });
            state.level_ns -= dropped_ns;
            if let Some(item) = state.items.iter_mut().find(|item| item.duration_ns() > 0) {
                item.follows_dropped(dropped_ns + before_ns);
            }
        }
        Ok(dropped_ns)
    }

    /// Takes the oldest item, and waits for one. Errors: [`Released`].
    pub fn pop(&self) -> Result<T, Released> {
        let mut state = self.lock();
        loop {
            if state.released {
                return Err(Released);
            }
            if let Some(item) = Self::take(&mut state) {
                drop(state);
                self.changed.notify_all();
                return Ok(item);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the oldest item, if there is one, also when the queue is released.
    pub fn take_left(&self) -> Option<T> {
        Self::take(&mut self.lock())
    }

    /// Puts an item back as the oldest: it could not be finished.
    pub fn put_back(&self, item: T) {
        let mut state = self.lock();
        state.level_ns += item.duration_ns();
        state.items.push_front(item);
    }

    /// Lets go of everyone who waits, and of everyone who comes.
    pub fn release(&self) {
        self.lock().released = true;
        self.changed.notify_all();
    }

    /// Works again.
    pub fn resume(&self) {
        self.lock().released = false;
    }

    /// Drops all items.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.items.clear();
        state.level_ns = 0;
    }

    /// How much audio waits, in ns.
    pub fn level_ns(&self) -> u64 {
        self.lock().level_ns
    }

    fn append(&self, mut state: MutexGuard<'_, State<T>>, item: T) -> Result<(), Released> {
        if state.released {
            return Err(Released);
        }
        state.level_ns += item.duration_ns();
        state.items.push_back(item);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    fn take(state: &mut State<T>) -> Option<T> {
        let item = state.items.pop_front()?;
        state.level_ns -= item.duration_ns();
        Some(item)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it lasts, and how much before it was dropped.
    #[derive(Debug, PartialEq, Eq)]
    struct Piece(u64, u64);

    impl Timed for Piece {
        fn duration_ns(&self) -> u64 {
            self.0
        }

        fn dropped_before_ns(&self) -> u64 {
            self.1
        }

        fn follows_dropped(&mut self, dropped_ns: u64) {
            self.1 += dropped_ns;
        }
    }

    fn piece(duration_ns: u64) -> Piece {
        Piece(duration_ns, 0)
    }

    fn queue() -> Queue<Piece> {
        let queue = Queue::default();
        queue.resume();
        queue
    }

    #[test]
    fn a_full_queue_holds_the_pusher_until_there_is_room() {
        let queue = queue();
        queue.push_waiting(piece(100), 100).unwrap();
        queue.push_waiting(piece(0), 100).unwrap();
        std::thread::scope(|scope| {
            let pusher = scope.spawn(|| queue.push_waiting(piece(50), 100));
            assert_eq!(queue.pop(), Ok(piece(100)));
            assert_eq!(pusher.join().unwrap(), Ok(()));
        });
        assert_eq!(queue.level_ns(), 50);
    }

    #[test]
    fn release_frees_both_ends() {
        let queue = queue();
        queue.push_waiting(piece(100), 100).unwrap();
        std::thread::scope(|scope| {
            let pusher = scope.spawn(|| queue.push_waiting(piece(1), 100));
            queue.release();
            assert_eq!(pusher.join().unwrap(), Err(Released));
        });
        assert_eq!(queue.pop(), Err(Released));
        assert_eq!(queue.take_left(), Some(piece(100)));
    }

    #[test]
    fn overload_drops_the_oldest_audio_and_nothing_else() {
        let queue = queue();
        for item in [10, 0, 20, 30, 0, 40] {
            assert_eq!(queue.push_dropping(piece(item), 100, 40), Ok(0));
        }
        assert_eq!(queue.push_dropping(piece(5), 100, 45), Ok(60));
        let left: Vec<Piece> = std::iter::from_fn(|| queue.take_left()).collect();
        assert_eq!(left, [piece(0), piece(0), Piece(40, 60), piece(5)]);
        // What was dropped before a piece that is dropped itself is not forgotten.
        for (item, dropped_ns) in [(60, 0), (60, 60), (60, 60)] {
            assert_eq!(queue.push_dropping(piece(item), 100, 0), Ok(dropped_ns));
        }
        assert_eq!(queue.take_left(), Some(Piece(60, 120)));
        assert_eq!(queue.push_dropping(piece(500), 100, 0), Ok(0));
        assert_eq!(queue.level_ns(), 500);
    }
}
