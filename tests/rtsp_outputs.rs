//! What `examples/rtsp_subtitles.rs` shows besides the terminal: a page, in a real browser, and a stream with captions
//! in its picture.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/subtitles.rs"]
mod subtitles;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use gst::prelude::*;
use subtitles::camera::Camera;
use subtitles::{Program, init, scene};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The picture that is looked at.
const WIDTH: usize = 640;
const HEIGHT: usize = 360;

/// Where pictures are left for people to look at.
fn gallery(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// What a picture shows in its lower third, where captions are: none where it is dark.
#[derive(Debug, Clone)]
struct Picture {
    when: Instant,
    lit: Option<Vec<bool>>,
}

/// Watches the stream with captions, as any player would.
struct Viewer {
    pipeline: gst::Pipeline,
    pictures: Arc<Mutex<Vec<Picture>>>,
    /// The last picture with captions, for people.
    shown: Arc<Mutex<Option<gst::Sample>>>,
}

impl Viewer {
    /// Asks again until there is a picture: the first one comes as late as its captions do.
    fn start(url: &str) -> Self {
        let started = Instant::now();
        loop {
            let viewer = Self::ask(url);
            while viewer.pictures().is_empty() {
                let errors = viewer.errors();
                assert!(started.elapsed() < PATIENCE, "there is no picture at {url}: {errors:?}");
                if !errors.is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            if !viewer.pictures().is_empty() {
                return viewer;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn ask(url: &str) -> Self {
        let line = format!(
            "rtspsrc name=camera location={url} latency=200 protocols=tcp \
             decodebin name=video ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=eye sync=false \
             decodebin name=audio ! audioconvert ! fakesink"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        // rtspsrc adds its pads in two threads. `camera. ! application/x-rtp,media=video ! decodebin` would have both of
        // them try both links, with a filter each; now and then each takes one end, both give up, and a track stays
        // unlinked for good (gst_element_link_pads_filtered, GStreamer 1.22). Here a pad is linked where it is added.
        let weak = pipeline.downgrade();
        pipeline.by_name("camera").unwrap().connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let media = caps.structure(0).unwrap().get::<&str>("media").unwrap();
            pad.link(&pipeline.by_name(media).unwrap().static_pad("sink").unwrap()).unwrap();
        });
        let eye = pipeline.by_name("eye").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let pictures: Arc<Mutex<Vec<Picture>>> = Arc::default();
        let shown: Arc<Mutex<Option<gst::Sample>>> = Arc::default();
        let (seen, last) = (pictures.clone(), shown.clone());
        let look = move |eye: &gst_app::AppSink| {
            let sample = eye.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let map = sample.buffer().unwrap().map_readable().unwrap();
            assert!(map.len() >= WIDTH * HEIGHT, "{:?}", sample.caps());
            let lit: Vec<bool> = map[WIDTH * HEIGHT * 2 / 3..WIDTH * HEIGHT].iter().map(|&level| level > 180).collect();
            drop(map);
            let has_text = lit.iter().filter(|&&lit| lit).count() > 100;
            seen.lock().unwrap().push(Picture { when: Instant::now(), lit: has_text.then_some(lit) });
            if has_text {
                *last.lock().unwrap() = Some(sample);
            }
            Ok(gst::FlowSuccess::Ok)
        };
        eye.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(look).build());
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, pictures, shown }
    }

    fn pictures(&self) -> Vec<Picture> {
        self.pictures.lock().unwrap().clone()
    }

    /// Errors so far.
    fn errors(&self) -> Vec<String> {
        let messages = self.pipeline.bus().unwrap();
        let messages = std::iter::from_fn(|| messages.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]));
        messages.map(|message| format!("{message:?}")).collect()
    }

    /// Saves the last picture with captions.
    fn save(&self, file: &str) {
        let Some(sample) = self.shown.lock().unwrap().clone() else { return };
        let path = gallery(file);
        let line = format!("appsrc name=picture ! videoconvert ! pngenc ! filesink location={}", path.display());
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let source = pipeline.by_name("picture").unwrap().downcast::<gst_app::AppSrc>().unwrap();
        source.set_format(gst::Format::Time);
        pipeline.set_state(gst::State::Playing).unwrap();
        source.push_sample(&sample).unwrap();
        source.end_of_stream().unwrap();
        let end = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(10), &end);
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(end.map(|end| end.type_()), Some(gst::MessageType::Eos));
        println!("a picture of the stream: {}", path.display());
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// chromedriver, and a browser of its own.
struct Browser {
    driver: Child,
    port: u16,
    _profile: tempfile::TempDir,
    capabilities: serde_json::Map<String, serde_json::Value>,
}

impl Browser {
    /// None where there is no Chromium.
    fn start() -> Option<Self> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = driver.ok()?;
        let said = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said =
            said.filter_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        let port = said.take(1).next().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1000,800",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = serde_json::json!({ "goog:chromeOptions": { "args": arguments } });
        let capabilities = options.as_object().unwrap().clone();
        Some(Self { driver, port, _profile: profile, capabilities })
    }

    async fn open(&self, url: &str) -> Client {
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(self.capabilities.clone());
        let client = builder.connect(&format!("http://127.0.0.1:{}", self.port)).await.unwrap();
        client.goto(url).await.unwrap();
        client
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The page at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
struct Look {
    state: String,
    growing: String,
    /// Oldest first.
    finished: Vec<String>,
}

async fn look(client: &Client) -> Look {
    let text = async |id: &str| client.find(Locator::Id(id)).await.unwrap().text().await.unwrap();
    let mut finished = Vec::new();
    for line in client.find_all(Locator::Css("#finished li span")).await.unwrap() {
        // A line that was there a moment ago may have moved on.
        finished.extend(line.text().await);
    }
    finished.reverse();
    Look { state: text("state").await, growing: text("growing").await, finished }
}

/// Looks at the page until the scene has said everything once and a half; the camera hangs up in the middle of it.
async fn watch_page(
    browser: &Browser,
    url: &str,
    camera: &Camera,
    program: &Program,
    hang_up_after: usize,
) -> Vec<Look> {
    let client = browser.open(url).await;
    let (mut looks, started) = (Vec::<Look>::new(), Instant::now());
    let mut hung_up = false;
    while started.elapsed() < PATIENCE + Duration::from_secs(10) {
        let look = look(&client).await;
        if looks.last() != Some(&look) {
            looks.push(look.clone());
        }
        if !hung_up && look.finished.len() >= hang_up_after && look.growing.chars().count() >= 4 {
            let png = client.screenshot().await.unwrap();
            std::fs::write(gallery("page.png"), png).unwrap();
            println!("a picture of the page: {}", gallery("page.png").display());
            camera.hang_up();
            hung_up = true;
        }
        // What was cut, and two more.
        if look.finished.len() >= hang_up_after + 3 && program.finished().len() == look.finished.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.close().await.unwrap();
    looks
}

fn check_page(looks: &[Look], program: &Program) {
    let last = looks.last().unwrap();
    let terminal: Vec<String> = program.finished().into_iter().map(|(_, text)| text).collect();
    assert_eq!(last.finished, terminal[..last.finished.len()], "page and terminal differ");
    assert!(last.finished.len() >= 5, "{last:#?}");
    for state in ["live", "reconnecting"] {
        assert!(looks.iter().any(|look| look.state.starts_with(state)), "{state} is never shown: {looks:#?}");
    }
    assert_eq!(last.state, "live");
    // What is finished has grown on the page before, unless that was before the page was opened.
    let unseen = looks[0].finished.len() + usize::from(!looks[0].growing.is_empty());
    for (number, text) in last.finished.iter().enumerate().skip(unseen).filter(|(_, text)| text.chars().count() > 4) {
        let grown = looks.iter().filter(|look| look.finished.len() == number && !look.growing.is_empty());
        let mut grown: Vec<&str> = grown.map(|look| look.growing.as_str()).collect();
        grown.dedup();
        assert!(grown.len() >= 2 && grown.is_sorted_by_key(|text| text.len()), "{text} does not grow: {grown:?}");
        assert!(grown.iter().all(|part| text.starts_with(part)), "{text}: {grown:?}");
    }
}

fn check_pictures(pictures: &[Picture], hung_up: Instant) {
    for (after, part) in [(false, "before"), (true, "after")] {
        let part_of = pictures.iter().filter(|picture| (picture.when > hung_up + Duration::from_secs(2)) == after);
        let part_of: Vec<_> = part_of.collect();
        let with: Vec<_> = part_of.iter().filter_map(|picture| picture.lit.as_ref()).collect();
        assert!(part_of.len() > 60, "{part} the camera hung up there were {} pictures", part_of.len());
        assert!(with.len() > 30 && with.len() < part_of.len(), "{part}: {} of {} with text", with.len(), part_of.len());
        let texts = 1 + with.windows(2).filter(|pair| differ(pair[0], pair[1])).count();
        assert!(texts >= 5, "{part}: only {texts} different texts");
    }
}

/// Whether two pictures show different texts: coding alone changes few pixels.
fn differ(a: &[bool], b: &[bool]) -> bool {
    let changed = a.iter().zip(b).filter(|(a, b)| a != b).count();
    changed * 10 > a.iter().filter(|&&lit| lit).count()
}

/// The page shows in a browser what the terminal shows, as it grows; the stream has it in its picture; and both go on
/// when the camera has hung up in between.
#[test]
fn the_page_and_the_picture_show_the_captions() {
    init();
    let (scene, _) = scene();
    let camera = Camera::start(&scene, 0).unwrap();
    let url = camera.url("/stream");
    let mut program = Program::start(&[&url, "--page", "0", "--republish", "0"]);
    let address = |what: &str| {
        let line = program.wait_error(what, 1, PATIENCE).text;
        line.split(' ').next_back().unwrap().to_owned()
    };
    let (page, stream) = (address("captions on http://"), address("in the picture: rtsp://"));
    let browser = Browser::start();
    program.wait_error("live", 1, PATIENCE);
    let viewer = Viewer::start(&stream);
    // Who comes later sees it too.
    drop(Viewer::start(&stream));
    match &browser {
        Some(browser) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let looks = runtime.block_on(watch_page(browser, &page, &camera, &program, 3));
            check_page(&looks, &program);
        }
        None => {
            println!("SKIPPED, for want of chromium-driver: the page");
            program.wait("captions", PATIENCE, |_| (program.finished().len() >= 3).then_some(()));
            camera.hang_up();
            program.wait("captions", PATIENCE, |_| (program.finished().len() >= 6).then_some(()));
        }
    }
    let hung_up = program.wait_error("the server ended the stream", 1, PATIENCE).when;
    viewer.save("captioned.png");
    assert_eq!(viewer.errors(), [""; 0], "who watches the stream is cut off");
    check_pictures(&viewer.pictures(), hung_up);
    assert!(program.interrupt().success());
}
