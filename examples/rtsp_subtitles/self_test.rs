//! `--self-test`: a camera of our own, the program on it, and what came of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::camera::{Camera, RATE, Scene};
use super::delay::{Seen, Sentence, measure, script};
use super::failure::Failure;
use super::news::{News, Output, State};
use super::recogniser::Recogniser;

/// Samples after a header.
const RECORDING: &[u8] = include_bytes!("../recording.wav");
const HEADER: usize = 44;
/// The silence before the first sentence: whoever comes now hears it from its beginning.
const PAUSE: Duration = Duration::from_secs(2);

/// A scene, a camera, and what was seen of it.
pub struct SelfTest {
    scene: Arc<Scene>,
    script: Vec<Sentence>,
    camera: Rc<Camera>,
    seen: Rc<RefCell<Vec<Seen>>>,
    length: Duration,
}

impl SelfTest {
    /// Starts the camera.
    pub fn start(recogniser: &Recogniser, length: Duration) -> Result<Self, Failure> {
        let samples = RECORDING.get(HEADER..).unwrap_or_default();
        let mut speech = vec![0; (PAUSE.as_millis() as u64 * RATE / 1000) as usize];
        speech.extend(samples.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
        let script = script(&speech, |asr| recogniser.apply_to(asr))?;
        let scene = Scene::begin(speech);
        let camera = Rc::new(Camera::start(&scene, 0)?);
        Ok(Self { scene, script, camera, seen: Rc::default(), length })
    }

    /// The camera's URL.
    pub fn url(&self) -> String {
        self.camera.url("/stream")
    }

    /// One who watches what the program tells, has the camera hang up after half the time, and ends the program after
    /// all of it.
    pub fn watcher(&self, stop: &Arc<AtomicBool>) -> Watcher {
        let (camera, seen, stop) = (self.camera.clone(), self.seen.clone(), stop.clone());
        Watcher { camera, seen, stop, half: self.length / 2, since: None, connection: 0 }
    }

    /// Prints what came of it; whether all is well.
    pub fn report(&self) -> bool {
        let seen = self.seen.borrow();
        let delays = measure(&self.scene, &self.script, &seen);
        let connections = seen.last().map_or(0, |seen| seen.connection);
        println!("\n{} whole sentences over {connections} connections", delays.sentences);
        // Whom the camera cut off, or did not hear from the beginning, did not say a whole sentence.
        delays.parts.iter().for_each(|text| println!("cut off: {text}"));
        delays.strange.iter().for_each(|text| println!("WRONG: {text}"));
        print!("{delays}");
        let is_well = connections >= 2 && delays.sentences >= 2 && delays.strange.is_empty();
        println!("{}", if is_well { "The self-test passed." } else { "The self-test FAILED." });
        is_well
    }
}

/// See [`SelfTest::watcher`].
pub struct Watcher {
    camera: Rc<Camera>,
    seen: Rc<RefCell<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    half: Duration,
    /// Since when the stream of the first, then of the second half has been there.
    since: Option<Instant>,
    connection: usize,
}

impl Output for Watcher {
    fn tell(&mut self, news: &News, _now_ns: u64) -> Result<(), Failure> {
        match news {
            News::Growing(utterance) | News::Finished(utterance) => self.seen.borrow_mut().push(Seen {
                when: Instant::now(),
                text: utterance.text.clone(),
                is_final: utterance.is_final,
                connection: self.connection,
            }),
            News::State(State::Live) => {
                self.connection += 1;
                self.since = Some(Instant::now());
            }
            News::State(_) | News::Warning(_) => {}
        }
        Ok(())
    }

    fn tick(&mut self, _now_ns: u64) -> Result<(), Failure> {
        if self.since.is_some_and(|since| since.elapsed() > self.half) {
            self.since = None;
            if self.connection == 1 {
                self.camera.hang_up();
            } else {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
