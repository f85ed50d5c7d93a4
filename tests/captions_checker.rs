//! The checker of caption files finds every fault: a file with one fault is refused for it and for nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/captions.rs"]
mod captions;

use std::fs;
use std::path::{Path, PathBuf};

use captions::{Limits, check, check_with, faults};
use tempfile::TempDir;

/// A good file: two captions that follow at once, one after a pause.
const SRT: &str = "1\n00:00:00,500 --> 00:00:01,000\n大家好欢迎\n\n2\n00:00:01,000 --> 00:00:03,500\n今天下午我们去公园吧一二三四五六\n今天 R&D <b>\n\n3\n00:01:05,000 --> 00:01:05,833\n好，的。\n\n";
const VTT: &str = "WEBVTT\n\n00:00:00.500 --> 00:00:01.000\n大家好欢迎\n\n00:00:01.000 --> 00:00:03.500\n今天下午我们去公园吧一二三四五六\n今天 R&amp;D &lt;b&gt;\n\n00:01:05.000 --> 00:01:05.833\n好，的。\n\n";

/// What is changed in the good file, into what, and a part of what must be said of it.
const SRT_FAULTS: [(&str, &str, &str); 30] = [
    ("大家好欢迎", "", "parser expects"),
    ("00:00:00,500", "00:00:00.500", "parser expects"),
    ("00:00:00,500", "0:00:00,500", "parser expects"),
    ("00:00:00,500", "00:00:00,50", "parser expects"),
    ("00:00:00,500", "00:00:60,500", "parser expects"),
    (" --> 00:00:01,000", "-->00:00:01,000", "parser expects"),
    ("00:00:01,000\n大家", "00:00:01,000 X1:5\n大家", "parser expects"),
    ("1\n00:00:00", "0\n00:00:00", "parser expects"),
    ("2\n00:00:01", "1\n00:00:01", "parser expects"),
    ("2\n00:00:01", "00:00:01", "parser expects"),
    ("欢迎\n\n", "欢迎\n", "parser expects"),
    ("欢迎\n\n", "欢迎\n\n\n", "parser expects"),
    ("\n今天 R", "\n\n今天 R", "parser expects"),
    ("好，的。\n\n", "好，的。\n", "parser expects"),
    ("好，的。\n\n", "好，的。\n\nand more\n", "parser expects"),
    ("大家好", "大家\u{feff}好", "U+FEFF"),
    ("大家好", "大家\u{fffd}好", "U+FFFD"),
    ("大家好", "大家\0好", "U+0000"),
    ("大家好欢迎\n", "大家好欢迎\r\n", "U+000D"),
    ("R&D", "R&amp;D", "caption 2: escaped, and .srt has no escapes"),
    ("大家好欢迎\n", "大家好欢迎 \n", "caption 1: white space"),
    ("\n今天 R", "\n   \n今天 R", "parser expects"),
    ("一二三四五六", "一二三四五六a", "caption 2: a line of 16.5 characters"),
    ("大家好欢迎", "大\n家\n好", "caption 1: 3 lines"),
    ("00:01:05,833", "00:01:05,831", "caption 3: lasts 831 ms, shorter than 833"),
    ("00:01:05,833", "00:01:12,001", "caption 3: lasts 7001 ms, longer than 7000"),
    ("好，的。", "一二三四五，六七八", "caption 3: 8 characters in 833 ms, 889 are needed"),
    ("00:00:03,500", "00:00:03,000", "caption 2: 21 characters in 2000 ms"),
    ("--> 00:00:01,000", "--> 00:00:01,001", "caption 1: overlaps the next caption by 1 ms"),
    ("00:00:00,500 --> 00:00:01,000", "00:01:04,000 --> 00:01:05,000", "caption 1: out of order"),
];

const VTT_FAULTS: [(&str, &str, &str); 19] = [
    ("WEBVTT\n", "", "a parser refuses it"),
    ("WEBVTT\n\n", "WEBVTT\n", "parser expects"),
    ("WEBVTT\n", "WEBVTT\nKind: captions\n", "parser expects"),
    ("00:00:00.500", "00:00:00,500", "a parser refuses it"),
    ("00:00:00.500", "00:00.500", "parser expects"),
    ("00:01:05.833", "00:01:65.833", "a parser refuses it"),
    ("00:01:05.833", "00:01:05.833 line:0", "parser expects"),
    ("00:01:05.833", "00:01:05.833 nonsense", "a parser refuses it"),
    ("\n今天 R", "\n\n今天 R", "parser expects"),
    ("好，的。\n\n", "好，的。\n\n\n", "parser expects"),
    ("R&amp;D", "R&D", "caption 2: markup that is not escaped"),
    ("R&amp;D", "R&amp D", "caption 2: markup that is not escaped"),
    ("&lt;b&gt;", "<b>", "caption 2: markup that is not escaped"),
    ("&lt;b&gt;", "&lt;b>", "caption 2: markup that is not escaped"),
    ("&amp;D", "&amp;amp;D", "caption 2: escaped twice"),
    ("大家好欢迎", "大\n家\n好", "caption 1: 3 lines"),
    ("00:01:05.833", "00:01:05.831", "caption 3: lasts 831 ms, shorter than 833"),
    ("好，的。", "一二三四五，六七八", "caption 3: 8 characters in 833 ms, 889 are needed"),
    ("--> 00:00:01.000", "--> 00:00:01.001", "caption 1: overlaps the next caption by 1 ms"),
];

