//! What cannot work is said, with the file's name, and is never a crash or a hang; once it is repaired, it works.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::Path;

use gst::prelude::*;
use support::pipeline::*;

/// What tiny-1 makes of speech.wav.
const SPEECH: &str = "亀hel乁丵乩乫両丝n3 rd且乂乲丷丠乵dia丰乔中y为両中llo丶";
/// What is said in examples/recording.wav.
const SPOKEN: [&str; 4] =
    ["大家好欢迎使用实时字幕", "今天下午我们去公园吧", "他们都在学校学习汉语", "外面下雨了请打开窗户"];
const FILES: [&str; 5] = ["model_quant.onnx", "decoder_quant.onnx", "config.yaml", "am.mvn", "tokens.json"];

fn rig_of(folder: &Path) -> Rig {
    let element = element(&ONE_UTTERANCE);
    element.set_property("model-path", folder.to_str().unwrap());
    Rig::around(element, "text/x-raw")
}

/// tiny-1 with its int8 graphs only.
fn tiny_1() -> tempfile::TempDir {
    let folder = copy_of("tiny-1");
    for file in ["model.onnx", "decoder.onnx", "tokens.txt"] {
        fs::remove_file(folder.path().join(file)).unwrap();
    }
    folder
}

/// Goes to PLAYING and back; gives the ERRORs. They must come, and the element must come down.
fn refusals(rig: &Rig, what: &str) -> Vec<String> {
    rig.log.clear();
    let element = rig.element.clone();
    let change = within(PATIENCE, what, move || element.set_state(gst::State::Playing));
    if change.is_ok() {
        // Only the graphs' insides are looked at later.
        rig.begin();
        let _ = rig.push(&support::recording("speech.wav"));
        rig.log.wait(&format!("an ERROR: {what}"), |entries| {
            (!of_type(entries, gst::MessageType::Error).is_empty()).then_some(())
        });
    }
    rig.set_state(gst::State::Null);
    assert_progress(&rig.log, what);
    let errors = rig.log.errors();
    assert!(!errors.is_empty(), "{what}: the state change fails without a message");
    rig.source.set_active(false).unwrap();
    rig.source.set_active(true).unwrap();
    errors
}

/// The types of PROGRESS, in order.
fn progress(log: &Log) -> Vec<gst::ProgressType> {
    let messages = log.messages(gst::MessageType::Progress);
    let kinds = messages.iter().map(|message| match message.view() {
        gst::MessageView::Progress(progress) => {
            let (kind, code, text) = progress.get();
            assert!(code == "loading" && !text.is_empty());
            kind
        }
        _ => unreachable!(),
    });
    kinds.collect()
}

/// Every START has its end.
fn assert_progress(log: &Log, what: &str) {
    use gst::ProgressType::{Canceled, Complete, Error, Start};
    let kinds = progress(log);
    for pair in kinds.chunks(2) {
        assert!(matches!(pair, [Start, Complete | Canceled | Error]), "{what}: {kinds:?}");
    }
}

/// The element that failed gives the golden text now.
fn assert_works(rig: &Rig, what: &str) {
    rig.log.clear();
    rig.set_state(gst::State::Playing);
    rig.begin();
    rig.push(&support::recording("speech.wav")).unwrap();
    rig.end();
    assert_eq!(rig.log.finals(), [SPEECH], "{what}");
    assert_eq!(rig.log.errors(), [""; 0], "{what}");
    rig.set_state(gst::State::Null);
    assert_progress(&rig.log, what);
    rig.source.set_active(false).unwrap();
    rig.source.set_active(true).unwrap();
}

#[test]
fn wrong_caps_are_refused_at_the_link() {
    element_test(|| {
        for caps in [
            "audio/x-raw,rate=8000,channels=1",
            "audio/x-raw,rate=16000,channels=2",
            "audio/x-raw,format=S32LE",
            "audio/x-raw,format=S16BE",
            "audio/x-raw,layout=non-interleaved,channels=1",
            "video/x-raw",
            "text/x-raw",
        ] {
            let element = element(&[]);
            let filter = gst::ElementFactory::make("capsfilter").build().unwrap();
            filter.set_property("caps", caps.parse::<gst::Caps>().unwrap());
            let pipeline = gst::Pipeline::new();
            pipeline.add_many([&filter, &element]).unwrap();
            assert!(filter.link(&element).is_err(), "{caps}");
        }
        for caps in ["audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved", "audio/x-raw,format=F32LE"] {
            let element = element(&[]);
            let filter = gst::ElementFactory::make("capsfilter").build().unwrap();
            filter.set_property("caps", caps.parse::<gst::Caps>().unwrap());
            let pipeline = gst::Pipeline::new();
            pipeline.add_many([&filter, &element]).unwrap();
            assert!(filter.link(&element).is_ok(), "{caps}");
        }
    });
}

