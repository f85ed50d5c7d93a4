//! Punctuation: the classes of every run are funasr_onnx's, and no word is lost, invented or moved.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use gstparaformer::engine::hypothesis::joined;
use gstparaformer::engine::refine::punctuation::{
    LONGEST_WORDS, Marks, Punctuated, PunctuationInput, PunctuationKind, PunctuationModel, PunctuationNetwork,
    Punctuator,
};
use gstparaformer::engine::vocabulary::Vocabulary;
use gstparaformer::engine::{DisplayToken, Error, Result};
use gstparaformer::runtime::rewrite::proto;
use gstparaformer::runtime::{LibraryRequest, PunctuationRequest, SharedPunctuation, punctuation};
use prost::Message;
use serde_json::Value;
use support::{Random, best};

/// What we do otherwise than funasr_onnx, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Deviation {
    /// It takes a text's last character for the mark where it has the name of one, so that the word `foo_` loses its `_`, and
    /// a word `，` becomes `。`.
    KeepsWordsLikeMarks,
    /// A text that follows a kept ASCII word begins with a space there. Here a call's first token has no space before it
    /// unless its caller says so.
    NoSpaceAtTheStart,
    /// Offline, it parts no words where it settled a block, since the text of each block is made alone.
    SpaceAfterBlocks,
    /// It fails on a text without words, or runs what it kept once more; in vain, since nothing is new. Here nothing happens.
    NothingToDo,
}

const ALL: [Deviation; 4] =
    [Deviation::KeepsWordsLikeMarks, Deviation::NoSpaceAtTheStart, Deviation::SpaceAfterBlocks, Deviation::NothingToDo];

fn try_open(directory: &Path) -> Result<SharedPunctuation> {
    punctuation::open(&PunctuationRequest { directory: directory.into(), library: LibraryRequest::default() })
}

/// A copy of a model's files, without graphs but this one.
fn copy(model: &str, graph: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.yaml", "tokens.json", graph] {
        std::fs::copy(support::model_directory(model).join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// A stream of texts as display tokens, each 200 ms long, with 50 ms between them.
#[derive(Default)]
struct Speech {
    spoken: u64,
}

impl Speech {
    /// The tokens of a text: characters, and ASCII words.
    fn tokens(&mut self, text: &str) -> Vec<DisplayToken> {
        let mut words: Vec<String> = Vec::new();
        for part in text.split_whitespace() {
            let mut within = false;
            for character in part.chars() {
                match words.last_mut() {
                    Some(word) if within && character.is_ascii() && word.is_ascii() => word.push(character),
                    _ => words.push(character.into()),
                }
                within = true;
            }
        }
        let mut before_ascii = false;
        let token = |text: String| {
            let start_ns = self.spoken * 250_000_000;
            self.spoken += 1;
            let space_before = before_ascii && text.is_ascii();
            before_ascii = text.is_ascii();
            DisplayToken { text, space_before, start_ns, end_ns: start_ns + 200_000_000, confidence: 0.9 }
        };
        words.into_iter().map(token).collect()
    }
}

/// Keeps the classes of each run, a digit for each word.
struct Watched<'a> {
    network: &'a mut dyn PunctuationNetwork,
    classes: usize,
    runs: Vec<String>,
    past: Vec<usize>,
}

impl PunctuationNetwork for Watched<'_> {
    fn classify(&mut self, input: PunctuationInput<'_>, scores: &mut Vec<f32>) -> Result<()> {
        self.network.classify(input, scores)?;
        self.runs.push(scores.chunks_exact(self.classes).map(|row| best(row).to_string()).collect());
        self.past.push(input.past);
        Ok(())
    }
}

fn is_mark(token: &DisplayToken) -> bool {
    ["，", "。", "？", "、"].contains(&token.text.as_str()) && token.start_ns == token.end_ns
}

/// The class of a mark, in the lists of the test's models.
fn class(mark: Option<&DisplayToken>) -> char {
    match mark.map(|mark| mark.text.as_str()) {
        None => '1',
        Some("，") => '2',
        Some("。") => '3',
        Some("？") => '4',
        Some("、") => '5',
        Some(other) => panic!("{other} is no mark"),
    }
}

