//! The demonstration is not canned: sentences that nobody has heard before, spoken now, go through the real gst-launch-1.0 with the
//! built-in model, and come out as an independent implementation of the algorithm says, and mostly as they were spoken.
//!
//! The seed is printed; `PARAFORMER_SEED` repeats it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/distance.rs"]
mod distance;

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use distance::distance;

const SENTENCES: usize = 20;
/// The card's 5.0 % and 5 points.
const MOST_WRONG: f64 = 0.1;
/// A decision closer than this may fall either way in another build of ONNX Runtime: host_loop.py says how close the closest was.
const CLOSE: f64 = 1e-4;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with the plugin, so that GStreamer finds this one and no other.
fn plugin() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    // Cargo leaves the library of these very sources beside the tests.
    let library = env::current_exe().unwrap().with_file_name("libgstparaformer.so");
    symlink(library, folder.path().join("libgstparaformer.so")).unwrap();
    folder
}

/// The tokens of a recording, one utterance, from gst-launch-1.0.
fn recognise(plugin: &Path, wav: &Path) -> Vec<String> {
    let exactly = "paraformerasr output=tokens precision=int8-exact chunk-size=<5,10,5> endpoint-silence=0 max-utterance-duration=0";
    let mut command = Command::new("timeout");
    command.args(["60", "gst-launch-1.0", "-q", "filesrc"]).arg(format!("location={}", wav.display()));
    command.args(format!("! wavparse ! {exactly} ! srtenc ! fdsink").split(' '));
    command.env("GST_PLUGIN_PATH", plugin).env("GST_REGISTRY", plugin.join("registry.bin"));
    command.env("MODELSCOPE_CACHE", plugin.join("no-models")).env_remove("PARAFORMER_MODEL_PATH");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{errors}", wav.display(), output.status);
    let printed = String::from_utf8(output.stdout).unwrap();
    // A number, a line of times, the token.
    printed.split("\n\n").filter_map(|cue| Some(cue.trim().splitn(3, '\n').nth(2)?.to_owned())).collect()
}

fn pieces(line: &Value) -> Vec<String> {
    let tokens = line["tokens"].as_array().unwrap().iter();
    tokens.map(|token| token[0].as_str().unwrap().to_owned()).collect()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn sentences_spoken_now_are_recognised() {
    let seed = env::var("PARAFORMER_SEED")
        .unwrap_or_else(|_| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string());
    println!("PARAFORMER_SEED={seed}");
    let spoken = tempfile::tempdir().unwrap();
    let speak = Command::new("python3")
        .arg(root().join("tests/tools/speak_sentences.py"))
        .arg("--model")
        .arg(root().join("models/demo"))
        .args(["--seed", &seed, "--count", &SENTENCES.to_string()])
        .arg(spoken.path())
        .status()
        .unwrap();
    assert!(speak.success(), "speak_sentences.py needs espeak-ng and sox");
    let sentences = lines(&fs::read_to_string(spoken.path().join("sentences.jsonl")).unwrap());
    assert_eq!(sentences.len(), SENTENCES);

    let plugin = plugin();
    let (mut characters, mut errors, mut heard) = (0, 0, Vec::new());
    for sentence in &sentences {
        let text = sentence["text"].as_str().unwrap();
        let tokens = recognise(plugin.path(), &spoken.path().join(sentence["wav"].as_str().unwrap()));
        assert!(!tokens.is_empty(), "nothing came of {text} (seed {seed})");
        let wrong = distance(&tokens.concat(), text);
        println!("{text}  {}", if wrong == 0 { "as spoken".into() } else { tokens.concat() });
        characters += text.chars().count();
        errors += wrong;
        heard.push(tokens);
    }
    let rate = errors as f64 / characters as f64;
    println!("{errors} of {characters} characters are wrong: {:.1} %", 100.0 * rate);

    if let Some(python) = env::var_os("PARAFORMER_REFERENCE_PYTHON") {
        let wavs = sentences.iter().map(|sentence| spoken.path().join(sentence["wav"].as_str().unwrap()));
        let mut reference = Command::new(python);
        reference.arg(root().join("tests/tools/host_loop.py")).arg(root().join("models/demo")).args(wavs);
        let output = reference.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "host_loop.py: {}", output.status);
        let expected = lines(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(expected.len(), SENTENCES);
        for (tokens, line) in heard.iter().zip(&expected) {
            let close =
                ["cif_margin", "logit_margin"].iter().any(|margin| line[margin].as_f64().is_some_and(|m| m < CLOSE));
            if close && *tokens != pieces(line) {
                println!("{}: {tokens:?}, a decision too close to compare", line["wav"]);
            } else {
                assert_eq!(*tokens, pieces(line), "{} (seed {seed})", line["wav"]);
            }
        }
        println!("all as host_loop.py says");
    } else {
        println!("PARAFORMER_REFERENCE_PYTHON is not set: compared with the goldens alone");
    }
    assert!(rate <= MOST_WRONG, "{errors} of {characters} characters are wrong (seed {seed})");
}

#[test]
fn recorded_sentences_are_as_the_reference_gave_them() {
    let plugin = plugin();
    let goldens = lines(&fs::read_to_string(root().join("tests/data/goldens/sentences.jsonl")).unwrap());
    let mut compared = 0;
    for golden in goldens {
        let wav = root().join("tests/data/audio").join(golden["audio"].as_str().unwrap());
        let whole = hound::WavReader::open(&wav).unwrap().duration();
        let same = golden["precision"] == "int8" && golden["chunk_size"] == serde_json::json!([5, 10, 5]);
        if same && golden["model"] == "demo" && golden["repeat"] == 1 && golden["samples"] == whole {
            assert_eq!(recognise(plugin.path(), &wav), pieces(&golden), "{}", wav.display());
            compared += 1;
        }
    }
    assert!(compared >= 6, "only {compared} goldens are comparable");
}
