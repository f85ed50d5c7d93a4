//! README.md does what it says: every block with a gst-launch-1.0 line is run as it stands, in a folder with the files that it
//! names. Only what a test machine does not have is replaced: the microphone, the camera and the screen.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "support/captions.rs"]
mod captions;
#[path = "support/distance.rs"]
mod distance;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;
use tempfile::TempDir;

use captions::Limits;
use distance::distance;

/// A line that takes longer hangs; the live ones take as long as the recording, 19 s.
const TIME_OUT_S: u64 = 120;

/// How a block is known, and what must come of it.
const LINES: [(&str, Check); 15] = [
    ("location=talk.srt", Check::Captions("talk.srt")),
    ("location=talk.vtt", Check::Captions("talk.vtt")),
    ("location=talk-vad.srt", Check::Captions("talk-vad.srt")),
    ("location=talk-final.srt", Check::Punctuated("talk-final.srt")),
    (
        "decodebin ! audioconvert ! audioresample ! paraformerasr ! srtenc ! filesink location=film.srt",
        Check::Captions("film.srt"),
    ),
    ("for film in *.mp4", Check::Captions("two words.srt")),
    ("-q filesrc location=talk.wav", Check::PrintedCaptions),
    ("identity sync=true", Check::PrintedWords),
    ("queue ! paraformerasr ! srtenc ! fdsink", Check::Microphone { max_line_chars: 16, max_lines: 2 }),
    ("chunk-size='<8,8,4>'", Check::Microphone { max_line_chars: 12, max_lines: 1 }),
    ("location=film.mkv", Check::Track("film.mkv")),
    ("location=burned.mkv", Check::Captioned("burned.mkv")),
    ("-v rtspsrc", Check::PrintedWords),
    ("location=live.srt", Check::Captions("live.srt")),
    ("caption-mode=progressive", Check::Growing("screen.mkv")),
];

/// Where the picture goes in place of a screen.
const SCREEN: &str = "x264enc tune=zerolatency ! matroskamux ! filesink location=screen.mkv";

