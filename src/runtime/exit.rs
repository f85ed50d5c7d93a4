//! Closes the scheduler's gate at the end of the process. Unsafe for what the standard library lacks: a
//! function that `exit` calls, and the number of a thread.
//!
//! `exit` first destroys the thread-local values of the thread that calls it, then calls what was registered last first;
//! among that are the destructors of ONNX Runtime's own statics, many of which it makes only while it loads a model. A
//! gate that closes among them may close too late. So it closes with the main thread's thread-locals, which is before
//! all of them, where a model was opened on that thread, as it is by nearly every program; else by what was registered
//! after the last model was loaded.
#![allow(unsafe_code)]

use crate::scheduler::gate;

thread_local! {
    static MAIN_THREAD: MainThread = const { MainThread };
}

struct MainThread;

impl Drop for MainThread {
    fn drop(&mut self) {
        // Another thread ends without the process.
        // SAFETY: both only read numbers that the kernel keeps.
        if unsafe { libc::gettid() == libc::getpid() } {
            gate::close();
        }
    }
}

/// Has the end of the process wait for whoever uses the library. To be called on each thread that opens a model, and
/// after a model was loaded.
pub fn guard() {
    extern "C" fn close() {
        gate::close();
    }
    // The first touch registers the destructor. Where the thread is already ending there is nothing to guard.
    let _ = MAIN_THREAD.try_with(|_| ());
    // SAFETY: `close` is a function of this library, which is never unloaded once an element was registered, takes
    // nothing, and does not unwind: it locks, waits and returns.
    let registered = unsafe { libc::atexit(close) };
    // Where there is no room for one more, ending while a model loads may crash, as it would without this.
    debug_assert_eq!(registered, 0);
}
