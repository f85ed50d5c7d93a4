//! The second pass: what it recognises is FunASR's, and its times are lawful.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gstparaformer::engine::detokenizer::Spacing;
use gstparaformer::engine::frames::HeldFrames;
use gstparaformer::engine::frontend::cmvn::Cmvn;
use gstparaformer::engine::frontend::fbank::FbankPlan;
use gstparaformer::engine::frontend::{FEATURE_DIM, MEL_BINS};
use gstparaformer::engine::refine::offline::{
    HOTWORD_IDS, HotwordOutcome, MAX_HOTWORDS, OfflineInput, OfflineKind, OfflineModel, OfflineNetwork, OfflineOutput,
    OfflinePass, OfflineUtterance, hotwords, hypothesis,
};
use gstparaformer::engine::vocabulary::Vocabulary;
use gstparaformer::engine::{DisplayToken, Error, Piece, Result};
use gstparaformer::runtime::offline::{self, OfflineRequest, SharedOffline};
use gstparaformer::runtime::{LibraryRequest, Precision};
use serde::Deserialize;
use support::{Random, model_directory, read_wav, root};

const MS_NS: u64 = 1_000_000;
const SAMPLE_NS: u64 = 62_500;
const MODELS: [(&str, OfflineKind); 5] = [
    ("offline-plain", OfflineKind::Plain),
    ("offline-bicif", OfflineKind::BiCif),
    ("offline-specials", OfflineKind::BiCif),
    ("offline-contextual", OfflineKind::Contextual),
    ("offline-seaco", OfflineKind::SeACo),
];

fn try_open(directory: &Path, precision: Precision) -> Result<SharedOffline> {
    offline::open(&OfflineRequest { directory: directory.into(), precision, library: LibraryRequest::default() })
}

fn open(name: &str) -> SharedOffline {
    try_open(&model_directory(name), Precision::Auto).unwrap()
}

fn fbank(samples: &[f32]) -> Vec<f32> {
    let mut held = HeldFrames::default();
    held.push(&FbankPlan::default(), samples);
    held.get(0, held.end()).to_vec()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A line of goldens/offline.jsonl (make_offline.py).
#[derive(Debug, Deserialize)]
struct Golden {
    model: String,
    kind: String,
    precision: String,
    audio: String,
    samples: usize,
    repeat: usize,
    hotwords: String,
    #[serde(default)]
    token_num: usize,
    #[serde(default)]
    ids: Vec<usize>,
    #[serde(default)]
    row_times: Vec<[i64; 2]>,
    text: Option<String>,
    #[serde(default)]
    timestamp: Vec<[i64; 2]>,
}

impl Golden {
    fn samples(&self) -> Option<Vec<f32>> {
        if self.audio == "silence" {
            return Some(vec![0.0; self.samples]);
        }
        let folders = [support::data("audio"), root().join("../shared/data/speech")];
        let Some(path) = folders.iter().map(|folder| folder.join(&self.audio)).find(|path| path.is_file()) else {
            eprintln!("skipped: no {} in ../shared", self.audio);
            return None;
        };
        let once = read_wav(&path);
        assert!(once.len() * self.repeat >= self.samples, "{}: too short", self.audio);
        Some(once.into_iter().cycle().take(self.samples).collect())
    }

    fn name(&self) -> String {
        let hotwords: String = self.hotwords.chars().take(30).collect();
        let Self { model, precision, audio, samples, repeat, .. } = self;
        format!("{model} {precision} {audio} {samples} x{repeat} \"{hotwords}\"")
    }
}

/// Keeps what a network gave last.
struct Observed<'a> {
    network: &'a mut dyn OfflineNetwork,
    token_num: usize,
    ids: Vec<usize>,
    size: usize,
}

impl OfflineNetwork for Observed<'_> {
    fn recognise(&mut self, input: OfflineInput<'_>, output: &mut OfflineOutput) -> Result<()> {
        self.network.recognise(input, output)?;
        self.token_num = output.token_num;
        self.ids = output.logits.chunks_exact(self.size).map(support::best).collect();
        Ok(())
    }

    fn embed(&mut self, ids: &[i32], embedded: &mut Vec<f32>) -> Result<()> {
        self.network.embed(ids, embedded)
    }
}

