//! Where the model is, when no path is set: the places where FunASR's own tools put it, then the built-in one.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::layout::ModelSource;

/// Names a folder, before all others.
pub const MODEL_PATH_VARIABLE: &str = "PARAFORMER_MODEL_PATH";

/// The published models, the exported one first.
const MODELS: [&str; 2] = [
    "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online-onnx",
    "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online",
];

/// What the environment says about models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `$PARAFORMER_MODEL_PATH`.
    pub model_path: Option<PathBuf>,
    /// `$MODELSCOPE_CACHE`.
    pub modelscope_cache: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            model_path: variable(MODEL_PATH_VARIABLE),
            modelscope_cache: variable("MODELSCOPE_CACHE"),
            home: variable("HOME"),
        }
    }

    /// The model to use: `model_path` where it is set, else what is found.
    pub fn locate(&self, model_path: Option<&Path>) -> ModelSource {
        if let Some(path) = model_path.or(self.model_path.as_deref()) {
            return ModelSource::Directory(path.into());
        }
        let roots: Vec<PathBuf> = match (&self.modelscope_cache, &self.home) {
            (Some(cache), _) => vec![cache.clone()],
            (None, Some(home)) => vec![home.join(".cache/modelscope/hub"), home.join(".cache/modelscope")],
            (None, None) => Vec::new(),
        };
        let found = MODELS.iter().find_map(|model| roots.iter().find_map(|root| in_cache(root, model)));
        found.map_or(ModelSource::BuiltIn, ModelSource::Directory)
    }
}

/// The folder of a model in a cache of ModelScope: `OWNER/NAME`, with and without `models/` before it, as tools up to
/// 1.37 lay it out; then the newest of `models/OWNER--NAME/snapshots/`, as later ones do.
fn in_cache(root: &Path, model: &str) -> Option<PathBuf> {
    let plain = [root.join(model), root.join("models").join(model)];
    if let Some(folder) = plain.into_iter().find(|folder| folder.is_dir()) {
        return Some(folder);
    }
    let snapshots = root.join("models").join(model.replace('/', "--")).join("snapshots");
    let folders =
        fs::read_dir(snapshots).ok()?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    folders.max_by_key(|folder| fs::metadata(folder).and_then(|found| found.modified()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_their_order() {
        let home = tempfile::tempdir().unwrap();
        let hub = home.path().join(".cache/modelscope/hub");
        let mut around = Surroundings { home: Some(home.path().into()), ..Surroundings::default() };
        assert_eq!(around.locate(None), ModelSource::BuiltIn);
        for folder in [
            hub.join("models").join(MODELS[1]),
            hub.join(MODELS[1]),
            hub.join("models").join(MODELS[0]),
            hub.join(MODELS[0]),
        ] {
            std::fs::create_dir_all(&folder).unwrap();
            assert_eq!(around.locate(None), ModelSource::Directory(folder));
        }
        let later = home.path().join(".cache/modelscope/models").join(MODELS[0].replace('/', "--"));
        std::fs::create_dir_all(later.join("snapshots/master")).unwrap();
        assert_eq!(around.locate(None), ModelSource::Directory(hub.join(MODELS[0])));
        std::fs::remove_dir_all(&hub).unwrap();
        assert_eq!(around.locate(None), ModelSource::Directory(later.join("snapshots/master")));
        around.modelscope_cache = Some("/elsewhere".into());
        assert_eq!(around.locate(None), ModelSource::BuiltIn);
        around.model_path = Some("/variable".into());
        assert_eq!(around.locate(None), ModelSource::Directory("/variable".into()));
        assert_eq!(around.locate(Some(Path::new("/property"))), ModelSource::Directory("/property".into()));
    }
}