/// The classes of the words, of which `past` were there before.
fn classes(found: &Punctuated, past: usize) -> String {
    let mut classes = String::new();
    if past > 0 {
        classes.push(class(found.before.as_ref()));
    }
    let mut tokens = found.tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        assert!(!is_mark(token), "{found:?}");
        let mark = tokens.next_if(|next| is_mark(next));
        let last = tokens.peek().is_none();
        assert!(!(last && mark.is_some()), "{found:?}");
        classes.push(class(if last { found.last.as_ref() } else { mark }));
    }
    classes
}

/// The text as funasr_onnx has it; what it does otherwise is added to `seen`.
fn reference_text(
    found: &Punctuated,
    model: &PunctuationModel,
    expected: &Value,
    kept_ascii: bool,
    seen: &mut HashMap<Deviation, usize>,
) -> String {
    let runs: Vec<usize> = expected["runs"].as_array().unwrap().iter().map(|run| run.as_str().unwrap().len()).collect();
    let words = found.tokens.iter().filter(|token| !is_mark(token)).count();
    let offline = model.kind() == PunctuationKind::Offline;
    // Each block's run begins where the one before was settled.
    let starts: Vec<usize> =
        runs.iter().enumerate().map(|(block, run)| (20 * (block + 1)).min(words).saturating_sub(*run)).collect();
    let mut tokens = found.tokens.clone();
    let mut word = 0;
    for token in &mut tokens {
        if offline && token.space_before && starts.contains(&word) {
            *seen.entry(Deviation::SpaceAfterBlocks).or_default() += 1;
            token.space_before = false;
        }
        word += usize::from(!is_mark(token));
    }
    let mut text = found.before.iter().map(|mark| mark.text.as_str()).collect::<String>();
    if kept_ascii && tokens[0].text.is_ascii() {
        *seen.entry(Deviation::NoSpaceAtTheStart).or_default() += 1;
        text.push(' ');
    }
    text.push_str(&joined(&tokens));
    if found.last.is_none() && text.ends_with(['_', '，']) && !(offline && text.ends_with('_')) {
        *seen.entry(Deviation::KeepsWordsLikeMarks).or_default() += 1;
        text.pop();
    }
    if offline {
        let end_ns = found.tokens.last().unwrap().end_ns;
        text.push_str(&model.sentence_end(found.last.clone(), end_ns).text);
    }
    text
}

#[test]
fn classes_and_texts_are_funasrs() {
    let text = std::fs::read_to_string(support::data("goldens/punctuation.jsonl")).unwrap();
    // With the folders: a graph is read in the background.
    let mut models: HashMap<(String, String), (SharedPunctuation, tempfile::TempDir)> = HashMap::new();
    let mut seen: HashMap<Deviation, usize> = HashMap::new();
    let (mut runs, mut settled_at_comma) = (0, 0);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let name = |key: &str| line[key].as_str().unwrap().to_owned();
        let (shared, _) = models.entry((name("model"), name("graph"))).or_insert_with(|| {
            let folder = copy(&name("model"), &name("graph"));
            (try_open(folder.path()).unwrap(), folder)
        });
        let realtime = name("model").contains("realtime");
        let kind = if realtime { PunctuationKind::Realtime } else { PunctuationKind::Offline };
        assert_eq!(shared.model.kind(), kind);
        let (mut punctuator, mut speech, mut kept_ascii) = (Punctuator::new(), Speech::default(), false);
        for expected in line["calls"].as_array().unwrap() {
            let text = expected["text"].as_str().unwrap();
            let what = format!("{} {}: {text}", name("model"), name("graph"));
            let tokens = speech.tokens(text);
            let past = expected["past"].as_u64().unwrap() as usize;
            assert_eq!(punctuator.cached_words(), past, "{what}");
            let mut network = Watched { network: &mut shared.client, classes: 6, runs: Vec::new(), past: Vec::new() };
            let found = punctuator.punctuate(&shared.model, &mut network, &tokens).unwrap();
            if tokens.is_empty() {
                *seen.entry(Deviation::NothingToDo).or_default() += 1;
                assert_eq!((found, network.runs.len()), (Punctuated::default(), 0), "{what}");
                continue;
            }
            assert_eq!(expected["error"], Value::Null, "{what}");
            let expected_runs: Vec<&str> =
                expected["runs"].as_array().unwrap().iter().map(|run| run.as_str().unwrap()).collect();
            assert_eq!(network.runs, expected_runs, "{what}");
            assert!(network.past.iter().all(|&found| found == past), "{what}");
            runs += expected_runs.len();

            let marks = expected["marks"].as_str().unwrap();
            let mut marks = marks[marks.len() - past.min(1) - tokens.len()..].to_owned();
            // The last one is removed in realtime and made a period offline.
            marks.pop();
            marks.push(expected_runs.last().unwrap().chars().last().unwrap());
            assert_eq!(classes(&found, past), marks, "{what}");
            settled_at_comma += usize::from(expected_runs.iter().any(|run| run.len() > 200) && marks.contains('3'));
            let text = reference_text(&found, &shared.model, expected, kept_ascii, &mut seen);
            assert_eq!(text, expected["out"].as_str().unwrap(), "{what}");
            assert_eq!(punctuator.cached_words() as u64, expected["cached"].as_u64().unwrap_or_default(), "{what}");
            kept_ascii = realtime && tokens.last().unwrap().text.is_ascii();
        }
    }
    assert_eq!(models.len(), 6);
    assert!(runs > 500 && settled_at_comma > 3, "{runs} runs, {settled_at_comma} cut at a comma");
    for deviation in ALL {
        assert!(seen.contains_key(&deviation), "{deviation:?} is none");
    }
}

