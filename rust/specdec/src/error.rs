//! What can go wrong with drafts, verifications and plans.

use thrifty_base as base;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, threads, interruption.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// An argument is outside its range.
    #[error("{argument}: {what}")]
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// What was got and what is possible.
        what: String,
    },
    /// A request alone needs more blocks than there are.
    #[error("{what}")]
    OutOfBlocks {
        /// What is needed, what there is, and what to do.
        what: String,
    },
    /// A plan that no longer is the one in flight.
    #[error("plan {plan} is not the one in flight: {what}")]
    StalePlan {
        /// Number of the plan.
        plan: u64,
        /// Why not.
        what: &'static str,
    },
    /// Times of another machine.
    #[error("{field}: the table has {there}, here it is {here}; calibrate on this machine")]
    Mismatch {
        /// What differs.
        field: &'static str,
        /// What the table has.
        there: String,
        /// What is so here.
        here: String,
    },
    /// A law that is none.
    #[error("request {request}, position {position}: {what}")]
    NotFinite {
        /// Which row of the batch.
        request: usize,
        /// Which position of its chain, 0 the first.
        position: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Error {
    /// An [`Error::Argument`].
    pub fn argument(argument: &'static str, what: impl Into<String>) -> Self {
        Self::Argument { argument, what: what.into() }
    }
}
