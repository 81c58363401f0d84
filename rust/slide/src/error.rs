//! What can go wrong with data, networks and training.

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
    /// A data file can't be read as what it should be.
    #[error("{}, line {line}: {what}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// What is wrong, and what to do.
        what: String,
    },
    /// An argument is outside its range.
    #[error("{argument}: {what}")]
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// What was got and what is possible.
        what: String,
    },
    /// More memory is needed than there is.
    #[error("{what}")]
    Capacity {
        /// What is needed, what there is, and what to do.
        what: String,
    },
    /// A checkpoint is of another training.
    #[error("{}: {field} there is {there}, here {here}; {hint}", path.display())]
    Resume {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        field: &'static str,
        /// What the checkpoint has.
        there: String,
        /// What was asked for.
        here: String,
        /// What to do.
        hint: &'static str,
    },
    /// The loss is no longer a number.
    #[error("the loss is {loss} at step {step}; weights are as the step before left them; try a smaller learning rate")]
    Diverged {
        /// Steps done before.
        step: u64,
        /// What it is.
        loss: f32,
    },
}

impl Error {
    /// An [`Error::Argument`].
    pub fn argument(argument: &'static str, what: impl Into<String>) -> Self {
        Self::Argument { argument, what: what.into() }
    }
}
