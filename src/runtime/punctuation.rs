//! The punctuation models of this process: CT-Transformers, as FunASR exports them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::session::Session;
use ort::value::TensorRef;
use prost::Message;

use super::graph::{GraphHeader, Port};
use super::layout::{Folder, ModelSource, Precision};
use super::library::{Library, LibraryRequest};
use super::load::Graph;
use super::rewrite::Rewrites;
use super::session::{copy, failed};
use super::shared::{Key, SharedModels};
use crate::engine::refine::punctuation::{
    Marks, PunctuationInput, PunctuationKind, PunctuationModel, PunctuationNetwork,
};
use crate::engine::vocabulary::Vocabulary;
use crate::engine::yaml::Yaml;
use crate::engine::{Error, Result};
use crate::scheduler::PunctuationClient;
use crate::scheduler::punctuation::PunctuationCall;

/// The exact graph goes first: the quantised one gives other marks after a few words in a thousand, and most of a model is its
/// embedding, which is the same in both.
const GRAPHS: [&str; 2] = ["model.onnx", "model_quant.onnx"];
const CONFIGURATIONS: [&str; 2] = ["config.yaml", "punc.yaml"];
const VOCABULARIES: [&str; 2] = ["tokens.json", "tokens.txt"];
/// What a model cuts Chinese words with that takes words, not characters.
const SEGMENTER: &str = "jieba_usr_dict";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PunctuationRequest {
    /// The folder of the model.
    pub directory: PathBuf,
    /// What runs it.
    pub library: LibraryRequest,
}

/// A punctuation model and a way to run it.
pub struct SharedPunctuation {
    /// All but the graph.
    pub model: Arc<PunctuationModel>,
    /// Runs the graph; calls wait until it is loaded.
    pub client: PunctuationClient,
    /// What the user should know, each a sentence.
    pub warnings: Vec<String>,
}

static MODELS: SharedModels<PunctuationModel, PunctuationCall> = SharedModels::new();

/// Finds the library and checks the model's files; the graph is then loaded in the background, unless another stream has
/// loaded it. Errors: as [`registry::open`](super::registry::open).
pub fn open(request: &PunctuationRequest) -> Result<SharedPunctuation> {
    let source = ModelSource::Directory(request.directory.clone());
    let folder = Folder::open(&source, "punctuation-model-path")?;
    let file = |names: &[&'static str], what: &str| {
        let missing = || {
            let hint =
                format!("missing: a punctuation model (punctuation-model-path) has {what} in {}", names.join(" or "));
            Error::not_found(folder.path(names[0]), hint)
        };
        folder.first(names).map(|name| folder.path(name)).ok_or_else(missing)
    };
    let path = file(&GRAPHS, "its graph")?;
    let library = Library::get(&request.library)?;
    let key = Key::new(&path, &[CONFIGURATIONS, VOCABULARIES].concat(), Precision::Auto, library.provider());
    let (model, client) = MODELS.open(key, "punctuation", || {
        // Read once: the header and the embedding's size are told by the same bytes.
        let (graph, bytes) = (Graph::new(&folder, &path), folder.read(&path)?);
        let header = GraphHeader::parse(&path, &bytes)?;
        // First of all: a folder of another kind of model lacks other files as well, which nobody should look for.
        let kind = kind(&graph.file, &header)?;
        let config = file(&CONFIGURATIONS, "its settings")?;
        let yaml = Yaml::parse(&config, &folder.read_text(&config)?)?;
        let marks = Marks::from_yaml(&config, &yaml)?;
        let (vocabulary_file, vocabulary) = vocabulary(&folder, &config, &yaml, || file(&VOCABULARIES, "its words"))?;
        let ports = Ports { kind, inputs: names(&header.inputs), output: header.outputs[0].name.clone() };
        check(&bytes, &header, &ports, (&config, marks.len()), (&vocabulary_file, vocabulary.len()))?;
        let (words, classes) = (vocabulary.len(), marks.len());
        let make = move || {
            let session = PunctuationSession::new(library, &graph, ports, words, classes)?;
            Ok(vec![Box::new(session) as Box<dyn PunctuationNetwork>])
        };
        Ok((PunctuationModel::new(kind, &vocabulary, marks), make))
    })?;
    let mut warnings = Vec::new();
    if folder.has(SEGMENTER) && model.kind() == PunctuationKind::Offline {
        warnings.push(format!(
            "the punctuation model in {} was made for text that is cut into words ({SEGMENTER}): characters are what it gets \
             here, and its marks may be worse. A vad_realtime model takes characters",
            request.directory.display()
        ));
    }
    Ok(SharedPunctuation { model, client, warnings })
}

