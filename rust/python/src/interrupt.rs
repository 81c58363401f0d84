//! One entry for long calls: the interpreter is released, Ctrl-C and a raising callback stop the work.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use thrifty_base::progress::Progress;

use crate::error::IntoPyErr;

/// How often signals are looked at and the callback is called.
const EVERY: Duration = Duration::from_millis(50);

/// Runs `work` on a thread of its own while the calling thread, the only one that sees signals, watches.
///
/// `callback`, if any, is called as `callback(phase, done, total)`. When it raises, or a signal handler does, the work is
/// asked to stop and that exception is raised once it has.
pub(crate) fn long_call<T, E>(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Progress) -> Result<T, E> + Send,
) -> PyResult<T>
where
    T: Send,
    E: IntoPyErr + Send,
{
    let progress = Progress::new();
    let callback = callback.filter(|c| !c.is_none()).map(|c| c.clone().unbind());
    let result = Mutex::new(None);
    let watcher = std::thread::current();
    // Not the thread's own end: it comes a moment after the wake-up, which would then be slept through.
    let ended = AtomicBool::new(false);
    let raised = py.detach(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&progress)));
                *result.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(outcome);
                ended.store(true, Ordering::Release);
                watcher.unpark();
            });
            let mut raised = None;
            while !ended.load(Ordering::Acquire) {
                std::thread::park_timeout(EVERY);
                if raised.is_none() && !ended.load(Ordering::Acquire) {
                    raised = look(&progress, callback.as_ref()).err();
                    if raised.is_some() {
                        progress.cancel();
                    }
                }
            }
            // The last state, so that a bar ends full.
            raised.or_else(|| callback.as_ref().and_then(|c| look(&progress, Some(c)).err()))
        })
    });
    if let Some(e) = raised {
        return Err(e);
    }
    match result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(Ok(outcome)) => outcome.map_err(|e| e.into_py_err(py)),
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => unreachable!("the worker leaves an outcome before it ends"),
    }
}

fn look(progress: &Progress, callback: Option<&Py<PyAny>>) -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        if let Some(callback) = callback {
            let now = progress.read();
            callback.call1(py, (now.phase, now.done, now.total))?;
        }
        Ok(())
    })
}