/// What text holds, whatever FunASR puts between words and however it writes abbreviations.
fn characters(text: &str) -> String {
    text.chars().filter(|c| *c != ' ').collect::<String>().to_lowercase()
}

/// Whether FunASR joins these pieces as we do: it loses an open piece before Chinese and at the end, and gives
/// neighbouring letters one time.
fn joins_alike(pieces: &[Piece]) -> bool {
    let open = |piece: &Piece| piece.text.ends_with("@@");
    let letter = |piece: &Piece| piece.text.len() == 1;
    let differ = |pair: &[Piece]| {
        let is_lost = open(&pair[0]) && !pair[1].text.is_ascii();
        is_lost || (letter(&pair[0]) && letter(&pair[1]))
    };
    !pieces.windows(2).any(differ) && !pieces.last().is_some_and(open)
}

#[test]
fn recognition_is_funasrs() {
    let text = std::fs::read_to_string(support::data("goldens/offline.jsonl")).unwrap();
    let (mut lines, mut same_text, mut same_times, mut same_words) = (0, 0, 0, 0);
    for line in text.lines() {
        let golden: Golden = serde_json::from_str(line).unwrap();
        let (what, Some(samples)) = (golden.name(), golden.samples()) else { continue };
        let precision = if golden.precision == "int8" { Precision::Int8 } else { Precision::Float32 };
        let SharedOffline { model, mut client, .. } = try_open(&model_directory(&golden.model), precision).unwrap();
        assert_eq!(format!("{:?}", model.kind()).to_lowercase(), golden.kind, "{what}");
        let size = model.vocabulary().len();
        let mut network = Observed { network: &mut client, token_num: 0, ids: Vec::new(), size };
        let mut pass = OfflinePass::new(model.clone());
        pass.set_hotwords(&mut network, &words(&golden.hotwords)).unwrap();
        let (frames, start_ns, streaming) = (fbank(&samples), 7_000 * MS_NS, &[][..]);
        let end_ns = start_ns + samples.len() as u64 * SAMPLE_NS;
        let utterance = OfflineUtterance { frames: &frames, start_ns, end_ns, streaming };
        let pieces = pass.recognise(&mut network, &utterance).unwrap();
        assert_eq!((network.token_num, &network.ids), (golden.token_num, &golden.ids), "{what}");

        // All models end in a row that is no token.
        let rows = &golden.ids[..golden.token_num.saturating_sub(1)];
        let shown: Vec<&str> = rows.iter().filter_map(|&id| model.vocabulary().piece(id)).collect();
        assert_eq!(pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>(), shown, "{what}");
        let ns = |ms: i64| start_ns.saturating_add_signed(ms * MS_NS as i64).clamp(start_ns, end_ns);
        if !golden.row_times.is_empty() {
            let times = rows.iter().zip(&golden.row_times).filter(|(id, _)| model.vocabulary().piece(**id).is_some());
            let expected: Vec<_> = times.map(|(_, span)| (ns(span[0]), ns(span[1]))).collect();
            let found: Vec<_> = pieces.iter().map(|piece| (piece.start_ns, piece.end_ns)).collect();
            assert_eq!(found, expected, "{what}");
            same_times += 1;
        }
        let all_shown = shown.len() == rows.len() && joins_alike(&pieces);
        let last = hypothesis(pieces, Spacing::None, 3);
        if let Some(text) = golden.text.filter(|_| all_shown) {
            let found = last.as_ref().map_or("", |last| last.text.as_str());
            assert_eq!(characters(found), characters(&text), "{what}");
            same_text += 1;
        }
        if all_shown && !golden.timestamp.is_empty() {
            let tokens = &last.as_ref().unwrap().tokens;
            let found: Vec<_> = tokens.iter().map(|token| (token.start_ns, token.end_ns)).collect();
            let expected: Vec<_> = golden.timestamp.iter().map(|span| (ns(span[0]), ns(span[1]))).collect();
            assert_eq!(found, expected, "{what}");
            same_words += 1;
        }
        assert!(last.is_none_or(|last| last.utterance == 3 && last.is_final), "{what}");
        lines += 1;
    }
    let counts = [lines, same_text, same_times, same_words];
    assert!(counts.iter().zip([120, 60, 40, 20]).all(|(found, least)| *found >= least), "{counts:?}");
}

