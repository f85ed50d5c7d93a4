//! A process that ends while a model loads ends as it meant to, and does not crash.
//!
//! Without a test harness: what counts is the thread that `main` runs on.

#![allow(clippy::expect_used)] // Outside #[test] functions the lint does not know a test.

use std::process::{Command, exit};

use gstparaformer::runtime::registry::{self, ModelRequest};
use gstparaformer::runtime::{LibraryRequest, ModelSource, Precision};

const CHILD: &str = "PARAFORMER_TEST_EXIT";
const STATUS: i32 = 7;

fn main() {
    if let Some(delay_us) = std::env::var(CHILD).ok().and_then(|text| text.parse().ok()) {
        let request = ModelRequest {
            source: ModelSource::BuiltIn,
            precision: Precision::Auto,
            library: LibraryRequest::default(),
        };
        let _shared = registry::open(&request).unwrap_or_else(|error| {
            eprintln!("{error}");
            exit(1);
        });
        std::thread::sleep(std::time::Duration::from_micros(delay_us));
        exit(STATUS);
    }
    let itself = std::env::current_exe().expect("this program");
    for run in 0..30u64 {
        // Loading takes some 30 ms: the end falls before, into and after it.
        let status = Command::new(&itself).env(CHILD, (run * 2000).to_string()).status().expect("the child");
        assert_eq!(status.code(), Some(STATUS), "run {run}: {status}");
    }
    println!("test result: ok. 1 passed; 0 failed");
}
