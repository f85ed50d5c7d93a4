//! The elements of gst-plugins-rs that stand around this one: translationbin, transcriberbin, textaccumulate and the encoders of
//! closed captions. tests/companions/build.sh builds them, from what is published.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "support/captions.rs"]
mod captions;
#[path = "support/launch.rs"]
mod launch;
#[path = "support/live.rs"]
mod live;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use captions::Limits;
use gst::prelude::*;
use launch::{QUEUE, RECORDING, Studio, latin, sentences, texts};
use support::pipeline::{element_test, in_child, is_child};

/// A black picture.
const PICTURE: &str = "videotestsrc pattern=black";
const SIZE: &str = "video/x-raw,width=320,height=240,framerate=25/1";

/// The folder of the plugins that a bin needs; the first who asks builds them.
fn plugins(bin: &str) -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let output = Command::new(support::root().join("tests/companions/build.sh")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    });
    BUILT.join(bin)
}

/// Closed captions begin and end lines with spaces: the words of each text.
fn words(texts: &[String]) -> Vec<Vec<&str>> {
    texts.iter().map(|text| text.split_whitespace().collect()).collect()
}

/// Runs a test in a process of its own, which knows the plugins of `bin`.
fn among_companions(test: &str, bin: &str, work: impl FnOnce() + Send + 'static) {
    if is_child(test) {
        return element_test(work);
    }
    let folder = tempfile::tempdir().unwrap();
    let (plugins, registry) = (plugins(bin).display().to_string(), folder.path().join("registry.bin"));
    let environment = [("GST_PLUGIN_PATH", Some(plugins.as_str())), ("GST_REGISTRY", registry.to_str())];
    in_child(test, &environment);
}

/// The element, for a property of a bin.
fn transcriber(properties: &str) -> String {
    format!("transcriber=\"paraformerasr model-path={} {properties}\"", support::model_directory("demo").display())
}

fn recording() -> Vec<f32> {
    support::read_wav(&support::root().join("examples/recording.wav"))
}

/// Writes what comes of `speaker ! LINE` to an .srt, checks it, and gives its texts.
fn spoken_through(line: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.srt");
    live::speak(&recording(), &format!("{line} ! srtenc ! filesink location={}", file.display()));
    captions::check(&file);
    texts(&fs::read_to_string(&file).unwrap(), "\n")
}

#[test]
#[ignore = "builds plugins of others, which takes minutes: tests/run.sh --all"]
fn a_live_line_through_translationbin_repeats_nothing() {
    among_companions("a_live_line_through_translationbin_repeats_nothing", "translationbin", || {
        assert_eq!(spoken_through(&format!("translationbin {}", transcriber(""))), sentences());
    });
}

#[test]
#[ignore = "builds plugins of others, which takes minutes: tests/run.sh --all"]
fn translationbin_captions_files() {
    let studio = Studio::new().plugins(&plugins("translationbin"));
    studio.launch(&format!(
        "{RECORDING} ! translationbin transcriber=paraformerasr ! srtenc ! filesink location=talk.srt"
    ));
    captions::check(&studio.path("talk.srt"));
    assert_eq!(texts(&studio.read("talk.srt"), "\n"), sentences());
}

/// What translationbin translates is what textaccumulate makes of the captions. It ends a sentence where a line ends, so a caption
/// must be one line.
#[test]
#[ignore = "builds plugins of others, which takes minutes: tests/run.sh --all"]
fn textaccumulate_passes_captions_of_one_line() {
    let (model, expected) = latin();
    for (model, expected) in [(support::model_directory("demo"), sentences()), (model.path().into(), expected)] {
        let studio = Studio::with_model(&model).plugins(&plugins("translationbin"));
        let line = "paraformerasr max-lines=1 max-line-chars=32 ! textaccumulate ! srtenc ! filesink location=talk.srt";
        studio.launch(&format!("{RECORDING} ! {line}"));
        captions::check_with(
            &studio.path("talk.srt"),
            Limits { max_lines: 1, max_line_chars: 32, ..Limits::default() },
        );
        assert_eq!(texts(&studio.read("talk.srt"), "\n"), expected);
    }
}

/// The same live: sentences are drained as they end, not when the next one comes.
#[test]
#[ignore = "builds plugins of others, which takes minutes: tests/run.sh --all"]
fn a_live_line_through_textaccumulate_repeats_nothing() {
    among_companions("a_live_line_through_textaccumulate_repeats_nothing", "translationbin", || {
        let model = support::model_directory("demo");
        let line = format!("paraformerasr model-path={} ! textaccumulate", model.display());
        assert_eq!(spoken_through(&line), sentences());
    });
}

#[test]
#[ignore = "builds plugins of others, which takes minutes: tests/run.sh --all"]
fn tttocea608_encodes_words() {
    let (model, expected) = latin();
    // 0.15.4 and 0.10.9.
    for bin in ["translationbin", "transcriberbin"] {
        let studio = Studio::with_model(model.path()).plugins(&plugins(bin));
        let line = "tttocea608 mode=pop-on ! closedcaption/x-cea-608,framerate=25/1 ! cea608tott ! srtenc ! fdsink";
        let read_back = studio.text(&format!("gst-launch-1.0 -q {RECORDING} ! paraformerasr ! {line}"));
        assert_eq!(words(&texts(&read_back, " ")), words(&expected), "{bin}");
    }
}

