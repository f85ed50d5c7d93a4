//! Where a stream waits for the result of its call, and where the wait is broken off.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::{Error, Result};

/// One stream's place for the result of its one call at a time.
#[derive(Debug)]
pub struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// The number of the latest call: results of earlier ones are not waited for.
    call: u64,
    cancelled: bool,
    result: Option<Result<T>>,
}

/// Breaks off a stream's wait from another thread.
#[derive(Clone)]
pub struct Canceller(Arc<dyn Cancel>);

/// What waits can be broken off.
pub(super) trait Cancel: Send + Sync {
    /// Breaks off.
    fn cancel(&self);
    /// Lets through again.
    fn resume(&self);
}

impl Canceller {
    /// Of the waits for anything that can be broken off.
    pub(super) fn of(what: Arc<dyn Cancel>) -> Self {
        Self(what)
    }

    /// Of the waits for a slot.
    pub(super) fn new<T: Send + 'static>(slot: Arc<Slot<T>>) -> Self {
        Self(slot)
    }

    /// Ends the wait at once, with [`Error::Cancelled`], and every one that begins before [`resume`](Self::resume).
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Lets calls through again.
    pub fn resume(&self) {
        self.0.resume();
    }
}

impl<T: Send> Cancel for Slot<T> {
    fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        // Also the call that is waited for: it stays broken off if calls are let through again at once.
        state.call += 1;
        state.result = None;
        drop(state);
        self.changed.notify_all();
    }

    fn resume(&self) {
        self.lock().cancelled = false;
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { call: 0, cancelled: false, result: None }), changed: Condvar::new() }
    }
}

impl<T> Slot<T> {
    /// Begins a call: gives its number. Errors: [`Error::Cancelled`].
    pub fn begin(&self) -> Result<u64> {
        let mut state = self.lock();
        if state.cancelled {
            return Err(Error::Cancelled);
        }
        state.call += 1;
        state.result = None;
        Ok(state.call)
    }

    /// Whether the result of a call is still waited for.
    pub fn wanted(&self, call: u64) -> bool {
        self.lock().call == call
    }

    /// Hands over the result of a call. It is dropped where nobody waits for it any more.
    pub fn complete(&self, call: u64, result: Result<T>) {
        let mut state = self.lock();
        if state.call == call {
            state.result = Some(result);
            self.changed.notify_all();
        }
    }

    /// Waits for the result of a call. Errors: [`Error::Cancelled`], and the call's own.
    pub fn wait(&self, call: u64) -> Result<T> {
        let mut state = self.lock();
        loop {
            if state.call != call {
                return Err(Error::Cancelled);
            }
            if let Some(result) = state.result.take() {
                return result;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
