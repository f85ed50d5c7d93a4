//! The files of a model folder: FunASR's layout (v2 and legacy) and sherpa-onnx's.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use super::builtin;
use crate::engine::{Error, Result};

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelSource {
    /// A folder.
    Directory(PathBuf),
    /// The plugin itself.
    BuiltIn,
}

/// Which of a model's graphs run, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// int8 where there is one, else float32.
    #[default]
    Auto,
    /// 8-bit weights. The graph may be rewritten to run faster.
    Int8,
    /// 8-bit weights, with the published arithmetic.
    Int8Exact,
    /// 32-bit floating point.
    Float32,
}

impl Precision {
    /// The name, as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Int8 => "int8",
            Self::Int8Exact => "int8-exact",
            Self::Float32 => "float32",
        }
    }
}

/// Names of encoder and decoder: FunASR's, then sherpa-onnx's.
const INT8: [(&str, &str); 2] =
    [("model_quant.onnx", "decoder_quant.onnx"), ("encoder.int8.onnx", "decoder.int8.onnx")];
const FLOAT32: [(&str, &str); 2] = [("model.onnx", "decoder.onnx"), ("encoder.onnx", "decoder.onnx")];

/// A folder of model files, on disk or in the plugin.
#[derive(Debug, Clone)]
pub struct Folder<'a> {
    source: &'a ModelSource,
}

/// The two graphs to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graphs {
    /// Encoder and alpha predictor.
    pub encoder: PathBuf,
    /// Decoder.
    pub decoder: PathBuf,
    /// What is worth saying about the choice.
    pub note: Option<String>,
}

impl<'a> Folder<'a> {
    /// The folder of a model that was opened before.
    pub fn of(source: &'a ModelSource) -> Self {
        Self { source }
    }

