//! ONNX Runtime's shared library: found, loaded and set up once for the process.
//!
//! The library is looked for where the user says, then in `$ORT_DYLIB_PATH`, then beside the plugin, then by the
//! system's loader. `ort::init()` is never called: it panics where there is no library, so every path is tried by
//! `ort::init_from`, which gives an error. A process has one environment, so the first request decides how many threads
//! it has; a later one that asks for something else is told.

use std::env;
use std::fmt;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use once_cell::sync::OnceCell;
use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::ep::{self, ExecutionProvider};
use ort::logging::LogLevel;

use super::{elf, operators};
use crate::engine::{Error, Result};
use crate::scheduler;

/// The build that is tested.
pub const TESTED_VERSION: &str = "1.31.1";
/// Names a library, before the plugin's folder and the loader.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";
const NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

/// What computes the graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Provider {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Cpu { "cpu" } else { "cuda" })
    }
}

/// What is asked of the process's runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LibraryRequest {
    /// The library's file; none: it is looked for.
    pub path: Option<PathBuf>,
    /// The folder of the plugin.
    pub beside: Option<PathBuf>,
    /// Threads for inference in the process; 0: the cores.
    pub threads: usize,
    /// What computes.
    pub provider: Provider,
}

/// The process's runtime.
#[derive(Debug)]
pub struct Library {
    pub(super) environment: Environment,
    path: PathBuf,
    threads: usize,
    provider: Provider,
}

static LIBRARY: OnceCell<Library> = OnceCell::new();

impl Library {
    /// The process's runtime: set up by the first call that succeeds. Errors: [`Error::Library`].
    pub fn get(request: &LibraryRequest) -> Result<&'static Self> {
        LIBRARY.get_or_try_init(|| Self::set_up(request))
    }

    /// What `request` asks for and does not get, because another came first.
    pub fn conflicts(&self, request: &LibraryRequest) -> Vec<String> {
        let mut conflicts = Vec::new();
        let mut differs = |name: &str, asked: String, used: String| {
            if asked != used {
                conflicts.push(format!(
                    "{name}={asked} is not possible: this process already uses {used}, as its first element asked"
                ));
            }
        };
        if request.threads != 0 {
            differs("threads", request.threads.to_string(), self.threads.to_string());
        }
        if let Some(path) = &request.path {
            let real = |path: &Path| path.canonicalize().unwrap_or(path.into());
            differs("runtime-library", real(path).display().to_string(), real(&self.path).display().to_string());
        }
        if request.provider != Provider::Cpu {
            differs("execution-provider", request.provider.to_string(), self.provider.to_string());
        }
        conflicts
    }

    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Threads for inference in the process.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// What computes.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    fn set_up(request: &LibraryRequest) -> Result<Self> {
        // Of two libraries that are tried at once only one can be taken.
        static LOADING: Mutex<()> = Mutex::new(());
        let _loading = LOADING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let threads = match request.threads {
            0 => scheduler::cores(),
            threads => threads,
        };
        let mut failures = Vec::new();
        for path in candidates(request, env::var_os(LIBRARY_VARIABLE).map(PathBuf::from)) {
            if let Some(damage) = elf::damage(&path) {
                failures.push(format!("{}: {damage}", path.display()));
                continue;
            }
            // A file that is a library but not this one can fail in any way.
            let tried = panic::catch_unwind(|| ort::init_from(&path).map_err(|e| reason(&e)));
            let tried = tried.unwrap_or_else(|_| Err("it is not a working ONNX Runtime".into()));
            let builder = match tried {
                Ok(builder) => builder,
                Err(reason) => {
                    let name = path.display().to_string();
                    failures.push(if reason.starts_with(&name) { reason } else { format!("{name}: {reason}") });
                    continue;
                }
            };
            // Before the environment is made: there is only one in a process, for ever.
            require(request.provider, &path)?;
            let environment = threads_of(threads).and_then(|pool| {
                builder.with_name("paraformerasr").with_telemetry(false).with_global_thread_pool(pool).build()
            });
            let failed = |e: ort::Error| Error::Library { message: format!("{}: {e}", path.display()) };
            let environment = environment.map_err(failed)?;
            environment.set_log_level(LogLevel::Error);
            operators::introduce(&environment).map_err(failed)?;
            return Ok(Self { environment, path, threads, provider: request.provider });
        }
        let message = format!(
            "no usable libonnxruntime.so. Tried: {}. Get it with `pip download --no-deps onnxruntime=={TESTED_VERSION}`, \
             take onnxruntime/capi/libonnxruntime.so.{TESTED_VERSION} out of the wheel (it is a ZIP), and set \
             {LIBRARY_VARIABLE} or runtime-library to that file",
            failures.join("; ")
        );
        Err(Error::Library { message })
    }
}

