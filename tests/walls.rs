//! The walls of the house, by reading the sources: who may name what, how long a file is, what no file may hold.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a source file; more is too much for one stage.
const MAX_LINES: usize = 400;
/// Where code may be unsafe; each says why.
const UNSAFE_FILES: [&str; 2] = ["src/runtime/exit.rs", "src/runtime/operators/vnni.rs"];

/// What may stand in code only below some folders.
const WALLS: [(&[&str], &[&str]); 3] = [
    (&["ort"], &["src/runtime/"]),
    (&["gst", "gst_base", "gst_audio", "glib"], &["src/element/", "src/lib.rs"]),
    (&["thread"], &["src/scheduler/"]),
];
/// What the engine does not know of the machine.
const ENGINE_IS_PURE: [&str; 6] = ["env", "fs", "thread", "process", "net", "Instant"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The source with comments, strings and characters blanked, so that what is left is code; lines stay lines.
fn code(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    let starts = |at: usize, what: &str| text[at..].iter().take(what.chars().count()).copied().eq(what.chars());
    let blank = |range: &[char]| range.iter().map(|&c| if c == '\n' { '\n' } else { ' ' }).collect::<String>();
    // And not a lifetime.
    let is_character =
        |at: usize| text[at] == '\'' && (text.get(at + 1) == Some(&'\\') || text.get(at + 2) == Some(&'\''));
    while at < text.len() {
        let raw_hashes = text[at + 1..].iter().take_while(|&&c| c == '#').count();
        let is_name = at > 0 && (text[at - 1].is_alphanumeric() || text[at - 1] == '_');
        let end = if starts(at, "//") {
            text[at..].iter().position(|&c| c == '\n').map_or(text.len(), |n| at + n)
        } else if starts(at, "/*") {
            (at + 2..text.len()).find(|&n| starts(n, "*/")).map_or(text.len(), |n| n + 2)
        } else if text[at] == 'r' && !is_name && text.get(at + 1 + raw_hashes) == Some(&'"') {
            let close = format!("\"{}", "#".repeat(raw_hashes));
            let first = at + raw_hashes + 2;
            (first..text.len()).find(|&n| starts(n, &close)).map_or(text.len(), |n| n + close.len())
        } else if text[at] == '"' || is_character(at) {
            quoted_end(&text, at)
        } else {
            out.push(text[at]);
            at += 1;
            continue;
        };
        out.push_str(&blank(&text[at..end]));
        at = end;
    }
    out
}

/// The place after the quote that closes the one at `start`.
fn quoted_end(text: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() && text[at] != text[start] {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// The code less its items for tests alone.
fn code_outside_tests(source: &str) -> String {
    let mut rest = code(source);
    while let Some(start) = rest.find("#[cfg(test)]") {
        let mut depth = 0;
        let end = rest[start..].char_indices().find_map(|(at, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            let closed = (c == '}' || c == ';') && depth == 0;
            closed.then_some(start + at + 1)
        });
        let end = end.unwrap_or(rest.len());
        let lines = "\n".repeat(rest[start..end].matches('\n').count());
        rest.replace_range(start..end, &lines);
    }
    rest
}

/// The names of modules that are files for tests alone.
fn test_modules(source: &str) -> Vec<String> {
    let code = code(source);
    let after = code.split("#[cfg(test)]").skip(1);
    after
        .filter_map(|rest| Some(rest.trim_start().strip_prefix("mod ")?.split_once(';')?.0.to_owned()))
        .filter(|name| !name.contains('{'))
        .collect()
}

/// The lines, from 1, in which `name` begins a path: `name::`, `use name`, `extern crate name`. What follows another
/// path, as in `std::env`, counts as well.
fn lines_naming(code: &str, name: &str) -> Vec<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let names = |line: &str| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            let whole = !before.ends_with(is_part) && !after.starts_with(is_part);
            let path = after.starts_with("::")
                || before.ends_with("::")
                || before.trim_end().ends_with("use")
                || before.trim_end().ends_with("crate")
                || (line.contains("use ") && line.contains("::{"));
            whole && path
        })
    };
    code.lines().enumerate().filter(|(_, line)| names(line)).map(|(number, _)| number + 1).collect()
}

/// The lines, from 1, that hold `what`.
fn lines_with(text: &str, what: &str) -> Vec<usize> {
    text.lines().enumerate().filter(|(_, line)| line.contains(what)).map(|(number, _)| number + 1).collect()
}

/// The files of the repository, by their path in it: what git tracks or would track; in a tarball, what is there.
fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    if let Some(listed) = listed.ok().filter(|output| output.status.success()) {
        let names = String::from_utf8(listed.stdout).unwrap();
        return names.lines().filter(|name| root().join(name).is_file()).map(str::to_owned).collect();
    }
    let (mut folders, mut found) = (vec![PathBuf::new()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            let name = path.to_str().unwrap().to_owned();
            match root().join(&path).is_dir() {
                true if [".git", "target", "build"].contains(&name.as_str()) => {}
                true => folders.push(path),
                false => found.push(name),
            }
        }
    }
    found
}

fn read(name: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(root().join(name)).unwrap()).into_owned()
}

