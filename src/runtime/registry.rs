//! The models of this process: one copy each, shared by all streams that ask for the same files and options.
//!
//! A model that nobody uses is kept for a while: pipelines are torn down and built again, and `transcriberbin` makes an
//! element only to ask for its latency.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use super::layout::{Folder, Graphs, ModelSource, Precision};
use super::library::{Library, LibraryRequest, Provider};
use super::load;
use super::session::Sessions;
use super::{builtin, exit};
use crate::engine::{Model, Network, Result};
use crate::scheduler::{Client, Worker};

/// How long an unused model is kept.
pub const KEPT: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRequest {
    /// Where the model is.
    pub source: ModelSource,
    /// Which of its graphs.
    pub precision: Precision,
    /// What runs it.
    pub library: LibraryRequest,
}

/// A model and a way to run it.
pub struct SharedModel {
    /// All but the graphs.
    pub model: Arc<Model>,
    /// Runs the graphs; calls wait until they are loaded.
    pub client: Client,
    /// The precision of the graphs: int8 or float32.
    pub precision: Precision,
    /// What the user should know, each a sentence.
    pub warnings: Vec<String>,
}

/// What makes two requests the same. The files' numbers, lengths and times are part of it: a folder whose files were
/// replaced holds another model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    encoder: PathBuf,
    files: Vec<(u64, u64, Option<SystemTime>)>,
    precision: Precision,
    provider: Provider,
}

struct Entry {
    model: Weak<Model>,
    worker: Worker,
}

static MODELS: Mutex<Option<HashMap<Key, Entry>>> = Mutex::new(None);

/// Finds the library and checks the model's files; the graphs are then loaded in the background, unless another stream
/// has loaded them. Errors: [`Error::Library`](crate::engine::Error::Library),
/// [`Error::NotFound`](crate::engine::Error::NotFound), [`Error::Model`](crate::engine::Error::Model).
pub fn open(request: &ModelRequest) -> Result<SharedModel> {
    let folder = Folder::open(&request.source)?;
    let graphs = folder.graphs(request.precision)?;
    let library = Library::get(&request.library)?;
    exit::guard();
    let precision = precision_of(&graphs);
    let mut warnings = library.conflicts(&request.library);
    warnings.extend(graphs.note.clone());
    if request.source == ModelSource::BuiltIn {
        warnings.push(builtin::WARNING.into());
    }
    if library.provider() == Provider::Cuda && precision != Precision::Float32 {
        warnings.push(
            "int8 graphs are slower on a GPU than on the processor: use precision=float32 with execution-provider=cuda"
                .into(),
        );
    }
    let key = key(&request.source, &graphs, request.precision, library.provider());
    let mut models = MODELS.lock().unwrap_or_else(PoisonError::into_inner);
    let models = models.get_or_insert_default();
    models.retain(|_, entry| !entry.worker.is_gone());
    if let Some(entry) = models.get(&key)
        && let (Some(model), Some(client)) = (entry.model.upgrade(), entry.worker.client())
    {
        return Ok(SharedModel { model, client, precision, warnings });
    }
    let files = load::load(&folder, &graphs)?;
    let sizes = files.model.sizes();
    let (model, encoder, decoder) = (Arc::new(files.model), files.encoder, files.decoder);
    // The worker holds the model as long as it serves; the registry does not.
    let held = model.clone();
    let (worker, client) = Worker::spawn("paraformer", KEPT, move || {
        let sessions = Sessions::new(library, sizes, &encoder, &decoder)?;
        exit::guard();
        Ok(Box::new(Holding { sessions, _model: held }) as Box<dyn Network>)
    })?;
    models.insert(key, Entry { model: Arc::downgrade(&model), worker });
    Ok(SharedModel { model, client, precision, warnings })
}

/// Sessions, and the model that they belong to.
struct Holding {
    sessions: Sessions,
    _model: Arc<Model>,
}

impl Network for Holding {
    fn encode(
        &mut self,
        input: crate::engine::EncoderInput<'_>,
        output: &mut crate::engine::EncoderOutput,
    ) -> Result<()> {
        self.sessions.encode(input, output)
    }

    fn decode(
        &mut self,
        input: crate::engine::DecoderInput<'_>,
        output: &mut crate::engine::DecoderOutput,
    ) -> Result<()> {
        self.sessions.decode(input, output)
    }
}

fn precision_of(graphs: &Graphs) -> Precision {
    let name = graphs.encoder.file_name().unwrap_or_default().to_string_lossy();
    if name.contains("quant") || name.contains("int8") { Precision::Int8Exact } else { Precision::Float32 }
}

fn key(source: &ModelSource, graphs: &Graphs, precision: Precision, provider: Provider) -> Key {
    let encoder = graphs.encoder.canonicalize().unwrap_or_else(|_| graphs.encoder.clone());
    let folder = encoder.parent().map(PathBuf::from).unwrap_or_default();
    let decoder = graphs.decoder.file_name().unwrap_or_default();
    let others = [
        decoder.to_owned(),
        "config.yaml".into(),
        "asr.yaml".into(),
        "am.mvn".into(),
        "tokens.json".into(),
        "tokens.txt".into(),
    ];
    let paths = others.iter().map(|name| folder.join(name)).chain([encoder.clone()]);
    let files = match source {
        ModelSource::BuiltIn => Vec::new(),
        ModelSource::Directory(_) => paths
            .map(|path| {
                fs::metadata(path).map_or((0, 0, None), |found| (found.ino(), found.len(), found.modified().ok()))
            })
            .collect(),
    };
    Key { encoder, files, precision, provider }
}