/// Who does not ask is refused all the same.
#[test]
fn wrong_caps_are_refused_later_too() {
    element_test(|| {
        let rig = Rig::new("tiny-1", &[]);
        rig.play();
        rig.send(gst::event::StreamStart::new("upstream"));
        let caps = "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved".parse::<gst::Caps>().unwrap();
        rig.send(gst::event::Caps::new(&caps));
        rig.segment(0);
        assert_eq!(rig.push(&[0.0; 1600]), Err(gst::FlowError::NotNegotiated));
        // And audio without any caps.
        let rig = Rig::new("tiny-1", &[]);
        rig.play();
        rig.send(gst::event::StreamStart::new("upstream"));
        rig.segment(0);
        assert_eq!(rig.push(&[0.0; 1600]), Err(gst::FlowError::NotNegotiated));
        assert_eq!(rig.log.errors().len(), 1);
    });
}

#[test]
fn a_missing_model_is_named() {
    element_test(|| {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere");
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        for path in [&nowhere, &file, &folder.path().to_path_buf()] {
            let rig = rig_of(path);
            let errors = refusals(&rig, &path.display().to_string());
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].contains(path.to_str().unwrap()), "{errors:?}");
            rig.element.set_property("model-path", support::model_directory("tiny-1").to_str().unwrap());
            assert_works(&rig, "another path");
        }
    });
}

#[test]
fn a_model_that_lacks_a_file_is_an_error_until_it_has_it() {
    element_test(|| {
        for file in FILES {
            let folder = tiny_1();
            let path = folder.path().join(file);
            let rig = rig_of(folder.path());
            let whole = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let errors = refusals(&rig, &format!("no {file}"));
            assert!(errors.len() == 1 && errors[0].contains(file), "no {file}: {errors:?}");
            fs::write(&path, &whole).unwrap();
            assert_works(&rig, &format!("{file} is there again"));
        }
    });
}

#[test]
fn a_truncated_file_is_an_error_until_it_is_whole() {
    element_test(|| {
        for file in FILES {
            let folder = tiny_1();
            let path = folder.path().join(file);
            let rig = rig_of(folder.path());
            let whole = fs::read(&path).unwrap();
            for length in [0, 1, whole.len() / 2, whole.len() - 1] {
                // YAML that ends between two lines is whole, and so is text without its last line feed.
                if file == "config.yaml" && length > 1 || file == "am.mvn" && length == whole.len() - 1 {
                    continue;
                }
                fs::write(&path, &whole[..length]).unwrap();
                let what = format!("{length} bytes of {file}");
                let errors = refusals(&rig, &what);
                assert!(errors.iter().all(|error| error.contains(path.to_str().unwrap())), "{what}: {errors:?}");
            }
            fs::write(&path, &whole).unwrap();
            assert_works(&rig, &format!("{file} is whole again"));
        }
    });
}

#[test]
fn a_file_of_another_model_is_an_error_until_it_is_its_own() {
    element_test(|| {
        // Every model's normalisation has the same size.
        for file in FILES.into_iter().filter(|file| *file != "am.mvn") {
            let folder = tiny_1();
            let path = folder.path().join(file);
            let rig = rig_of(folder.path());
            let whole = fs::read(&path).unwrap();
            fs::copy(support::model_directory("demo").join(file), &path).unwrap();
            let errors = refusals(&rig, &format!("the demonstration model's {file}"));
            // Of two graphs that do not fit, either may be wrong.
            let named = if file.ends_with(".onnx") { "decoder_quant.onnx" } else { file };
            assert!(errors.len() == 1 && errors[0].contains(named), "{file}: {errors:?}");
            fs::write(&path, &whole).unwrap();
            assert_works(&rig, &format!("its own {file}"));
        }
    });
}

