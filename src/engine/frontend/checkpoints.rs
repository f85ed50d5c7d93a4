//! The numeric checkpoints of the front end: values that kaldi-native-fbank and FunASR gave for an integer signal.

use std::path::Path;

use super::fbank::{Fbank, FbankPlan};
use super::lfr::Lfr;
use super::{FEATURE_DIM, Frontend, MEL_BINS, position};
use crate::engine::frontend::cmvn::Cmvn;

const BINS: [usize; 9] = [0, 1, 2, 10, 20, 40, 60, 78, 79];

/// The test signal: 32,000 samples of noise, a triangle and a square wave, in whole numbers.
fn signal() -> Vec<i32> {
    let mut state: u64 = 12345;
    (0..32000i32)
        .map(|i| {
            state = (1103515245 * state + 12345) % (1 << 31);
            let noise = (((state >> 16) & 0x7fff) as i32 - 16384) >> 4;
            let triangle = ((i % 40) - 20).abs() * 300 - 3000;
            let square = if (i / 8) % 2 == 0 { 2000 } else { -2000 };
            noise + triangle + square
        })
        .collect()
}

fn samples() -> Vec<f32> {
    signal().iter().map(|&x| x as f32 / 32768.0).collect()
}

fn fbank_of(samples: &[f32]) -> Vec<f32> {
    let mut frames = Vec::new();
    Fbank::default().push(&FbankPlan::default(), samples, &mut frames);
    frames
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

#[test]
fn c1_signal() {
    let x = signal();
    assert_eq!(x[..10], [5317, 4300, 4758, 3294, 3833, 3478, 3409, 2633, -1899, -1958]);
    assert_eq!(x.iter().sum::<i32>(), -6191);
    assert_eq!(x.iter().map(|&v| i64::from(v) * i64::from(v)).sum::<i64>(), 236191327339);
}

#[test]
fn c2_fbank() {
    let frames = fbank_of(&samples());
    assert_eq!(frames.len(), 198 * MEL_BINS);
    let expected: [(usize, [f64; 9], Option<f64>); 4] = [
        (
            0,
            [11.858731, 13.092808, 11.426867, 14.364594, 14.883903, 17.885635, 20.58666, 21.450861, 21.55521],
            Some(1452.9473),
        ),
        (
            1,
            [11.493616, 10.843569, 12.539699, 14.924778, 13.614155, 17.60042, 19.674524, 20.855858, 22.076788],
            Some(1457.0969),
        ),
        (
            57,
            [11.045622, 10.948784, 12.538077, 11.808562, 15.717862, 18.273384, 20.233248, 21.170364, 20.400951],
            Some(1464.8467),
        ),
        (197, [11.175064, 11.394539, 12.18695, 14.101217, 13.320932, 18.016386, 19.51174, 21.990751, 21.08954], None),
    ];
    for (frame, values, sum) in expected {
        let row = &frames[frame * MEL_BINS..][..MEL_BINS];
        for (bin, value) in BINS.into_iter().zip(values) {
            close(row[bin].into(), value, 2e-3, &format!("frame {frame} bin {bin}"));
        }
        if let Some(sum) = sum {
            close(row.iter().map(|&v| f64::from(v)).sum(), sum, 0.02, &format!("sum of frame {frame}"));
        }
    }
    close(frames.iter().map(|&v| f64::from(v)).sum(), 287552.163, 1.0, "sum of all");
}

#[test]
fn c3_silence_and_constant() {
    assert!(fbank_of(&[0.0; 400]).iter().all(|&v| (v + 15.942385).abs() < 1e-5));
    assert!(fbank_of(&[0.1; 400])[..5].iter().all(|&v| v < -9.0));
    assert!(fbank_of(&[f32::NAN; 400]).iter().all(|&v| (v + 15.942385).abs() < 1e-5));
    assert!(fbank_of(&[0.0; 399]).is_empty());
}

#[test]
fn c4_sine() {
    let sine: Vec<f32> =
        (0..400).map(|n| (0.5 * (2.0 * std::f64::consts::PI * 440.0 * f64::from(n) / 16000.0).sin()) as f32).collect();
    let frame = fbank_of(&sine);
    let bins = [0, 5, 10, 12, 13, 14, 15, 20, 40, 79];
    let values =
        [11.892195, 12.238248, 12.363942, 21.166271, 24.402718, 25.222143, 24.137842, 15.278166, 12.830383, 12.203563];
    for (bin, value) in bins.into_iter().zip(values) {
        close(frame[bin].into(), value, 2e-3, &format!("bin {bin}"));
    }
    assert_eq!(frame.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(bin, _)| bin), Some(14));
}

#[test]
fn c5_lfr() {
    let (mut lfr, mut rows) = (Lfr::default(), Vec::new());
    lfr.push(&fbank_of(&samples()), &mut rows);
    lfr.finish(&mut rows);
    assert_eq!(rows.len(), 33 * FEATURE_DIM);
    let at = |row: usize, column: usize| f64::from(rows[row * FEATURE_DIM + column]);
    let expected = [
        (0, 0, 11.858731),
        (0, 79, 21.55521),
        (0, 80, 11.858731),
        (0, 240, 11.858731),
        (0, 320, 11.493616),
        (0, 559, 21.139719),
        (32, 0, 11.928404),
        (32, 480, 11.934487),
        (32, 559, 21.907919),
    ];
    for (row, column, value) in expected {
        close(at(row, column), value, 2e-3, &format!("row {row} column {column}"));
    }
}

