//! The end of the process: nobody may be inside the networks' library when its destructors run.
//!
//! A worker that still loads or runs while `exit` tears the library down would crash the process, as it ends or as an
//! error makes it end. So every use of a network passes a gate, and the process's end closes it: who is inside is
//! waited for, and nobody enters any more.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest wait at the end of the process: loading the largest model takes less.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct State {
    inside: usize,
    closed: bool,
}

static STATE: Mutex<State> = Mutex::new(State { inside: 0, closed: false });
static LEFT: Condvar = Condvar::new();

/// Passes the gate, does `work`, and leaves. Where the gate is closed the process is ending, and the thread stays here.
pub fn inside<R>(work: impl FnOnce() -> R) -> R {
    {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        while state.closed {
            drop(state);
            thread::park();
            state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        }
        state.inside += 1;
    }
    // Left also when `work` panics.
    let _leave = Leave;
    work()
}

struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        STATE.lock().unwrap_or_else(PoisonError::into_inner).inside -= 1;
        LEFT.notify_all();
    }
}

/// Closes the gate for ever, and waits until nobody is inside. For the end of the process only.
pub fn close() {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.closed = true;
    let _ = LEFT.wait_timeout_while(state, PATIENCE, |state| state.inside > 0);
}