#[test]
fn hotwords_change_the_result_and_unknown_ones_do_not() {
    let samples = read_wav(&support::data("audio/speech.wav"));
    let frames = fbank(&samples);
    for (name, kind) in MODELS {
        let SharedOffline { model, mut client, .. } = open(name);
        assert_eq!(model.kind(), kind, "{name}");
        let mut text = |list: &str| {
            let mut pass = OfflinePass::new(model.clone());
            let notes = pass.set_hotwords(&mut client, &words(list)).unwrap();
            let end_ns = samples.len() as u64 * SAMPLE_NS;
            let utterance = OfflineUtterance { frames: &frames, start_ns: 0, end_ns, streaming: &[] };
            let pieces = pass.recognise(&mut client, &utterance).unwrap();
            (hypothesis(pieces, Spacing::None, 0).unwrap().text, notes)
        };
        let (plain, notes) = text("");
        assert!(notes.is_empty());
        let (with, notes) = text("丅丆万 丨");
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(with != plain, kind.takes_hotwords(), "{name}");
        let (unknown, notes) = text("囧囧 丅丆万 丅囧 丨");
        assert_eq!(unknown, with, "{name}");
        let outcomes: Vec<_> = notes.iter().map(|note| (note.word.as_str(), note.outcome)).collect();
        let expected = [("囧囧", HotwordOutcome::Unknown('囧')), ("丅囧", HotwordOutcome::Unknown('囧'))];
        assert_eq!(outcomes, if kind.takes_hotwords() { &expected[..] } else { &[] }, "{name}");
        assert_eq!(text("囧").0, plain, "{name}");
    }
}

#[test]
fn every_hotword_has_the_vector_after_its_last_character() {
    let SharedOffline { model, mut client, .. } = open("offline-seaco");
    let mut embed = |list: &[String]| hotwords::embed(&model, &mut client, list).unwrap();
    let none = embed(&[]).0;
    assert_eq!(none.rows, 1);
    let width = none.vectors.len();
    let one = |word: &str| vec![word.to_owned()];
    let (bias, notes) = embed(&["丅丆", " ", "", "一丁丂七丄丅丆万丈三上", " ABc ", "丅丆"].map(String::from));
    assert_eq!((bias.rows, bias.vectors.len()), (5, 5 * width));
    let row = |number: usize| &bias.vectors[number * width..][..width];
    assert_eq!(row(4), none.vectors);
    for (number, same) in ["丅丆", "一丁丂七丄丅丆万丈三", "abc", "丅丆"].into_iter().enumerate() {
        assert_eq!(row(number), &embed(&one(same)).0.vectors[..width], "{same}");
    }
    assert_eq!(
        notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["hotword \"一丁丂七丄丅丆万丈三上\" is longer than 10 characters: only these are used"]
    );
    let many: Vec<String> = (0..MAX_HOTWORDS + 2).map(|_| "丅丆".to_owned()).collect();
    let (bias, notes) = embed(&many);
    assert_eq!((bias.rows, notes.len()), (MAX_HOTWORDS + 1, 2));
    assert!(notes.iter().all(|note| note.outcome == HotwordOutcome::TooMany));
}

#[test]
fn where_nothing_is_heard_there_is_no_text() {
    let noise = read_wav(&support::data("audio/noise.wav"));
    let mut failed = 0;
    for (name, _) in MODELS {
        let SharedOffline { model, mut client, .. } = open(name);
        let mut pass = OfflinePass::new(model.clone());
        for samples in [0, 1, 399, 400, 559, 560, 720, 1040, 1360, 2000, 2960, 4000] {
            for audio in [vec![0.0; samples], noise[..samples].to_vec()] {
                let (frames, end_ns) = (fbank(&audio), samples as u64 * SAMPLE_NS);
                let utterance = OfflineUtterance { frames: &frames, start_ns: 0, end_ns, streaming: &[] };
                let size = model.vocabulary().len();
                let mut network = Observed { network: &mut client, token_num: 9, ids: Vec::new(), size };
                let pieces = pass.recognise(&mut network, &utterance).unwrap();
                failed += usize::from(network.token_num == 0);
                if network.token_num < 2 {
                    assert_eq!(hypothesis(pieces, Spacing::None, 0), None, "{name} {samples}");
                }
            }
        }
    }
    assert!(failed > 10, "the graphs gave nothing only {failed} times");
}

