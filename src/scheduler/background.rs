//! One thread for work that no stream waits for: what happens to final results. It serves the whole process, in the order
//! in which work comes, and ends some time after the last.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::engine::{Error, Result};

/// How long the thread waits for more work before it ends.
const KEPT: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

struct State {
    work: VecDeque<Work>,
    running: bool,
}

static STATE: Mutex<State> = Mutex::new(State { work: VecDeque::new(), running: false });
static CHANGED: Condvar = Condvar::new();

/// Does `work` on the background thread, after what came before it. Errors: [`Error::Network`] where there can be no more
/// threads; the work is then not done.
pub fn run(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    if !state.running {
        thread::Builder::new()
            .name("refine".into())
            .spawn(serve)
            .map_err(|e| Error::network(format!("no thread to refine results: {e}")))?;
        state.running = true;
    }
    state.work.push_back(Box::new(work));
    drop(state);
    CHANGED.notify_one();
    Ok(())
}

fn serve() {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(work) = state.work.pop_front() {
            drop(state);
            // Whoever waits for a result learns from what the work drops that there is none.
            let _ = catch_unwind(AssertUnwindSafe(work));
            state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let (waited, timeout) = CHANGED.wait_timeout(state, KEPT).unwrap_or_else(PoisonError::into_inner);
        state = waited;
        if timeout.timed_out() && state.work.is_empty() {
            state.running = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn work_is_done_in_order_and_a_panic_ends_nothing() {
        let (told, done) = mpsc::channel();
        for number in 0..5 {
            let told = told.clone();
            run(move || {
                assert_ne!(number, 2, "this panic is part of the test");
                told.send(number).unwrap();
            })
            .unwrap();
        }
        drop(told);
        assert_eq!(done.iter().collect::<Vec<i32>>(), [0, 1, 3, 4]);
    }
}
