//! examples/caption_file.rs as its user meets it: the program is run on films, recordings, folders and things that are
//! neither, interrupted, and asked for what it cannot do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/caption_file.rs"]
mod caption_file;

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use caption_file::transcript::{Caption, Transcript};
use caption_file::{Place, TIME_OUT_S, captions, said, sentences, subtitles};

#[test]
fn a_recording_gives_all_texts() {
    let place = Place::new();
    let said = place.run(0, &["talk.wav"]);
    place.check("talk", 1);
    assert_eq!(place.files(), ["talk.json", "talk.srt", "talk.vtt", "talk.wav"]);
    for part in [
        "demonstration model",
        "talk.wav: 00:00:19, 4 captions -> talk.srt talk.vtt talk.json",
        "1 done",
        "hours an hour",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let captions: Vec<String> =
        Transcript::load(&place.path("talk.json")).unwrap().part.captions.into_iter().map(|c| c.text).collect();
    assert_eq!(captions, sentences());
    fs::remove_file(place.path("talk.vtt")).unwrap();
    assert_eq!(place.run(0, &["--quiet", "--formats", "srt,vtt", "talk.wav"]).lines().count(), 1);
    place.check("talk", 1);
}

#[test]
fn webvtt_is_escaped_and_times_are_in_order() {
    let captions = [Caption { start: 3_723_004, end: 3_724_999, text: "a<b & c\n>".into() }];
    assert_eq!(subtitles::srt(&captions), "1\n01:02:03,004 --> 01:02:04,999\na<b & c\n>\n\n");
    assert_eq!(subtitles::vtt(&captions), "WEBVTT\n\n01:02:03.004 --> 01:02:04.999\na&lt;b &amp; c\n&gt;\n\n");
    assert_eq!((subtitles::srt(&[]), subtitles::vtt(&[])), (String::new(), "WEBVTT\n\n".into()));
}

#[test]
fn every_kind_of_file() {
    let place = Place::new();
    place.film();
    fs::create_dir(place.path("in")).unwrap();
    let kinds = [
        ("mkv", "-c copy"),
        ("ts", "-c copy"),
        ("webm", "-c:v libvpx -b:v 100k -deadline realtime -c:a libopus"),
        ("avi", "-c:v mpeg4 -c:a libmp3lame"),
        ("mov", "-c:v mjpeg -c:a pcm_s16le"),
        ("wmv", "-c:v wmv2 -c:a wmav2"),
        ("mp3", "-vn"),
        ("m4a", "-vn"),
        ("flac", "-vn -ar 44100 -ac 2"),
        ("ogg", "-vn -c:a libvorbis"),
        ("aac", "-vn"),
    ];
    for (kind, options) in kinds {
        place.ffmpeg(&format!("-i film.mp4 {options} in/{kind}.{kind}"));
    }
    place.run(0, &["in"]);
    kinds.iter().for_each(|(kind, _)| place.check(&format!("in/{kind}"), 1));
}

#[test]
fn a_bad_file_does_not_stop_the_rest() {
    let place = Place::new();
    let folder = place.path("in/片场 100%/b");
    fs::create_dir_all(&folder).unwrap();
    place.film();
    let input = |name: &str| place.path("in").join(name);
    fs::rename(place.path("film.mp4"), folder.join("it's %20 #1?.mp4")).unwrap();
    place.ffmpeg("-f lavfi -i color=black:size=64x64:duration=1 in/mute.mp4");
    fs::copy(place.path("talk.wav"), input(" 声音.wav")).unwrap();
    fs::copy(place.path("talk.wav"), place.path("in").join(std::ffi::OsString::from_vec(b"\xff.wav".into()))).unwrap();
    fs::write(input("empty.mp4"), "").unwrap();
    fs::write(input("text.mkv"), "This is no film.\n".repeat(99)).unwrap();
    fs::write(
        input("noise.mp3"),
        (0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>(),
    )
    .unwrap();
    fs::write(input("notes.txt"), "notes").unwrap();
    fs::write(input("code.ts"), "export class Code {}").unwrap();
    fs::write(input(".hidden.mp4"), "").unwrap();
    fs::write(input("old.captioned.mkv"), "").unwrap();
    symlink("..", folder.join("loop")).unwrap();
    symlink("nowhere", input("gone.mp4")).unwrap();
    let run = |status| place.run(status, &["--output-dir", "out", "in", "none.wav", "/dev/null", "in/ 声音.wav"]);
    let said = run(1);
    let parts = [
        "in/mute.mp4: it has no sound",
        "in/empty.mp4: ",
        "in/text.mkv: ",
        "in/noise.mp3: ",
        "none.wav: No such file",
        "/dev/null: it is neither",
        "loop",
        "gone.mp4",
        "1 .txt",
        "1 .ts",
        "done already",
        "3 done, 0 skipped",
        "6 failed",
    ];
    for part in parts {
        assert!(said.contains(part), "{part}: {said}");
    }
    let names = ["片场 100%/b/it's %20 #1?", " 声音"];
    names.iter().for_each(|name| place.check(&format!("out/{name}"), 1));
    assert_eq!(place.files().iter().filter(|name| name.starts_with("out/")).count(), 9, "{:?}", place.files());
    assert!(run(1).contains("0 done, 3 skipped"));
}

/// Starts on long.wav, and sends the signal once some of it is recognised.
fn interrupt(place: &Place, signal: &str, parts: usize) -> Output {
    let mut command = place.command("bash", &["-c", "echo $$ >pid && exec \"$0\" long.wav"]);
    let child = command.arg(caption_file::program()).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let journal = place.path(".long.captions.part");
    let deadline = Instant::now() + Duration::from_secs(TIME_OUT_S);
    while !fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() > parts) {
        assert!(Instant::now() < deadline && !place.path("long.srt").exists(), "it was too fast, or hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("bash").args(["-c", &format!("kill {signal} {}", place.read("pid").trim())]).status();
    assert!(killed.unwrap().success());
    child.wait_with_output().unwrap()
}

#[test]
fn an_interruption_costs_nothing() {
    let place = Place::new();
    place.long(30);
    place.run(0, &["--output-dir", "whole", "long.wav"]);
    assert!(!interrupt(&place, "-KILL", 3).status.success());
    // As a power cut leaves it.
    let journal = place.path(".long.captions.part");
    fs::write(&journal, fs::read_to_string(&journal).unwrap() + "{\"part\":{\"captions\":[{\"sta").unwrap();
    let said_of_it = said(interrupt(&place, "-INT", 40), 130);
    assert!(
        said_of_it.contains("long.wav: interrupted") && said_of_it.contains("1 left for the next run"),
        "{said_of_it}"
    );
    assert_eq!(place.files().iter().filter(|name| name.contains("part")).collect::<Vec<_>>(), [".long.captions.part"]);
    let said_of_it = place.run(0, &["long.wav"]);
    assert!(said_of_it.contains("went on at 00:0"), "{said_of_it}");
    place.check("long", 30);
    let load = |name: &str| Transcript::load(&place.path(name)).unwrap();
    let (found, expected) = (load("long.json"), load("whole/long.json"));
    assert_eq!((&found.origin, found.duration), (&expected.origin, expected.duration));
    // Where it began anew in another row of the model's input, times may differ by that; nothing else may.
    let near = |a: u64, b: u64| a.abs_diff(b) <= 60;
    let captions = found.part.captions.iter().zip(&expected.part.captions);
    captions
        .for_each(|(a, b)| assert!(a.text == b.text && near(a.start, b.start) && near(a.end, b.end), "{a:?} {b:?}"));
    let texts = |part: &Transcript| part.part.utterances.iter().map(|u| u.text.clone()).collect::<Vec<_>>();
    assert_eq!((texts(&found), found.part.captions.len()), (texts(&expected), expected.part.captions.len()));
    assert!(!journal.exists());
}

#[test]
fn what_was_recognised_before_a_failure_is_kept() {
    let place = Place::new();
    place.long(20);
    // No file can become longer than 16 KiB, as on a disk that is full.
    let line = "trap '' XFSZ && ulimit -f 16 && exec \"$0\" long.wav";
    let mut limited = place.command("bash", &["-c", line]);
    let said = said(limited.arg(caption_file::program()).output().unwrap(), 1);
    assert!(said.contains("File too large") && said.contains("long.incomplete.srt"), "{said}");
    let kept = place.read("long.incomplete.srt");
    captions::check(&place.path("long.incomplete.srt"));
    assert_eq!(place.files(), [".long.captions.part", "list", "long.incomplete.srt", "long.wav", "talk.wav"]);
    assert!(place.run(0, &["long.wav"]).contains("went on at 00:0"));
    place.check("long", 20);
    assert!(kept.len() > 1000 && place.read("long.srt").starts_with(&kept));
    assert_eq!(place.files(), ["list", "long.json", "long.srt", "long.vtt", "long.wav", "talk.wav"]);
}

#[test]
fn a_journal_of_other_work_is_of_no_use() {
    let place = Place::new();
    place.long(30);
    interrupt(&place, "-KILL", 3);
    let said = place.run(0, &["--max-line-chars", "4", "long.wav"]);
    assert!(!said.contains("went on"), "{said}");
    let widest = place.read("long.srt").lines().filter(|line| !line.is_ascii()).map(|line| line.chars().count()).max();
    assert_eq!(widest, Some(4));
}

#[test]
fn nothing_is_written_twice_or_over_an_input() {
    let place = Place::new();
    fs::write(place.path("talk.mp3"), "").unwrap();
    fs::write(place.path("film.srt"), "mine").unwrap();
    fs::write(place.path("film.mp4"), "").unwrap();
    let said = place.run(2, &["."]);
    assert!(said.contains("talk.mp3") && said.contains("talk.wav") && said.contains("--full-names"), "{said}");
    assert!(place.run(2, &["film.mp4", "film.srt"]).contains("would overwrite the input"));
    assert_eq!(place.files(), ["film.mp4", "film.srt", "talk.mp3", "talk.wav"]);
    assert_eq!(place.read("film.srt"), "mine");
    place.run(1, &["--full-names", "talk.wav", "talk.mp3"]);
    place.check("talk.wav", 1);
}

#[test]
fn an_audio_track_can_be_chosen() {
    let place = Place::new();
    place.ffmpeg("-f lavfi -i anullsrc=r=44100 -i talk.wav -map 0:a -map 1:a -shortest -c:a aac two.mkv");
    let said = place.run(1, &["--audio-track", "3", "two.mkv"]);
    assert!(said.contains("it has 2 audio tracks, and no number 3"), "{said}");
    place.run(0, &["two.mkv"]);
    assert_eq!(place.read("two.srt"), "");
    // Another track is other work: it is done, though outputs are there.
    place.run(0, &["--audio-track", "2", "two.mkv"]);
    place.check("two", 1);
}

#[test]
fn many_side_by_side_give_what_one_alone_gives() {
    let place = Place::new();
    fs::create_dir(place.path("in")).unwrap();
    for number in 0..12 {
        let start = format!("{:.2}", f64::from(number) * 0.37);
        place.ffmpeg(&format!("-ss {start} -i talk.wav in/{number}.wav"));
    }
    place.run(0, &["--jobs", "12", "--output-dir", "together", "in"]);
    place.run(0, &["--jobs", "1", "--output-dir", "alone", "in"]);
    let files: Vec<String> = place.files().into_iter().filter(|name| name.starts_with("alone/")).collect();
    assert_eq!(files.len(), 36);
    for name in files {
        assert!(place.read(&name) == place.read(&name.replace("alone", "together")), "{name}");
    }
}

#[test]
fn files_are_done_at_the_same_time() {
    let place = Place::new();
    place.long(20);
    let names = ["a", "b", "c"];
    for name in names {
        fs::copy(place.path("long.wav"), place.path(&format!("{name}.wav"))).unwrap();
    }
    let mut command = place.captioner(&["--jobs", "3", "a.wav", "b.wav", "c.wav"]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let begun = |name: &&str| {
        let journal = place.path(&format!(".{name}.captions.part"));
        fs::read_to_string(journal).is_ok_and(|text| text.lines().count() > 1)
    };
    while !names.iter().all(begun) {
        assert_eq!(child.try_wait().unwrap(), None, "all of it was done, and never three files at once");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    names.iter().for_each(|name| place.check(name, 20));
}

#[test]
fn wrong_usage_is_told_before_anything_is_done() {
    let place = Place::new();
    for (arguments, part) in [
        (&["--set", "nope=1"][..], "no property nope"),
        (&["--set", "max-lines=0"], "a number from 1"),
        (&["--set", "threads=-1"], "a number from 0"),
        (&["--set", "min-confidence=2"], "a number from 0 to 1"),
        (&["--set", "precision=int9"], "one of auto, int8, int8-exact, float32"),
        (&["--set", "partial-results=perhaps"], "true or false"),
        (&["--set", "chunk-size=five"], "chunk-size"),
        (&["--set", "current-text=a"], "no property current-text to set"),
        (&["--set", "name"], "NAME=VALUE"),
        (&["--chunk-size", "5,0,5"], "stride >= 1"),
        (&["--model-path", "nowhere"], "nowhere: no such model folder"),
        (&["--jobs", "0"], "from 1 on"),
        (&["--burn-in"], "--burn-in needs"),
        (&["--output-dir", "talk.wav"], "this is no folder"),
        (&["--formats", "doc"], "srt, vtt, json"),
    ] {
        let said = place.run(2, &[arguments, &["talk.wav"]].concat());
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    assert_eq!(place.files(), ["talk.wav"]);
    place.run(
        0,
        &["--chunk-size", "<8,8,4>", "--set", "spacing=space", "--set", "max-lines=1", "--formats", "srt", "talk.wav"],
    );
    captions::check(&place.path("talk.srt"));
}