/// A network whose results are set: ids as rows of log-softmax, and the second CIF's numbers.
struct Fake {
    ids: Vec<usize>,
    token_num: usize,
    alphas: Vec<f32>,
    peaks: Vec<f32>,
    /// Every other call fails, having spoilt the output.
    flaky: bool,
    failed: bool,
    /// What the last call was given for hotwords.
    rows: Option<usize>,
}

const WIDTH: usize = 3;

impl OfflineNetwork for Fake {
    fn recognise(&mut self, input: OfflineInput<'_>, output: &mut OfflineOutput) -> Result<()> {
        assert_eq!(input.features.len(), input.frames * FEATURE_DIM);
        self.rows = input.bias.map(|bias| bias.rows);
        self.failed ^= self.flaky;
        if self.failed {
            *output = OfflineOutput { logits: vec![f32::NAN; 7], token_num: 99, ..OfflineOutput::default() };
            return Err(Error::Cancelled);
        }
        output.logits.clear();
        for &id in &self.ids {
            output.logits.extend((0..size()).map(|other| if other == id { -0.5 } else { -4.0 }));
        }
        (output.token_num, output.alphas, output.peaks) = (self.token_num, self.alphas.clone(), self.peaks.clone());
        Ok(())
    }

    fn embed(&mut self, ids: &[i32], embedded: &mut Vec<f32>) -> Result<()> {
        self.failed ^= self.flaky;
        if self.failed {
            return Err(Error::Cancelled);
        }
        embedded.clear();
        embedded.resize(ids.len() * WIDTH, 0.25);
        Ok(())
    }
}

const PIECES: [&str; 12] = ["<blank>", "<s>", "</s>", "你", "he@@", "llo", "好", "a", "b", "4", "@@", "<unk>"];

fn size() -> usize {
    PIECES.len()
}

fn model(kind: OfflineKind, bias: usize) -> Arc<OfflineModel> {
    let cmvn = Cmvn::new(Path::new("am.mvn"), FEATURE_DIM, vec![0.0; FEATURE_DIM], vec![1.0; FEATURE_DIM]).unwrap();
    Arc::new(OfflineModel::new(kind, bias, cmvn, Vocabulary::new(PIECES.map(String::from).to_vec())))
}

const KINDS: [OfflineKind; 4] = [OfflineKind::Plain, OfflineKind::BiCif, OfflineKind::Contextual, OfflineKind::SeACo];

/// A network's random answer, healthy or not: rows too many, sums that are none, peaks that do not fit.
fn random_fake(random: &mut Random, frames: usize) -> Fake {
    let rows = random.below(30);
    let ids = (0..rows).map(|_| random.below(size())).collect();
    let steps = [0, 3 * frames, random.below(300)][random.below(3)];
    let mut alphas: Vec<f32> = (0..steps).map(|_| 0.3 * random.sample().abs()).collect();
    let spoilt = [f32::NAN, f32::INFINITY, -5.0, 0.0, 40.0];
    if random.below(4) == 0 && steps > 0 {
        alphas[random.below(steps)] = spoilt[random.below(spoilt.len())];
    }
    let peaks = (0..steps).map(|_| if random.below(9) == 0 { 1.0 } else { 0.5 }).collect();
    Fake {
        ids,
        token_num: rows - random.below(rows.min(3) + 1),
        alphas,
        peaks,
        flaky: false,
        failed: false,
        rows: None,
    }
}

/// What the first pass may have made of the same audio.
fn random_tokens(random: &mut Random, start_ns: u64) -> Vec<DisplayToken> {
    let mut at_ns = start_ns.saturating_sub(random.below(300) as u64 * MS_NS);
    let texts = ["你", "好", "hello", "a", "b", "4"];
    let mut token = || {
        let start_ns = at_ns + random.below(2) as u64 * random.below(900) as u64 * MS_NS;
        at_ns = start_ns + random.below(400) as u64 * MS_NS;
        let text = texts[random.below(texts.len())].into();
        DisplayToken { text, space_before: false, start_ns, end_ns: at_ns, confidence: 1.0 }
    };
    let all: Vec<DisplayToken> = (0..25).map(|_| token()).collect();
    all[..random.below(26)].to_vec()
}

