//! What stands below the element on a stock GStreamer: caption files, muxers, overlays, players. Real pipelines, read back by
//! others.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

#[path = "support/captions.rs"]
mod captions;
#[path = "support/launch.rs"]
mod launch;
#[path = "support/live.rs"]
mod live;
#[path = "support/picture.rs"]
mod picture;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use launch::{QUEUE, RECORDING, Studio, latin, model_that_says, sentences, texts, times};
use picture::Picture;
use support::pipeline::element_test;

/// A black picture for as long as the recording lasts.
const PICTURE: &str = "videotestsrc pattern=black num-buffers=485 ! video/x-raw,width=640,height=360,framerate=25/1";
/// Its coding, quick and without pictures out of order.
const CODED: &str = "x264enc speed-preset=ultrafast tune=zerolatency key-int-max=25";
/// The font that draws Chinese, as the README has it installed.
const FONT: &str = "font-desc='WenQuanYi Micro Hei, 24'";

/// The line of a film: picture, sound and captions into a muxer; `to` is the muxer, named `mux`, and what follows.
fn film(to: &str) -> String {
    let video = if to.starts_with("splitmuxsink") { "video" } else { "video_0" };
    format!(
        "{to} {PICTURE} ! {CODED} ! h264parse ! {QUEUE} ! mux.{video} \
         {RECORDING} ! tee name=sound ! {QUEUE} ! avenc_aac ! aacparse ! {QUEUE} ! mux.audio_0 \
         sound. ! {QUEUE} ! paraformerasr ! {QUEUE} ! mux.subtitle_0"
    )
}

/// The recording's captions straight to .srt: what everything else is held against.
fn write_srt(studio: &Studio) -> String {
    studio.launch(&format!("{RECORDING} ! paraformerasr ! srtenc ! filesink location=talk.srt"));
    captions::check(&studio.path("talk.srt"));
    studio.read("talk.srt")
}

/// The same texts, at times no further apart than `tolerance_ms`.
fn assert_same(found: &str, expected: &str, tolerance_ms: u64) {
    assert_eq!(texts(found, "\n"), texts(expected, "\n"));
    for (a, b) in times(found).into_iter().zip(times(expected)) {
        assert!(a.0.abs_diff(b.0) <= tolerance_ms && a.1.abs_diff(b.1) <= tolerance_ms, "{a:?} {b:?}");
    }
}

#[test]
fn srtenc_writes_the_captions() {
    let (model, expected) = latin();
    let two_lines = write_srt(&Studio::with_model(model.path()));
    assert_eq!(texts(&two_lines, " "), expected);
    assert!(texts(&two_lines, "\n").iter().all(|text| text.contains('\n')), "{two_lines}");
    let studio = Studio::new();
    assert_eq!(texts(&write_srt(&studio), "\n"), sentences());
    // Nobody speaks: no caption, and no error.
    studio.launch(&format!("{RECORDING} ! volume mute=true ! paraformerasr ! srtenc ! filesink location=mute.srt"));
    captions::check_with(
        &studio.path("mute.srt"),
        captions::Limits { may_be_empty: true, ..captions::Limits::default() },
    );
    assert_eq!(studio.read("mute.srt"), "");
}

/// Markup is text in .srt and escaped in .vtt.
#[test]
fn webvttenc_writes_the_captions() {
    let model = model_that_says(|_, token| match token {
        "欢" => "R&D".to_owned(),
        "使" => "<b>".to_owned(),
        token => token.to_owned(),
    });
    let studio = Studio::with_model(model.path());
    let srt = write_srt(&studio);
    let vtt = "'text/x-raw,format=pango-markup' ! webvttenc ! filesink location=talk.vtt";
    studio.launch(&format!("{RECORDING} ! paraformerasr ! {vtt}"));
    captions::check(&studio.path("talk.vtt"));
    let vtt = studio.read("talk.vtt");
    assert!(srt.contains("\n大家好R&D迎<b>用实时字幕\n"), "{srt}");
    assert!(vtt.contains("\n大家好R&amp;D迎&lt;b&gt;用实时字幕\n"), "{vtt}");
    let clocks = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains(" --> ")).map(|line| line.replace(',', ".")).collect()
    };
    assert_eq!(clocks(&vtt), clocks(&srt));
}

