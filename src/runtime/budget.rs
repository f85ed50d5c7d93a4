//! The process's threads for inference, shared among the calls that are made at the same time.
//!
//! Threads within a call wait for each other behind every operator, which costs more the more there are. So a call that is
//! alone takes all of them, and calls that are made side by side take one each.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many threads there are, and how many calls.
#[derive(Debug)]
pub struct Budget {
    threads: usize,
    calls: AtomicUsize,
}

/// A call, until it is dropped.
#[derive(Debug)]
pub struct Share<'a>(&'a Budget);

impl Budget {
    /// So many threads.
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), calls: AtomicUsize::new(0) }
    }

    /// All threads.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// A call begins.
    pub fn share(&self) -> Share<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Share(self)
    }

    /// The threads that each call may use now, its own among them; at least 1.
    pub fn of_a_call(&self) -> usize {
        (self.threads / self.calls.load(Ordering::Relaxed).max(1)).max(1)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_side_by_side_share_the_threads() {
        let budget = Budget::new(4);
        assert_eq!(budget.of_a_call(), 4);
        let shares: Vec<Share<'_>> = (0..5).map(|_| budget.share()).collect();
        assert_eq!(budget.of_a_call(), 1);
        drop(shares);
        let both = (budget.share(), budget.share());
        assert_eq!(budget.of_a_call(), 2);
        drop(both);
        assert_eq!((budget.of_a_call(), Budget::new(0).of_a_call()), (4, 1));
    }
}