#[test]
fn words_that_are_unknown_as_they_are_are_known_in_lower_case() {
    let SharedPunctuation { model, mut client, .. } =
        try_open(&support::model_directory("punctuation-realtime-1")).unwrap();
    let [known, other] = ["hello world今天good", "HELLO World今天GOOD"].map(|text| {
        let tokens = Speech::default().tokens(text);
        let mut network = Watched { network: &mut client, classes: 6, runs: Vec::new(), past: Vec::new() };
        Punctuator::new().punctuate(&model, &mut network, &tokens).unwrap();
        network.runs
    });
    assert_eq!(known, other);
}

/// A network whose classes depend on all it is given, like a real one's: every mark at the rate of its weight.
struct Fake {
    weights: [usize; 6],
    longest: usize,
    /// After so many runs, one is broken off.
    runs_left: Option<usize>,
}

impl Fake {
    fn new(weights: [usize; 6]) -> Self {
        Self { weights, longest: 0, runs_left: None }
    }
}

impl PunctuationNetwork for Fake {
    fn classify(&mut self, input: PunctuationInput<'_>, scores: &mut Vec<f32>) -> Result<()> {
        if let Some(left) = &mut self.runs_left {
            *left = left.checked_sub(1).ok_or(Error::Cancelled)?;
        }
        self.longest = self.longest.max(input.ids.len());
        scores.clear();
        for word in 0..input.ids.len() {
            let near = &input.ids[word.saturating_sub(2)..(word + 3).min(input.ids.len())];
            let seed = near.iter().fold(1 + input.past as u64, |seed, &id| seed * 31 + id as u64 + 1);
            let mut drawn = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).below(self.weights.iter().sum());
            let class = self.weights.iter().position(|&weight| {
                let here = drawn < weight;
                drawn = drawn.saturating_sub(weight);
                here
            });
            scores.extend((0..6).map(|other| if Some(other) == class { 1.0 } else { 0.0 }));
        }
        Ok(())
    }
}

fn fake_model(kind: PunctuationKind) -> Arc<PunctuationModel> {
    let words = "今天气很好我们去公园".chars().map(String::from).chain(["hello", "ok", "<unk>"].map(String::from));
    let marks = Marks::new(&["<unk>", "_", "，", "。", "？", "、"]).unwrap();
    Arc::new(PunctuationModel::new(kind, &Vocabulary::new(words.collect()), marks))
}

/// Tokens of all sorts, also such as no detokeniser makes: blank, of several words, full of marks.
fn random_tokens(random: &mut Random, many: usize) -> Vec<DisplayToken> {
    const TEXTS: [&str; 16] =
        ["今", "天", "很", "好", "我", "们", "园", "hello", "OK", "4", "foo_", "囧", "，", "今天", "a天b", " "];
    let mut now = 0;
    let token = |_| {
        now += random.below(1_000_000) as u64;
        let start_ns = now;
        now += random.below(300_000_000) as u64;
        DisplayToken {
            text: TEXTS[random.below(TEXTS.len())].into(),
            space_before: random.below(3) == 0,
            start_ns,
            end_ns: now,
            confidence: 0.5,
        }
    };
    (0..many).map(token).collect()
}