/// What ffprobe says of the streams of a file: a line each.
fn streams(studio: &Studio, file: &str) -> String {
    let entries = "stream=codec_name,codec_tag_string:stream_tags=language";
    studio.text(&format!("ffprobe -loglevel error -show_entries {entries} -of csv=p=0 {file}"))
}

#[test]
fn matroskamux_makes_a_subtitle_track() {
    check_matroska(&Studio::new());
    check_matroska(&Studio::with_model(latin().0.path()));
}

fn check_matroska(studio: &Studio) {
    let expected = write_srt(studio);
    studio.launch(&film("matroskamux name=mux ! filesink location=film.mkv"));
    let streams = streams(studio, "film.mkv");
    assert!(streams.contains("subrip,") && streams.contains(",chi") && streams.contains("aac,"), "{streams}");

    studio.launch(
        "filesrc location=film.mkv ! matroskademux name=film film.subtitle_0 ! srtenc ! filesink location=demuxed.srt",
    );
    studio.shell("ffmpeg -loglevel error -i film.mkv -map 0:s -c copy probed.srt");
    for file in ["demuxed.srt", "probed.srt"] {
        captions::check(&studio.path(file));
        // A track has whole milliseconds, rounded where .srt is cut.
        assert_same(&studio.read(file), &expected, 1);
    }
    // A player shows them.
    let uri = format!("uri=file://{}", studio.path("film.mkv").display());
    let sinks = "video-sink='fakesink sync=false' audio-sink='fakesink sync=false'";
    studio.launch(&format!("playbin {uri} {sinks} text-sink='srtenc ! filesink location=played.srt'"));
    assert_same(&studio.read("played.srt"), &expected, 1);
}

#[test]
fn mp4mux_makes_a_timed_text_track() {
    check_mp4(&Studio::new());
    check_mp4(&Studio::with_model(latin().0.path()));
}

fn check_mp4(studio: &Studio) {
    let expected = write_srt(studio);
    studio.launch(&film("mp4mux name=mux ! filesink location=film.mp4"));
    let streams = streams(studio, "film.mp4");
    assert!(streams.contains("mov_text,tx3g,zho"), "{streams}");

    // The track itself begins with the first caption; when that is, is in an edit list, which srtenc does not look at.
    studio.launch(
        "filesrc location=film.mp4 ! qtdemux name=film film.subtitle_0 ! srtenc ! filesink location=demuxed.srt",
    );
    captions::check(&studio.path("demuxed.srt"));
    let demuxed = studio.read("demuxed.srt");
    assert_eq!(texts(&demuxed, "\n"), texts(&expected, "\n"));
    let first = times(&expected)[0].0;
    for (found, expected) in times(&demuxed).into_iter().zip(times(&expected)) {
        let found = (found.0 + first, found.1 + first);
        assert!(found.0.abs_diff(expected.0) <= 1 && found.1.abs_diff(expected.1) <= 1, "{found:?} {expected:?}");
    }
    // ffmpeg does look at it. It writes the style that GStreamer gives every text, ends lines its own way, and cuts the last caption
    // by the edit list.
    let probed = studio.text("ffmpeg -loglevel error -i film.mp4 -map 0:s -f srt - | sed 's/<[^>]*>//g; s/\\r//'");
    assert_eq!(texts(&probed, "\n"), texts(&expected, "\n"));
    for (found, expected) in times(&probed).into_iter().zip(times(&expected)) {
        assert!(found.0.abs_diff(expected.0) <= 1, "{found:?} {expected:?}");
    }
}

/// Recordings in parts of 6 s: every part has the captions that begin in it.
#[test]
fn splitmuxsink_splits_the_captions_with_the_picture() {
    let studio = Studio::new();
    studio.launch(&film("splitmuxsink name=mux muxer=matroskamux max-size-time=6000000000 location=part%d.mkv"));
    let parts = ["part0.mkv", "part1.mkv", "part2.mkv", "part3.mkv"].map(|part| {
        assert!(studio.path(part).is_file(), "{part}: {:?}", studio.text("ls"));
        texts(&studio.text(&format!("ffmpeg -loglevel error -i {part} -map 0:s -f srt -")), "\n")
    });
    assert_eq!(parts.concat(), sentences());
    assert!(parts.iter().filter(|texts| !texts.is_empty()).count() >= 3, "{parts:?}");
}