#[test]
fn times_are_lawful_and_no_character_is_lost() {
    let mut random = Random(31);
    let mut with_text = 0;
    for round in 0..4000 {
        let (kind, bias, frames) = (KINDS[round % 4], random.below(2), 1 + random.below(40));
        let mut network = random_fake(&mut random, frames);
        let start_ns = random.below(3) as u64 * 1_234_567_891;
        let end_ns = start_ns + random.below(4000) as u64 * MS_NS;
        let streaming = random_tokens(&mut random, start_ns);
        let features = vec![1.0; 6 * frames * MEL_BINS];
        let utterance = OfflineUtterance { frames: &features, start_ns, end_ns, streaming: &streaming };
        let mut pass = OfflinePass::new(model(kind, bias));
        let pieces = pass.recognise(&mut network, &utterance).unwrap();
        let what = format!("round {round}, {kind:?}: {pieces:?}");
        assert_eq!(network.rows, kind.takes_hotwords().then_some(1), "{what}");
        let kept = &network.ids[..network.token_num.saturating_sub(bias)];
        let shown: Vec<&str> = kept.iter().map(|&id| PIECES[id]).filter(|text| !text.starts_with('<')).collect();
        assert_eq!(pieces.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>(), shown, "{what}");
        let mut last_ns = start_ns;
        for piece in &pieces {
            assert!(last_ns <= piece.start_ns && piece.start_ns <= piece.end_ns && piece.end_ns <= end_ns, "{what}");
            assert!((piece.confidence - (-0.5f32).exp()).abs() < 1e-6, "{what}");
            last_ns = piece.end_ns;
        }
        let expected: String =
            shown.iter().map(|text| text.strip_suffix("@@").filter(|t| !t.is_empty()).unwrap_or(text)).collect();
        for spacing in [Spacing::None, Spacing::Space] {
            let last = hypothesis(pieces.clone(), spacing, 8);
            let text = last.as_ref().map_or("", |last| last.text.as_str());
            assert_eq!(characters(text), expected, "{what}");
            with_text += usize::from(last.is_some());
        }
    }
    assert!(with_text > 6000, "{with_text}");
}

#[test]
fn times_are_the_models_where_it_gives_some_and_else_the_first_passs() {
    let token = |text: &str, start: u64, end: u64| DisplayToken {
        text: text.into(),
        space_before: false,
        start_ns: start * MS_NS,
        end_ns: end * MS_NS,
        confidence: 1.0,
    };
    let streaming = [token("你", 1100, 1250), token("好", 1700, 1900)];
    let features = vec![1.0; 200 * MEL_BINS];
    let utterance =
        OfflineUtterance { frames: &features, start_ns: 1000 * MS_NS, end_ns: 3000 * MS_NS, streaming: &streaming };
    let peaks: Vec<f32> = (0..100).map(|step| if [10, 20, 30].contains(&step) { 1.0 } else { 0.0 }).collect();
    let own = vec![(1170, 1370), (1370, 2285)];
    let others = vec![(1100, 1250), (1700, 1900)];
    for kind in KINDS {
        for (peaks, alphas) in [(&peaks[..], 0.03), (&[][..], f32::NAN)] {
            let (ids, alphas) = (vec![3, 6, 2], vec![alphas; 100]);
            let mut network =
                Fake { ids, token_num: 3, alphas, peaks: peaks.to_vec(), flaky: false, failed: false, rows: None };
            let pieces = OfflinePass::new(model(kind, 1)).recognise(&mut network, &utterance).unwrap();
            let found: Vec<_> = pieces.iter().map(|piece| (piece.start_ns / MS_NS, piece.end_ns / MS_NS)).collect();
            let expected = if kind.gives_times() && !peaks.is_empty() { &own } else { &others };
            assert_eq!(&found, expected, "{kind:?}");
        }
    }
}