const WEIGHTS: [[usize; 6]; 6] = [
    [1, 12, 4, 2, 1, 1],
    [0, 1, 0, 0, 0, 0],
    [0, 60, 1, 0, 0, 0],
    [0, 0, 0, 1, 0, 0],
    [1, 1, 1, 1, 1, 1],
    [1, 0, 0, 0, 0, 0],
];

#[test]
fn no_word_is_lost_invented_or_moved_however_a_text_is_cut() {
    let mut random = Random(31);
    let (mut marks, mut before) = (0, 0);
    for round in 0..120 {
        let kind = if round % 2 == 0 { PunctuationKind::Realtime } else { PunctuationKind::Offline };
        let (model, mut fake) = (fake_model(kind), Fake::new(WEIGHTS[round / 2 % WEIGHTS.len()]));
        let many = random.below(900);
        let all = random_tokens(&mut random, many);
        let (mut punctuator, mut rest, mut out) = (Punctuator::new(), all.as_slice(), Vec::new());
        let mut last_ns = 0;
        while !rest.is_empty() {
            let most = [1, 5, 50, 900][random.below(4)];
            let part;
            (part, rest) = rest.split_at((1 + random.below(most)).min(rest.len()));
            let found = punctuator.punctuate(&model, &mut fake, part).unwrap();
            assert!(found.before.is_none() || kind == PunctuationKind::Realtime);
            if let Some(mark) = &found.before {
                assert_eq!((mark.start_ns, mark.end_ns), (last_ns, last_ns), "round {round}");
                before += 1;
            }
            let kept: Vec<&DisplayToken> = found.tokens.iter().filter(|token| !is_mark(token)).collect();
            assert!(kept.iter().copied().eq(part), "round {round}: {part:?} became {found:?}");
            if let Some(token) = part.iter().rfind(|token| !token.text.trim().is_empty()) {
                last_ns = token.end_ns;
            }
            assert!(found.last.as_ref().is_none_or(|mark| (mark.start_ns, mark.end_ns) == (last_ns, last_ns)));
            marks += found.tokens.len() - kept.len();
            out.extend(found.tokens);
            assert!(punctuator.cached_words() <= LONGEST_WORDS, "{} words", punctuator.cached_words());
        }
        for pair in out.windows(2) {
            assert!(pair[0].end_ns <= pair[1].start_ns, "round {round}: {pair:?}");
            if is_mark(&pair[1]) {
                assert!(!is_mark(&pair[0]) && pair[1].start_ns == pair[0].end_ns, "round {round}: {pair:?}");
                assert!((0.0..=1.0).contains(&pair[1].confidence) && !pair[1].space_before);
            }
        }
        assert!(fake.longest <= LONGEST_WORDS + 20, "a run of {} words", fake.longest);
    }
    assert!(marks > 5000 && before > 100, "{marks} marks, {before} before");
}

#[test]
fn a_month_of_audio_uses_the_memory_of_a_minute() {
    let mut random = Random(32);
    let model = fake_model(PunctuationKind::Realtime);
    for weights in WEIGHTS {
        let (mut fake, mut punctuator, mut most) = (Fake::new(weights), Punctuator::new(), 0);
        for _ in 0..400 {
            let many = 1 + random.below(40);
            punctuator.punctuate(&model, &mut fake, &random_tokens(&mut random, many)).unwrap();
            most = most.max(punctuator.cached_words());
        }
        assert!(most <= LONGEST_WORDS && fake.longest <= LONGEST_WORDS + 20, "{most} and {}", fake.longest);
        // A mark that ends sentences ends what is kept; without any, the bound does.
        assert!(weights[3] > 0 || most > 150, "{weights:?}: {most}");
    }
}

