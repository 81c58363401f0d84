//! The errors of files, threads and instruction sets.

use std::path::{Path, PathBuf};

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong below the parts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something about one file.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done with it.
        doing: &'static str,
        /// The reason.
        source: std::io::Error,
    },
    /// The bytes of a file are not what its format says.
    #[error("{}: {what} (section {section}, offset {offset})", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Section of the container, or `header`.
        section: String,
        /// Byte offset from the start of the file.
        offset: u64,
        /// What is wrong, and what to do where there is a remedy.
        what: String,
    },
    /// The file was written by a newer version of the format.
    #[error(
        "{}: written in version {found} of the {kind} format, this program reads up to {supported}; \
         update thrifty to open it",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Which format.
        kind: String,
        /// The version in the file.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
    /// Another process is writing the same file.
    #[error(
        "{}: another process is writing it (lock {}); wait for it or stop it",
        path.display(), lock.display()
    )]
    Locked {
        /// The file that is being written.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Cancelled,
    /// `THRIFTY_SIMD` holds something unusable.
    #[error("THRIFTY_SIMD={value}: {why}; use one of {usable}, or unset it")]
    Simd {
        /// What the variable holds.
        value: String,
        /// Why it can't be used.
        why: &'static str,
        /// The names that this machine can run.
        usable: String,
    },
    /// A thread pool could not be started.
    #[error("cannot start {threads} threads: {why}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// The reason.
        why: String,
    },
}

impl Error {
    /// An [`Error::Io`] about `path`; shaped for `map_err`.
    pub fn io(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, doing, source }
    }

    /// An [`Error::Format`] about `path`.
    pub fn format(path: &Path, section: &str, offset: u64, what: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), section: section.to_owned(), offset, what: what.into() }
    }
}