/// Renames an operator: the graph's head is right, and ONNX Runtime, in the background, does not know what to do.
fn break_inside(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let name = b"MatMulInteger";
    let places: Vec<usize> = (0..bytes.len() - name.len()).filter(|&at| bytes[at..].starts_with(name)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + name.len() - 1] = b'X';
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_model_that_fails_in_the_background_is_an_error() {
    element_test(|| {
        for file in ["model_quant.onnx", "decoder_quant.onnx"] {
            let folder = tiny_1();
            let path = folder.path().join(file);
            let whole = fs::read(&path).unwrap();
            break_inside(&path);
            // READY is reached: the graphs' heads are right. Then it is said.
            let rig = rig_of(folder.path());
            rig.set_state(gst::State::Ready);
            rig.log.wait_message(gst::MessageType::Error);
            rig.wait_until("PROGRESS", |rig| progress(&rig.log).len() == 2);
            assert_eq!(progress(&rig.log), [gst::ProgressType::Start, gst::ProgressType::Error]);
            let errors = rig.log.errors();
            assert!(errors.len() == 1 && errors[0].contains(path.to_str().unwrap()), "{errors:?}");
            rig.set_state(gst::State::Null);
            // On the way to PLAYING, with audio in the queue: upstream hears of it, nobody waits.
            for _ in 0..5 {
                let errors = refusals(&rig, file);
                assert!(errors.iter().all(|error| error.contains(path.to_str().unwrap())), "{errors:?}");
                assert_eq!(errors.len(), 1, "once is enough: {errors:#?}");
            }
            fs::write(&path, &whole).unwrap();
            assert_works(&rig, &format!("{file} is repaired"));
        }
    });
}

/// A whole pipeline comes to its end by the ERROR.
#[test]
fn a_pipeline_with_a_broken_model_ends() {
    element_test(|| {
        let folder = tiny_1();
        break_inside(&folder.path().join("model_quant.onnx"));
        for buffers in [1, 100, 100_000] {
            let line = format!(
                "audiotestsrc num-buffers={buffers} ! audio/x-raw,rate=16000,channels=1 ! paraformerasr model-path={} ! fakesink",
                folder.path().display()
            );
            let pipeline = gst::parse::launch(&line).unwrap();
            let bus = pipeline.bus().unwrap();
            let _ = pipeline.set_state(gst::State::Playing);
            let types = [gst::MessageType::Error, gst::MessageType::Eos];
            let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &types).unwrap();
            assert_eq!(message.type_(), gst::MessageType::Error);
            assert!(error_text(&message).contains("model_quant.onnx"), "{}", error_text(&message));
            pipeline.set_state(gst::State::Null).unwrap();
        }
    });
}

#[test]
fn a_bad_chunk_size_is_an_error() {
    element_test(|| {
        for bad in ["<5,10>", "<5,10,5,1>", "<5,0,5>", "<-1,10,5>", "<5,10,-5>", "<5,10,100000>", "<5,-10,5>"] {
            let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
            rig.element.set_property_from_str("chunk-size", bad);
            let errors = refusals(&rig, bad);
            assert!(errors.len() == 1 && errors[0].contains("chunk-size"), "{bad}: {errors:?}");
            rig.element.set_property_from_str("chunk-size", "<5,10,5>");
            assert_works(&rig, "a good chunk-size");
        }
        // It may be changed in READY too.
        let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
        rig.set_state(gst::State::Ready);
        rig.element.set_property_from_str("chunk-size", "<5,0,5>");
        assert!(rig.element.set_state(gst::State::Paused).is_err());
        assert!(rig.log.errors()[0].contains("chunk-size"));
        rig.element.set_property_from_str("chunk-size", "<5,10,5>");
        assert_works(&rig, "a good chunk-size, in READY");
    });
}

#[test]
fn every_progress_has_an_end() {
    element_test(|| {
        for round in 0..40 {
            let folder = tiny_1();
            let rig = rig_of(folder.path());
            // At once; or at any time while it loads; or when it is done.
            rig.set_state(if round % 2 == 0 { gst::State::Ready } else { gst::State::Paused });
            match round % 4 {
                2 => std::thread::yield_now(),
                3 => rig.wait_until("PROGRESS", |rig| progress(&rig.log).len() == 2),
                _ => {}
            }
            rig.set_state(gst::State::Null);
            assert_eq!(progress(&rig.log).len(), 2, "round {round}: {:?}", progress(&rig.log));
            assert_progress(&rig.log, "a quick stop");
            assert_eq!(rig.log.errors(), [""; 0]);
        }
    });
}