#[test]
fn every_call_can_be_broken_off_and_a_reset_forgets() {
    let model = fake_model(PunctuationKind::Realtime);
    let calls: Vec<_> = (1..20).map(|many| random_tokens(&mut Random(many), 7 * many as usize)).collect();
    let (mut punctuator, mut fake) = (Punctuator::new(), Fake::new(WEIGHTS[0]));
    let mut punctuate = |punctuator: &mut Punctuator, break_off: bool| {
        let mut once = |tokens: &Vec<DisplayToken>| {
            // In its first run, in its second, and so on until it has no more.
            for run in (0..).take_while(|_| break_off) {
                fake.runs_left = Some(run);
                match punctuator.punctuate(&model, &mut fake, tokens) {
                    Err(error) => assert_eq!(error, Error::Cancelled),
                    Ok(found) => return found,
                }
            }
            fake.runs_left = None;
            punctuator.punctuate(&model, &mut fake, tokens).unwrap()
        };
        calls.iter().map(&mut once).collect::<Vec<_>>()
    };
    let expected = punctuate(&mut punctuator, false);
    assert!(expected.iter().any(|found| found.before.is_some()));
    punctuator.reset();
    assert_eq!(punctuator.cached_words(), 0);
    assert_eq!(punctuate(&mut punctuator, true), expected);
}

/// A network that gives these scores to every word.
struct Scores(Vec<f32>);

impl PunctuationNetwork for Scores {
    fn classify(&mut self, input: PunctuationInput<'_>, scores: &mut Vec<f32>) -> Result<()> {
        *scores = self.0.repeat(input.ids.len());
        Ok(())
    }
}

#[test]
fn a_marks_confidence_is_its_probability_and_bad_scores_are_an_error() {
    let model = fake_model(PunctuationKind::Offline);
    let tokens = Speech::default().tokens("今天");
    let punctuate = |scores: [f32; 6]| Punctuator::new().punctuate(&model, &mut Scores(scores.to_vec()), &tokens);
    let found = punctuate([0.0, 1.0, 2.0, 0.0, 0.0, 0.0]).unwrap();
    let mark = &found.tokens[1];
    assert_eq!((mark.text.as_str(), mark.start_ns, mark.end_ns), ("，", 200_000_000, 200_000_000));
    let exact = 2.0f32.exp() / (2.0f32.exp() + 1.0f32.exp() + 4.0);
    assert!((mark.confidence - exact).abs() < 1e-6, "{} is not {exact}", mark.confidence);
    let closed = model.sentence_end(found.last, 450_000_000);
    assert_eq!((closed.text.as_str(), closed.start_ns, closed.end_ns), ("。", 450_000_000, 450_000_000));
    let question = punctuate([0.0, 0.0, 0.0, 0.0, 9.0, 0.0]).unwrap().last;
    assert_eq!(model.sentence_end(question, 0).text, "？");
    let message = punctuate([0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0]).unwrap_err().to_string();
    assert!(message.contains("no numbers"), "{message}");
    assert!(punctuate([f32::NEG_INFINITY; 6]).is_err());
    let short = Punctuator::new().punctuate(&model, &mut Scores(vec![0.0; 5]), &tokens).unwrap_err().to_string();
    assert!(short.contains("10 scores of 2 words, where each has 6 classes"), "{short}");
}

/// Waits until the graph is loaded.
fn load(directory: &Path) -> Result<SharedPunctuation> {
    let shared = try_open(directory)?;
    let (told, loaded) = std::sync::mpsc::channel();
    shared.client.when_loaded(move |result| told.send(result).unwrap());
    loaded.recv_timeout(std::time::Duration::from_secs(60)).unwrap()?;
    Ok(shared)
}