#[derive(Debug, Clone, Copy)]
enum Check {
    /// A file of captions has the sentences.
    Captions(&'static str),
    /// A file of captions has the sentences, with punctuation.
    Punctuated(&'static str),
    /// So has standard output.
    PrintedCaptions,
    /// Standard output has the sentences as they grow.
    PrintedWords,
    /// Standard output has the captions of what was said until Ctrl-C, of this shape.
    Microphone { max_line_chars: u32, max_lines: u32 },
    /// The film has a subtitle track beside what it had.
    Track(&'static str),
    /// The picture shows one text after the other.
    Captioned(&'static str),
    /// The picture shows texts that grow.
    Growing(&'static str),
}

/// A caption: from, to, text; in seconds.
type Caption = (f64, f64, String);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sentences of the recording.
fn sentences() -> Vec<String> {
    fs::read_to_string(root().join("examples/recording.txt")).unwrap().lines().map(str::to_owned).collect()
}

/// The `sh` blocks that start GStreamer.
fn blocks(readme: &str) -> Vec<String> {
    let parts = readme.split("\n```sh\n").skip(1).map(|part| part.split("\n```").next().unwrap());
    parts.filter(|block| block.contains("gst-launch-1.0")).map(str::to_owned).collect()
}

/// A folder for a block, with what it names and the plugin; programs run in it as on a stranger's machine.
struct Place {
    folder: TempDir,
}

impl Place {
    /// With the recording as talk.wav and, where it is given, a film.
    fn new(film: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        fs::create_dir(place.path("plugin")).unwrap();
        // Cargo leaves the library of these very sources beside the tests.
        let plugin = std::env::current_exe().unwrap().with_file_name("libgstparaformer.so");
        symlink(plugin, place.path("plugin/libgstparaformer.so")).unwrap();
        symlink(root().join("examples/recording.wav"), place.path("talk.wav")).unwrap();
        symlink(root().join("tests/data/models/vad-tiny"), place.path("fsmn-vad")).unwrap();
        symlink(root().join("models/demo-offline"), place.path("paraformer-offline")).unwrap();
        symlink(root().join("models/demo-punctuation"), place.path("punctuation")).unwrap();
        for name in ["film.mp4", "two words.mp4"] {
            film.iter().for_each(|film| symlink(film, place.path(name)).unwrap());
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that is ended when it hangs: then its status is 124.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=10", &TIME_OUT_S.to_string(), program]).current_dir(self.folder.path());
        command.env("GST_PLUGIN_PATH", self.path("plugin")).env("GST_REGISTRY", self.path("registry.bin"));
        command.env("MODELSCOPE_CACHE", self.path("no-models")).env("LC_ALL", "C.UTF-8");
        command.env("HOME", self.folder.path());
        command.env_remove("PARAFORMER_MODEL_PATH").stdin(Stdio::null());
        command
    }

    /// What a command prints; it must succeed.
    fn output(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(program).args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {}\n{errors}", output.status);
        output.stdout
    }

    fn text(&self, program: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.output(program, arguments)).unwrap()
    }
}

/// A film whose picture is black, so that what an overlay draws can be seen, with the recording for sound.
fn film(place: &Place) -> PathBuf {
    let picture = ["-f", "lavfi", "-i", "color=black:size=320x240:rate=25", "-i", "talk.wav", "-shortest"];
    let coding =
        ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "made.mp4"];
    place.output("ffmpeg", &[&["-loglevel", "error"], &picture[..], &coding].concat());
    place.path("made.mp4")
}

/// Serves a film as an RTSP stream, as a camera would: H.264 and AAC.
struct Camera {
    server: Child,
    uri: String,
}

impl Camera {
    /// None where the machine has no RTSP server for Python.
    fn new(film: &Path) -> Option<Self> {
        let python = python("GstRtspServer")?;
        let program = "\
import sys, gi
gi.require_version('Gst', '1.0')
gi.require_version('GstRtspServer', '1.0')
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(service='0')
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch('( filesrc location=%s ! qtdemux name=d d. ! queue ! h264parse ! rtph264pay name=pay0 config-interval=-1 '
                   'd. ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )' % sys.argv[1])
server.get_mount_points().add_factory('/stream', factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
";
        let mut command = Command::new(python);
        let mut server = command.args(["-c", program]).arg(film).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self { server, uri: format!("rtsp://127.0.0.1:{}/stream", port.trim()) })
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A Python that knows a library of GStreamer's; Debian's own, where another is first in the PATH.
fn python(library: &str) -> Option<&'static str> {
    let known =
        format!("import gi; gi.require_version('{library}', '1.0'); import gi.repository.{library}, gi.overrides.Gst");
    let knows = |python: &&&str| {
        Command::new(python).args(["-c", &known]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"].iter().find(knows).copied()
}

/// What a block printed and when it ended.
struct Ran {
    place: Place,
    printed: String,
}

/// Runs a block. With a port it listens there in place of a microphone, until the recording has been sent and Ctrl-C.
fn run(block: &str, film: &Path, microphone: Option<u16>) -> Ran {
    let place = Place::new(Some(film));
    let mut shell = place.command("bash");
    let shell = shell.args(["-e", "-o", "pipefail", "-c", block]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut errors = shell.stderr.take().unwrap();
    let errors = thread::spawn(move || {
        let mut text = Vec::new();
        errors.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    if let Some(port) = microphone {
        let listens = || fs::read_to_string("/proc/net/udp").unwrap().contains(&format!(":{port:04X} "));
        let start = Instant::now();
        while !listens() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(50));
        }
        // A pipeline that starts on a busy machine throws the first packets away as too late: nobody speaks in them.
        let silence = ["-loglevel", "error", "-i", "talk.wav", "-af", "adelay=1500", "spoken.wav"];
        place.output("ffmpeg", &silence);
        let send = format!(
            "filesrc location=spoken.wav ! wavparse ! audioconvert ! rtpL16pay ! udpsink host=127.0.0.1 port={port}"
        );
        place.output("gst-launch-1.0", &[&["-q"], &send.split(' ').collect::<Vec<_>>()[..]].concat());
        // To the pipeline itself, once, as Ctrl-C does: `timeout` would pass it on twice.
        let id = shell.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        place.output("kill", &["-INT", children.trim()]);
    }
    let output = shell.wait_with_output().unwrap();
    let errors = errors.join().unwrap();
    assert_ne!(output.status.code(), Some(124), "hangs: {block}\n{errors}");
    assert!(output.status.success(), "{}: {block}\n{errors}", output.status);
    Ran { place, printed: String::from_utf8(output.stdout).unwrap() }
}

fn seconds(clock: &str) -> f64 {
    clock.replace(',', ".").split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

/// The captions of an .srt or a .vtt.
fn cues(text: &str) -> Vec<Caption> {
    let cues = text.split("\n\n").filter_map(|cue| {
        let (head, text) = cue.split_once(" --> ")?;
        let (end, text) = text.split_once('\n')?;
        Some((seconds(head.lines().last()?), seconds(end.trim()), text.trim().to_owned()))
    });
    cues.collect()
}

fn joined(captions: &[Caption]) -> String {
    captions.iter().flat_map(|caption| caption.2.split('\n')).collect()
}

/// The sentences, one after the other. What AAC and the network do to the sound may cost two characters.
fn check_text(text: &str, what: &str) {
    let spoken = sentences().concat();
    assert!(distance(text, &spoken) <= 2, "{what}: {text}\nspoken: {spoken}");
}

fn check_captions(captions: &[Caption], what: &str) {
    check_text(&joined(captions), what);
    assert!(captions.len() >= sentences().len(), "{what}: {captions:?}");
    let mut position = 0.0;
    for (start, end, text) in captions {
        assert!(*start >= position && end > start && *end < 30.0 && !text.is_empty(), "{what}: {captions:?}");
        position = *end;
    }
}

/// As a file, to the checker.
fn judge(place: &Place, srt: &str, limits: Limits) {
    fs::write(place.path("printed.srt"), srt).unwrap();
    captions::check_with(&place.path("printed.srt"), limits);
}

/// `current-text = …`, a line for each change: each utterance grows to its whole text.
fn check_words(printed: &str) {
    let shown: Vec<&str> = printed.lines().map(|line| line.strip_prefix("current-text = ").expect(line)).collect();
    let ends = |i: usize| shown.get(i + 1).is_none_or(|next| next.chars().next() != shown[i].chars().next());
    let whole: String = (0..shown.len()).filter(|&i| ends(i)).map(|i| shown[i]).collect();
    check_text(&whole, "current-text");
    assert!(shown.len() >= 16, "the text does not grow: {printed}");
}

/// For each picture of a film, 25 a second, which pixels are lit.
fn pictures(place: &Place, film: &str) -> Vec<Vec<bool>> {
    let raw = ["-loglevel", "error", "-i", film, "-vf", "fps=25", "-f", "rawvideo", "-pix_fmt", "gray", "-"];
    let bytes = place.output("ffmpeg", &raw);
    bytes.chunks_exact(320 * 240).map(|picture| picture.iter().map(|&level| level > 160).collect()).collect()
}

fn lit(picture: &[bool]) -> bool {
    picture.iter().filter(|&&lit| lit).count() > 100
}

/// Final texts, as messages carry them, and all fields of a message and of its tokens.
fn messages(sound: &Path) -> (String, BTreeSet<String>) {
    gst::init().unwrap();
    gstparaformer::plugin_register_static().unwrap();
    let (sound, model) = (sound.display(), root().join("models/demo"));
    let decode = format!("filesrc location={sound} ! decodebin ! audioconvert ! audioresample");
    let line = format!("{decode} ! paraformerasr model-path={} ! fakesink", model.display());
    let pipeline = gst::parse::launch(&line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (mut text, mut fields) = (String::new(), BTreeSet::new());
    for message in pipeline.bus().unwrap().iter_timed(gst::ClockTime::from_seconds(TIME_OUT_S)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error}"),
            gst::MessageView::Element(element) => {
                let result = element.structure().unwrap();
                if result.name() == "paraformerasr" && result.get::<bool>("final").unwrap() {
                    text += result.get::<&str>("text").unwrap();
                    fields.extend(result.fields().map(ToString::to_string));
                    for token in result.get::<gst::Array>("tokens").unwrap().iter() {
                        fields.extend(token.get::<gst::Structure>().unwrap().fields().map(ToString::to_string));
                    }
                }
            }
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    (text, fields)
}

fn check(ran: &Ran, check: Check, film: &Path) {
    let Ran { place, printed } = ran;
    match check {
        Check::Captions(file) => {
            captions::check(&place.path(file));
            let found = cues(&fs::read_to_string(place.path(file)).unwrap());
            check_captions(&found, file);
            if !file.starts_with("live") {
                let sound = if file.starts_with("talk") { place.path("talk.wav") } else { film.to_owned() };
                assert_eq!(joined(&found), messages(&sound).0, "{file} and the messages differ");
            }
        }
        Check::Punctuated(file) => {
            captions::check(&place.path(file));
            let text = joined(&cues(&fs::read_to_string(place.path(file)).unwrap()));
            assert_eq!(text.replace(['，', '。'], ""), sentences().concat());
            assert!(text.contains("大家好，") && text.ends_with('。'), "{text}");
        }
        Check::PrintedCaptions => {
            let found = cues(printed);
            check_captions(&found, "standard output");
            judge(place, printed, Limits::default());
            assert_eq!(found.iter().map(|caption| caption.2.clone()).collect::<Vec<_>>(), sentences());
        }
        Check::PrintedWords => check_words(printed),
        Check::Microphone { max_line_chars, max_lines } => {
            check_captions(&cues(printed), "the microphone");
            judge(place, printed, Limits { max_line_chars, max_lines, ..Limits::default() });
        }
        Check::Track(file) => {
            let streams =
                ["-loglevel", "error", "-show_entries", "stream=codec_name:stream_tags=language", "-of", "csv", file];
            let streams = place.text("ffprobe", &streams);
            assert!(streams.contains("stream,subrip,chi") && streams.contains("stream,aac"), "{streams}");
            let track = place.text("ffmpeg", &["-loglevel", "error", "-i", file, "-map", "0:s", "-f", "srt", "-"]);
            let found = cues(&track);
            check_captions(&found, file);
            judge(place, &track, Limits::default());
            assert_eq!(joined(&found), messages(film).0);
            // The sound has a packet less: qtdemux leaves out what an .mp4 says is no sound yet.
            let picture = |file| {
                let copied = ["-loglevel", "error", "-i", file, "-map", "0:v", "-c", "copy", "-f", "streamhash", "-"];
                place.text("ffmpeg", &copied)
            };
            assert_eq!(picture(file), picture("film.mp4"), "the picture was encoded anew");
        }
        Check::Captioned(file) => {
            let pictures: Vec<bool> = pictures(place, file).iter().map(|picture| lit(picture)).collect();
            let begins = (1..pictures.len()).filter(|&i| pictures[i] && !pictures[i - 1]).count();
            assert_eq!(begins, sentences().len(), "texts on {} pictures", pictures.len());
            let at = |s: f64| pictures[(s * 25.0) as usize];
            assert!(!at(0.2) && at(2.0) && !at(5.0) && at(7.0) && at(12.0) && at(17.0), "texts at other times");
        }
        Check::Growing(file) => {
            let pictures = pictures(place, file);
            let texts: Vec<_> = pictures.iter().filter(|picture| lit(picture)).collect();
            assert!(texts.len() * 2 > pictures.len() && pictures.len() > 300, "{} of {}", texts.len(), pictures.len());
            let different: BTreeSet<_> = texts.into_iter().collect();
            assert!(different.len() >= 12, "only {} different pictures with text", different.len());
            assert!(!lit(&pictures[0]));
        }
    }
}

#[test]
fn every_line_does_what_it_says() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&readme);
    let known = |block: &String| {
        let found: Vec<_> = LINES.iter().filter(|(part, _)| block.contains(part)).collect();
        assert_eq!(found.len(), 1, "this test knows {} lines of README.md like this one: {block}", found.len());
        found[0]
    };
    let known: Vec<_> = blocks.iter().map(known).collect();
    for (part, _) in LINES {
        assert_eq!(known.iter().filter(|line| line.0 == part).count(), 1, "README.md has no line with: {part}");
    }

    let studio = Place::new(None);
    let film = &film(&studio);
    let camera = &Camera::new(film);
    let (live, quick): (Vec<_>, Vec<_>) = blocks
        .iter()
        .zip(known)
        .partition(|(block, _)| ["sync=true", "autoaudiosrc", "rtspsrc"].iter().any(|live| block.contains(live)));
    for (block, (part, expected)) in quick {
        let start = Instant::now();
        check(&run(block, film, None), *expected, film);
        println!("{:5.1} s  {part}", start.elapsed().as_secs_f64());
    }
    // These last as long as the recording, whatever the machine: at once, then.
    thread::scope(|scope| {
        for (block, (part, expected)) in live {
            let uri = camera.as_ref().map(|camera| camera.uri.as_str());
            if block.contains("rtspsrc") && uri.is_none() {
                println!("SKIPPED, for want of gir1.2-gst-rtsp-server-1.0 and python3-gst-1.0: {part}");
                continue;
            }
            scope.spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let port = socket.local_addr().unwrap().port();
                let caps = "application/x-rtp,media=audio,clock-rate=16000,encoding-name=L16,channels=1";
                let source =
                    format!("udpsrc address=127.0.0.1 port={port} caps={caps} ! rtpjitterbuffer ! rtpL16depay");
                drop(socket);
                let here = block.replace("autoaudiosrc", &source).replace("autovideosink", SCREEN);
                let here = here.replace("rtsp://camera.example/stream", uri.unwrap_or_default());
                check(&run(&here, film, block.contains("autoaudiosrc").then_some(port)), *expected, film);
                println!("live     {part}");
            });
        }
    });
}

#[test]
fn the_tables_name_what_there_is() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let names = |section: &str| -> BTreeSet<String> {
        let part = readme.split(&format!("\n## {section}\n")).nth(1).unwrap();
        let table = part.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        let cells = table.filter_map(|row| row.split(" | ").next().filter(|cell| cell.starts_with("| `")));
        cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    let (_, fields) = messages(&root().join("examples/recording.wav"));
    let without: BTreeSet<_> = ["confidence", "doubtful"].map(str::to_owned).into();
    assert_eq!(names("Messages"), &fields - &without);
    let element = gst::ElementFactory::make("paraformerasr").build().unwrap();
    let own = element.list_properties().into_iter().filter(|property| property.owner_type() == element.type_());
    assert_eq!(names("Properties"), own.map(|property| property.name().to_owned()).collect());
}

#[test]
fn the_python_program_shows_every_sentence() {
    let Some(python) = python("Gst") else {
        println!("SKIPPED, for want of python3-gst-1.0");
        return;
    };
    let program = root().join("examples/messages.py");
    let printed = Place::new(None).text(python, &[&program.to_string_lossy(), "talk.wav"]);
    let mut rest = printed.as_str();
    for sentence in sentences() {
        // Its last partial result, then the final one with its times, then its tokens.
        let (_, after) =
            rest.split_once(&format!("\n{sentence}  (")).unwrap_or_else(|| panic!("{sentence}: {printed}"));
        rest = after;
        for character in sentence.chars() {
            let (_, after) =
                rest.split_once(&format!("    {character}\t")).unwrap_or_else(|| panic!("{character}: {printed}"));
            rest = after;
        }
    }
}
