//! The offline Paraformers of this process: FunASR's, of all four kinds, for the second pass.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;

use super::graph::GraphHeader;
use super::layout::{Folder, ModelSource, Precision};
use super::library::{Library, LibraryRequest, Provider};
use super::load::{self, Graph};
use super::rewrite::Rewrites;
use super::session::{copy, failed, session};
use super::shared::{Key, SharedModels};
use crate::engine::frontend::FEATURE_DIM;
use crate::engine::frontend::cmvn::Cmvn;
use crate::engine::refine::offline::config::OfflineConfig;
use crate::engine::refine::offline::{
    Bias, HOTWORD_IDS, OfflineInput, OfflineKind, OfflineModel, OfflineNetwork, OfflineOutput,
};
use crate::engine::yaml::Yaml;
use crate::engine::{Error, Result};
use crate::scheduler::OfflineClient;
use crate::scheduler::offline::OfflineCall;

const INT8: &str = "model_quant.onnx";
const FLOAT32: &str = "model.onnx";
/// Its LSTM is not quantised, so the float graph is the smaller one too.
const EMBEDDER: &str = "model_eb.onnx";
const CONFIGURATION: &str = "config.yaml";
/// The setting that names the folder.
const SETTING: &str = "offline-model-path";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineRequest {
    /// The folder of the model.
    pub directory: PathBuf,
    /// Which of its graphs. Both int8 precisions are the published arithmetic: utterances are recognised one by one.
    pub precision: Precision,
    /// What runs it.
    pub library: LibraryRequest,
}

/// An offline Paraformer and a way to run it.
pub struct SharedOffline {
    /// All but the graphs.
    pub model: Arc<OfflineModel>,
    /// Runs the graphs; calls wait until they are loaded.
    pub client: OfflineClient,
    /// The precision of the graph: int8-exact or float32.
    pub precision: Precision,
}

static MODELS: SharedModels<OfflineModel, OfflineCall> = SharedModels::new();

/// Finds the library and checks the model's files; the graphs are then loaded in the background, unless another stream
/// has loaded them. Errors: as [`registry::open`](super::registry::open).
pub fn open(request: &OfflineRequest) -> Result<SharedOffline> {
    let source = ModelSource::Directory(request.directory.clone());
    let folder = Folder::open(&source, SETTING)?;
    let names: &[&'static str] = match request.precision {
        Precision::Auto => &[INT8, FLOAT32],
        Precision::Int8 | Precision::Int8Exact => &[INT8],
        Precision::Float32 => &[FLOAT32],
    };
    let missing = |name: &str, what: &str| Error::not_found(folder.path(name), format!("missing: {what}"));
    let name = folder.first(names).ok_or_else(|| missing(names[0], "an offline Paraformer has its graph there"))?;
    let precision = if name == INT8 { Precision::Int8Exact } else { Precision::Float32 };
    let library = Library::get(&request.library)?;
    let path = folder.path(name);
    let others = [EMBEDDER, CONFIGURATION, "am.mvn", "tokens.json", "tokens.txt"];
    let key = Key::new(&path, &others, precision, library.provider());
    let (model, client) = MODELS.open(key, "offline", || {
        let (graph, header) = load::graph(&folder, &path)?;
        let ports = Ports::of(&graph.file, &header)?;
        let embedder = if ports.kind.takes_hotwords() {
            if !folder.has(EMBEDDER) {
                return Err(missing(EMBEDDER, "a model that takes hotwords has its hotword embedder there"));
            }
            let (embedder, header) = load::graph(&folder, &folder.path(EMBEDDER))?;
            Some((Embedder::of(&embedder.file, &header, ports.bias_width)?, embedder))
        } else {
            None
        };
        let model = model(&folder, &graph.file, ports)?;
        let size = model.vocabulary().len();
        let rewrites = match (precision, library.provider()) {
            (Precision::Int8Exact, Provider::Cpu) => Rewrites::exact(),
            _ => Rewrites::default(),
        };
        let make = move || {
            let (graph, _) = graph.rewritten(rewrites);
            let sessions = OfflineSessions::new(library, ports.kind, size, &graph, embedder)?;
            Ok(Box::new(sessions) as Box<dyn OfflineNetwork>)
        };
        Ok((model, make))
    })?;
    Ok(SharedOffline { model, client, precision })
}

