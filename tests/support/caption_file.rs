//! The program examples/caption_file.rs, and folders in which it runs.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "captions.rs"]
pub mod captions;
#[path = "../../examples/caption_file/subtitles.rs"]
pub mod subtitles;
#[path = "../../examples/caption_file/transcript.rs"]
pub mod transcript;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use transcript::Transcript;

/// A run that takes longer hangs.
pub const TIME_OUT_S: u64 = 120;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is said in the recording, as captions have it.
pub fn sentences() -> Vec<String> {
    fs::read_to_string(root().join("examples/recording.txt")).unwrap().lines().map(str::to_owned).collect()
}

/// A folder of this test's own; programs run in it as on a stranger's machine.
pub struct Place(TempDir);

impl Place {
    /// With the recording as talk.wav.
    pub fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::copy(root().join("examples/recording.wav"), place.path("talk.wav")).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command that is ended when it hangs: then its status is 124.
    pub fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", &TIME_OUT_S.to_string()]).arg(program).args(arguments);
        command.current_dir(self.0.path()).env_remove("PARAFORMER_MODEL_PATH").env_remove("GST_PLUGIN_PATH");
        command.env("MODELSCOPE_CACHE", self.path("no-models")).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        // One for all: what is in it does not depend on the folder.
        command.env("GST_REGISTRY", std::env::temp_dir().join("paraformerasr-caption-file-registry.bin"));
        command
    }

    pub fn captioner(&self, arguments: &[&str]) -> Command {
        self.command(program(), arguments)
    }

    /// Runs the program; gives what it said. It must end with `status`.
    pub fn run(&self, status: i32, arguments: &[&str]) -> String {
        said(self.captioner(arguments).output().unwrap(), status)
    }

    pub fn ffmpeg(&self, arguments: &str) -> String {
        let output = self.command("ffmpeg", &["-v", "error", "-y"]).args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "ffmpeg {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A black film with the recording for sound, 320x180, as film.mp4.
    pub fn film(&self) {
        let picture = "-f lavfi -i color=black:size=320x180:rate=25 -i talk.wav -shortest";
        self.ffmpeg(&format!("{picture} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac film.mp4"));
    }

    /// The recording so many times, as long.wav.
    pub fn long(&self, times: usize) {
        fs::write(self.path("list"), "file talk.wav\n".repeat(times)).unwrap();
        self.ffmpeg("-f concat -i list -c copy long.wav");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// All files, sorted, but the inputs that `new` makes.
    pub fn files(&self) -> Vec<String> {
        let walk = walkdir::WalkDir::new(self.0.path()).sort_by_file_name();
        let files = walk.into_iter().map(Result::unwrap).filter(|entry| !entry.file_type().is_dir());
        files.map(|file| file.path().strip_prefix(self.0.path()).unwrap().to_string_lossy().into_owned()).collect()
    }

    /// NAME.srt and NAME.vtt are in order, NAME.json says the same, and it is what the recording says `times` times.
    pub fn check(&self, name: &str, times: usize) {
        captions::check(&self.path(&format!("{name}.srt")));
        captions::check(&self.path(&format!("{name}.vtt")));
        let whole = Transcript::load(&self.path(&format!("{name}.json"))).unwrap();
        assert_eq!(self.read(&format!("{name}.srt")), subtitles::srt(&whole.part.captions));
        assert_eq!(self.read(&format!("{name}.vtt")), subtitles::vtt(&whole.part.captions));
        let said: String = whole.part.utterances.iter().map(|utterance| utterance.text.as_str()).collect();
        let shown: String = whole.part.captions.iter().map(|caption| caption.text.replace('\n', "")).collect();
        assert_eq!(said, shown, "{name}");
        // A recognised character may differ where a codec changed the sound.
        let expected = sentences().concat().repeat(times);
        let kept = expected.chars().filter(|&c| said.contains(c)).count();
        assert!(
            kept * 20 >= expected.chars().count() * 19
                && said.chars().count().abs_diff(expected.chars().count()) <= 2 * times,
            "{name}: {said}"
        );
        for utterance in &whole.part.utterances {
            let tokens = &utterance.tokens;
            assert_eq!(tokens.iter().map(|token| token.text.as_str()).collect::<String>(), utterance.text);
            assert!(tokens.iter().all(|t| t.start <= t.end && (0.0..=1.0).contains(&t.confidence)), "{tokens:?}");
            assert!(tokens.is_sorted_by_key(|token| token.start), "{tokens:?}");
            assert_eq!((utterance.start, utterance.end), (tokens[0].start, tokens[tokens.len() - 1].end));
        }
    }
}

/// Cargo builds the examples with the tests, beside their folder.
pub fn program() -> PathBuf {
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples/caption_file");
    assert!(program.is_file(), "{} is not there: cargo build --example caption_file", program.display());
    program
}

/// What the program said; it must have ended with `status`.
pub fn said(output: Output, status: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(output.stdout.is_empty() && !said.contains("CRITICAL") && !said.contains("panicked"), "{said}");
    said
}
