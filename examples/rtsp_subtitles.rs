//! Captions for a live RTSP stream, for weeks: on the terminal, in a WebVTT file, on a page of this machine, and in the
//! picture of the stream that it publishes. Comes back by itself when the stream is lost.
//!
//! cargo run --release --example rtsp_subtitles -- rtsp://camera.example/stream --webvtt live.vtt --page 8080

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

#[path = "rtsp_subtitles/camera.rs"]
mod camera;
#[path = "rtsp_subtitles/connection.rs"]
mod connection;
#[path = "rtsp_subtitles/delay.rs"]
mod delay;
#[path = "rtsp_subtitles/failure.rs"]
mod failure;
#[path = "rtsp_subtitles/news.rs"]
mod news;
#[path = "rtsp_subtitles/page.rs"]
mod page;
#[path = "rtsp_subtitles/recogniser.rs"]
mod recogniser;
#[path = "rtsp_subtitles/republish.rs"]
mod republish;
#[path = "rtsp_subtitles/self_test.rs"]
mod self_test;
#[path = "rtsp_subtitles/serving.rs"]
mod serving;
#[path = "rtsp_subtitles/terminal.rs"]
mod terminal;
#[path = "rtsp_subtitles/webvtt.rs"]
mod webvtt;

use connection::{Lost, Request};
use failure::{Failure, shown_url};
use news::{News, Output, State};
use page::Page;
use recogniser::Recogniser;
use republish::Republisher;
use self_test::SelfTest;

/// Captions for a live RTSP stream: on the terminal, in a WebVTT file, on a web page, in the picture. Ctrl-C ends it.
///
/// When the stream is lost it is asked for again after 1 s, 2 s, 4 s and so on, up to 30 s, until it comes back. What
/// was said before is finished then, and nothing is joined to it.
#[derive(Parser)]
#[command(name = "rtsp_subtitles")]
struct Arguments {
    /// The stream, as rtsp://HOST[:PORT]/PATH or rtsp://USER:PASSWORD@HOST[:PORT]/PATH
    #[arg(value_parser = rtsp_url, required_unless_present = "self_test")]
    url: Option<String>,
    /// Write captions to this file too. A file that this program began is gone on with: its times keep their zero,
    /// which the file names
    #[arg(long, value_name = "FILE")]
    webvtt: Option<PathBuf>,
    /// Show captions on http://127.0.0.1:PORT too, as they grow
    #[arg(long, value_name = "PORT")]
    page: Option<u16>,
    /// Publish the stream again, with the captions in the picture, as rtsp://127.0.0.1:PORT/captioned
    #[arg(long, value_name = "PORT")]
    republish: Option<u16>,
    /// The address at which the page and the stream are served; 0.0.0.0: to everybody who reaches this machine
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    listen: std::net::IpAddr,
    /// How the stream comes: tcp loses nothing, udp is for servers that know no other
    #[arg(long, value_enum, default_value_t = Protocol::Tcp)]
    protocol: Protocol,
    /// How long packets are waited for that come late or in disorder, in ms
    #[arg(long, value_name = "MS", default_value_t = 200)]
    jitter_buffer: u32,
    /// A connection without sound for so long is lost, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,
    /// Ask for a lost stream again so many times in a row, then give up; left out: as long as it takes
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Set a property of paraformerasr, as in --set chunk-size='<8,8,4>' or --set model-path=DIR. More than once for
    /// more
    #[arg(long, value_name = "PROPERTY=VALUE")]
    set: Vec<String>,
    /// Where standard output is no terminal: a line for each change of the text, not for finished ones only
    #[arg(long)]
    growing_lines: bool,
    /// Caption a stream of this program's own for so long, 60 seconds if left out, with one interruption; print how
    /// late the text came and whether it is right. The other options work as well, but for the URL
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60",
        value_parser = clap::value_parser!(u64).range(30..=86_400), conflicts_with = "url")]
    self_test: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    Tcp,
    Udp,
}

fn rtsp_url(text: &str) -> Result<String, String> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("rtsp" | "rtsps") => Ok(text.to_owned()),
        _ => Err("it must begin with rtsp:// or rtsps://".into()),
    }
}

