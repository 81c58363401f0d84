//! `EngramFuture`: a lookup that goes on while the caller does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use numpy::{IntoPyArray, PyArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_pairconnect::engram::EngramTable as Table;

use super::ids::Sequences;
use crate::error::IntoPyErr;

/// How often a waiting thread looks for signals.
const EVERY: Duration = Duration::from_millis(50);

/// What a lookup gave.
enum Numbers {
    Floats(Vec<f32>),
    Raw(Vec<u16>),
}

/// Where a lookup stands.
enum State {
    Running,
    Done(Result<Numbers, thrifty_pairconnect::Error>),
    Panicked,
    /// A thread of Python has it.
    Taken,
}

/// What is looked up.
struct Work {
    table: Arc<Table>,
    given: Sequences,
    shape: Vec<usize>,
    start: usize,
    raw: bool,
    threads: usize,
}

impl Work {
    fn run(&self, progress: &Progress) -> Result<Numbers, thrifty_pairconnect::Error> {
        let Self { table, given, shape, start, raw, threads } = self;
        let (ids, tokens, length) = (&given.ids, given.tokens(), shape.iter().product());
        if *raw {
            let mut out = vec![0; length];
            table.lookup_bf16(ids, tokens, *start, *threads, progress, &mut out)?;
            return Ok(Numbers::Raw(out));
        }
        let mut out = vec![0.0; length];
        table.lookup(ids, tokens, *start, *threads, progress, &mut out)?;
        Ok(Numbers::Floats(out))
    }
}

/// What the caller and the thread of the lookup share.
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
    progress: Progress,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a lookup that may still be running; use `thrifty.pairconnect.EngramFuture`.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct EngramFuture {
    shared: Arc<Shared>,
    /// Until there is an outcome; locked by who has the interpreter alone, so never while a process forks.
    work: Mutex<Option<Arc<Work>>>,
    process: u32,
    outcome: PyOnceLock<PyResult<Py<PyAny>>>,
}

impl EngramFuture {
    /// Begins a lookup on a pool of ours, which needs no interpreter.
    pub(super) fn begin(
        py: Python<'_>,
        table: Arc<Table>,
        given: Sequences,
        shape: Vec<usize>,
        start: usize,
        raw: bool,
        threads: usize,
    ) -> PyResult<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::new(State::Running), ended: Condvar::new(), progress: Progress::new() });
        let work = Arc::new(Work { table, given, shape, start, raw, threads });
        let future = Self {
            shared: Arc::clone(&shared),
            work: Mutex::new(Some(Arc::clone(&work))),
            process: std::process::id(),
            outcome: PyOnceLock::new(),
        };
        let task = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work.run(&shared.progress)));
            drop(work);
            *shared.lock() = match outcome {
                Ok(outcome) => State::Done(outcome),
                Err(_) => State::Panicked,
            };
            shared.ended.notify_all();
        };
        pool(threads).map_err(|e| e.into_py_err(py))?.spawn(task);
        Ok(future)
    }

    fn work(&self) -> MutexGuard<'_, Option<Arc<Work>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came out, once; nothing while the lookup runs or another thread has it.
    fn take(&self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let work = self.work().clone()?;
        let outcome = if std::process::id() == self.process {
            let mut state = self.shared.lock();
            if matches!(*state, State::Running | State::Taken) {
                return None;
            }
            std::mem::replace(&mut *state, State::Taken)
        } else {
            // The thread that ran is another process's: a fork leaves it behind.
            State::Done(py.detach(|| work.run(&Progress::new())))
        };
        let array = |numbers| -> PyResult<Py<PyAny>> {
            Ok(match numbers {
                Numbers::Floats(out) => out.into_pyarray(py).reshape(&work.shape[..])?.into_any().unbind(),
                Numbers::Raw(out) => out.into_pyarray(py).reshape(&work.shape[..])?.into_any().unbind(),
            })
        };
        match outcome {
            State::Done(outcome) => Some(outcome.map_err(|e| e.into_py_err(py)).and_then(array)),
            State::Panicked => Some(Err(PyRuntimeError::new_err("the lookup failed; this is a defect of thrifty"))),
            State::Running | State::Taken => unreachable!("these returned above"),
        }
    }
}

#[pymethods]
impl EngramFuture {
    /// Whether `result` would not wait.
    fn done(&self, py: Python<'_>) -> bool {
        let ended = || self.process == std::process::id() && !matches!(*self.shared.lock(), State::Running);
        self.outcome.get(py).is_some() || ended()
    }

    /// The array, or the error that the lookup ended with; waits for it, at most so many seconds.
    #[pyo3(signature = (timeout))]
    fn result(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let begun = Instant::now();
        let most = match timeout.map(Duration::try_from_secs_f64) {
            Some(Ok(most)) => most,
            None => Duration::MAX,
            Some(Err(e)) => return Err(PyValueError::new_err(format!("timeout: {e}"))),
        };
        loop {
            if let Some(outcome) = self.outcome.get(py) {
                return outcome.as_ref().map(|array| array.clone_ref(py)).map_err(|e| e.clone_ref(py));
            }
            if let Some(outcome) = self.take(py) {
                // In a forked process two threads may come here; the first result stays.
                let _ = self.outcome.set(py, outcome);
                *self.work() = None;
                self.shared.ended.notify_all();
                continue;
            }
            let left = most.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(PyTimeoutError::new_err(format!("the lookup takes longer than {most:?}")));
            }
            py.check_signals()?;
            py.detach(|| {
                let state = self.shared.lock();
                if matches!(*state, State::Running | State::Taken) {
                    let _ = self.shared.ended.wait_timeout(state, left.min(EVERY));
                }
            });
        }
    }
}

impl Drop for EngramFuture {
    /// Nobody asks for the result any more.
    fn drop(&mut self) {
        self.shared.progress.cancel();
    }
}