/// Many elements that ask at the same time: the model is loaded once, and each tells its own progress.
#[test]
fn many_elements_wait_for_one_model() {
    element_test(|| {
        for _ in 0..10 {
            let folder = tiny_1();
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let path = folder.path().to_owned();
                    std::thread::spawn(move || {
                        let rig = rig_of(&path);
                        rig.set_state(gst::State::Ready);
                        rig.wait_until("an end of PROGRESS", |rig| progress(&rig.log).len() != 1);
                        rig.set_state(gst::State::Null);
                        assert_progress(&rig.log, "one of many");
                        assert!(!progress(&rig.log).contains(&gst::ProgressType::Canceled));
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// A model that is left before it is loaded, and fails then, is no matter of the model that the element has by now.
#[test]
fn a_model_left_behind_does_not_trouble_the_next() {
    element_test(|| {
        for round in 0..10 {
            let broken = copy_of("demo");
            break_inside(&broken.path().join("decoder_quant.onnx"));
            let rig = rig_of(broken.path());
            rig.set_state(gst::State::Ready);
            rig.set_state(gst::State::Null);
            // The broken model is told of to all in turn: after this one heard, the first did.
            let other = rig_of(broken.path());
            other.set_state(gst::State::Ready);
            rig.log.clear();
            let good = tiny_1();
            rig.element.set_property("model-path", good.path().to_str().unwrap());
            rig.set_state(gst::State::Playing);
            other.log.wait_message(gst::MessageType::Error);
            rig.begin();
            let flow = rig.push(&support::recording("speech.wav"));
            assert!(flow.is_ok(), "round {round}: {flow:?} {:?}", rig.log.errors());
            rig.end();
            assert_eq!(rig.log.finals(), [SPEECH], "round {round}");
            assert_eq!(rig.log.errors(), [""; 0], "round {round}");
            assert_eq!(progress(&rig.log), [gst::ProgressType::Start, gst::ProgressType::Complete], "round {round}");
        }
    });
}

// Those that change the process run in one of their own.

/// Without a library at the path that is set, with a file that is none, and with another library: an ERROR with the
/// path, and the same element works once the path is right.
#[test]
fn a_missing_or_broken_library_is_an_error() {
    const NAME: &str = "a_missing_or_broken_library_is_an_error";
    if !is_child(NAME) {
        return in_child(NAME, &[]);
    }
    element_test(|| {
        let good = std::env::var("ORT_DYLIB_PATH").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("libonnxruntime.so");
        fs::write(&text, "no library").unwrap();
        let libc = Path::new("libc.so.6");
        let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
        for path in [&folder.path().join("nowhere.so"), &text, libc, folder.path()] {
            rig.element.set_property("runtime-library", path.to_str().unwrap());
            let errors = refusals(&rig, &path.display().to_string());
            assert!(errors.len() == 1 && errors[0].contains(path.to_str().unwrap()), "{errors:?}");
        }
        rig.element.set_property("runtime-library", &good);
        assert_works(&rig, "the right library");
    });
}

/// A library that was copied by half: mapped as it is, its missing pages would end the process.
#[test]
fn half_a_library_is_an_error() {
    const NAME: &str = "half_a_library_is_an_error";
    if !is_child(NAME) {
        return in_child(NAME, &[]);
    }
    element_test(|| {
        let good = std::env::var("ORT_DYLIB_PATH").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let half = folder.path().join("libonnxruntime.so");
        let bytes = fs::read(&good).unwrap();
        let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
        for length in [0, 40, 100_000, bytes.len() / 2, bytes.len() - 4096] {
            fs::write(&half, &bytes[..length]).unwrap();
            rig.element.set_property("runtime-library", half.to_str().unwrap());
            let errors = refusals(&rig, &format!("{length} bytes of the library"));
            assert!(errors.len() == 1 && errors[0].contains(half.to_str().unwrap()), "{errors:?}");
        }
        rig.element.set_property("runtime-library", &good);
        assert_works(&rig, "the whole library");
    });
}

#[test]
fn a_broken_library_in_the_environment_is_an_error() {
    const NAME: &str = "a_broken_library_in_the_environment_is_an_error";
    if !is_child(NAME) {
        return in_child(NAME, &[("ORT_DYLIB_PATH", Some("/nowhere/libonnxruntime.so"))]);
    }
    element_test(|| {
        let rig = Rig::new("tiny-1", &ONE_UTTERANCE);
        let errors = refusals(&rig, "ORT_DYLIB_PATH");
        assert!(errors.len() == 1 && errors[0].contains("/nowhere/libonnxruntime.so"), "{errors:?}");
        assert!(errors[0].contains("ORT_DYLIB_PATH"), "what to do: {errors:?}");
    });
}

/// The process's threads are set once: who asks for others is told both numbers, and works.
#[test]
fn conflicting_threads_are_a_warning() {
    const NAME: &str = "conflicting_threads_are_a_warning";
    if !is_child(NAME) {
        return in_child(NAME, &[]);
    }
    element_test(|| {
        let first = Rig::new("tiny-1", &[("threads", "1")]);
        first.set_state(gst::State::Ready);
        assert_eq!(first.log.warnings(), [""; 0]);
        let second = Rig::new("tiny-1", &[&ONE_UTTERANCE[..], &[("threads", "3")]].concat());
        assert_works(&second, "other threads");
        let warnings = second.log.warnings();
        assert!(
            warnings.len() == 1 && warnings[0].contains("threads=3") && warnings[0].contains(" 1,"),
            "{warnings:?}"
        );
        // Neither the same number nor the default is a conflict.
        for threads in ["1", "0"] {
            let rig = Rig::new("tiny-1", &[("threads", threads)]);
            rig.set_state(gst::State::Ready);
            assert_eq!(rig.log.warnings(), [""; 0], "threads={threads}");
        }
        let other = Rig::new("tiny-1", &[("execution-provider", "cuda")]);
        other.set_state(gst::State::Ready);
        let warnings = other.log.warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("cuda") && warnings[0].contains("cpu"), "{warnings:?}");
    });
}

/// A library that was built without CUDA is refused where CUDA is asked for; the processor then still works.
#[test]
fn cuda_without_cuda_is_an_error() {
    const NAME: &str = "cuda_without_cuda_is_an_error";
    if !is_child(NAME) {
        return in_child(NAME, &[]);
    }
    element_test(|| {
        let rig = Rig::new("tiny-1", &[&ONE_UTTERANCE[..], &[("execution-provider", "cuda")]].concat());
        let errors = refusals(&rig, "cuda");
        assert!(errors.len() == 1 && errors[0].contains("execution-provider=cuda"), "{errors:?}");
        rig.element.set_property_from_str("execution-provider", "cpu");
        assert_works(&rig, "cpu");
    });
}

/// Nothing is set anywhere: the built-in model, with a WARNING each time.
#[test]
fn the_built_in_model_says_what_it_is_each_time() {
    const NAME: &str = "the_built_in_model_says_what_it_is_each_time";
    if !is_child(NAME) {
        let home = tempfile::tempdir().unwrap();
        let nowhere = [("PARAFORMER_MODEL_PATH", None), ("MODELSCOPE_CACHE", None), ("HOME", home.path().to_str())];
        return in_child(NAME, &nowhere);
    }
    element_test(|| {
        let recording = support::read_wav(&support::root().join("examples/recording.wav"));
        let rig = Rig::around(element(&[]), "text/x-raw");
        for _ in 0..3 {
            rig.log.clear();
            rig.set_state(gst::State::Playing);
            rig.begin();
            rig.push(&recording).unwrap();
            rig.end();
            assert_eq!(rig.log.finals(), SPOKEN);
            let warnings = rig.log.warnings();
            assert!(warnings.len() == 1 && warnings[0].contains("demonstration"), "{warnings:?}");
            rig.set_state(gst::State::Null);
            rig.source.set_active(false).unwrap();
            rig.source.set_active(true).unwrap();
        }
    });
}

/// The environment's model goes before the built-in one, and the property before both.
#[test]
fn the_environment_names_a_model() {
    const NAME: &str = "the_environment_names_a_model";
    if !is_child(NAME) {
        let tiny = support::model_directory("tiny-1");
        return in_child(NAME, &[("PARAFORMER_MODEL_PATH", tiny.to_str())]);
    }
    element_test(|| {
        let rig = Rig::around(element(&ONE_UTTERANCE), "text/x-raw");
        assert_works(&rig, "PARAFORMER_MODEL_PATH");
        assert_eq!(rig.log.warnings(), [""; 0]);
        rig.element.set_property("model-path", "/nowhere");
        assert!(refusals(&rig, "model-path")[0].contains("/nowhere"));
    });
}
