//! Threads that each own a copy of a network and run the calls of all streams that share it, in batches where that is
//! cheaper.
//!
//! The copies are made on the first of these threads, so nobody waits for them but those who call them. Buffers travel with
//! a call and come back with its result. The threads end some time after their last client.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::gate;
use super::pending::{Next, Pending};
use super::slot::{Canceller, Slot};
use crate::engine::{Error, Result};

/// A call of a network: what it takes and gives, in buffers that travel to the thread and back, and are used again.
pub trait Call: Default + Send + 'static {
    /// What the call is made of.
    type Network: ?Sized + Send;

    /// Calls of one kind can be made together; one without a kind is made alone.
    fn kind(&self) -> Option<usize>;

    /// Makes calls of one kind. Errors: those of the network, for all of them.
    fn run(calls: &mut [&mut Self], network: &mut Self::Network) -> Result<()>;
}

/// Copies of a network that do the same, each for one thread; at least one.
pub type Copies<C> = Vec<Box<<C as Call>::Network>>;

struct Job<C> {
    call: Box<C>,
    number: u64,
    slot: Arc<Slot<Box<C>>>,
}

type Callback = Box<dyn FnOnce(Result<()>) + Send>;

enum Status {
    Loading(Vec<Callback>),
    Ready,
    Failed(Error),
    Gone,
}

struct State<C> {
    pending: Pending<Job<C>>,
    clients: usize,
    status: Status,
}

struct Shared<C> {
    state: Mutex<State<C>>,
    changed: Condvar,
}

/// The threads, as those see them who hand out their clients.
pub struct Worker<C>(Arc<Shared<C>>);

/// A stream's way to the network. Calls wait for their result; a [`Canceller`] breaks the wait off.
pub struct Client<C> {
    shared: Arc<Shared<C>>,
    slot: Arc<Slot<Box<C>>>,
    call: Option<Box<C>>,
    patience: Duration,
}

impl<C: Call> Worker<C> {
    /// Starts a thread, which makes copies of a network with `load`, and another thread for each but the first; gives the
    /// first client. They end `kept` after the last client is dropped, and `held` is dropped then. Errors:
    /// [`Error::Network`] where there can be no more threads.
    pub fn spawn<F>(name: &str, kept: Duration, held: impl Send + 'static, load: F) -> Result<(Self, Client<C>)>
    where
        F: FnOnce() -> Result<Copies<C>> + Send + 'static,
    {
        let state = State { pending: Pending::default(), clients: 1, status: Status::Loading(Vec::new()) };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let served = shared.clone();
        thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                serve(&served, kept, load);
                drop(held);
            })
            .map_err(|e| Error::network(format!("no thread to run it: {e}")))?;
        let client = Client::new(shared.clone());
        Ok((Self(shared), client))
    }

    /// Another client; none where the thread has ended or its network cannot be made.
    pub fn client(&self) -> Option<Client<C>> {
        let mut state = self.0.lock();
        if matches!(state.status, Status::Gone | Status::Failed(_)) {
            return None;
        }
        state.clients += 1;
        Some(Client::new(self.0.clone()))
    }

    /// Whether the thread has ended or will, so that it serves nobody.
    pub fn is_gone(&self) -> bool {
        matches!(self.0.lock().status, Status::Gone | Status::Failed(_))
    }
}

impl<C: Call> Client<C> {
    fn new(shared: Arc<Shared<C>>) -> Self {
        Self { shared, slot: Arc::default(), call: None, patience: Duration::ZERO }
    }

    /// Breaks off this client's calls.
    pub fn canceller(&self) -> Canceller {
        Canceller::new(self.slot.clone())
    }

    /// How long calls may wait for those of other streams, to be made together with them; at first not at all.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// How long calls may wait for those of other streams.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// How many calls are made together, on average.
    pub fn mean_batch(&self) -> f64 {
        self.shared.lock().pending.mean_batch()
    }

    /// How many streams share the network.
    pub fn clients(&self) -> usize {
        self.shared.lock().clients
    }

    /// Whether the network is ready, or can never be.
    pub fn is_settled(&self) -> bool {
        !matches!(self.shared.lock().status, Status::Loading(_))
    }

    /// Calls `callback` once the network is ready or has failed to load: at once where that is known, else on the
    /// worker's thread.
    pub fn when_loaded(&self, callback: impl FnOnce(Result<()>) + Send + 'static) {
        let mut state = self.shared.lock();
        let result = match &mut state.status {
            Status::Loading(callbacks) => return callbacks.push(Box::new(callback)),
            Status::Failed(error) => Err(error.clone()),
            Status::Ready | Status::Gone => Ok(()),
        };
        drop(state);
        callback(result);
    }

    /// Makes a call, which `fill` prepares, and gives it back with its results. It may wait for others for `patience`.
    /// Errors: those of the network, and [`Error::Cancelled`].
    pub fn call(&mut self, patience: Duration, fill: impl FnOnce(&mut C)) -> Result<&mut C> {
        let number = self.slot.begin()?;
        let mut call = self.call.take().unwrap_or_default();
        fill(&mut call);
        let kind = call.kind();
        let mut state = self.shared.lock();
        match &state.status {
            Status::Failed(error) => return Err(error.clone()),
            Status::Gone => return Err(Error::network("the model's thread has ended")),
            Status::Loading(_) | Status::Ready => {}
        }
        let job = Job { call, number, slot: self.slot.clone() };
        state.pending.push(job, stream(&self.slot), kind, patience, Instant::now());
        drop(state);
        self.shared.changed.notify_all();
        let call = self.slot.wait(number)?;
        Ok(self.call.insert(call))
    }
}

