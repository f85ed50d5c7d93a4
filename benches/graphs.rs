//! What the rewrites of the graphs save: milliseconds for each stream of an encoder call of 20 frames and of a decoder call of
//! 3 tokens, in batches of 1, 4 and 16, one thread.
//!
//! cargo bench --bench graphs -- [MODEL_DIR [ROUNDS]]
//!
//! Without a folder: the demonstration model. All graphs take turns, so that what else the machine does hits all of them;
//! each figure is the median of the rounds, and the factor is that of the published graph's.

use std::path::PathBuf;
use std::time::Instant;

use graphs::{Graph, Noise, Row};
use gstparaformer::runtime::rewrite::Rewrites;

#[path = "../tests/support/graphs.rs"]
#[allow(dead_code, clippy::unwrap_used)] // The tests use more; a benchmark that cannot run says why and stops.
mod graphs;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let folder =
        arguments.first().map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/demo"), PathBuf::from);
    let rounds = arguments.get(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(15);
    let (signed, rows) = (Rewrites::exact(), Rewrites { row_scales: true, ..Rewrites::exact() });
    let stages = [
        ("published", Rewrites::default()),
        ("signed weights (int8-exact)", signed),
        ("and row scales", rows),
        ("all (int8)", Rewrites::fast()),
    ];
    for file in ["model_quant.onnx", "decoder_quant.onnx"] {
        let mut graphs = stages.map(|(name, rewrites)| (name, Graph::new(&folder.join(file), rewrites)));
        for batch in [1, 4, 16] {
            let mut noise = Noise(1);
            let streams: Vec<Row> = (0..batch).map(|_| graphs[0].1.row(&mut noise, 20, 3, 1.0)).collect();
            let mut times = vec![Vec::new(); graphs.len()];
            for round in 0..=rounds {
                for ((_, graph), times) in graphs.iter_mut().zip(&mut times) {
                    let started = Instant::now();
                    graph.run(&streams);
                    // The first round warms up.
                    if round > 0 {
                        times.push(started.elapsed().as_secs_f64() * 1e3 / batch as f64);
                    }
                }
            }
            let medians: Vec<f64> = times.into_iter().map(median).collect();
            for ((name, _), median) in graphs.iter().zip(&medians) {
                println!("{file:20} batch {batch:2}  {name:28} {median:8.2} ms {:6.2} x", medians[0] / median);
            }
        }
    }
}
