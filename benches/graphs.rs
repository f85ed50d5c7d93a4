//! What the rewrites of the graphs save: milliseconds for each stream of an encoder call of 20 frames and of a decoder call of
//! 3 tokens, in batches of 1, 4 and 16, one thread.
//!
//! cargo bench --bench graphs -- [MODEL_DIR [ROUNDS]]
//!
//! Without a folder: the demonstration model. Times are those that the processor worked, not those that passed. All graphs
//! take turns, so that what else the machine does hits all of them; each figure is the mean of the rounds, because the
//! clock of this time may be a coarse one.

#![allow(clippy::expect_used)] // A benchmark that cannot run says why and stops.

use std::path::PathBuf;

use graphs::{Graph, Noise, Row};
use gstparaformer::runtime::rewrite::Rewrites;

#[path = "../tests/support/graphs.rs"]
#[allow(dead_code, clippy::unwrap_used)] // The tests use more; a benchmark that cannot run says why and stops.
mod graphs;

/// How long this thread has run on a processor, in ms.
fn processor_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux, which counts this");
    let ns: f64 = text.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("a number");
    ns / 1e6
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
        ("and the memory", Rewrites { fused_memory: true, ..rows }),
        ("and what lies between", Rewrites { weights_outside: false, ..Rewrites::fast() }),
        ("all (int8)", Rewrites::fast()),
    ];
    for file in ["model_quant.onnx", "decoder_quant.onnx"] {
        let mut graphs = stages.map(|(name, rewrites)| (name, Graph::new(&folder.join(file), rewrites)));
        graphs.iter().for_each(|(name, graph)| println!("{file:20} {name:28} {}", graph.report));
        for batch in [1, 4, 16] {
            let mut noise = Noise(1);
            let streams: Vec<Row> = (0..batch).map(|_| graphs[0].1.row(&mut noise, 20, 3, 1.0)).collect();
            let mut times = vec![0.0; graphs.len()];
            // A batch of one is short: more rounds for it.
            let rounds = rounds * 16 / batch.max(4);
            for round in 0..=rounds {
                for ((_, graph), times) in graphs.iter_mut().zip(&mut times) {
                    let started = processor_ms();
                    graph.run(&streams);
                    // The first round warms up.
                    if round > 0 {
                        *times += (processor_ms() - started) / (batch * rounds) as f64;
                    }
                }
            }
            for ((name, _), time) in graphs.iter().zip(&times) {
                println!("{file:20} batch {batch:2}  {name:28} {time:8.2} ms {:6.2} x", times[0] / time);
            }
        }
    }
}
