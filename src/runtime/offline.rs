//! The offline Paraformers of this process: FunASR's, of all four kinds, for the second pass.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::logging::LogLevel;
use ort::session::{RunOptions, Session};
use ort::value::TensorRef;

use super::graph::GraphHeader;
use super::layout::{Folder, ModelSource, Precision};
use super::library::{Library, LibraryRequest, Provider};
use super::load::{self, Graph};
use super::rewrite::Rewrites;
use super::session::{copy, failed};
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
    let name = folder.first(names).ok_or_else(|| no_graph(&folder, names[0], request.precision))?;
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
                let hint = "missing: a model that takes hotwords has its hotword embedder there";
                return Err(Error::not_found(folder.path(EMBEDDER), hint));
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
            let sessions = OfflineSessions::new(library, ports.kind, size, (&graph, rewrites), embedder)?;
            Ok(vec![Box::new(sessions) as Box<dyn OfflineNetwork>])
        };
        Ok((model, make))
    })?;
    Ok(SharedOffline { model, client, precision })
}

/// Why there is no graph, where that can be told.
fn no_graph(folder: &Folder<'_>, name: &str, precision: Precision) -> Error {
    let hint = if folder.has("model.pt") && folder.first(&[INT8, FLOAT32]).is_none() {
        format!(
            "missing: the folder has a PyTorch model (model.pt) but no ONNX graph. Export it with: python3 -c \"from \
             funasr import AutoModel; AutoModel(model='{}').export(type='onnx', quantize=True)\"",
            folder.path("").display()
        )
    } else if folder.first(&["encoder.int8.onnx", "encoder.onnx"]).is_some() {
        format!("missing: the folder holds a streaming Paraformer, which belongs in model-path, not in {SETTING}")
    } else {
        format!("missing (precision={}): an offline Paraformer has its graph there", precision.name())
    };
    Error::not_found(folder.path(name), hint)
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
    /// Without the library's own words: that nothing is heard is no error to write to a terminal.
    quiet: RunOptions,
}