fn require(provider: Provider, library: &Path) -> Result<()> {
    if provider == Provider::Cuda && !ep::CUDA::is_available().unwrap_or(false) {
        let message = format!(
            "execution-provider=cuda, but {} was built without CUDA: use the library of the onnxruntime-gpu wheel",
            library.display()
        );
        return Err(Error::Library { message });
    }
    Ok(())
}

/// Why a library was not taken; the loader's own words where it has some.
fn reason(error: &ort::LoadDynamicError) -> String {
    match error {
        ort::LoadDynamicError::Dlopen { error, .. } => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
        }
        other => other.to_string(),
    }
}

fn threads_of(threads: usize) -> ort::Result<GlobalThreadPoolOptions> {
    GlobalThreadPoolOptions::default().with_intra_threads(threads)?.with_inter_threads(1)?.with_spin_control(false)
}

/// The files to try. One that the user names is the only one: another would hide the mistake.
fn candidates(request: &LibraryRequest, variable: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(path) = request.path.clone().or(variable.filter(|path| !path.as_os_str().is_empty())) {
        return vec![path];
    }
    let beside = request.beside.iter().flat_map(|folder| NAMES.map(|name| folder.join(name)));
    beside.filter(|path| path.exists()).chain(NAMES.map(PathBuf::from)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn what_the_user_names_is_the_only_candidate() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join(NAMES[1]);
        let mut request = LibraryRequest { beside: Some(folder.path().into()), ..LibraryRequest::default() };
        assert_eq!(candidates(&request, None), NAMES.map(PathBuf::from));
        std::fs::write(&beside, "x").unwrap();
        assert_eq!(candidates(&request, None), [beside, NAMES[0].into(), NAMES[1].into()]);
        assert_eq!(candidates(&request, Some("/variable".into())), [PathBuf::from("/variable")]);
        request.path = Some("/property".into());
        assert_eq!(candidates(&request, Some("/variable".into())), [PathBuf::from("/property")]);
    }

    /// Says that this process is one that makes its first sessions.
    const FIRST: &str = "PARAFORMER_TEST_FIRST_SESSIONS";

    /// Sessions can be made on several threads from the first. Whether two meet where it hurts is chance: so several
    /// processes try.
    #[test]
    fn first_sessions_do_not_hurt_each_other() {
        if env::var_os(FIRST).is_some() {
            let library = Library::get(&LibraryRequest::default()).unwrap();
            let (waiting, threads) = (AtomicUsize::new(0), 8);
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        waiting.fetch_add(1, Ordering::SeqCst);
                        while waiting.load(Ordering::SeqCst) < threads {
                            std::hint::spin_loop();
                        }
                        operators::introduce(&library.environment).unwrap();
                    });
                }
            });
            return;
        }
        for run in 0..10 {
            let mut itself = std::process::Command::new(env::current_exe().unwrap());
            let name = "runtime::library::tests::first_sessions_do_not_hurt_each_other";
            let output = itself.args(["--exact", name, "--nocapture"]).env(FIRST, "1").output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains("1 passed"), "run {run}: {said}");
        }
    }
}