/// The texts of CEA-708 captions, their control codes as `|`.
fn text_of_708(cc_data: &[u8]) -> String {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for triplet in cc_data.chunks_exact(3) {
        match triplet[0] & 7 {
            7 => packets.push(triplet[1..].to_vec()),
            6 => packets.last_mut().unwrap().extend(&triplet[1..]),
            _ => {}
        }
    }
    let mut text = String::new();
    for packet in packets {
        let size = match packet[0] & 0x3f {
            0 => 128,
            half => usize::from(half) * 2,
        };
        let mut blocks = &packet[1..size.min(packet.len())];
        // A header names the service, none is 0, and the length of what follows.
        while let Some((&header, rest)) = blocks.split_first().filter(|(header, _)| **header >> 5 != 0) {
            let (block, others) = rest.split_at(usize::from(header & 0x1f));
            text.extend(block.iter().map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '|' }));
            blocks = others;
        }
    }
    text
}

#[test]
#[ignore = "builds plugins of others, which takes minutes: tests/run.sh --all"]
fn tttocea708_encodes_words() {
    let (model, _) = latin();
    let studio = Studio::with_model(model.path()).plugins(&plugins("translationbin"));
    let line = "tttocea708 mode=pop-on ! closedcaption/x-cea-708,framerate=25/1 ! filesink location=cc_data";
    studio.launch(&format!("{RECORDING} ! paraformerasr ! tee name=text ! {QUEUE} ! {line} text. ! {QUEUE} ! srtenc ! filesink location=talk.srt"));
    let text = text_of_708(&fs::read(studio.path("cc_data")).unwrap());
    let captions = texts(&studio.read("talk.srt"), "\n");
    assert_eq!(captions.len(), sentences().len());
    let mut rest = text.as_str();
    for line in captions.iter().flat_map(|caption| caption.lines()) {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("{line}: {text}")).1;
    }
}

/// transcriberbin makes itself an `awstranscriber` before it can be told of another transcriber: ours, by that name.
fn register_stand_in() {
    let ours = gst::ElementFactory::find("paraformerasr").unwrap().load().unwrap().element_type();
    gst::Element::register(None, "awstranscriber", gst::Rank::NONE, ours).unwrap();
}

/// transcriberbin, and a branch that reads its captions back into `srt`. What reads captions back shows nothing before the first one,
/// so it must not be waited for; the picture has captions of both kinds.
fn captioned(model: &Path, srt: &Path) -> String {
    let transcriber = format!("transcriber=\"paraformerasr model-path={}\"", model.display());
    let read_back = "closedcaption/x-cea-608,format=raw ! cea608tott ! srtenc ! filesink async=false";
    format!(
        "transcriberbin name=bin mode=pop-on cc-caps=\"closedcaption/x-cea-708,format=cc_data\" {transcriber} \
         bin.src_audio ! {QUEUE} ! fakesink bin.src_video ! {QUEUE} ! tee name=captioned ! {QUEUE} ! \
         ccextractor name=extractor ! fakesink extractor.caption ! {QUEUE} ! ccconverter ! {read_back} location={}",
        srt.display()
    )
}

/// The recording after 3 s of silence: transcriberbin throws the sound away until the caps of the picture have come.
fn recording_after_a_pause() -> Vec<f32> {
    [vec![0.0; 48_000], recording()].concat()
}

/// All words of an .srt that was read back. Closed captions take time to send, so where one ends and the next begins may differ.
fn all_words(srt: &Path) -> Vec<String> {
    let texts = texts(&fs::read_to_string(srt).unwrap(), " ");
    words(&texts).concat().into_iter().map(str::to_owned).collect()
}

/// From files, with the bin's own defaults; and whoever reads the film afterwards finds the captions in it.
#[test]
#[ignore = "builds plugins of others, which takes minutes: tests/run.sh --all"]
fn transcriberbin_captions_a_film() {
    among_companions("transcriberbin_captions_a_film", "transcriberbin", || {
        register_stand_in();
        let (model, expected) = latin();
        let folder = tempfile::tempdir().unwrap();
        let [film, srt, sound] = ["film.mkv", "talk.srt", "talk.wav"].map(|name| folder.path().join(name));
        support::write_wav(&sound, &recording_after_a_pause());
        let coded = "x264enc speed-preset=ultrafast tune=zerolatency ! h264parse ! matroskamux ! filesink";
        live::play(&format!(
            "{} captioned. ! {QUEUE} ! {coded} location={} {PICTURE} num-buffers=600 ! {SIZE} ! {QUEUE} ! bin.sink_video \
             filesrc location={} ! wavparse ! audioconvert ! audioresample ! {QUEUE} ! bin.sink_audio",
            captioned(model.path(), &srt),
            film.display(),
            sound.display()
        ));
        assert_eq!(all_words(&srt), words(&expected).concat());
        let said = Command::new("ffprobe").arg("-hide_banner").arg(&film).output().unwrap();
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains("Closed Captions"), "{said}");
    });
}

#[test]
#[ignore = "builds plugins of others, which takes minutes: tests/run.sh --all"]
fn transcriberbin_captions_a_live_picture() {
    among_companions("transcriberbin_captions_a_live_picture", "transcriberbin", || {
        register_stand_in();
        let (model, expected) = latin();
        let folder = tempfile::tempdir().unwrap();
        let srt = folder.path().join("live.srt");
        let bin = captioned(model.path(), &srt);
        let picture = format!("{PICTURE} is-live=true num-buffers=600 ! {SIZE} ! {QUEUE} ! bin.sink_video");
        live::speak(&recording_after_a_pause(), &format!("{QUEUE} ! bin.sink_audio {bin} {picture}"));
        assert_eq!(all_words(&srt), words(&expected).concat());
    });
}