/// The picture at a second of a film.
fn frame(studio: &Studio, film: &str, second: f64) -> Picture {
    let gray = format!("ffmpeg -loglevel error -ss {second} -i {film} -frames:v 1 -f rawvideo -pix_fmt gray -");
    Picture::gray(640, &studio.shell(&gray))
}

/// textrender's drawing of a text.
fn drawing(studio: &Studio, text: &str) -> Picture {
    fs::write(studio.path("one.srt"), format!("1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n")).unwrap();
    let caps = "video/x-raw,format=ARGB,width=640,height=360";
    studio.launch(&format!(
        "filesrc location=one.srt ! subparse ! textrender {FONT} ! {caps} ! filesink location=one.argb"
    ));
    Picture::argb(640, &fs::read(studio.path("one.argb")).unwrap()[..640 * 360 * 4])
}

/// The film with the captions burned in.
fn burn(studio: &Studio) {
    studio.launch(&format!(
        "{PICTURE} ! {QUEUE} ! textoverlay name=overlay {FONT} ! videoconvert ! {CODED} ! matroskamux ! \
         filesink location=burned.mkv {RECORDING} ! paraformerasr ! {QUEUE} ! overlay.text_sink"
    ));
}

/// When each sentence is shown, s.
const SHOWN: [f64; 4] = [2.5, 7.0, 12.0, 17.0];

#[test]
fn textoverlay_burns_the_captions_in() {
    let studio = Studio::new();
    burn(&studio);
    let drawings: Vec<Picture> = sentences().iter().map(|text| drawing(&studio, text)).collect();
    for (number, second) in SHOWN.into_iter().enumerate() {
        let frame = frame(&studio, "burned.mkv", second);
        let likeness: Vec<f64> = drawings.iter().map(|drawing| frame.likeness(drawing)).collect();
        println!("at {second} s: {likeness:.3?}");
        for (other, likeness) in likeness.iter().enumerate() {
            assert_eq!(*likeness > 0.8, other == number, "at {second} s: {likeness:?}");
        }
    }
    for second in [0.2, 5.0, 9.7] {
        assert!(!frame(&studio, "burned.mkv", second).has_text(), "at {second} s");
    }
    // To be looked at.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("burned.png");
    studio.shell(&format!("ffmpeg -loglevel error -y -ss 2.5 -i burned.mkv -frames:v 1 {}", kept.display()));
}

/// Without a font that has Chinese there are boxes, and the comparison above knows them from text.
#[test]
fn boxes_are_no_captions() {
    let studio = Studio::new();
    // fontconfig's own packages bring a font with Latin letters.
    let latin = studio.text(
        "comm -23 <(fc-list :lang=en --format='%{file}\\n' | sort) <(fc-list :lang=zh --format='%{file}\\n' | sort)",
    );
    let latin = latin.lines().find(|file| file.ends_with(".ttf")).expect("a font without Chinese");
    fs::create_dir(studio.path("fonts")).unwrap();
    symlink(latin, studio.path("fonts/latin.ttf")).unwrap();
    let fonts = studio.path("fonts").display().to_string();
    let folders = format!("<dir>{fonts}</dir><cachedir>{fonts}/cache</cachedir>");
    let header = "<?xml version='1.0'?><!DOCTYPE fontconfig SYSTEM 'fonts.dtd'>";
    fs::write(studio.path("fonts.conf"), format!("{header}<fontconfig>{folders}</fontconfig>")).unwrap();
    let chinese = drawing(&studio, &sentences()[0]);

    let file = studio.path("fonts.conf").display().to_string();
    let studio = studio.and("FONTCONFIG_FILE", &file);
    burn(&studio);
    let boxes = frame(&studio, "burned.mkv", SHOWN[0]);
    assert!(boxes.has_text());
    let likeness = boxes.likeness(&chinese);
    println!("boxes: {likeness:.3}");
    assert!(likeness < 0.5, "{likeness}");
}

/// A live line, all properties at their defaults: every sentence once, in the shape of a caption.
#[test]
fn a_live_line_repeats_nothing() {
    element_test(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("live.srt");
        let model = support::model_directory("demo");
        let line =
            format!("paraformerasr model-path={} ! srtenc ! filesink location={}", model.display(), file.display());
        live::speak(&support::read_wav(&support::root().join("examples/recording.wav")), &line);
        captions::check(&file);
        assert_eq!(texts(&fs::read_to_string(&file).unwrap(), "\n"), sentences());
    });
}
