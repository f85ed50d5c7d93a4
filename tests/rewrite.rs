//! Rewrites of graphs: nothing is lost, signed weights change no bit, row scales part the streams of a batch, and a graph
//! of another form stays as it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/graphs.rs"]
mod graphs;

use std::path::{Path, PathBuf};

use graphs::{Graph, Noise, Row, difference, error};
use gstparaformer::runtime::rewrite::proto::{self, Model};
use gstparaformer::runtime::rewrite::{Report, Rewrites, processor_is_exact, rewrite};
use prost::Message;
use prost::bytes::Bytes;

const ENCODER: &str = "model_quant.onnx";
const DECODER: &str = "decoder_quant.onnx";

/// The folders of the models: those of the repository, and the published shape where it was made.
fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> =
        ["tiny-1", "tiny-2", "tiny-3"].iter().map(|name| root.join("tests/data/models").join(name)).collect();
    folders.push(root.join("models/demo"));
    match std::env::var_os("PARAFORMER_LARGE_MODEL") {
        Some(folder) => folders.push(folder.into()),
        None => eprintln!("skipped: the large shape, for PARAFORMER_LARGE_MODEL is not set"),
    }
    folders
}

/// All int8 graphs.
fn int8_graphs() -> impl Iterator<Item = PathBuf> {
    models().into_iter().flat_map(|folder| [ENCODER, DECODER].map(|file| folder.join(file)))
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Streams of several lengths and loudnesses, each a call of its own.
fn calls(graph: &Graph) -> Vec<Row> {
    let mut noise = Noise(7);
    let sizes = [(20, 3, 1.0), (20, 1, 0.1), (15, 2, 3.0), (10, 5, 0.5), (1, 1, 1.0), (30, 8, 20.0)];
    sizes.map(|(frames, tokens, scale)| graph.row(&mut noise, frames, tokens, scale)).into()
}

#[test]
fn a_graph_that_is_read_and_written_is_the_same() {
    for folder in models() {
        for file in [ENCODER, DECODER, "model.onnx", "decoder.onnx"].map(|name| folder.join(name)) {
            if !file.exists() {
                continue;
            }
            let bytes = Bytes::from(read(&file));
            let model = Model::decode(bytes.clone()).unwrap();
            assert!(model.encode_to_vec() == bytes, "{} changed", file.display());
        }
    }
}

#[test]
fn signed_weights_change_no_bit() {
    if !processor_is_exact() {
        eprintln!("skipped: this processor multiplies signed weights inexactly, so they are never moved");
        return;
    }
    for file in int8_graphs() {
        let (mut published, mut exact) = (Graph::new(&file, Rewrites::default()), Graph::new(&file, Rewrites::exact()));
        let Report { products, other_products, signed_weights, row_scales, .. } = exact.report;
        assert!(products > 5 && signed_weights == products, "{}: {:?}", file.display(), exact.report);
        assert_eq!((other_products, row_scales), (0, 0));
        for (call, row) in calls(&exact).into_iter().enumerate() {
            let rows = [row];
            assert_eq!(published.run(&rows), exact.run(&rows), "{} call {call}", file.display());
        }
    }
}

/// On a processor where the weights stay unsigned, all else is rewritten and gives the same.
#[test]
fn row_scales_take_weights_of_either_kind() {
    if !processor_is_exact() {
        eprintln!("skipped: this processor multiplies signed weights inexactly, so they are never moved");
        return;
    }
    for file in int8_graphs() {
        let unsigned = Rewrites { signed_weights: false, ..Rewrites::fast() };
        let [mut unsigned, mut signed] = [unsigned, Rewrites::fast()].map(|rewrites| Graph::new(&file, rewrites));
        assert_eq!((unsigned.report.signed_weights, unsigned.report.row_scales), (0, signed.report.row_scales));
        for row in calls(&signed) {
            let rows = [row];
            assert_eq!(unsigned.run(&rows), signed.run(&rows), "{}", file.display());
        }
    }
}

/// Products whose weights lie outside the graph, and are shared by its sessions, give the same integers.
#[test]
fn weights_outside_change_no_bit() {
    for file in int8_graphs() {
        let inside = Rewrites { weights_outside: false, ..Rewrites::fast() };
        let [mut inside, mut outside] = [inside, Rewrites::fast()].map(|rewrites| Graph::new(&file, rewrites));
        assert_eq!(inside.report.weights_outside, 0);
        if outside.report.weights_outside == 0 {
            eprintln!("skipped: this processor has no AVX512-VNNI");
            return;
        }
        assert!(outside.report.is_shared(), "{}: {}", file.display(), outside.report);
        for (call, row) in calls(&inside).into_iter().enumerate() {
            let rows = [row];
            assert_eq!(inside.run(&rows), outside.run(&rows), "{} call {call}", file.display());
        }
        let rewritten = rewrite(read(&file).into(), Rewrites::fast());
        let graph = Model::decode(Bytes::from(rewritten.bytes.into_owned())).unwrap().graph.unwrap();
        let bytes = |tensor: &&proto::Tensor| [proto::INT8, proto::UINT8].contains(&tensor.data_type());
        assert_eq!(graph.initializer.iter().filter(bytes).count(), 0, "{}: a weight is there twice", file.display());
    }
}

/// A quiet stream alone, and among 15 that are loud.
#[test]
fn a_stream_does_not_hear_the_others() {
    for file in int8_graphs() {
        let mut graph = Graph::new(&file, Rewrites::fast());
        assert!(graph.report.is_independent_of_batch(), "{}: {:?}", file.display(), graph.report);
        let mut noise = Noise(3);
        let quiet = graph.row(&mut noise, 20, 3, 0.3);
        let alone = graph.run(std::slice::from_ref(&quiet)).remove(0);
        let mut rows: Vec<Row> = (0..15).map(|_| graph.row(&mut noise, 20, 3, 30.0)).collect();
        for place in [0, 7, 15] {
            rows.insert(place, quiet.clone());
            let among = graph.run(&rows).swap_remove(place);
            rows.remove(place);
            let apart = difference(&alone, &among);
            assert!(apart < 1e-5, "{} at {place}: {apart}", file.display());
        }
        // The published graph has one scale for all: this is what the rewrite is for.
        let mut published = Graph::new(&file, Rewrites::default());
        let alone = published.run(std::slice::from_ref(&quiet)).remove(0);
        rows.insert(0, quiet);
        let apart = difference(&alone, &published.run(&rows)[0]);
        assert!(apart > 1e-3, "{}: {apart}", file.display());
    }
}

/// Streams of several lengths in one call, each padded to the longest: each gets what it gets alone.
#[test]
fn streams_of_several_lengths_share_a_call() {
    for file in int8_graphs() {
        let mut graph = Graph::new(&file, Rewrites::fast());
        let mut noise = Noise(11);
        let sizes = [(20, 3), (15, 1), (20, 5), (5, 2), (1, 4), (19, 8)];
        let rows: Vec<Row> =
            sizes.map(|(frames, tokens)| graph.row(&mut noise, frames, tokens, 1.0)).into_iter().collect();
        let together = graph.run(&rows);
        for (at, row) in rows.iter().enumerate() {
            let alone = graph.run(std::slice::from_ref(row)).remove(0);
            let apart = difference(&alone, &together[at]);
            assert!(apart < 1e-5, "{} stream {at}: {apart}", file.display());
        }
    }
}

/// Every FSMN memory is found: one for each layer.
#[test]
fn every_memory_is_one_operator() {
    for file in int8_graphs() {
        let graph = Graph::new(&file, Rewrites::fast());
        let model = Model::decode(Bytes::from(read(&file))).unwrap();
        let depthwise = |node: &&proto::Node| {
            node.op_type() == "Conv"
                && node.attribute.iter().any(|attribute| attribute.name() == "group" && attribute.i() > 1)
        };
        let layers = model.graph.unwrap().node.iter().filter(depthwise).count();
        assert!(layers > 0 && graph.report.fused_memory == layers, "{}: {:?}", file.display(), graph.report);
    }
}

/// Nothing is left of what the exporter spread over nodes: attention, layer normalisation, quantising.
#[test]
fn nothing_lies_between_two_products() {
    for file in int8_graphs() {
        let published = Model::decode(Bytes::from(read(&file))).unwrap().graph.unwrap();
        let rewritten = rewrite(read(&file).into(), Rewrites::fast());
        let graph = Model::decode(Bytes::from(rewritten.bytes.into_owned())).unwrap().graph.unwrap();
        let count =
            |graph: &proto::Graph, op_type: &str| graph.node.iter().filter(|node| node.op_type() == op_type).count();
        let spread = ["Softmax", "Split", "ReduceMean", "Sqrt", "DynamicQuantizeLinear"];
        let left = spread.map(|op_type| (op_type, count(&graph, op_type)));
        assert_eq!(left, spread.map(|op_type| (op_type, 0)), "{}", file.display());
        let report = rewritten.report;
        assert_eq!(report.fused_attention, count(&published, "Softmax"), "{}: {report}", file.display());
        // One operator before each product, and one at the end; those of an attention are counted with it.
        assert!(report.joined_rows + report.fused_attention >= report.products / 2, "{}: {report}", file.display());
    }
}

/// The rewritten graphs are as near to float32 as the published ones.
#[test]
fn rewritten_graphs_are_no_less_accurate() {
    let mut ratios = Vec::new();
    for folder in models() {
        for (int8, float32) in [(ENCODER, "model.onnx"), (DECODER, "decoder.onnx")] {
            let [int8, float32] = [int8, float32].map(|name| folder.join(name));
            if !float32.exists() {
                continue;
            }
            let [mut published, mut fast] = [Rewrites::default(), Rewrites::fast()].map(|how| Graph::new(&int8, how));
            let mut exact = Graph::new(&float32, Rewrites::default());
            let (mut before, mut after) = (0.0, 0.0);
            for row in calls(&exact) {
                let rows = [row];
                let truth = exact.run(&rows).remove(0);
                before += error(&published.run(&rows)[0], &truth) / 6.0;
                after += error(&fast.run(&rows)[0], &truth) / 6.0;
            }
            println!("{}: error {before:.5} published, {after:.5} rewritten", int8.display());
            // The steps of a single row may be the coarser ones; they are not by much.
            assert!(after < 1.3 * before, "{}: {before} became {after}", int8.display());
            ratios.push(after / before);
        }
    }
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    assert!(ratios.len() >= 4 && mean < 1.0, "{ratios:?}");
}

#[test]
fn a_float_graph_stays_as_it_is() {
    let file = models()[0].join("model.onnx");
    let bytes = read(&file);
    let rewritten = rewrite(bytes.clone().into(), Rewrites { fused_memory: false, ..Rewrites::fast() });
    assert!(rewritten.bytes == bytes);
    assert!(!rewritten.report.left_alone.is_empty());
}

/// A graph of tiny-1, changed by `change`, which gets its nodes: what is rewritten of it, and that the results stay near.
fn changed(file: &str, change: impl FnOnce(&mut proto::Graph)) -> Report {
    let mut model = Model::decode(Bytes::from(read(&models()[0].join(file)))).unwrap();
    change(model.graph.as_mut().unwrap());
    let bytes = model.encode_to_vec();
    let mut before = Graph::of(bytes.clone().into(), Rewrites::default()).unwrap();
    let mut after = Graph::of(bytes.into(), Rewrites::fast()).unwrap();
    for row in calls(&before) {
        let rows = [row];
        let apart = error(&after.run(&rows)[0], &before.run(&rows)[0]);
        assert!(apart < 0.05, "{apart}");
    }
    after.report
}

/// The place of the node `op_type` number `number`.
fn place(graph: &proto::Graph, op_type: &str, number: usize) -> usize {
    let mut places = (0..graph.node.len()).filter(|&at| graph.node[at].op_type() == op_type);
    places.nth(number).unwrap()
}

/// Puts an `Identity` before the input `input` of the node at `at`.
fn put_between(graph: &mut proto::Graph, at: usize, input: usize) {
    let name = format!("{}_between", graph.node[at].input[input]);
    let old = std::mem::replace(&mut graph.node[at].input[input], name.clone());
    let identity =
        proto::Node { op_type: Some("Identity".into()), input: vec![old], output: vec![name], ..Default::default() };
    graph.node.insert(at, identity);
}

fn show(graph: &mut proto::Graph, name: String) {
    graph.output.push(proto::ValueInfo { name: Some(name), ..Default::default() });
}

/// What has another form stays as it is, and all else is rewritten.
#[test]
fn other_forms_stay() {
    let whole = changed(ENCODER, |_| ());
    assert!(whole.is_independent_of_batch() && whole.products > 5, "{whole:?}");
    let one_less = |report: Report| {
        assert_eq!((report.products, report.other_products), (whole.products - 1, 1), "{report:?}");
        assert!(!report.is_independent_of_batch() && report.row_scales == report.products, "{report:?}");
        assert!(report.to_string().contains("1 products of another form left as they are"), "{report}");
    };
    // Any of a product's four inputs comes from elsewhere.
    for input in 0..4 {
        one_less(changed(ENCODER, |graph| put_between(graph, place(graph, "MatMulInteger", 1), input)));
    }
    // The integers, the weight or its scale are seen from outside.
    one_less(changed(ENCODER, |graph| show(graph, graph.node[place(graph, "MatMulInteger", 2)].output[0].clone())));
    one_less(changed(ENCODER, |graph| show(graph, graph.node[place(graph, "MatMulInteger", 2)].input[1].clone())));
    // The activation's integers are seen from outside: that quantising stays beside the new one.
    let report = changed(ENCODER, |graph| {
        show(graph, graph.node[place(graph, "DynamicQuantizeLinear", 2)].output[0].clone());
    });
    assert_eq!(report, whole);
    // A weight that something else uses cannot be moved; the product is rewritten all the same.
    let report = changed(ENCODER, |graph| {
        let weight = graph.node[place(graph, "MatMulInteger", 3)].input[1].clone();
        let mut cast = graph.node[place(graph, "Cast", 0)].clone();
        cast.name = None;
        (cast.input, cast.output) = (vec![weight], vec!["weight_as_number".into()]);
        graph.node.push(cast);
    });
    let signed = if processor_is_exact() { whole.products - 1 } else { 0 };
    assert_eq!((report.signed_weights, report.row_scales), (signed, whole.products));
}

#[test]
fn other_memories_stay() {
    for (file, op_type, input) in
        [(ENCODER, "Pad", 0), (ENCODER, "Conv", 0), (DECODER, "Concat", 1), (DECODER, "Conv", 0), (DECODER, "Conv", 1)]
    {
        let whole = changed(file, |_| ());
        let report = changed(file, |graph| {
            // The last `Conv` of an encoder is the predictor's; `Concat` of a memory joins along its third axis.
            let is_memory = |node: &proto::Node| {
                node.op_type() == op_type
                    && (op_type != "Concat" || node.attribute.iter().any(|axis| axis.name() == "axis" && axis.i() == 2))
            };
            let at = graph.node.iter().position(is_memory).unwrap();
            put_between(graph, at, input);
        });
        assert_eq!(report.fused_memory, whole.fused_memory - 1, "{file} {op_type} {input}: {report:?}");
        assert_eq!(report.row_scales, whole.row_scales);
    }
}

#[test]
fn a_graph_is_rewritten_once() {
    for file in int8_graphs() {
        let once = rewrite(read(&file).into(), Rewrites::fast());
        let twice = rewrite(once.bytes.clone(), Rewrites::fast());
        assert!(twice.bytes == once.bytes && !twice.report.left_alone.is_empty(), "{:?}", twice.report);
    }
    for no_graph in [&b""[..], b"\x08\x08", b"no graph at all"] {
        let rewritten = rewrite(no_graph.into(), Rewrites::fast());
        assert!(rewritten.bytes == no_graph && !rewritten.report.left_alone.is_empty());
    }
}

/// What is not the exporter's attention or normalisation stays as it is.
#[test]
fn other_attentions_and_normalisations_stay() {
    let [encoder, decoder] = [ENCODER, DECODER].map(|file| changed(file, |_| ()));
    for (file, whole, op_type, number, input) in [
        (ENCODER, &encoder, "Softmax", 1, 0),
        (ENCODER, &encoder, "Split", 1, 0),
        (DECODER, &decoder, "Softmax", 0, 0),
        (DECODER, &decoder, "Split", 1, 0),
    ] {
        let report = changed(file, |graph| put_between(graph, place(graph, op_type, number), input));
        assert_eq!(report.fused_attention, whole.fused_attention - 1, "{file} {op_type}: {report}");
        assert_eq!(report.row_scales, whole.row_scales);
        // Its weights are seen from outside.
        let report = changed(file, |graph| show(graph, graph.node[place(graph, "Softmax", 0)].output[0].clone()));
        assert_eq!(report.row_scales, whole.row_scales, "{file}: {report}");
    }
    for (op_type, input) in [("Pow", 0), ("Sqrt", 0), ("Div", 0), ("Div", 1), ("ReduceMean", 0)] {
        let report = changed(ENCODER, |graph| put_between(graph, place(graph, op_type, 2), input));
        assert_eq!(report.row_scales, encoder.row_scales, "{op_type}: {report}");
        assert!(report.joined_rows <= encoder.joined_rows, "{op_type}: {report}");
    }
    // What lies between is seen from outside: it is still there, and the same.
    for op_type in ["Sub", "Sqrt", "Relu", "Add"] {
        changed(ENCODER, |graph| show(graph, graph.node[place(graph, op_type, 2)].output[0].clone()));
        changed(DECODER, |graph| show(graph, graph.node[place(graph, op_type, 2)].output[0].clone()));
    }
}
