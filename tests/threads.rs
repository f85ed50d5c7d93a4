//! `threads` is for the whole process: another element brings its GStreamer task and nothing else, and nothing works while
//! nothing comes. In a process of its own, because what is counted is the process.
#![cfg(feature = "plugin")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::thread;
use std::time::Duration;

use support::pipeline::*;

const SECOND: usize = 16_000;
/// Threads for inference.
const THREADS: usize = 2;

/// The folders of the process's threads.
fn tasks() -> Vec<std::path::PathBuf> {
    std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path()).collect()
}

/// The names of the process's threads, in order.
fn names() -> Vec<String> {
    // A thread may end while this reads.
    let name = |task: std::path::PathBuf| Some(std::fs::read_to_string(task.join("comm")).ok()?.trim().to_owned());
    let mut names: Vec<String> = tasks().into_iter().filter_map(name).collect();
    names.sort();
    names
}

/// How long the threads that there are have run, all together.
fn worked() -> Duration {
    let ns = |task: std::path::PathBuf| {
        let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks().into_iter().filter_map(ns).sum())
}

#[test]
fn threads_are_the_process_s() {
    init();
    within(Duration::from_secs(120), "the elements", || {
        let detector = support::model_directory("vad-tiny");
        let threads = THREADS.to_string();
        let properties = [("threads", threads.as_str()), ("vad-model-path", detector.to_str().unwrap())];
        let speech = support::read_wav(&support::root().join("examples/recording.wav"));
        let (mut rigs, mut counted) = (Vec::new(), vec![names()]);
        for elements in [1, 8] {
            while rigs.len() < elements {
                rigs.push(Rig::playing("demo", &properties));
            }
            rigs.iter().for_each(|rig| assert!(rig.push(&speech[..4 * SECOND]).is_ok()));
            rigs.iter().for_each(Rig::wait_taken);
            counted.push(names());
        }
        let [none, one, eight] = counted.as_slice() else { unreachable!() };
        println!("{none:?}\n{one:?}\n{eight:?}");
        let count = |names: &[String], name: &str| names.iter().filter(|known| known.starts_with(name)).count();
        for worker in ["paraformer", "fsmn-vad"] {
            assert!(count(eight, worker) >= 1, "no thread {worker}: {eight:?}");
        }
        // The element's task, the detector's thread, as many of the model as are to work, and the pool of those models whose
        // calls are not made side by side.
        assert!(one.len() <= none.len() + 2 + 2 * THREADS, "without an element: {none:?}; with one: {one:?}");
        assert!(eight.len() <= one.len() + 7, "one element: {one:?}; eight: {eight:?}");

        let before = worked();
        thread::sleep(Duration::from_secs(1));
        let idle = worked() - before;
        println!("idle for a second: {idle:?} of work");
        assert!(idle < Duration::from_millis(50), "{idle:?} of work in a second of nothing");
        rigs.iter().for_each(Rig::end);
    });
}