#[test]
fn every_call_can_be_broken_off() {
    let mut random = Random(32);
    let features = vec![1.0; 6 * 20 * MEL_BINS];
    let utterance = OfflineUtterance { frames: &features, start_ns: 5, end_ns: 2_000 * MS_NS, streaming: &[] };
    for round in 0..40 {
        let mut network = random_fake(&mut random, 20);
        let model = model(KINDS[round % 4], 1);
        let expected = OfflinePass::new(model.clone()).recognise(&mut network, &utterance).unwrap();
        (network.flaky, network.failed) = (true, false);
        let mut pass = OfflinePass::new(model);
        let found =
            std::iter::repeat_with(|| pass.recognise(&mut network, &utterance)).take(9).find_map(
                |result| match result {
                    Err(Error::Cancelled) => None,
                    other => Some(other.unwrap()),
                },
            );
        assert_eq!(found, Some(expected));
    }
}

#[test]
fn a_network_of_another_size_is_an_error() {
    struct Wrong(usize);
    impl OfflineNetwork for Wrong {
        fn recognise(&mut self, _: OfflineInput<'_>, output: &mut OfflineOutput) -> Result<()> {
            (output.token_num, output.logits) = (4, vec![-1.0; self.0]);
            Ok(())
        }

        fn embed(&mut self, ids: &[i32], embedded: &mut Vec<f32>) -> Result<()> {
            *embedded = vec![0.0; ids.len() * WIDTH - 1];
            Ok(())
        }
    }
    let features = vec![1.0; 600 * MEL_BINS];
    let utterance = OfflineUtterance { frames: &features, start_ns: 0, end_ns: 0, streaming: &[] };
    for logits in [0, 3 * size(), 4 * size() + 1] {
        let error =
            OfflinePass::new(model(OfflineKind::Plain, 1)).recognise(&mut Wrong(logits), &utterance).unwrap_err();
        assert!(error.to_string().contains(&format!("{logits} logits for 4 tokens of 12")), "{error}");
    }
    let error = OfflinePass::new(model(OfflineKind::SeACo, 1)).recognise(&mut Wrong(48), &utterance).unwrap_err();
    let values = HOTWORD_IDS * WIDTH - 1;
    assert!(error.to_string().contains(&format!("{values} values for 1 hotwords")), "{error}");
}

#[test]
fn an_utterance_of_an_hour_is_refused_before_it_takes_the_memory() {
    let mut network = random_fake(&mut Random(33), 20);
    let mut recognise = |frames: usize| {
        let (features, end_ns) = (vec![1.0; frames * MEL_BINS], frames as u64 * 10 * MS_NS);
        let utterance = OfflineUtterance { frames: &features, start_ns: 0, end_ns, streaming: &[] };
        OfflinePass::new(model(OfflineKind::Plain, 1)).recognise(&mut network, &utterance).map_err(|e| e.to_string())
    };
    assert!(recognise(18_000).is_ok());
    let error = recognise(360_000).unwrap_err();
    assert_eq!(error, "max-utterance-duration=3600 s in one utterance: expected 180 s at most with a second pass");
}