/// All but the graphs.
fn model(folder: &Folder<'_>, graph: &Path, ports: Ports) -> Result<OfflineModel> {
    let file = folder.path(CONFIGURATION);
    let yaml = Yaml::parse(&file, &folder.read_text(&file)?)?;
    let config = OfflineConfig::from_yaml(&file, &yaml)?;
    let (vocabulary_file, vocabulary) = load::vocabulary(folder, Some((&file, &yaml)))?;
    if ports.vocabulary_size.is_some_and(|size| size != vocabulary.len()) {
        let name = graph.file_name().unwrap_or_default().to_string_lossy();
        let expected = format!("{} tokens, as many as {name} has", ports.vocabulary_size.unwrap_or_default());
        return Err(Error::model(vocabulary_file, expected, vocabulary.len().to_string()));
    }
    let file = folder.path("am.mvn");
    let cmvn = Cmvn::parse(&file, FEATURE_DIM, &folder.read_text(&file)?)?;
    Ok(OfflineModel::new(ports.kind, config.predictor_bias, cmvn, vocabulary))
}

/// What a graph takes and gives. The `model:` of a configuration does not tell its kind.
#[derive(Debug, Clone, Copy)]
struct Ports {
    kind: OfflineKind,
    vocabulary_size: Option<usize>,
    bias_width: Option<usize>,
}

impl Ports {
    fn of(file: &Path, header: &GraphHeader) -> Result<Self> {
        let has = |name: &str| header.outputs.iter().any(|port| port.name == name);
        let other = if has("enc") && has("alphas") {
            Some("a streaming Paraformer's encoder: its folder belongs in model-path")
        } else if header.has_input("in_cache0") {
            Some("a voice activity detector: its folder belongs in vad-model-path")
        } else if header.has_input("text_lengths") {
            Some("a punctuation model: its folder belongs in punctuation-model-path")
        } else {
            None
        };
        if let Some(other) = other {
            return Err(Error::model(file, format!("an offline Paraformer in {SETTING}"), other));
        }
        header.require(file, "an offline Paraformer", &["speech", "speech_lengths"], &["logits", "token_num"])?;
        let gives_times = has("us_cif_peak") && has("us_alphas");
        if let Some(width) = header.dim("speech", 2).filter(|&width| width != FEATURE_DIM) {
            return Err(Error::model(file, format!("features (speech) of width {FEATURE_DIM}"), width.to_string()));
        }
        Ok(Self {
            kind: OfflineKind::of(header.has_input("bias_embed"), gives_times),
            vocabulary_size: header.dim("logits", 2),
            bias_width: header.dim("bias_embed", 2),
        })
    }
}

/// What a hotword embedder takes.
#[derive(Debug, Clone)]
struct Embedder {
    /// The input for the words' lengths, which older exports have.
    lengths: Option<String>,
}

impl Embedder {
    fn of(file: &Path, header: &GraphHeader, width: Option<usize>) -> Result<Self> {
        header.require(file, "a hotword embedder", &["hotword"], &["hw_embed"])?;
        let check = |what: &str, expected: Option<usize>, found: Option<usize>| match (expected, found) {
            (Some(expected), Some(found)) if expected != found => {
                Err(Error::model(file, format!("{what} {expected}"), found.to_string()))
            }
            _ => Ok(()),
        };
        check("hotwords of length", Some(HOTWORD_IDS), header.dim("hotword", 1))?;
        check("vectors (hw_embed) as wide as the recogniser's bias_embed,", width, header.dim("hw_embed", 2))?;
        Ok(Self { lengths: header.inputs.iter().map(|port| port.name.clone()).find(|name| name != "hotword") })
    }
}

/// The graphs, ready to run. One owner: a session runs one call at a time.
struct OfflineSessions {
    kind: OfflineKind,
    recogniser: Session,
    embedder: Option<(Embedder, Session)>,
}