/// The vocabulary, and the file it stands in; in the first layout that is the configuration.
fn vocabulary(
    folder: &Folder<'_>,
    config: &Path,
    yaml: &Yaml,
    file: impl FnOnce() -> Result<PathBuf>,
) -> Result<(PathBuf, Vocabulary)> {
    let file = match (file(), Vocabulary::from_config(config, yaml)?) {
        (Ok(file), _) => file,
        (Err(_), Some(vocabulary)) => return Ok((config.into(), vocabulary)),
        (Err(missing), None) => return Err(missing),
    };
    let text = folder.read_text(&file)?;
    let json = file.extension().is_some_and(|extension| extension == "json");
    let vocabulary = if json { Vocabulary::from_json(&file, &text) } else { Vocabulary::from_text(&file, &text) }?;
    Ok((file, vocabulary))
}

/// What a graph is called by. Names differ from export to export, the order does not.
#[derive(Debug, Clone)]
struct Ports {
    kind: PunctuationKind,
    inputs: Vec<String>,
    output: String,
}

fn names(ports: &[Port]) -> Vec<String> {
    ports.iter().map(|port| port.name.clone()).collect()
}

/// Which graph it is, by its inputs and output: ids `[batch, words]`, lengths `[batch]`, in realtime two masks; logits
/// `[batch, words, classes]`. What the configuration says is not asked: folders with the other's are about.
fn kind(file: &Path, header: &GraphHeader) -> Result<PunctuationKind> {
    let ranks = |ports: &[Port]| ports.iter().map(|port| port.dims.len()).collect::<Vec<_>>();
    match (ranks(&header.inputs).as_slice(), ranks(&header.outputs).as_slice()) {
        ([2, 1], [3]) => return Ok(PunctuationKind::Offline),
        ([2, 1, _, _], [3]) => return Ok(PunctuationKind::Realtime),
        _ => {}
    }
    let other = if header.has_input("in_cache0") {
        "a voice activity detector (vad-model-path is its place): "
    } else if header.has_input("speech") {
        "a speech recogniser (model-path or offline-model-path is its place): "
    } else {
        ""
    };
    let expected = "a punctuation model (CT-Transformer) in punctuation-model-path: inputs ids and lengths, for realtime also \
                    two masks; output logits";
    let (inputs, outputs) = (names(&header.inputs).join(", "), names(&header.outputs).join(", "));
    Err(Error::model(file, expected, format!("{other}inputs {inputs}, outputs {outputs}")))
}

/// Whether classes and words are as many as the graph has, as far as the file tells; a run tells the rest.
fn check(
    bytes: &[u8],
    header: &GraphHeader,
    ports: &Ports,
    (config, marks): (&Path, usize),
    (vocabulary, words): (&Path, usize),
) -> Result<()> {
    if let Some(classes) = header.dim(&ports.output, 2).filter(|&classes| classes != marks) {
        let expected = format!("punc_list to have {classes} marks, as many as the graph has classes");
        return Err(Error::model(config, expected, marks.to_string()));
    }
    match embedded_words(bytes, &ports.inputs[0]).filter(|&embedded| embedded != words) {
        Some(embedded) => {
            let expected = format!("{embedded} words, as many as the graph's embedding has");
            Err(Error::model(vocabulary, expected, words.to_string()))
        }
        None => Ok(()),
    }
}