#[test]
fn inputs_of_older_exports_are_known_by_their_places() {
    let folder = copy("punctuation-realtime-1", "model.onnx");
    let path = folder.path().join("model.onnx");
    let mut model = proto::Model::decode(std::fs::read(&path).unwrap().as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    for (place, new) in ["input", "lengths", "vad_mask", "sub"].iter().enumerate() {
        let old = graph.input[place].name.replace((*new).into()).unwrap();
        for input in graph.node.iter_mut().flat_map(|node| &mut node.input).filter(|input| **input == old) {
            *input = (*new).into();
        }
    }
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    let text = |directory: &Path| {
        let SharedPunctuation { model, mut client, .. } = load(directory).unwrap();
        let tokens = Speech::default().tokens("今天天气很好我们去公园好不好hello ok");
        joined(&Punctuator::new().punctuate(&model, &mut client, &tokens).unwrap().tokens)
    };
    assert_eq!(text(folder.path()), text(&support::model_directory("punctuation-realtime-1")));
}

#[test]
fn the_first_layout_has_its_words_in_its_settings() {
    let (folder, from) = (tempfile::tempdir().unwrap(), support::model_directory("punctuation-offline-1"));
    let words: Vec<String> = serde_json::from_str(&std::fs::read_to_string(from.join("tokens.json")).unwrap()).unwrap();
    let list = |items: &[&str]| items.iter().map(|item| format!("- '{item}'\n")).collect::<String>();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let settings = format!("punc_list:\n{}token_list:\n{}", list(&["<unk>", "_", ",", "。", "?", "、"]), list(&words));
    std::fs::write(folder.path().join("punc.yaml"), settings).unwrap();
    std::fs::copy(from.join("model_quant.onnx"), folder.path().join("model_quant.onnx")).unwrap();
    let found = load(folder.path()).unwrap().model;
    assert_eq!(*found, *try_open(&from).unwrap().model);
}

#[test]
fn a_model_that_wants_words_is_said() {
    let warnings = |model: &str| {
        let folder = copy(model, "model.onnx");
        std::fs::write(folder.path().join("jieba_usr_dict"), "天气 1\n").unwrap();
        try_open(folder.path()).unwrap().warnings
    };
    assert_eq!(warnings("punctuation-realtime-1"), [""; 0]);
    let [warning] = warnings("punctuation-offline-1").try_into().unwrap();
    assert!(warning.contains("cut into words (jieba_usr_dict)"), "{warning}");
}

#[test]
fn streams_share_a_model() {
    let [one, other] = [0; 2].map(|_| try_open(&support::model_directory("punctuation-realtime-1")).unwrap());
    assert!(Arc::ptr_eq(&one.model, &other.model));
    assert_eq!((one.client.clients(), one.warnings.len()), (2, 0));
}

#[test]
fn a_model_of_another_kind_is_named() {
    let message = |folder: &Path| load(folder).err().unwrap().to_string();
    let nowhere = message(Path::new("/no/such/folder"));
    assert!(nowhere.contains("no such model folder") && nowhere.contains("punctuation-model-path"), "{nowhere}");
    let paraformer = message(&support::model_directory("demo"));
    assert!(paraformer.contains("model.onnx: expected a punctuation model"), "{paraformer}");
    assert!(paraformer.contains("found a speech recogniser"), "{paraformer}");
    let vad = message(&support::model_directory("vad-tiny"));
    assert!(vad.contains("model.onnx: expected a punctuation model") && vad.contains("vad-model-path"), "{vad}");
}

#[test]
fn what_is_wrong_with_the_files_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let from = support::model_directory("punctuation-offline-1");
    let message = || load(folder.path()).err().unwrap().to_string();
    for name in ["model.onnx", "config.yaml", "tokens.json"] {
        let message = message();
        assert!(message.contains(&format!("{name}: missing: a punctuation model")), "{message}");
        std::fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    load(folder.path()).unwrap();
    let change = |name: &str, edit: &dyn Fn(&str) -> String, expected: &str| {
        let good = std::fs::read_to_string(from.join(name)).unwrap();
        std::fs::write(folder.path().join(name), edit(&good)).unwrap();
        let message = message();
        assert!(message.contains(expected), "{message}");
        std::fs::write(folder.path().join(name), good).unwrap();
    };
    let words: Vec<String> = serde_json::from_str(&std::fs::read_to_string(from.join("tokens.json")).unwrap()).unwrap();
    for found in [words.len() - 1, words.len() + 1] {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["more"]).take(found).collect();
        let expected = format!(
            "tokens.json: expected {} words, as many as the graph's embedding has, found {found}",
            words_of(&from)
        );
        change("tokens.json", &|_| serde_json::to_string(&words).unwrap(), &expected);
    }
    change("tokens.json", &|text| text[..20].into(), "tokens.json: expected a JSON array of strings");
    let classes = "config.yaml: expected punc_list to have 6 marks, as many as the graph has classes, found 5";
    change("config.yaml", &|text| text.replace("  - 、\n", ""), classes);
    change(
        "config.yaml",
        &|text| text.replace("punc_list", "other"),
        "config.yaml: expected a punctuation model's list",
    );
    let graph = std::fs::read(from.join("model.onnx")).unwrap();
    for length in [0, 100, graph.len() / 2, graph.len() - 1] {
        std::fs::write(folder.path().join("model.onnx"), &graph[..length]).unwrap();
        let message = message();
        assert!(message.contains("model.onnx: expected"), "{message}");
    }
}

fn words_of(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("tokens.json")).unwrap();
    serde_json::from_str::<Vec<String>>(&text).unwrap().len()
}
