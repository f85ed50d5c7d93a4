//! Pipelines as a user starts them: gst-launch-1.0 in a process and a folder of its own, with the plugin of these sources. What
//! takes too long is ended, and fails.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A line that takes longer hangs.
const TIME_OUT_S: &str = "100";

/// The recording, 16 kHz mono.
pub const RECORDING: &str = "filesrc location=talk.wav ! wavparse ! audioconvert ! audioresample";
/// A queue without limits: what stands beside the element must hold its whole delay.
pub const QUEUE: &str = "queue max-size-time=0 max-size-bytes=0 max-size-buffers=0";

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sentences of the recording.
pub fn sentences() -> Vec<String> {
    fs::read_to_string(root().join("examples/recording.txt")).unwrap().lines().map(str::to_owned).collect()
}

/// A folder to run lines in, with the recording as talk.wav.
pub struct Studio {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Studio {
    /// With the built-in model's files as the model.
    pub fn new() -> Self {
        Self::with_model(&root().join("models/demo"))
    }

    /// With a model of the test's own.
    pub fn with_model(model: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let studio = Self { environment: Vec::new(), folder };
        fs::create_dir(studio.path("plugin")).unwrap();
        // Cargo leaves the library of these very sources beside the tests.
        let plugin = std::env::current_exe().unwrap().with_file_name("libgstparaformer.so");
        symlink(plugin, studio.path("plugin/libgstparaformer.so")).unwrap();
        symlink(root().join("examples/recording.wav"), studio.path("talk.wav")).unwrap();
        studio.and("PARAFORMER_MODEL_PATH", &model.display().to_string())
    }

    /// With a variable in the environment of what is run.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the plugins of a folder besides.
    pub fn plugins(self, folder: &Path) -> Self {
        let path = format!("{}:{}", self.path("plugin").display(), folder.display());
        self.and("GST_PLUGIN_PATH", &path)
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file of the folder.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Runs a line of the shell; gives what it printed.
    pub fn shell(&self, line: &str) -> Vec<u8> {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", TIME_OUT_S, "bash", "-e", "-o", "pipefail", "-c", line]);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        command.env("GST_PLUGIN_PATH", self.path("plugin")).env("GST_REGISTRY", self.path("registry.bin"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(124), "hangs: {line}\n{errors}");
        assert!(output.status.success(), "{}: {line}\n{errors}", output.status);
        output.stdout
    }

    /// Runs a line of the shell; gives the text that it printed.
    pub fn text(&self, line: &str) -> String {
        String::from_utf8(self.shell(line)).unwrap()
    }

    /// Runs a pipeline to its end.
    pub fn launch(&self, pipeline: &str) {
        self.shell(&format!("gst-launch-1.0 -q {pipeline}"));
    }
}

/// The texts of an .srt, lines joined by `joint`, in order.
pub fn texts(srt: &str, joint: &str) -> Vec<String> {
    let cues = srt.split("\n\n").filter_map(|cue| cue.split_once(" --> ")?.1.split_once('\n'));
    cues.map(|(_, text)| text.trim_end().replace('\n', joint)).collect()
}

/// The times of an .srt, ms.
pub fn times(srt: &str) -> Vec<(u64, u64)> {
    let ms = |clock: &str| {
        let parts = clock.trim().split([':', ',']).map(|part| part.parse::<u64>().unwrap());
        parts.zip([3_600_000, 60_000, 1000, 1]).map(|(part, ms)| part * ms).sum()
    };
    srt.lines().filter_map(|line| line.split_once(" --> ")).map(|(from, to)| (ms(from), ms(to))).collect()
}

/// A copy of the built-in model whose tokens are others: `change` gives a token's text.
pub fn model_that_says(change: impl Fn(usize, &str) -> String) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(root().join("models/demo")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let path = folder.path().join("tokens.json");
    let tokens: Vec<String> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let tokens: Vec<String> = tokens
        .iter()
        .enumerate()
        .map(|(number, token)| if token.starts_with('<') { token.clone() } else { change(number, token) })
        .collect();
    fs::write(&path, serde_json::to_string(&tokens).unwrap()).unwrap();
    folder
}

/// The word that a character is in a model that speaks no Chinese: three letters, each character another.
fn word(number: usize) -> String {
    [676, 26, 1].map(|place| char::from(b'a' + (number / place % 26) as u8)).iter().collect()
}

/// A model that says [`word`]s, and what it says of the recording: captions of two lines, of letters that every caption format has.
pub fn latin() -> (tempfile::TempDir, Vec<String>) {
    let tokens = fs::read_to_string(root().join("models/demo/tokens.json")).unwrap();
    let tokens: Vec<String> = serde_json::from_str(&tokens).unwrap();
    let number = |c: char| tokens.iter().position(|token| token.chars().eq([c])).unwrap();
    let sentence = |text: String| text.chars().map(|c| word(number(c))).collect::<Vec<_>>().join(" ");
    (model_that_says(|number, _| word(number)), sentences().into_iter().map(sentence).collect())
}
