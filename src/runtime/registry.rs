//! The Paraformers of this process.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::batch::Batching;
use super::layout::{Folder, Graphs, ModelSource, Precision};
use super::library::{Library, LibraryRequest, Provider};
use super::rewrite::{Report, Rewrites};
use super::session::Sessions;
use super::shared::{Key, SharedModels};
use super::{builtin, load};
use crate::engine::{Model, Network, Result};
use crate::scheduler::RecognitionClient;
use crate::scheduler::calls::RecognitionCall;

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
    pub client: RecognitionClient,
    /// The precision of the graphs: int8, int8-exact or float32.
    pub precision: Precision,
    /// What was done to the graphs; known once they are loaded.
    pub rewrites: Arc<OnceLock<GraphReports>>,
    /// What the user should know, each a sentence.
    pub warnings: Vec<String>,
}

/// What was done to a model's graphs when they were loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphReports {
    /// To encoder and alpha predictor.
    pub encoder: Report,
    /// To the decoder.
    pub decoder: Report,
}

impl fmt::Display for GraphReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "encoder: {}; decoder: {}", self.encoder, self.decoder)
    }
}

/// What the streams of a model share.
struct Loaded {
    model: Arc<Model>,
    rewrites: Arc<OnceLock<GraphReports>>,
}

static MODELS: SharedModels<Loaded, RecognitionCall> = SharedModels::new();

/// Finds the library and checks the model's files; the graphs are then loaded in the background, unless another stream
/// has loaded them. Errors: [`Error::Library`](crate::engine::Error::Library),
/// [`Error::NotFound`](crate::engine::Error::NotFound), [`Error::Model`](crate::engine::Error::Model).
pub fn open(request: &ModelRequest) -> Result<SharedModel> {
    let folder = Folder::open(&request.source, "model-path")?;
    let graphs = folder.graphs(request.precision)?;
    let library = Library::get(&request.library)?;
    let precision = precision_of(&graphs, request.precision);
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
    let decoder = graphs.decoder.file_name().unwrap_or_default().to_string_lossy();
    let others = [&decoder, "config.yaml", "asr.yaml", "am.mvn", "tokens.json", "tokens.txt"];
    let key = Key::new(&graphs.encoder, &others, precision, library.provider());
    let rewrites = match (precision, library.provider()) {
        (Precision::Int8, Provider::Cpu) => Rewrites::fast(),
        (Precision::Int8Exact, Provider::Cpu) => Rewrites::exact(),
        _ => Rewrites::default(),
    };
    let (loaded, client) = MODELS.open(key, "paraformer", || {
        let files = load::load(&folder, &graphs)?;
        let (sizes, encoder, decoder) = (files.model.sizes(), files.encoder, files.decoder);
        let loaded = Loaded { model: Arc::new(files.model), rewrites: Arc::default() };
        let reports = loaded.rewrites.clone();
        let make = move || {
            // One graph after the other: what making sessions takes besides them is gone before the next are made.
            let (encoders, of_encoder) = encoder.sessions(library, rewrites, library.threads())?;
            let (decoders, of_decoder) = decoder.sessions(library, rewrites, encoders.len())?;
            let batching = match precision {
                Precision::Float32 => Batching::Padded,
                // The published int8 graphs have one activation scale for all of a call.
                _ if !(of_encoder.is_independent_of_batch() && of_decoder.is_independent_of_batch()) => Batching::None,
                // A fused memory knows how many tokens are a stream's own.
                _ if of_decoder.fused_memory == sizes.decoder_layers => Batching::Own,
                _ => Batching::Padded,
            };
            let _ = reports.set(GraphReports { encoder: of_encoder, decoder: of_decoder });
            let copies = encoders.into_iter().zip(decoders).map(|both| {
                let (encoder, decoder) = ((both.0, &*encoder.file), (both.1, &*decoder.file));
                Ok(Box::new(Sessions::new(sizes, encoder, decoder, batching)?) as Box<dyn Network>)
            });
            copies.collect()
        };
        Ok((loaded, make))
    })?;
    let (model, rewrites) = (loaded.model.clone(), loaded.rewrites.clone());
    Ok(SharedModel { model, client, precision, rewrites, warnings })
}

/// The precision that graphs have, where `wanted` was asked for.
fn precision_of(graphs: &Graphs, wanted: Precision) -> Precision {
    let name = graphs.encoder.file_name().unwrap_or_default().to_string_lossy();
    match wanted {
        _ if !name.contains("quant") && !name.contains("int8") => Precision::Float32,
        Precision::Int8Exact => Precision::Int8Exact,
        _ => Precision::Int8,
    }
}