    /// Where the model comes from.
    pub fn source(&self) -> &'a ModelSource {
        self.source
    }

    /// The folder of a model, which the setting `name` names. Errors: [`Error::NotFound`] where it is none.
    pub fn open(source: &'a ModelSource, name: &str) -> Result<Self> {
        if let ModelSource::Directory(path) = source {
            match fs::metadata(path) {
                Err(e) => {
                    return Err(Error::not_found(
                        path,
                        format!("no such model folder ({e}); set {name} to a folder that holds a model"),
                    ));
                }
                Ok(found) if !found.is_dir() => {
                    return Err(Error::not_found(
                        path,
                        format!("this is a file; set {name} to the folder that holds the model's files"),
                    ));
                }
                Ok(_) => {}
            }
        }
        Ok(Self { source })
    }

    /// The path of a file, as users know it.
    pub fn path(&self, name: &str) -> PathBuf {
        match self.source {
            ModelSource::Directory(path) => path.join(name),
            ModelSource::BuiltIn => Path::new("built-in model").join(name),
        }
    }

    /// Whether a file is there.
    pub fn has(&self, name: &str) -> bool {
        match self.source {
            ModelSource::Directory(path) => path.join(name).is_file(),
            ModelSource::BuiltIn => builtin::FILES.iter().any(|(file, _)| *file == name),
        }
    }

    /// The first of some names that is there.
    pub fn first(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(name))
    }

    /// The bytes of a file. Errors: [`Error::NotFound`].
    pub fn read(&self, path: &Path) -> Result<Cow<'static, [u8]>> {
        let name = path.file_name().unwrap_or_default();
        match self.source {
            ModelSource::Directory(_) => match fs::read(path) {
                Ok(bytes) if bytes.is_empty() => Err(Error::model(path, "a file with something in it", "an empty one")),
                Ok(bytes) => Ok(bytes.into()),
                Err(e) => Err(Error::not_found(path, format!("cannot be read: {e}"))),
            },
            ModelSource::BuiltIn => match builtin::FILES.iter().find(|(file, _)| name == *file) {
                Some((_, bytes)) => Ok((*bytes).into()),
                None => Err(Error::not_found(path, "the built-in model has no such file")),
            },
        }
    }

    /// The text of a file. Errors: [`Error::NotFound`]; [`Error::Model`] where it is no UTF-8.
    pub fn read_text(&self, path: &Path) -> Result<String> {
        let bytes = self.read(path)?.into_owned();
        let text = String::from_utf8(bytes).map_err(|e| Error::model(path, "UTF-8 text", e.to_string()))?;
        Ok(text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned))
    }

    /// Chooses the graphs. Errors: [`Error::NotFound`] naming the file that is missing and what the folder has.
    pub fn graphs(&self, precision: Precision) -> Result<Graphs> {
        let names: &[(&str, &str)] = match precision {
            Precision::Auto => &[INT8[0], INT8[1], FLOAT32[0], FLOAT32[1]],
            Precision::Int8 | Precision::Int8Exact => &INT8,
            Precision::Float32 => &FLOAT32,
        };
        let chosen = |encoder: &str, decoder: &str, note| Graphs {
            encoder: self.path(encoder),
            decoder: self.path(decoder),
            note,
        };
        if let Some((encoder, decoder)) = names.iter().find(|(encoder, decoder)| self.has(encoder) && self.has(decoder))
        {
            return Ok(chosen(encoder, decoder, None));
        }
        let encoder = names.iter().map(|(encoder, _)| *encoder).find(|name| self.has(name));
        let decoder = names.iter().map(|(_, decoder)| *decoder).find(|name| self.has(name));
        match (encoder, decoder) {
            // The inputs and outputs are the same, so such a pair works; but nobody means it.
            (Some(encoder), Some(decoder)) => {
                let note =
                    format!("the folder has {encoder} and {decoder}, which differ in precision: using them together");
                Ok(chosen(encoder, decoder, Some(note)))
            }
            (Some(encoder), None) => Err(self.missing(names, |pair| pair.0 == encoder, |pair| pair.1, precision)),
            (None, Some(decoder)) => Err(self.missing(names, |pair| pair.1 == decoder, |pair| pair.0, precision)),
            (None, None) => Err(self.missing(names, |_| true, |pair| pair.0, precision)),
        }
    }

    fn missing<'n>(
        &self,
        names: &[(&'n str, &'n str)],
        pair: impl Fn(&(&'n str, &'n str)) -> bool,
        part: impl Fn(&(&'n str, &'n str)) -> &'n str,
        precision: Precision,
    ) -> Error {
        let file = names.iter().find(|names| pair(names)).map(part).unwrap_or_default();
        if self.has("model.pt") && self.graph_files().is_empty() {
            let folder = self.path("");
            return Error::not_found(
                self.path(file),
                format!(
                    "the folder has a PyTorch model (model.pt) but no ONNX graph. Export it with: python3 -c \"from funasr \
                     import AutoModel; AutoModel(model='{}').export(type='onnx', quantize=True)\"",
                    folder.display()
                ),
            );
        }
        let found = match self.graph_files() {
            files if files.is_empty() => "no .onnx file".to_owned(),
            files => files.join(", "),
        };
        let wanted = match precision {
            Precision::Auto => String::new(),
            precision => format!(" (precision={})", precision.name()),
        };
        Error::not_found(self.path(file), format!("missing{wanted}; the folder has {found}"))
    }

    /// The graphs that the folder has, by name.
    fn graph_files(&self) -> Vec<String> {
        let ModelSource::Directory(path) = self.source else { return Vec::new() };
        let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".onnx")).collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(files: &[&str], precision: Precision) -> Result<Graphs, String> {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|name| fs::write(folder.path().join(name), "x").unwrap());
        let source = ModelSource::Directory(folder.path().into());
        let strip = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        let graphs = Folder::open(&source, "model-path").unwrap().graphs(precision);
        graphs
            .map(|g| Graphs {
                encoder: g.encoder.file_name().unwrap().into(),
                decoder: g.decoder.file_name().unwrap().into(),
                note: g.note,
            })
            .map_err(|e| strip(e.to_string()))
    }

    fn pair(encoder: &str, decoder: &str) -> Result<Graphs, String> {
        Ok(Graphs { encoder: encoder.into(), decoder: decoder.into(), note: None })
    }

    #[test]
    fn int8_is_chosen_where_there_is_one() {
        let all = ["model.onnx", "decoder.onnx", "model_quant.onnx", "decoder_quant.onnx"];
        assert_eq!(choose(&all, Precision::Auto), pair("model_quant.onnx", "decoder_quant.onnx"));
        assert_eq!(choose(&all, Precision::Float32), pair("model.onnx", "decoder.onnx"));
        assert_eq!(choose(&all[..2], Precision::Auto), pair("model.onnx", "decoder.onnx"));
        assert_eq!(
            choose(&["encoder.int8.onnx", "decoder.int8.onnx"], Precision::Int8),
            pair("encoder.int8.onnx", "decoder.int8.onnx")
        );
        assert_eq!(choose(&["encoder.onnx", "decoder.onnx"], Precision::Auto), pair("encoder.onnx", "decoder.onnx"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |files: &[&str], precision| choose(files, precision).unwrap_err();
        assert_eq!(
            error(&["model_quant.onnx"], Precision::Auto),
            "decoder_quant.onnx: missing; the folder has model_quant.onnx"
        );
        assert_eq!(
            error(&["decoder.int8.onnx"], Precision::Auto),
            "encoder.int8.onnx: missing; the folder has decoder.int8.onnx"
        );
        assert_eq!(
            error(&["model.onnx", "decoder.onnx"], Precision::Int8),
            "model_quant.onnx: missing (precision=int8); the folder has decoder.onnx, model.onnx"
        );
        assert_eq!(error(&[], Precision::Auto), "model_quant.onnx: missing; the folder has no .onnx file");
        assert!(error(&["model.pt"], Precision::Auto).contains(".export(type='onnx', quantize=True)"));
    }

    #[test]
    fn a_pair_of_two_precisions_is_said() {
        let graphs = choose(&["model_quant.onnx", "decoder.onnx"], Precision::Auto).unwrap();
        assert!(graphs.note.unwrap().contains("differ in precision"));
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = ModelSource::Directory(file.path().into());
        assert!(Folder::open(&source, "model-path").unwrap_err().to_string().contains("this is a file"));
        let source = ModelSource::Directory("/nowhere/at/all".into());
        assert!(
            Folder::open(&source, "model-path")
                .unwrap_err()
                .to_string()
                .starts_with("/nowhere/at/all: no such model folder")
        );
    }
}
