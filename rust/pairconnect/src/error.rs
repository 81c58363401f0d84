//! What can go wrong with tables and models.

use std::path::PathBuf;

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
    /// More memory is needed than is allowed or there.
    #[error("{what}")]
    Capacity {
        /// What is needed, what there is, and what to do.
        what: String,
    },
    /// What a model says is no number.
    #[error("the model's scores are no numbers; its tables are damaged, or its training went wrong")]
    NotFinite,
    /// Two things that must agree do not.
    #[error("{}: {field} there is {there}, here {here}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// What the file has.
        there: String,
        /// What was asked for.
        here: String,
    },
}

impl Error {
    /// An [`Error::Argument`].
    pub fn argument(argument: &'static str, what: impl Into<String>) -> Self {
        Self::Argument { argument, what: what.into() }
    }
}