#[test]
fn c5_strides_give_whole_chunks() {
    let plan = FbankPlan::default();
    let cases: [(usize, &[usize]); 3] =
        [(9600, &[10, 10, 10, 3]), (4000, &[4, 4, 4, 4, 4, 5, 4, 4]), (7680, &[8, 8, 8, 8, 1])];
    let cmvn = identity();
    let mut whole = Vec::new();
    let mut frontend = Frontend::default();
    frontend.push(&cmvn, 1.0, &fbank_of(&samples()), &mut whole);
    frontend.finish(&cmvn, 1.0, &mut whole);
    for (block, expected) in cases {
        let (mut fbank, mut frontend, mut rows, mut counts) =
            (Fbank::default(), Frontend::default(), Vec::new(), Vec::new());
        let signal = samples();
        let blocks = signal.chunks(block);
        let last = blocks.len() - 1;
        for (i, part) in blocks.enumerate() {
            let before = rows.len();
            let mut frames = Vec::new();
            fbank.push(&plan, part, &mut frames);
            frontend.push(&cmvn, 1.0, &frames, &mut rows);
            if i == last {
                frontend.finish(&cmvn, 1.0, &mut rows);
            }
            counts.push((rows.len() - before) / FEATURE_DIM);
        }
        assert_eq!(counts, expected);
        assert_eq!(rows, whole, "blocks of {block}");
    }
}

fn identity() -> Cmvn {
    Cmvn::new(Path::new("identity"), FEATURE_DIM, vec![0.0; FEATURE_DIM], vec![1.0; FEATURE_DIM]).unwrap()
}

/// C6 and C8 are stated for the published model's `am.mvn`, which lies outside the project.
fn published_cmvn() -> Option<Cmvn> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/large-online-config/am.mvn");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no {}", path.display());
        return None;
    };
    Some(Cmvn::parse(&path, FEATURE_DIM, &text).unwrap())
}

#[test]
fn c6_cmvn() {
    let Some(cmvn) = published_cmvn() else { return };
    let (mut lfr, mut rows) = (Lfr::default(), Vec::new());
    lfr.push(&fbank_of(&samples()), &mut rows);
    lfr.finish(&mut rows);
    rows.chunks_mut(FEATURE_DIM).for_each(|row| cmvn.apply(row, 1.0));
    let at = |row: usize, column: usize| f64::from(rows[row * FEATURE_DIM + column]);
    let expected = [
        (0, 0, 0.5525109),
        (0, 1, 0.693926),
        (0, 79, 1.4859721),
        (0, 80, 0.5525109),
        (0, 559, 1.4232473),
        (9, 0, 0.6147726),
        (9, 559, 1.3117189),
        (32, 0, 0.5633642),
        (32, 559, 1.5392189),
    ];
    for (row, column, value) in expected {
        close(at(row, column), value, 5e-4, &format!("row {row} column {column}"));
    }
    close(rows.iter().map(|&v| f64::from(v)).sum(), 12657.1729, 0.5, "sum");
}

#[test]
fn c7_position() {
    let row = |p| {
        let mut row = vec![0.0; FEATURE_DIM];
        position::add(p, &mut row);
        row
    };
    let columns = [0, 1, 2, 279, 280, 281, 282, 559];
    let expected = [
        (1, [0.841471, 0.823485, 0.805257, 0.000100, 0.540302, 0.567338, 0.592926, 1.0]),
        (11, [-0.999990, -0.938417, -0.765884, 0.0011, 0.004426, -0.345505, -0.642979, 0.999999]),
    ];
    for (p, values) in expected {
        for (column, value) in columns.into_iter().zip(values) {
            close(row(p)[column].into(), value, 2e-6, &format!("position {p} column {column}"));
        }
    }
}

#[test]
fn c8_encoder_rows() {
    let Some(cmvn) = published_cmvn() else { return };
    let (mut frontend, mut rows) = (Frontend::default(), Vec::new());
    frontend.push(&cmvn, 512f32.sqrt(), &fbank_of(&samples()), &mut rows);
    let columns = [0, 1, 79, 80, 279, 280, 281, 559];
    let expected = [
        (0, [13.343366, 16.525238, 33.697327, 12.573128, 12.154224, 15.415977, 16.295387, 33.20441]),
        (9, [13.366694, 5.808121, 32.90173, 13.763693, 12.861309, 14.913685, 12.289312, 30.68081]),
        (10, [8.635867, 7.268742, 30.405472, 13.675941, 14.385118, 15.041353, 15.720898, 34.264397]),
    ];
    for (row, values) in expected {
        for (column, value) in columns.into_iter().zip(values) {
            close(rows[row * FEATURE_DIM + column].into(), value, 1e-2, &format!("row {row} column {column}"));
        }
    }
    for (chunk, sum) in [89366.103, 89116.371].into_iter().enumerate() {
        let part = &rows[chunk * 10 * FEATURE_DIM..][..10 * FEATURE_DIM];
        close(part.iter().map(|&v| f64::from(v)).sum(), sum, 0.5, &format!("sum of chunk {chunk}"));
    }
}
