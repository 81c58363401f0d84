//! What can go wrong with documents, plans and indexes.

use std::path::PathBuf;

use thrifty_base as base;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files, locks, threads.
    #[error(transparent)]
    Base(#[from] base::Error),
    /// An input file can't be read as what it should be.
    #[error("{}{}: {what}", path.display(), line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Input {
        /// The file, or `-` for standard input.
        path: PathBuf,
        /// Line, counted from 1, where known.
        line: Option<u64>,
        /// What is wrong, and what to do.
        what: String,
    },
    /// Two documents have one name.
    #[error("two documents are named '{name}': {first} and {second}; names must be unique, rename one of them")]
    DuplicateName {
        /// The name.
        name: String,
        /// Where it came first.
        first: String,
        /// Where it came again.
        second: String,
    },
    /// No document has this name.
    #[error("the index has no document '{name}'")]
    UnknownDocument {
        /// The name asked for.
        name: String,
    },
    /// An argument is outside its range.
    #[error("{argument}: {what}")]
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// What was got and what is possible.
        what: String,
    },
    /// Indexes or settings that don't go together.
    #[error("{what}")]
    Mismatch {
        /// Which field differs, both values, and what to do.
        what: String,
    },
    /// A build can't go on from what an earlier run left.
    #[error("{}: {what}; run that command again to finish it, or remove the file to start afresh", file.display())]
    Resume {
        /// The file with the state of the unfinished build.
        file: PathBuf,
        /// What differs.
        what: String,
    },
    /// More documents or items than the plan holds.
    #[error("{what}")]
    Capacity {
        /// The bound, what was asked, and what to do.
        what: String,
    },
    /// No plan meets the wish.
    #[error("{what}")]
    Infeasible {
        /// The binding limit and the nearest feasible value.
        what: String,
    },
}

impl Error {
    /// An [`Error::Argument`].
    pub fn argument(argument: &'static str, what: impl Into<String>) -> Self {
        Self::Argument { argument, what: what.into() }
    }
}
