//! Captions on a web page of this machine, as they grow (server-sent events).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State as Shared;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use super::failure::Failure;
use super::news::{News, Output, State, Utterance, clock};

/// The page, which asks `/events` for everything that is on it.
const PAGE: &str = include_str!("page.html");
/// It loads nothing from anywhere, and no other site's page holds it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; frame-ancestors 'none'";
/// Finished lines that a page gets when it is opened.
const REMEMBERED: usize = 100;
/// Events that a slow reader may be behind; then it gets everything anew.
const BEHIND: usize = 64;
/// So often something is sent, whatever is said: then the one who is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What is on the page.
struct Board {
    stream: String,
    began: SystemTime,
    state: Value,
    growing: Value,
    finished: VecDeque<Value>,
    /// Finished lines since the program began: a line's number.
    count: u64,
    readers: broadcast::Sender<(&'static str, Value)>,
}

type SharedBoard = Arc<Mutex<Board>>;

/// The page's server.
pub struct Page {
    board: SharedBoard,
    address: SocketAddr,
}

impl Page {
    /// Serves the page; port 0 is any free one. `stream` is what the page calls the stream.
    pub fn start(host: IpAddr, port: u16, stream: String, began: SystemTime) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::of_settings(format!("cannot serve a page at {host}:{port}: {error}"))
                .with_advice("Choose another port with --page.")
        };
        let listener = TcpListener::bind((host, port)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let board = Arc::new(Mutex::new(Board {
            stream,
            began,
            state: json!({ "state": "connecting" }),
            growing: Value::Null,
            finished: VecDeque::new(),
            count: 0,
            readers: broadcast::channel(BEHIND).0,
        }));
        let router = Router::new().route("/", get(page)).route("/events", get(events)).with_state(board.clone());
        let serve = move || {
            runtime.block_on(async {
                let served = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => axum::serve(listener, router).await,
                    Err(error) => Err(error),
                };
                served.unwrap_or_else(|error| eprintln!("rtsp_subtitles: the page is not served any more: {error}"));
            });
        };
        // It ends with the program.
        std::thread::Builder::new().name("page".into()).spawn(serve).map_err(failed)?;
        Ok(Self { board, address })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Output for Page {
    fn tell(&mut self, news: &News, _now_ns: u64) -> Result<(), Failure> {
        let mut board = lock(&self.board);
        let (name, data) = match news {
            News::Growing(utterance) => {
                board.growing = line(&board, utterance);
                ("growing", board.growing.clone())
            }
            News::Finished(utterance) => {
                board.count += 1;
                let finished = line(&board, utterance);
                board.finished.push_back(finished.clone());
                if board.finished.len() > REMEMBERED {
                    board.finished.pop_front();
                }
                board.growing = Value::Null;
                ("finished", finished)
            }
            News::State(state) => {
                board.state = match state {
                    State::Connecting { .. } => json!({ "state": "connecting" }),
                    State::Live => json!({ "state": "live" }),
                    State::Waiting { failure, seconds } => {
                        json!({ "state": "waiting", "reason": failure.to_string(), "seconds": seconds })
                    }
                    State::Stopped => json!({ "state": "stopped" }),
                };
                ("state", board.state.clone())
            }
            News::Warning(_) => return Ok(()),
        };
        // Where nobody reads, nobody is told.
        let _ = board.readers.send((name, data));
        Ok(())
    }
}

fn lock(board: &SharedBoard) -> std::sync::MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An utterance for the page: `at` is its time of day, in ms since 1970, `start` its time in the WebVTT file.
fn line(board: &Board, utterance: &Utterance) -> Value {
    let since = board.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = since.as_millis() as u64 + utterance.start_ns() / 1_000_000;
    json!({ "text": utterance.text, "at": at, "start": clock(utterance.start_ns()), "number": board.count })
}

async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")], Html(PAGE))
}

/// Everything that is on the page now, then every change; everything once more for a reader who was too slow.
async fn events(Shared(board): Shared<SharedBoard>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = stream::unfold((board, None), |(board, receiver)| async move {
        let (event, receiver) = match receiver {
            None => everything(&board),
            Some(receiver) => next(&board, receiver).await?,
        };
        Some((Ok(event), (board, Some(receiver))))
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

type Receiver = broadcast::Receiver<(&'static str, Value)>;

fn everything(board: &SharedBoard) -> (Event, Receiver) {
    let board = lock(board);
    let data = json!({
        "stream": board.stream, "state": board.state, "growing": board.growing, "finished": board.finished,
    });
    (Event::default().event("everything").data(data.to_string()), board.readers.subscribe())
}

async fn next(board: &SharedBoard, mut receiver: Receiver) -> Option<(Event, Receiver)> {
    match receiver.recv().await {
        Ok((name, data)) => Some((Event::default().event(name).data(data.to_string()), receiver)),
        Err(RecvError::Lagged(_)) => Some(everything(board)),
        Err(RecvError::Closed) => None,
    }
}