fn write(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

/// The faults of each of some files.
fn of_each(paths: &[PathBuf], limits: Limits) -> Vec<Vec<String>> {
    let all = faults(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>(), limits);
    let of = |path: &PathBuf| {
        let start = format!("{}: ", path.display());
        all.iter().filter_map(|fault| fault.strip_prefix(&start)).map(str::to_owned).collect::<Vec<_>>()
    };
    let each: Vec<_> = paths.iter().map(of).collect();
    assert_eq!(each.iter().map(Vec::len).sum::<usize>(), all.len(), "{all:?}");
    each
}

#[test]
fn good_files_pass() {
    let folder = tempfile::tempdir().unwrap();
    check(&write(&folder, "good.srt", SRT));
    check(&write(&folder, "good.vtt", VTT));
}

#[test]
fn every_fault_is_found_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let broken = |good: &str, table: &[(&str, &str, &str)], extension: &str| -> Vec<PathBuf> {
        let files = table.iter().enumerate().map(|(number, (from, to, _))| {
            assert_eq!(good.matches(from).count(), 1, "{from:?} is not once in the good file");
            write(&folder, &format!("{number}.{extension}"), good.replace(from, to))
        });
        files.collect()
    };
    for (good, table, extension) in [(SRT, &SRT_FAULTS[..], "srt"), (VTT, &VTT_FAULTS[..], "vtt")] {
        let found = of_each(&broken(good, table, extension), Limits::default());
        for ((from, to, expected), found) in table.iter().zip(found) {
            let said = found.first().is_some_and(|fault| fault.contains(expected));
            assert!(said && found.len() == 1, "{from:?} as {to:?} in .{extension}, expected {expected:?}: {found:#?}");
        }
    }
}

#[test]
fn files_that_are_no_captions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = SRT.as_bytes().to_vec();
    bytes[40] = 0xff;
    let paths = [
        (write(&folder, "bytes.srt", bytes), "not UTF-8"),
        (write(&folder, "latin.vtt", b"WEBVTT\n\n00:00:00.500 --> 00:00:02.000\ncaf\xe9\n\n"), "not UTF-8"),
        (write(&folder, "empty.srt", ""), "there are no captions"),
        (write(&folder, "header.vtt", "WEBVTT\n\n"), "there are no captions"),
        (write(&folder, "space.srt", "\n\n"), "white space and nothing else"),
        (write(&folder, "prose.srt", "Once upon a time\nthere was\na file.\n"), "a parser refuses it"),
        (write(&folder, "swapped.srt", VTT), "a parser refuses it"),
        (write(&folder, "swapped.vtt", SRT), "a parser refuses it"),
        (write(&folder, "captions.txt", SRT), "neither .srt nor .vtt"),
    ];
    let found = of_each(&paths.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), Limits::default());
    for ((path, expected), found) in paths.iter().zip(found) {
        assert!(found.len() == 1 && found[0].contains(expected), "{}: {found:?}", path.display());
    }
}

#[test]
fn limits_are_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let file = [write(&folder, "good.srt", SRT)];
    let first = |limits: Limits| of_each(&file, limits).concat();
    let default = Limits::default();
    for (limits, expected) in [
        (Limits { max_line_chars: 15, ..default }, "caption 2: a line of 16 characters"),
        (Limits { max_lines: 1, ..default }, "caption 2: 2 lines"),
        (Limits { min_duration_ms: 1000, ..default }, "caption 3: lasts 833 ms"),
        (Limits { max_duration_ms: 2000, ..default }, "caption 2: lasts 2500 ms"),
        (Limits { max_reading_speed: 2, ..default }, "caption 3: 2 characters"),
    ] {
        assert!(first(limits).iter().any(|fault| fault.contains(expected)), "{limits:?}: {:?}", first(limits));
    }
    check_with(&write(&folder, "empty.srt", ""), Limits { may_be_empty: true, ..default });
}

#[test]
#[should_panic = "No such file"]
fn a_file_that_is_not_there_is_no_good_file() {
    check(Path::new("not-there.srt"));
}
