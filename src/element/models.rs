//! The models that an element uses, as its settings name them, and the ways to their networks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use super::refine::Stages;
use super::settings::Settings;
use crate::engine::refine::chain::Chain;
use crate::engine::{Model, Result, VadModel};
use crate::runtime::locate::Surroundings;
use crate::runtime::offline::{self, OfflineRequest};
use crate::runtime::punctuation::{self, PunctuationRequest};
use crate::runtime::registry::{self, GraphReports};
use crate::runtime::{LibraryRequest, ModelRequest, Precision, Provider, VadRequest, vad};
use crate::scheduler::{Canceller, OfflineClient, PunctuationClient, RecognitionClient, VadClient};

use super::{ExecutionProvider, Precision as PrecisionSetting};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    recognition: ModelRequest,
    vad: Option<VadRequest>,
    offline: Option<OfflineRequest>,
    punctuation: Option<PunctuationRequest>,
}

/// The models that a stream uses.
#[derive(Clone)]
pub struct Models {
    pub recognition: Arc<Model>,
    pub vad: Option<Arc<VadModel>>,
}

/// The ways to the networks that a stream uses.
pub struct Clients {
    pub recognition: RecognitionClient,
    pub vad: Option<VadClient>,
    /// What happens to final results, where that takes a network.
    pub stages: Option<Arc<Mutex<Stages>>>,
}

/// Models that are open; their graphs may still be loading.
pub struct Opened {
    pub models: Models,
    pub clients: Clients,
    pub cancellers: Vec<Canceller>,
    pub precision: Precision,
    pub rewrites: Arc<OnceLock<GraphReports>>,
    /// What the user should know, each a sentence.
    pub warnings: Vec<String>,
}

impl Requests {
    /// What settings ask for.
    pub fn of(settings: &Settings) -> Self {
        let library = library_request(settings);
        let precision = match settings.precision {
            PrecisionSetting::Auto => Precision::Auto,
            PrecisionSetting::Int8 => Precision::Int8,
            PrecisionSetting::Int8Exact => Precision::Int8Exact,
            PrecisionSetting::Float32 => Precision::Float32,
        };
        let source = Surroundings::of_process().locate(path(&settings.model_path).as_deref());
        Self {
            vad: path(&settings.vad_model_path).map(|directory| VadRequest { directory, library: library.clone() }),
            offline: path(&settings.offline_model_path).map(|directory| OfflineRequest {
                directory,
                precision,
                library: library.clone(),
            }),
            punctuation: path(&settings.punctuation_model_path)
                .map(|directory| PunctuationRequest { directory, library: library.clone() }),
            recognition: ModelRequest { source, precision, library },
        }
    }

    /// Checks the models' files; the graphs are then loaded in the background. A stage that only refines the text is left
    /// out, with a warning, where it cannot be used. Errors: those of the model and of the voice activity detector.
    pub fn open(&self) -> Result<Opened> {
        let recognition = registry::open(&self.recognition)?;
        let vad = self.vad.as_ref().map(vad::open).transpose()?;
        let mut warnings = recognition.warnings;
        let mut optional = |without: &str, error| warnings.push(format!("captions go on without {without}: {error}"));
        let offline = self.offline.as_ref().map(offline::open).transpose().unwrap_or_else(|error| {
            optional("a second pass", error);
            None
        });
        let punctuation = self.punctuation.as_ref().map(punctuation::open).transpose().unwrap_or_else(|error| {
            optional("punctuation", error);
            None
        });
        warnings.extend(punctuation.iter().flat_map(|punctuation| punctuation.warnings.clone()));
        let (vad, vad_client) = vad.map(|vad| (vad.model, vad.client)).unzip();
        let (offline, offline_client) = offline.map(|offline| (offline.model, offline.client)).unzip();
        let (punctuation, punctuation_client) =
            punctuation.map(|punctuation| (punctuation.model, punctuation.client)).unzip();

        let mut cancellers = vec![recognition.client.canceller()];
        cancellers.extend(vad_client.as_ref().map(VadClient::canceller));
        cancellers.extend(offline_client.as_ref().map(OfflineClient::canceller));
        cancellers.extend(punctuation_client.as_ref().map(PunctuationClient::canceller));
        let stages = (offline.is_some() || punctuation.is_some()).then(|| {
            let chain = Chain::new(offline, punctuation);
            let stages = Stages { stream: 0, chain, offline: offline_client, punctuation: punctuation_client };
            Arc::new(Mutex::new(stages))
        });
        Ok(Opened {
            models: Models { recognition: recognition.model, vad },
            clients: Clients { recognition: recognition.client, vad: vad_client, stages },
            cancellers,
            precision: recognition.precision,
            rewrites: recognition.rewrites,
            warnings,
        })
    }
}

fn library_request(settings: &Settings) -> LibraryRequest {
    LibraryRequest {
        path: path(&settings.runtime_library),
        beside: plugin_folder(),
        threads: settings.threads as usize,
        provider: match settings.execution_provider {
            ExecutionProvider::Cpu => Provider::Cpu,
            ExecutionProvider::Cuda => Provider::Cuda,
        },
    }
}

/// A path; none where the text is empty.
fn path(text: &Option<String>) -> Option<PathBuf> {
    text.as_ref().filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// The folder that the plugin's file lies in.
fn plugin_folder() -> Option<PathBuf> {
    let plugin = gst::Registry::get().find_plugin("paraformer")?;
    plugin.filename()?.parent().map(Into::into)
}