impl OfflineSessions {
    /// Makes the sessions, and runs each graph once: whatever does not fit shows now.
    ///
    /// Errors: [`Error::Model`] naming the file.
    fn new(
        library: &Library,
        kind: OfflineKind,
        vocabulary_size: usize,
        (graph, rewrites): (&Graph, Rewrites),
        embedder: Option<(Embedder, Graph)>,
    ) -> Result<Self> {
        let wrong = |file: &Path, found: String| Error::model(file, "a graph that runs", found);
        let recogniser = graph.session(library, rewrites)?;
        let mut bias = None;
        let embedder = match embedder {
            Some((embedder, graph)) => {
                let mut session = graph.session(library, Rewrites::default())?;
                let (mut vectors, mut ids) = (Vec::new(), [0; HOTWORD_IDS]);
                ids[0] = 1;
                embed(&embedder, &mut session, &ids, &mut vectors).map_err(|e| wrong(&graph.file, e.to_string()))?;
                vectors.truncate(vectors.len() / HOTWORD_IDS);
                bias = Some(Bias { vectors, rows: 1 });
                Some((embedder, session))
            }
            None => None,
        };
        let mut quiet = RunOptions::new().map_err(failed)?;
        quiet.set_log_level(LogLevel::Fatal).map_err(failed)?;
        let mut made = Self { kind, recogniser, embedder, quiet };
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
        let outputs = match self.recogniser.run_with_options(inputs, &self.quiet) {
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

#[cfg(test)]
mod tests {
    use super::super::graph::Port;
    use super::*;

    fn header(inputs: &[(&str, &[usize])], outputs: &[(&str, &[usize])]) -> GraphHeader {
        let port = |(name, dims): &(&str, &[usize])| Port {
            name: (*name).into(),
            dims: dims.iter().map(|&dim| Some(dim).filter(|&dim| dim > 0)).collect(),
        };
        let (inputs, outputs) = (inputs.iter().map(port).collect(), outputs.iter().map(port).collect());
        GraphHeader { inputs, outputs, metadata: Vec::new() }
    }

    fn found(inputs: &[(&str, &[usize])], outputs: &[(&str, &[usize])]) -> std::result::Result<OfflineKind, String> {
        let ports = Ports::of(Path::new("model.onnx"), &header(inputs, outputs));
        ports.map(|ports| ports.kind).map_err(|e| e.to_string())
    }

    #[test]
    fn the_kind_is_told_by_inputs_and_outputs() {
        let speech: (&str, &[usize]) = ("speech", &[0, 0, 560]);
        let plain = [speech, ("speech_lengths", &[0])];
        let biased = [speech, ("speech_lengths", &[0]), ("bias_embed", &[0, 0, 512])];
        let text: [(&str, &[usize]); 2] = [("logits", &[0, 0, 8404]), ("token_num", &[0])];
        let times: [(&str, &[usize]); 4] = [text[0], text[1], ("us_alphas", &[0, 0]), ("us_cif_peak", &[0, 0])];
        assert_eq!(found(&plain, &text), Ok(OfflineKind::Plain));
        assert_eq!(found(&plain, &times), Ok(OfflineKind::BiCif));
        assert_eq!(found(&biased, &text), Ok(OfflineKind::Contextual));
        assert_eq!(found(&biased, &times), Ok(OfflineKind::SeACo));
        // Half of what gives times gives none.
        assert_eq!(found(&plain, &times[..3]), Ok(OfflineKind::Plain));
        let narrow: [(&str, &[usize]); 2] = [("speech", &[0, 0, 80]), plain[1]];
        assert_eq!(found(&narrow, &text).unwrap_err(), "model.onnx: expected features (speech) of width 560, found 80");
    }

    #[test]
    fn other_models_are_named() {
        fn free<'a>(names: &[&'a str]) -> Vec<(&'a str, &'a [usize])> {
            names.iter().map(|name| (*name, &[][..])).collect()
        }
        let error = |inputs: &[&str], outputs: &[&str]| found(&free(inputs), &free(outputs)).unwrap_err();
        let punctuation = error(&["inputs", "text_lengths"], &["logits"]);
        assert_eq!(
            punctuation,
            "model.onnx: expected an offline Paraformer in offline-model-path, found a punctuation model: its folder \
             belongs in punctuation-model-path"
        );
        assert!(error(&["speech", "in_cache0"], &["logits"]).contains("vad-model-path"));
        assert!(error(&["speech", "speech_lengths"], &["enc", "enc_len", "alphas"]).contains("belongs in model-path"));
        let unknown = error(&["speech", "speech_lengths", "language"], &["ctc_logits"]);
        assert!(unknown.starts_with("model.onnx: expected an offline Paraformer: inputs speech"), "{unknown}");
    }

    #[test]
    fn an_embedder_fits_its_recogniser() {
        let fits = |length: usize, width: usize| {
            let header = header(&[("hotword", &[0, length])], &[("hw_embed", &[10, 0, width])]);
            Embedder::of(Path::new("model_eb.onnx"), &header, Some(512)).map_err(|e| e.to_string())
        };
        assert_eq!(fits(10, 512).unwrap().lengths, None);
        assert_eq!(fits(12, 512).unwrap_err(), "model_eb.onnx: expected hotwords of length 10, found 12");
        assert!(fits(10, 64).unwrap_err().ends_with("as wide as the recogniser's bias_embed, 512, found 64"));
        let older = header(&[("hotword", &[0, 10]), ("hotword_length", &[0])], &[("hw_embed", &[10, 0, 512])]);
        let older = Embedder::of(Path::new("model_eb.onnx"), &older, None).unwrap();
        assert_eq!(older.lengths.as_deref(), Some("hotword_length"));
    }

    #[test]
    fn only_a_tensor_without_rows_means_that_nothing_is_heard() {
        assert!(is_nothing("Non-zero status code returned while running Conv node. Invalid input shape: {0}"));
        assert!(is_nothing("cannot be reshaped to the requested shape. Input shape:{0,64}, requested shape:{1,64,64}"));
        assert!(!is_nothing("Failed to allocate memory for requested buffer of size 400000"));
        assert!(!is_nothing("Got invalid dimensions for input: speech index: 2 Got: 80 Expected: 560"));
    }
}