#[test]
fn streams_that_share_a_model_do_not_disturb_each_other() {
    let samples = read_wav(&support::data("audio/speech.wav"));
    let recognise = |length: usize| {
        let SharedOffline { model, mut client, .. } = open("offline-seaco");
        let frames = fbank(&samples[..length]);
        let end_ns = length as u64 * SAMPLE_NS;
        let utterance = OfflineUtterance { frames: &frames, start_ns: 0, end_ns, streaming: &[] };
        OfflinePass::new(model).recognise(&mut client, &utterance).unwrap()
    };
    let lengths = [16_000, 40_000, 80_000, samples.len()];
    let alone = lengths.map(recognise);
    assert!(alone.iter().all(|pieces| !pieces.is_empty()));
    let together = std::thread::scope(|scope| {
        let threads = lengths.map(|length| scope.spawn(move || recognise(length)));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(together, alone);
}

/// A folder with the files of a model, to be spoilt.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        for entry in std::fs::read_dir(model_directory(name)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path(entry.file_name().to_str().unwrap())).unwrap();
        }
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What is said without this folder's name; the graphs are made before.
    fn error(&self) -> String {
        let (sender, receiver) = std::sync::mpsc::channel();
        let error = match try_open(self.0.path(), Precision::Auto) {
            Err(error) => error,
            Ok(SharedOffline { client, .. }) => {
                client.when_loaded(move |result| sender.send(result).unwrap());
                receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap().unwrap_err()
            }
        };
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

#[test]
fn a_model_of_another_kind_is_named() {
    let message = |folder: &Path| try_open(folder, Precision::Auto).err().unwrap().to_string();
    let none = message(Path::new("/no/such/folder"));
    assert!(none.contains("no such model folder") && none.contains("offline-model-path"), "{none}");
    let streaming = message(&model_directory("tiny-1"));
    assert!(
        streaming.ends_with("found a streaming Paraformer's encoder: its folder belongs in model-path"),
        "{streaming}"
    );
    let vad = message(&model_directory("vad-tiny"));
    assert!(vad.ends_with("found a voice activity detector: its folder belongs in vad-model-path"), "{vad}");
    let folder = tempfile::tempdir().unwrap();
    let empty = message(folder.path());
    assert!(
        empty.ends_with("model_quant.onnx: missing (precision=auto): an offline Paraformer has its graph there"),
        "{empty}"
    );
    std::fs::write(folder.path().join("model.pt"), "x").unwrap();
    let torch = message(folder.path());
    assert!(torch.contains("model.pt") && torch.contains(".export(type='onnx', quantize=True)"), "{torch}");
    let sherpa = message(&model_directory("tiny-1-sherpa"));
    assert!(
        sherpa.ends_with("a streaming Paraformer, which belongs in model-path, not in offline-model-path"),
        "{sherpa}"
    );
    std::fs::copy(model_directory("tiny-1").join("decoder.onnx"), folder.path().join("model.onnx")).unwrap();
    let other = message(folder.path());
    assert!(other.contains("model.onnx: expected an offline Paraformer: inputs speech"), "{other}");
    // And the other way round.
    let wrong = gstparaformer::runtime::vad::open(&gstparaformer::runtime::VadRequest {
        directory: model_directory("offline-plain"),
        library: LibraryRequest::default(),
    });
    assert!(wrong.err().unwrap().to_string().contains("expected a streaming FSMN-VAD"));
}

#[test]
fn what_is_missing_or_spoilt_is_named() {
    for name in ["model_eb.onnx", "config.yaml", "am.mvn"] {
        let copy = Copy::of("offline-contextual");
        std::fs::remove_file(copy.path(name)).unwrap();
        let error = copy.error();
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
    }
    let copy = Copy::of("offline-contextual");
    std::fs::remove_file(copy.path("model_eb.onnx")).unwrap();
    assert_eq!(copy.error(), "model_eb.onnx: missing: a model that takes hotwords has its hotword embedder there");
    for name in ["model_quant.onnx", "model_eb.onnx"] {
        let copy = Copy::of("offline-seaco");
        let bytes = std::fs::read(copy.path(name)).unwrap();
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(copy.path(name), &bytes[..length]).unwrap();
            let error = copy.error();
            assert!(error.starts_with(&format!("{name}: expected a")), "{length}: {error}");
        }
    }
}

#[test]
fn files_that_do_not_fit_each_other_are_named() {
    let copy = Copy::of("offline-bicif");
    std::fs::write(copy.path("tokens.json"), r#"["<blank>","<s>","</s>","好","<unk>"]"#).unwrap();
    let error = copy.error();
    assert!(error.starts_with("tokens.json: expected 125 tokens, as many as model_quant.onnx has, found 5"), "{error}");
    let copy = Copy::of("offline-bicif");
    let config = std::fs::read_to_string(copy.path("config.yaml")).unwrap();
    std::fs::write(copy.path("config.yaml"), config.replace("lfr_n: 6", "lfr_n: 5")).unwrap();
    assert_eq!(copy.error(), "config.yaml: expected frontend_conf.lfr_n to be 6, found 5");
    // A recogniser in the place of the embedder.
    let copy = Copy::of("offline-seaco");
    std::fs::copy(copy.path("model_quant.onnx"), copy.path("model_eb.onnx")).unwrap();
    let error = copy.error();
    assert!(error.starts_with("model_eb.onnx: expected a hotword embedder: inputs hotword"), "{error}");
}
