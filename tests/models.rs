//! Folders of models: every layout that is in use loads, and whatever is wrong with one is said, with the file's name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gstparaformer::runtime::Precision;
use support::{compare, data, model_directory, one_utterance, pieces, try_open};
use tempfile::TempDir;

const INT8: [&str; 5] = ["model_quant.onnx", "decoder_quant.onnx", "config.yaml", "am.mvn", "tokens.json"];

/// A folder with files of tiny-1, int8.
fn tiny_1(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&model_directory("tiny-1"), folder.path(), files);
    folder
}

fn copy(from: &Path, to: &Path, files: &[&str]) {
    for file in files {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// The pieces and times that a model gives for the speech of the goldens.
fn recognise(folder: &Path, precision: Precision) -> Result<Vec<(String, f64)>, String> {
    let shared = try_open(folder, precision).map_err(|e| e.to_string())?;
    let (model, mut client) = (shared.model, shared.client);
    let speech = support::recording("speech.wav");
    Ok(pieces(&support::events_of(&model, &mut client, one_utterance([5, 10, 5]), &speech)))
}

/// The golden of a model for that speech.
fn golden(model: &str, precision: Precision) -> Vec<(String, f64)> {
    let full = support::recording("speech.wav").len();
    let mut cases = support::goldens("host_loop.jsonl").into_iter();
    let case = cases.find(|case| {
        (case.model.as_str(), case.precision, case.chunk) == (model, precision, [5, 10, 5])
            && (case.audio.as_str(), case.samples) == ("speech.wav", full)
    });
    case.unwrap().tokens
}

fn assert_gives_tiny_1(folder: &Path, precision: Precision, what: &str) {
    let graphs = if precision == Precision::Float32 { precision } else { Precision::Int8Exact };
    let found = recognise(folder, precision).unwrap_or_else(|e| panic!("{what}: {e}"));
    compare(&found, &golden("tiny-1", graphs), 0.2).unwrap_or_else(|e| panic!("{what}: {e}"));
}

/// The error of a folder that must not load. It has the file's name, what was expected, and what was found.
fn refusal(folder: &Path, precision: Precision, file: &str, what: &str) -> String {
    let error = match recognise(folder, precision) {
        Err(error) => error,
        Ok(tokens) => panic!("{what} was taken, and gave {} tokens", tokens.len()),
    };
    assert!(error.contains(&folder.join(file).display().to_string()), "{what} must name {file}: {error}");
    error
}

fn assert_mismatch(folder: &Path, file: &str, what: &str) {
    let error = refusal(folder, Precision::Int8Exact, file, what);
    assert!(error.contains("expected ") && error.contains(", found "), "{what}: {error}");
}

#[test]
fn funasr_v2() {
    assert_gives_tiny_1(&model_directory("tiny-1"), Precision::Float32, "float32");
    assert_gives_tiny_1(&model_directory("tiny-1"), Precision::Int8Exact, "int8-exact");
    let other = recognise(&model_directory("tiny-2"), Precision::Int8Exact).unwrap();
    compare(&other, &golden("tiny-2", Precision::Int8Exact), 0.2).unwrap();
}

/// Int8 where there is one, and the fast one: the published arithmetic is for whoever asks for it.
#[test]
fn auto_is_the_fastest_there_is() {
    let both = try_open(&model_directory("tiny-1"), Precision::Auto).unwrap();
    assert_eq!(both.precision, Precision::Int8);
    let folder = tempfile::tempdir().unwrap();
    let files = ["model.onnx", "decoder.onnx", "config.yaml", "am.mvn", "tokens.json"];
    copy(&model_directory("tiny-1"), folder.path(), &files);
    assert_eq!(try_open(folder.path(), Precision::Auto).unwrap().precision, Precision::Float32);
    let float = recognise(folder.path(), Precision::Auto).unwrap();
    compare(&float, &golden("tiny-1", Precision::Float32), 0.2).unwrap();
    // The same text; the weights are random, so that many a character is chosen by a hair.
    let (fast, exact) =
        (recognise(&model_directory("tiny-1"), Precision::Auto), golden("tiny-1", Precision::Int8Exact));
    let (fast, count) = (fast.unwrap(), exact.len());
    let same = fast.iter().zip(&exact).filter(|(fast, exact)| fast.0 == exact.0).count();
    assert!(same * 2 > count, "{same} of {count} tokens");
}

#[test]
fn funasr_legacy() {
    let folder = tiny_1(&INT8[..2]);
    let legacy = data("models/legacy-1");
    copy(&legacy, folder.path(), &["config.yaml", "am.mvn"]);
    assert_gives_tiny_1(folder.path(), Precision::Int8Exact, "the vocabulary in config.yaml");
    fs::copy(legacy.join("tokens-no-ids.txt"), folder.path().join("tokens.txt")).unwrap();
    assert_gives_tiny_1(folder.path(), Precision::Int8Exact, "tokens.txt without ids");
    // The file goes before the list: with another list the text stays.
    let config = fs::read_to_string(legacy.join("config.yaml")).unwrap();
    fs::write(folder.path().join("config.yaml"), config.replace("- no\n", "- yes\n")).unwrap();
    assert_gives_tiny_1(folder.path(), Precision::Int8Exact, "tokens.txt and another list");
}

#[test]
fn sherpa_onnx() {
    assert_gives_tiny_1(&model_directory("tiny-1-sherpa"), Precision::Int8Exact, "int8-exact");
    let folder = tempfile::tempdir().unwrap();
    let files = ["encoder.int8.onnx", "decoder.int8.onnx"];
    copy(&model_directory("tiny-1-sherpa"), folder.path(), &files);
    refusal(folder.path(), Precision::Int8Exact, "tokens.txt", "no tokens.txt");
    fs::write(folder.path().join("tokens.txt"), "<blank> 0\n<s> 1\n</s> 2\n").unwrap();
    assert_mismatch(folder.path(), "tokens.txt", "a vocabulary of three");
}

#[test]
fn other_names_of_the_text_files() {
    let folder = tiny_1(&INT8);
    fs::rename(folder.path().join("config.yaml"), folder.path().join("asr.yaml")).unwrap();
    assert_gives_tiny_1(folder.path(), Precision::Int8Exact, "asr.yaml");
    fs::remove_file(folder.path().join("tokens.json")).unwrap();
    copy(&model_directory("tiny-1"), folder.path(), &["tokens.txt"]);
    assert_gives_tiny_1(folder.path(), Precision::Int8Exact, "tokens.txt");
}

#[test]
fn a_missing_or_empty_file_is_named() {
    for file in INT8 {
        let folder = tiny_1(&INT8);
        fs::write(folder.path().join(file), "").unwrap();
        refusal(folder.path(), Precision::Int8Exact, file, &format!("an empty {file}"));
        fs::remove_file(folder.path().join(file)).unwrap();
        refusal(folder.path(), Precision::Int8Exact, file, &format!("no {file}"));
        fs::create_dir(folder.path().join(file)).unwrap();
        refusal(folder.path(), Precision::Int8Exact, file, &format!("a folder {file}"));
    }
}

#[test]
fn a_truncated_file_is_named() {
    let mut taken = 0;
    for file in INT8 {
        let bytes = fs::read(model_directory("tiny-1").join(file)).unwrap();
        let mut lengths = vec![1, 2, bytes.len() / 4, bytes.len() / 2, bytes.len() * 3 / 4, bytes.len() - 20];
        if file.ends_with(".onnx") {
            lengths.extend(fields(&bytes));
            lengths.push(bytes.len() - 1);
        }
        for length in lengths {
            let folder = tiny_1(&INT8);
            fs::write(folder.path().join(file), &bytes[..length]).unwrap();
            let what = format!("{file} of {length} of {} bytes", bytes.len());
            // YAML that ends between two lines is whole, and a configuration may be silent; a graph may lack what nothing
            // needs. Then the text is the same: it is never another one.
            if recognise(folder.path(), Precision::Int8Exact).is_ok() {
                assert_gives_tiny_1(folder.path(), Precision::Int8Exact, &what);
                taken += 1;
                continue;
            }
            refusal(folder.path(), Precision::Int8Exact, file, &what);
        }
    }
    assert!(taken <= 8, "{taken} truncated files were taken");
}

/// Where the fields of a protobuf message begin, but for the first: cut there, it is still a message.
fn fields(message: &[u8]) -> Vec<usize> {
    let (mut at, mut starts) = (0, Vec::new());
    let varint = |at: &mut usize| {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = message[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    };
    while at < message.len() {
        starts.push(at);
        match varint(&mut at) & 7 {
            0 => drop(varint(&mut at)),
            2 => at += varint(&mut at) as usize,
            wire => panic!("wire type {wire}"),
        }
    }
    assert!(starts.len() > 3 && at == message.len());
    starts.split_off(1)
}

#[test]
fn files_of_another_model_are_named() {
    let demo = model_directory("demo");
    for (file, at_fault) in [
        ("config.yaml", "config.yaml"),
        ("tokens.json", "tokens.json"),
        // The decoder does not fit the encoder, and which of them is wrong nobody knows.
        ("model_quant.onnx", "decoder_quant.onnx"),
        ("decoder_quant.onnx", "decoder_quant.onnx"),
    ] {
        let folder = tiny_1(&INT8);
        copy(&demo, folder.path(), &[file]);
        assert_mismatch(folder.path(), at_fault, &format!("{file} of the demonstration model"));
    }
    // Every model's normalisation has the same size: this cannot be known.
    let folder = tiny_1(&INT8);
    copy(&demo, folder.path(), &["am.mvn"]);
    assert!(recognise(folder.path(), Precision::Int8Exact).is_ok());
}

#[test]
fn swapped_graphs_are_named() {
    let folder = tiny_1(&INT8);
    let file = |name: &str| model_directory("tiny-1").join(name);
    fs::copy(file("decoder_quant.onnx"), folder.path().join("model_quant.onnx")).unwrap();
    assert_mismatch(folder.path(), "model_quant.onnx", "two decoders");
    fs::copy(file("model_quant.onnx"), folder.path().join("decoder_quant.onnx")).unwrap();
    assert_mismatch(folder.path(), "model_quant.onnx", "encoder and decoder swapped");
    fs::copy(file("model_quant.onnx"), folder.path().join("model_quant.onnx")).unwrap();
    assert_mismatch(folder.path(), "decoder_quant.onnx", "two encoders");
}

#[test]
fn a_precision_that_is_not_there_is_named() {
    let folder = tiny_1(&INT8);
    let error = refusal(folder.path(), Precision::Float32, "model.onnx", "no float32 graphs");
    assert!(error.contains("precision=float32") && error.contains("model_quant.onnx"), "{error}");
    let folder = tiny_1(&["model.onnx", "decoder.onnx", "config.yaml", "am.mvn", "tokens.json"]);
    for precision in [Precision::Int8, Precision::Int8Exact] {
        let error = refusal(folder.path(), precision, "model_quant.onnx", "no int8 graphs");
        assert!(error.contains(&format!("precision={}", precision.name())), "{error}");
    }
    assert_gives_tiny_1(folder.path(), Precision::Float32, "float32 alone");
}

#[test]
fn a_wrong_normalisation_is_named() {
    let text = fs::read_to_string(model_directory("tiny-1").join("am.mvn")).unwrap();
    let line = text.lines().skip_while(|line| !line.starts_with("<Rescale>")).nth(1).unwrap();
    let value = line.split_whitespace().nth(7).unwrap();
    let wrong = |from: &str, to: &str, found: &str| {
        let folder = tiny_1(&INT8);
        fs::write(folder.path().join("am.mvn"), text.replacen(from, to, 1)).unwrap();
        let error = refusal(folder.path(), Precision::Int8Exact, "am.mvn", to);
        assert!(error.contains("expected ") && error.ends_with(found), "{error}");
    };
    let without = line.replacen(&format!(" {value} "), " ", 1);
    wrong(line, &without, "found 559");
    wrong(line, &line.replacen(']', "1.0 ]", 1), "found 561");
    for bad in ["nan", "inf", "1e39"] {
        let shown = if bad == "nan" { "NaN" } else { "inf" };
        wrong(line, &line.replacen(&format!(" {value} "), &format!(" {bad} "), 1), &format!("found {shown}"));
    }
    wrong(line, &line.replacen(value, "zwei", 1), "found \"zwei\"");
}

/// Messages that protobuf takes and that are no graph, or none that runs.
#[test]
fn garbage_that_parses_is_named() {
    let field = |tag: u8, bytes: &[u8]| -> Vec<u8> {
        assert!(bytes.len() < 0x4000);
        [&[tag << 3 | 2, bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8], bytes].concat()
    };
    let port = |tag: u8, name: &str| field(tag, &field(1, name.as_bytes()));
    let graph = |inputs: &[&str], outputs: &[&str]| -> Vec<u8> {
        let inputs = inputs.iter().flat_map(|name| port(11, name));
        field(7, &inputs.chain(outputs.iter().flat_map(|name| port(12, name))).collect::<Vec<u8>>())
    };
    let encoder = graph(&["speech", "speech_lengths"], &["enc", "enc_len", "alphas"]);
    let caches = ["enc", "enc_len", "acoustic_embeds", "acoustic_embeds_len", "in_cache_0", "in_cache_1"];
    let decoder = graph(&caches, &["logits", "sample_ids", "out_cache_0", "out_cache_1"]);
    let version = [0x08, 0x08];
    let nothing: [&[u8]; 3] = [&version, b"\x12\x04text", &[0x08; 64]];
    for (file, hollow) in [("model_quant.onnx", &encoder), ("decoder_quant.onnx", &decoder)] {
        let hollow_with_version = [&version, hollow.as_slice()].concat();
        for bytes in nothing.into_iter().chain([hollow.as_slice(), &hollow_with_version]) {
            let folder = tiny_1(&INT8);
            fs::write(folder.path().join(file), bytes).unwrap();
            refusal(folder.path(), Precision::Int8Exact, file, &format!("{file} of {bytes:x?}"));
        }
    }
}

/// Bytes that were spoilt on the way: an error or a model, but no panic.
#[test]
fn spoilt_bytes_never_panic() {
    let mut random = support::Random(12);
    for file in INT8 {
        for _ in 0..12 {
            let folder = tiny_1(&INT8);
            let path = folder.path().join(file);
            let mut bytes = fs::read(&path).unwrap();
            for _ in 0..1 + random.below(20) {
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
            }
            fs::write(&path, bytes).unwrap();
            if let Err(error) = recognise(folder.path(), Precision::Int8Exact) {
                assert!(!error.contains("panicked"), "{file}: {error}");
            }
        }
    }
}

#[test]
fn a_model_is_shared() {
    let folder = tiny_1(&[&INT8[..], &["model.onnx", "decoder.onnx"]].concat());
    let open = |path: &Path, precision| try_open(path, precision).unwrap();
    let first = open(folder.path(), Precision::Int8Exact);
    let second = open(folder.path(), Precision::Int8Exact);
    assert!(Arc::ptr_eq(&first.model, &second.model));
    assert_eq!(first.client.clients(), 2);
    // By the real path.
    let link = tempfile::tempdir().unwrap();
    let alias = link.path().join("alias");
    std::os::unix::fs::symlink(folder.path(), &alias).unwrap();
    let detour: PathBuf = folder.path().join("../").join(folder.path().file_name().unwrap());
    for path in [alias, detour] {
        assert!(Arc::ptr_eq(&first.model, &open(&path, Precision::Int8Exact).model), "{}", path.display());
    }
    let float32 = open(folder.path(), Precision::Float32);
    assert!(!Arc::ptr_eq(&first.model, &float32.model));
    assert_eq!((first.precision, float32.precision), (Precision::Int8Exact, Precision::Float32));
    let elsewhere = tiny_1(&INT8);
    assert!(!Arc::ptr_eq(&first.model, &open(elsewhere.path(), Precision::Int8Exact).model));
}

#[test]
fn a_repaired_folder_works() {
    for file in INT8 {
        let folder = tiny_1(&INT8);
        let path = folder.path().join(file);
        let whole = fs::read(&path).unwrap();
        // A graph without what stands behind it: this is found only in the background, by ONNX Runtime.
        let half = if file.ends_with(".onnx") { fields(&whole)[3] } else { whole.len() / 3 };
        fs::write(&path, &whole[..half]).unwrap();
        if file != "config.yaml" {
            refusal(folder.path(), Precision::Int8Exact, file, &format!("half of {file}"));
        }
        fs::write(&path, &whole).unwrap();
        assert_gives_tiny_1(folder.path(), Precision::Int8Exact, &format!("{file} repaired"));
    }
}

/// A folder whose files were replaced holds another model, and those who have the old one keep it.
#[test]
fn a_replaced_folder_is_another_model() {
    let folder = tiny_1(&INT8);
    let old = try_open(folder.path(), Precision::Int8Exact).unwrap();
    copy(&model_directory("tiny-2"), folder.path(), &INT8);
    let found = recognise(folder.path(), Precision::Int8Exact).unwrap();
    compare(&found, &golden("tiny-2", Precision::Int8Exact), 0.2).unwrap();
    assert!(!Arc::ptr_eq(&old.model, &try_open(folder.path(), Precision::Int8Exact).unwrap().model));
    let mut client = old.client;
    let speech = support::recording("speech.wav");
    let kept = pieces(&support::events_of(&old.model, &mut client, one_utterance([5, 10, 5]), &speech));
    compare(&kept, &golden("tiny-1", Precision::Int8Exact), 0.2).unwrap();

    // One file of the same length, later: two tokens change places.
    let path = folder.path().join("tokens.json");
    let text = fs::read_to_string(&path).unwrap();
    let swapped = text.replace("\"llo\"", "\"??\"").replace("\"off\"", "\"llo\"").replace("\"??\"", "\"off\"");
    assert!(swapped != text && swapped.len() == text.len());
    fs::write(&path, &swapped).unwrap();
    let later = SystemTime::now() + Duration::from_secs(2);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    let changed = try_open(folder.path(), Precision::Int8Exact).unwrap();
    let id = serde_json::from_str::<Vec<String>>(&swapped).unwrap().iter().position(|piece| piece == "off").unwrap();
    assert_eq!(changed.model.vocabulary().piece(id), Some("off"));
}