/// What tells a stream's calls from those of others.
fn stream<T>(slot: &Arc<Slot<T>>) -> usize {
    Arc::as_ptr(slot).addr()
}

impl<C> Drop for Client<C> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.clients -= 1;
        state.pending.leave(stream(&self.slot));
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl<C> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network is there, or never will be: tells all who wait. Jobs are served or refused after this.
    fn settle(&self, status: Status, result: Result<()>) {
        let before = std::mem::replace(&mut self.lock().status, status);
        if let Status::Loading(callbacks) = before {
            callbacks.into_iter().for_each(|callback| callback(result.clone()));
        }
    }

    /// The next calls to make; none once nobody has used the network for `kept`.
    fn next(&self, kept: Duration) -> Option<Vec<Job<C>>> {
        let mut state = self.lock();
        let mut unused_since: Option<Instant> = None;
        loop {
            if matches!(state.status, Status::Gone) {
                return None;
            }
            let wait = match state.pending.next(Instant::now()) {
                Next::Batch(jobs) => return Some(jobs),
                Next::Wait(wait) => wait,
            };
            let wait = if state.clients > 0 {
                unused_since = None;
                wait
            } else {
                let unused = unused_since.get_or_insert_with(Instant::now).elapsed();
                if unused >= kept {
                    state.status = Status::Gone;
                    self.changed.notify_all();
                    return None;
                }
                Some(kept - unused)
            };
            state = match wait {
                Some(wait) => self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

fn serve<C: Call, F: FnOnce() -> Result<Copies<C>>>(shared: &Shared<C>, kept: Duration, load: F) {
    let loaded = gate::inside(|| catch_unwind(AssertUnwindSafe(load)))
        .unwrap_or_else(|_| Err(Error::network("loading the model panicked")));
    let mut networks = match loaded {
        Ok(networks) => networks.into_iter(),
        Err(error) => {
            shared.settle(Status::Failed(error.clone()), Err(error.clone()));
            let jobs = shared.lock().pending.take();
            jobs.into_iter().for_each(|job| job.slot.complete(job.number, Err(error.clone())));
            return;
        }
    };
    let name = thread::current().name().unwrap_or_default().to_owned();
    let first = networks.next();
    thread::scope(|scope| {
        for network in networks {
            // Where there can be no more threads, there are fewer copies.
            let served = || {
                shared.lock().pending.begin();
                serve_calls(shared, kept, network);
            };
            let _ = thread::Builder::new().name(name.clone()).spawn_scoped(scope, served);
        }
        shared.settle(Status::Ready, Ok(()));
        first.into_iter().for_each(|network| serve_calls(shared, kept, network));
    });
}

/// Runs calls until nobody needs them any more.
fn serve_calls<C: Call>(shared: &Shared<C>, kept: Duration, mut network: Box<C::Network>) {
    while let Some(mut jobs) = shared.next(kept) {
        let taken = jobs.len();
        jobs.retain(|job| job.slot.wanted(job.number));
        let mut calls: Vec<&mut C> = jobs.iter_mut().map(|job| job.call.as_mut()).collect();
        let run = || C::run(&mut calls, network.as_mut());
        let run = gate::inside(|| catch_unwind(AssertUnwindSafe(run)));
        let result = run.unwrap_or_else(|_| Err(Error::network("the network panicked")));
        shared.lock().pending.done(taken);
        jobs.into_iter().for_each(|job| job.slot.complete(job.number, result.clone().map(|()| job.call)));
    }
    gate::inside(|| drop(network));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A copy that does nothing until it hears from another, so that both are at work at once.
    struct Copy(Sender<()>, Receiver<()>);

    #[derive(Default)]
    struct Meet;

    impl Call for Meet {
        type Network = Copy;

        fn kind(&self) -> Option<usize> {
            None
        }

        fn run(_: &mut [&mut Self], Copy(tell, hear): &mut Copy) -> Result<()> {
            let _ = tell.send(());
            hear.recv_timeout(Duration::from_secs(20)).map_err(|_| Error::network("alone"))
        }
    }

    #[test]
    fn copies_of_a_network_work_at_the_same_time() {
        let ((to_first, first), (to_second, second)) = (channel(), channel());
        let copies = vec![Box::new(Copy(to_second, first)), Box::new(Copy(to_first, second))];
        let (worker, mut client) = Worker::<Meet>::spawn("test", Duration::ZERO, (), move || Ok(copies)).unwrap();
        let mut other = worker.client().unwrap();
        thread::scope(|scope| {
            let met = scope.spawn(move || other.call(Duration::ZERO, |_| ()).map(|_| ()));
            client.call(Duration::ZERO, |_| ()).map(|_| ()).unwrap();
            met.join().unwrap().unwrap();
        });
        // Both threads end, so that nothing holds the network any more.
        drop(client);
        let ended = (0..2000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            Arc::strong_count(&worker.0) == 1
        });
        assert!(ended && worker.is_gone());
    }
}