/// The Rust files of src that are not for tests alone: name, source, code outside tests.
fn sources() -> Vec<(String, String, String)> {
    let all: Vec<(String, String)> = files()
        .into_iter()
        .filter(|name| name.starts_with("src/") && name.ends_with(".rs"))
        .map(|name| (name.clone(), read(&name)))
        .collect();
    assert!(all.len() > 30, "{} files in src", all.len());
    let for_tests: Vec<String> = all
        .iter()
        .flat_map(|(name, source)| {
            let folder = Path::new(name).parent().unwrap().display().to_string();
            test_modules(source).into_iter().map(move |module| format!("{folder}/{module}.rs"))
        })
        .collect();
    all.into_iter()
        .filter(|(name, _)| !for_tests.contains(name))
        .map(|(name, source)| {
            let code = code_outside_tests(&source);
            (name, source, code)
        })
        .collect()
}

#[test]
fn names_stay_behind_their_walls() {
    let mut breaches = Vec::new();
    for (name, _, code) in sources() {
        for (names, homes) in WALLS {
            if homes.iter().any(|home| name.starts_with(home)) {
                continue;
            }
            for word in names {
                breaches.extend(lines_naming(&code, word).iter().map(|line| format!("{name}:{line} names {word}")));
            }
        }
        if name.starts_with("src/engine/") || name.starts_with("src/captions/") {
            for word in ENGINE_IS_PURE {
                breaches.extend(lines_naming(&code, word).iter().map(|line| format!("{name}:{line} names {word}")));
            }
            breaches.extend(lines_with(&code, "std::time").iter().map(|line| format!("{name}:{line} names std::time")));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn nothing_panics_prints_or_is_unsafe() {
    let mut breaches = Vec::new();
    for (name, _, code) in sources() {
        let mut refuse = |what: &str| {
            breaches.extend(lines_with(&code, what).iter().map(|line| format!("{name}:{line} has {what}")));
        };
        ["unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("].into_iter().for_each(&mut refuse);
        // A library's words go where its user looks for them.
        ["println!(", "print!(", "dbg!("].into_iter().for_each(&mut refuse);
        if !UNSAFE_FILES.contains(&name.as_str()) {
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern", "unsafe_code"]
                .into_iter()
                .for_each(&mut refuse);
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn files_are_one_stage_long() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(name, source, _)| (name, source.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn nothing_depends_on_one_machine() {
    // Put together, so that this file holds none of them.
    let shared = ["..", "shared"].join("/");
    let machine = ["work", "opt", "root"].map(|folder| format!("/{folder}/"));
    let mut breaches = Vec::new();
    for name in files() {
        let text = read(&name);
        let may_skip = name.ends_with(".rs") && text.contains("skipped:") && text.contains("#[test]");
        if !may_skip {
            breaches.extend(lines_with(&text, &shared).iter().map(|line| format!("{name}:{line} has {shared}")));
        }
        for folder in &machine {
            breaches.extend(lines_with(&text, folder).iter().map(|line| format!("{name}:{line} has {folder}")));
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_scanner_sees_code_and_nothing_else() {
    let source = "use ort::Session; // ort::Session\nlet a = \"ort::x \\\" ort::y\";\nlet b = 'o'; let c: &'a str = r#\"gst::\"#;\n/* glib::x */ gst::init();\n";
    let code = code(source);
    assert_eq!(code.lines().count(), 4);
    assert_eq!(lines_naming(&code, "ort"), [1]);
    assert_eq!(lines_naming(&code, "gst"), [4]);
    assert_eq!(lines_naming(&code, "glib"), [0; 0]);
    assert!(code.contains("let c: &'a str ="), "{code}");
}

#[test]
fn the_scanner_knows_paths_from_words() {
    for line in [
        "use std::thread;",
        "thread::spawn(f);",
        "std::thread::spawn(f)",
        "use std::{fmt, thread};",
        "let t: thread::X;",
    ] {
        assert_eq!(lines_naming(line, "thread"), [1], "{line}");
    }
    for line in ["let thread = 1;", "my_thread::run()", "threads::x()", "fn thread() {}"] {
        assert_eq!(lines_naming(line, "thread"), [0; 0], "{line}");
    }
    assert_eq!(lines_naming("use ort;\nextern crate ort;\nreport::sort::x();", "ort"), [1, 2]);
}

#[test]
fn the_scanner_leaves_tests_out() {
    let source =
        "fn a() { x.unwrap() }\n#[cfg(test)]\nmod tests {\n fn f() { \"}\"; y.unwrap() }\n}\nfn b() { z.unwrap() }\n";
    assert_eq!(lines_with(&code_outside_tests(source), "unwrap()"), [1, 6]);
    let source = "#[cfg(test)]\nmod checkpoints;\n#[cfg(test)]\nmod tests { fn a() {} }\nfn c() { d.unwrap() }";
    assert_eq!(test_modules(source), ["checkpoints"]);
    assert_eq!(lines_with(&code_outside_tests(source), "unwrap()"), [5]);
    assert_eq!(lines_with("a\n/nowhere/b\n", "/nowhere/"), [2]);
}
