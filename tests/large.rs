//! The published model's shape, 158 + 57 million parameters with random weights: loads, and gives the oracle's tokens.
//!
//! Needs the reference implementations: $PARAFORMER_REFERENCE_PYTHON names their Python (tests/tools/setup.sh VENV --train).
//! $PARAFORMER_LARGE_MODEL names the model where it was made before; else it is made, which takes minutes and 1 GB.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use gstparaformer::runtime::Precision;
use support::{compare, events_of, one_utterance, open, pieces, read_wav, root};

const TOLERANCE_MS: f64 = 0.2;

#[test]
#[ignore = "takes minutes, and the reference implementations"]
fn the_published_shape_gives_the_oracle_s_tokens() {
    let Some(python) = std::env::var_os("PARAFORMER_REFERENCE_PYTHON") else {
        eprintln!("skipped: PARAFORMER_REFERENCE_PYTHON is not set");
        return;
    };
    let made = tempfile::tempdir().unwrap();
    let directory = std::env::var_os("PARAFORMER_LARGE_MODEL").map_or_else(
        || {
            let tool = root().join("tests/tools/make_model.py");
            let status = Command::new(&python).arg(tool).arg(made.path()).args(["--preset", "large"]).status();
            assert!(status.unwrap().success());
            made.path().to_owned()
        },
        PathBuf::from,
    );
    let wav = root().join("examples/recording.wav");
    for (precision, oracle) in [(Precision::Int8Exact, "int8"), (Precision::Float32, "float32")] {
        let mut host_loop = Command::new(&python);
        host_loop.arg(root().join("tests/tools/host_loop.py")).arg(&directory).arg(&wav).args(["--precision", oracle]);
        let output = host_loop.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let expected: Vec<(String, f64)> = serde_json::from_value(line["tokens"].clone()).unwrap();
        let mut shared = open(&directory, precision);
        let events = events_of(&shared.model, &mut shared.client, one_utterance([5, 10, 5]), &read_wav(&wav));
        assert!(expected.len() > 50);
        compare(&pieces(&events), &expected, TOLERANCE_MS).unwrap();
    }
}