/// How many words the embedding has: the rows of the tensor that the ids choose from. None where that cannot be seen.
fn embedded_words(bytes: &[u8], ids: &str) -> Option<usize> {
    let graph = ModelShape::decode(bytes).ok()?.graph?;
    let choice =
        graph.node.iter().find(|node| node.op_type == "Gather" && node.input.get(1).is_some_and(|i| i == ids))?;
    let table = graph.initializer.iter().find(|tensor| Some(&tensor.name) == choice.input.first())?;
    table.dims.first().and_then(|&rows| usize::try_from(rows).ok())
}

/// `onnx.ModelProto`, as far as it tells an embedding's size. The weights, 280 MB in published models, are passed over.
#[derive(Clone, PartialEq, Message)]
struct ModelShape {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphShape>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphShape {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeShape>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorShape>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeShape {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, tag = "4")]
    op_type: String,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShape {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(string, tag = "8")]
    name: String,
}

/// A punctuation graph, ready to run. One owner: a session runs one call at a time.
struct PunctuationSession {
    session: Session,
    ports: Ports,
    mask: Vec<f32>,
}

impl PunctuationSession {
    fn new(library: &Library, graph: &Graph, ports: Ports, words: usize, classes: usize) -> Result<Self> {
        let mut made = Self { session: graph.session(library, Rewrites::exact())?, ports, mask: Vec::new() };
        // Whatever does not fit shows now; the last word is in the embedding or not.
        let ids = [0, i32::try_from(words).map_or(i32::MAX, |words| words - 1)];
        let mut scores = Vec::new();
        let wrong = |found: String| Error::model(&graph.file, "a graph that runs", found);
        made.classify(PunctuationInput { ids: &ids, past: 1 }, &mut scores).map_err(|e| wrong(e.to_string()))?;
        if scores.len() != 2 * classes {
            return Err(wrong(format!("{} scores of two words, where punc_list has {classes} marks", scores.len())));
        }
        Ok(made)
    }
}

impl PunctuationNetwork for PunctuationSession {
    fn classify(&mut self, input: PunctuationInput<'_>, scores: &mut Vec<f32>) -> Result<()> {
        let words = input.ids.len();
        let length = [i32::try_from(words).unwrap_or(i32::MAX)];
        let ids = TensorRef::from_array_view(([1, words], input.ids)).map_err(failed)?;
        let length = TensorRef::from_array_view(([1], length.as_slice())).map_err(failed)?;
        let names = &self.ports.inputs;
        let mut inputs = ort::inputs![names[0].as_str() => ids, names[1].as_str() => length];
        if self.ports.kind == PunctuationKind::Realtime {
            mask(words, input.past, &mut self.mask);
            for name in &names[2..] {
                // The exporter's dummy has a triangle for the second; both runtimes of FunASR give the same for both.
                let mask = TensorRef::from_array_view(([1, 1, words, words], self.mask.as_slice())).map_err(failed)?;
                inputs.push((name.as_str().into(), mask.into()));
            }
        }
        let outputs = self.session.run(inputs).map_err(failed)?;
        copy(&outputs, &self.ports.output, scores)
    }
}

/// Who sees whom, `[words, words]`: a row's ones are the words it sees ([`PunctuationInput::past`]).
fn mask(words: usize, past: usize, mask: &mut Vec<f32>) {
    mask.clear();
    mask.resize(words * words, 1.0);
    if past < words {
        mask.chunks_exact_mut(words).take(past.saturating_sub(1)).for_each(|row| row[past..].fill(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_does_not_see_what_is_new() {
        let rows = |words, past| {
            let mut values = Vec::new();
            mask(words, past, &mut values);
            let row = |row: &[f32]| row.iter().map(|&value| if value == 1.0 { '1' } else { '0' }).collect::<String>();
            values.chunks_exact(words).map(row).collect::<Vec<_>>()
        };
        assert_eq!(rows(4, 3), ["1110", "1110", "1111", "1111"]);
        for past in [0, 1, 4, 5] {
            assert_eq!(rows(4, past), ["1111"; 4], "{past}");
        }
    }
}