/// The waits before the stream is asked for again: 1 s, twice as long each time, 30 s at most.
fn wait_s(failures_in_a_row: u32) -> u64 {
    1u64.checked_shl(failures_in_a_row.saturating_sub(1)).map_or(30, |seconds| seconds.min(30))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("rtsp_subtitles: {failure}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let gst_failed = |error: gst::glib::Error| Failure::of_settings(format!("GStreamer does not start: {error}"));
    gst::init().map_err(gst_failed)?;
    gstparaformer::plugin_register_static().map_err(|error| Failure::of_settings(error.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let on_signal = move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(on_signal).map_err(|error| Failure::of_settings(format!("Ctrl-C cannot be caught: {error}")))?;

    let recogniser = Recogniser::open(&arguments.set)?;
    let self_test = arguments.self_test.map(|seconds| SelfTest::start(&recogniser, Duration::from_secs(seconds)));
    let self_test = self_test.transpose()?;
    let url = self_test.as_ref().map(SelfTest::url).or(arguments.url.clone()).unwrap_or_default();
    let name = shown_url(&url);
    let mut outputs: Vec<Box<dyn Output>> =
        vec![Box::new(terminal::Terminal::new(name.clone(), arguments.growing_lines))];
    if let Some(path) = &arguments.webvtt {
        outputs.push(Box::new(webvtt::WebVtt::open(path, recogniser.shape(), recogniser.began)?));
    }
    if let Some(port) = arguments.page {
        let page = Page::start(arguments.listen, port, name, recogniser.began)?;
        eprintln!("rtsp_subtitles: captions on {}", page.url());
        outputs.push(Box::new(page));
    }
    if let Some(self_test) = &self_test {
        outputs.push(Box::new(self_test.watcher(&stop)));
    }
    let host = arguments.listen.to_string();
    let republisher = arguments.republish.map(|port| Republisher::start(&host, port)).transpose()?;
    if let Some(republisher) = &republisher {
        eprintln!("rtsp_subtitles: with captions in the picture: {}", republisher.url(&host));
    }
    let request = Request {
        url: &url,
        jitter_ms: arguments.jitter_buffer,
        protocols: match arguments.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        },
        patience: Duration::from_secs(arguments.patience),
        recogniser: &recogniser,
        republisher: republisher.as_ref(),
    };
    let outcome = follow(&request, arguments.retries, &stop, &mut outputs);
    announce(&mut outputs, &News::State(State::Stopped), recogniser.now_ns());
    outcome?;
    Ok(if self_test.is_none_or(|self_test| self_test.report()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Connects again and again, until `stop` is set or it makes no sense any more.
fn follow(
    request: &Request,
    retries: Option<u32>,
    stop: &AtomicBool,
    outputs: &mut Vec<Box<dyn Output>>,
) -> Result<(), Failure> {
    let recogniser = request.recogniser;
    let mut failures = 0;
    let mut warned = std::collections::BTreeSet::new();
    let mut tell = |news: Option<News>| {
        let now_ns = recogniser.now_ns();
        match news {
            // Every new element warns of the same.
            Some(News::Warning(text)) if !warned.insert(text.clone()) => {}
            Some(news) => announce(outputs, &news, now_ns),
            None => outputs.iter_mut().for_each(|output| drop(output.tick(now_ns))),
        }
    };
    while !stop.load(Ordering::Relaxed) {
        tell(Some(News::State(State::Connecting { attempt: failures + 1 })));
        let lost = connection::run(request, stop, &mut tell);
        request.republisher.iter().for_each(|republisher| republisher.off_air());
        let Some(Lost { failure, was_live }) = lost else { return Ok(()) };
        failures = if was_live { 1 } else { failures + 1 };
        if failure.lasting || retries.is_some_and(|retries| failures > retries) {
            return Err(failure);
        }
        let seconds = wait_s(failures);
        tell(Some(News::State(State::Waiting { failure, seconds })));
        let waiting = Instant::now();
        while waiting.elapsed() < Duration::from_secs(seconds) && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
            tell(None);
        }
    }
    Ok(())
}

/// Tells everybody; where one fails, the others hear of it.
fn announce(outputs: &mut [Box<dyn Output>], news: &News, now_ns: u64) {
    let failures: Vec<_> = outputs.iter_mut().filter_map(|output| output.tell(news, now_ns).err()).collect();
    for failure in failures {
        let warning = News::Warning(failure.to_string());
        outputs.iter_mut().for_each(|output| drop(output.tell(&warning, now_ns)));
    }
}
