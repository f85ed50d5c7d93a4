//! The films that examples/caption_file.rs writes, read back with ffmpeg: tracks, pictures, and none where nobody
//! spoke.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/caption_file.rs"]
mod caption_file;

use std::fs;

use caption_file::transcript::Transcript;
use caption_file::{Place, subtitles};

/// The streams of a film: kind, codec, language.
fn streams(place: &Place, film: &str) -> Vec<String> {
    let entries = "stream=codec_type,codec_name:stream_tags=language";
    let output =
        place.command("ffprobe", &["-v", "error", "-show_entries", entries, "-of", "csv=p=0", film]).output().unwrap();
    assert!(output.status.success(), "{film}");
    let mut streams: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    streams.sort();
    streams
}

#[test]
fn films_get_a_track_from_the_captions_that_are_there() {
    let place = Place::new();
    place.film();
    place.run(0, &["film.mp4"]);
    fs::write(place.path("film.srt"), "corrected by hand").unwrap();
    // The model is not even loaded.
    let said = place.run(0, &["--mkv", "--mp4", "film.mp4"]);
    assert!(!said.contains("demonstration model") && said.contains("film.captioned.mp4"), "{said}");
    assert_eq!(place.read("film.srt"), "corrected by hand");
    let found = [streams(&place, "film.captioned.mkv"), streams(&place, "film.captioned.mp4")];
    assert_eq!(
        found,
        [
            ["aac,audio,eng", "h264,video,eng", "subrip,subtitle,chi"],
            ["aac,audio,und", "h264,video,und", "mov_text,subtitle,zho"],
        ]
    );
    let frames = |film: &str| place.ffmpeg(&format!("-i {film} -map 0:v -map 0:a -f streamhash -hash md5 -"));
    for film in ["film.captioned.mkv", "film.captioned.mp4"] {
        assert_eq!(frames(film), frames("film.mp4"), "{film}");
        let track = place.ffmpeg(&format!("-i {film} -map 0:s -c:s text -f srt -"));
        assert_eq!(track, subtitles::srt(&Transcript::load(&place.path("film.json")).unwrap().part.captions), "{film}");
    }
    assert_eq!(place.run(0, &["--mkv", "--mp4", "film.mp4"]).lines().count(), 1);
    // Without a picture there is still an .mkv; uncompressed sound is not for an .mp4.
    let said = place.run(1, &["--mkv", "--mp4", "talk.wav"]);
    assert!(said.contains("talk.captioned.mkv is without a picture") && said.contains("try --mkv"), "{said}");
    place.check("talk", 1);
    assert_eq!(streams(&place, "talk.captioned.mkv").len(), 2);
    assert!(place.files().iter().all(|name| !name.contains("part")), "{:?}", place.files());
}

#[test]
fn burned_in_captions_are_in_the_picture_while_they_are_said() {
    let place = Place::new();
    place.film();
    place.run(0, &["--burn-in", "--mkv", "--mp4", "film.mp4"]);
    let captions = Transcript::load(&place.path("film.json")).unwrap().part.captions;
    for film in ["film.burned.mkv", "film.burned.mp4"] {
        assert_eq!(streams(&place, film).len(), 2, "{film}");
        // The brightest point of the lowest third of each picture.
        let log = place.ffmpeg(&format!(
            "-i {film} -vf crop=iw:ih/3:0:ih*2/3,signalstats,metadata=print:key=lavfi.signalstats.YMAX:file=- -f null -"
        ));
        let number = |line: &str, key: &str| -> f64 {
            line.split(key).nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
        };
        let lines: Vec<&str> = log.lines().collect();
        assert!(lines.len() > 900, "{}", lines.len());
        for pair in lines.chunks(2) {
            let (ms, bright) = (number(pair[0], "pts_time:") * 1000.0, number(pair[1], "YMAX=") > 150.0);
            let inside = captions.iter().any(|c| ms >= c.start as f64 + 80.0 && ms <= c.end as f64 - 80.0);
            let outside = captions.iter().all(|c| ms <= c.start as f64 - 80.0 || ms >= c.end as f64 + 80.0);
            assert!(!(inside && !bright || outside && bright), "{film}: at {ms} ms bright is {bright}");
        }
    }
    assert!(place.run(1, &["--burn-in", "--mkv", "talk.wav"]).contains("no picture to burn"));
    assert!(place.path("talk.srt").exists());
}

#[test]
fn silence_is_no_error() {
    let place = Place::new();
    place.ffmpeg("-f lavfi -i anullsrc=r=16000 -f lavfi -i color=black:size=64x64 -t 3 quiet.mp4");
    place.run(0, &["--mkv", "--mp4", "quiet.mp4"]);
    assert_eq!((place.read("quiet.srt"), place.read("quiet.vtt")), (String::new(), "WEBVTT\n\n".into()));
    let whole = Transcript::load(&place.path("quiet.json")).unwrap();
    assert!(whole.part.captions.is_empty() && whole.part.utterances.is_empty());
    assert!(whole.duration.abs_diff(3000) < 100, "{}", whole.duration);
    place.ffmpeg("-i quiet.captioned.mkv -i quiet.captioned.mp4 -f null -");
}
