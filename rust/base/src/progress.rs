//! Progress of long work, and the request to stop it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::{Error, Result};

/// Shared between the threads that work and the one that watches.
///
/// Workers call [`advance`](Self::advance) every few milliseconds; it fails with [`Error::Cancelled`] once somebody
/// called [`cancel`](Self::cancel).
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    cancelled: Arc<AtomicBool>,
    phase: Mutex<&'static str>,
}

/// One reading of a [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What is being done.
    pub phase: &'static str,
    /// Units of work done in this phase.
    pub done: u64,
    /// Units in this phase; 0 where nobody knows.
    pub total: u64,
}

impl Progress {
    /// Nothing done, nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// For work within the work that nobody counts; it stops when this does.
    pub fn uncounted(&self) -> Self {
        Self { cancelled: Arc::clone(&self.cancelled), ..Self::default() }
    }

    /// Begins a phase of `total` units (0: unknown).
    pub fn start(&self, phase: &'static str, total: u64) -> Result<()> {
        *self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = phase;
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.check()
    }

    /// `units` more are done.
    pub fn advance(&self, units: u64) -> Result<()> {
        self.done.fetch_add(units, Ordering::Relaxed);
        self.check()
    }

    /// Fails when the work should stop.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Asks the workers to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Where the work stands.
    pub fn read(&self) -> Reading {
        Reading {
            phase: *self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            done: self.done.load(Ordering::Relaxed),
            total: self.total.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_stops() {
        let p = Progress::new();
        p.start("count", 10).unwrap();
        p.advance(4).unwrap();
        assert_eq!(p.read(), Reading { phase: "count", done: 4, total: 10 });
        p.cancel();
        assert!(matches!(p.advance(1), Err(Error::Cancelled)));
        assert!(matches!(p.start("next", 0), Err(Error::Cancelled)));
    }

    #[test]
    fn work_within_work_stops_with_it() {
        let p = Progress::new();
        p.start("count", 10).unwrap();
        let within = p.uncounted();
        within.advance(7).unwrap();
        assert_eq!(p.read().done, 0);
        p.cancel();
        assert!(matches!(within.check(), Err(Error::Cancelled)));
    }
}
