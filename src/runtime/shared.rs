//! The models of one kind in this process: one copy each, shared by all streams that ask for the same files and options.
//!
//! A model that nobody uses is kept for a while: pipelines are torn down and built again, and `transcriberbin` makes an
//! element only to ask for its latency.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use super::exit;
use super::layout::Precision;
use super::library::Provider;
use crate::engine::Result;
use crate::scheduler::worker::{Call, Client, Copies, Worker};

/// How long an unused model is kept.
pub const KEPT: Duration = Duration::from_secs(10);

/// What makes two requests the same. The files' numbers, lengths and times are part of it: a folder whose files were
/// replaced holds another model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    graph: PathBuf,
    files: Vec<(u64, u64, Option<SystemTime>)>,
    precision: Precision,
    provider: Provider,
}

impl Key {
    /// Of a graph and the other files of its model, by name.
    pub fn new(graph: &Path, others: &[&str], precision: Precision, provider: Provider) -> Self {
        let graph = graph.canonicalize().unwrap_or_else(|_| graph.into());
        let folder = graph.parent().map(PathBuf::from).unwrap_or_default();
        let paths = others.iter().map(|name| folder.join(name)).chain([graph.clone()]);
        let files = paths
            .map(|path| {
                fs::metadata(path).map_or((0, 0, None), |found| (found.ino(), found.len(), found.modified().ok()))
            })
            .collect();
        Self { graph, files, precision, provider }
    }
}

struct Entry<M, C> {
    model: Weak<M>,
    worker: Worker<C>,
}

/// The models of one kind. `M` is all of a model but its graphs; `C` are the calls of these.
pub struct SharedModels<M, C>(Mutex<Option<HashMap<Key, Entry<M, C>>>>);

impl<M: Send + Sync + 'static, C: Call> SharedModels<M, C> {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The model of this key: the one that another stream has, or what `read` gives, whose graphs are then made in the
    /// background. Errors: those of `read`.
    pub fn open<F>(&self, key: Key, name: &str, read: impl FnOnce() -> Result<(M, F)>) -> Result<(Arc<M>, Client<C>)>
    where
        F: FnOnce() -> Result<Copies<C>> + Send + 'static,
    {
        exit::guard();
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let models = models.get_or_insert_default();
        models.retain(|_, entry| !entry.worker.is_gone());
        if let Some(entry) = models.get(&key)
            && let (Some(model), Some(client)) = (entry.model.upgrade(), entry.worker.client())
        {
            return Ok((model, client));
        }
        let (model, load) = read()?;
        let model = Arc::new(model);
        // The worker holds the model as long as it serves; this map does not.
        let (worker, client) = Worker::spawn(name, KEPT, model.clone(), move || {
            let networks = load()?;
            exit::guard();
            Ok(networks)
        })?;
        models.insert(key, Entry { model: Arc::downgrade(&model), worker });
        Ok((model, client))
    }
}