impl OfflineSessions {
    /// Makes the sessions, and runs each graph once: whatever does not fit shows now.
    ///
    /// Errors: [`Error::Model`] naming the file.
    fn new(
        library: &Library,
        kind: OfflineKind,
        vocabulary_size: usize,
        graph: &Graph,
        embedder: Option<(Embedder, Graph)>,
    ) -> Result<Self> {
        let wrong = |file: &Path, found: String| Error::model(file, "a graph that runs", found);
        let recogniser = session(library, graph)?;
        let mut bias = None;
        let embedder = match embedder {
            Some((embedder, graph)) => {
                let mut session = session(library, &graph)?;
                let (mut vectors, mut ids) = (Vec::new(), [0; HOTWORD_IDS]);
                ids[0] = 1;
                embed(&embedder, &mut session, &ids, &mut vectors).map_err(|e| wrong(&graph.file, e.to_string()))?;
                vectors.truncate(vectors.len() / HOTWORD_IDS);
                bias = Some(Bias { vectors, rows: 1 });
                Some((embedder, session))
            }
            None => None,
        };
        let mut made = Self { kind, recogniser, embedder };
        // Three seconds of average sound: in most models something fires.
        let (frames, mut output) = (50, OfflineOutput::default());
        let features = vec![0.0; frames * FEATURE_DIM];
        let input = OfflineInput { features: &features, frames, bias: bias.as_ref() };
        made.recognise(input, &mut output).map_err(|e| wrong(&graph.file, e.to_string()))?;
        if output.logits.len() < output.token_num * vocabulary_size || output.logits.len() % vocabulary_size != 0 {
            let found = format!("{} logits for {} tokens", output.logits.len(), output.token_num);
            return Err(Error::model(&graph.file, format!("{vocabulary_size} logits for a token"), found));
        }
        Ok(made)
    }
}

impl OfflineNetwork for OfflineSessions {
    fn recognise(&mut self, input: OfflineInput<'_>, output: &mut OfflineOutput) -> Result<()> {
        let lengths = [input.frames as i32];
        let mut inputs = ort::inputs![
            "speech" => TensorRef::from_array_view(([1, input.frames, FEATURE_DIM], input.features)).map_err(failed)?,
            "speech_lengths" => TensorRef::from_array_view(([1], lengths.as_slice())).map_err(failed)?,
        ];
        if let Some(Bias { vectors, rows }) = input.bias.filter(|_| self.kind.takes_hotwords()) {
            let shape = [1, *rows, vectors.len() / rows.max(&1)];
            let bias = TensorRef::from_array_view((shape, vectors.as_slice())).map_err(failed)?;
            inputs.push(("bias_embed".into(), bias.into()));
        }
        output.token_num = 0;
        [&mut output.logits, &mut output.alphas, &mut output.peaks].into_iter().for_each(Vec::clear);
        let outputs = match self.recogniser.run(inputs) {
            Ok(outputs) => outputs,
            // No token is heard, so the decoder is given nothing, which it cannot take. FunASR gives up likewise.
            Err(e) if is_nothing(&e.to_string()) => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        let tokens = outputs.get("token_num").ok_or_else(|| Error::network("no output token_num"))?;
        let tokens = tokens.try_extract_tensor::<i32>().map_err(failed)?.1.first().copied();
        output.token_num = tokens.and_then(|tokens| usize::try_from(tokens).ok()).unwrap_or(0);
        copy(&outputs, "logits", &mut output.logits)?;
        if self.kind.gives_times() {
            copy(&outputs, "us_alphas", &mut output.alphas)?;
            copy(&outputs, "us_cif_peak", &mut output.peaks)?;
        }
        Ok(())
    }

    fn embed(&mut self, ids: &[i32], embedded: &mut Vec<f32>) -> Result<()> {
        let (embedder, session) =
            self.embedder.as_mut().ok_or_else(|| Error::network("this model takes no hotwords"))?;
        embed(embedder, session, ids, embedded)
    }
}

fn embed(embedder: &Embedder, session: &mut Session, ids: &[i32], embedded: &mut Vec<f32>) -> Result<()> {
    let words = ids.chunks_exact(HOTWORD_IDS);
    // FunASR counts from 0.
    let lengths: Vec<i32> = words.map(|word| word.iter().filter(|&&id| id != 0).count() as i32 - 1).collect();
    let hotword = TensorRef::from_array_view(([lengths.len(), HOTWORD_IDS], ids)).map_err(failed)?;
    let mut inputs = ort::inputs!["hotword" => hotword];
    if let Some(name) = &embedder.lengths {
        let lengths = TensorRef::from_array_view(([lengths.len()], lengths.as_slice())).map_err(failed)?;
        inputs.push((name.clone().into(), lengths.into()));
    }
    let outputs = session.run(inputs).map_err(failed)?;
    copy(&outputs, "hw_embed", embedded)
}

/// Whether ONNX Runtime says that an operator was given a tensor without rows.
fn is_nothing(message: &str) -> bool {
    message.contains("shape") && message.contains("{0")
}
