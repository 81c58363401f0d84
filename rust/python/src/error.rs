//! Rust errors to Python exceptions, by variant.

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use thrifty_base::Error as Base;
use thrifty_pairconnect::Error as Pair;
use thrifty_rambo::Error as Rambo;
use thrifty_slide::Error as Slide;
use thrifty_specdec::Error as Spec;

/// An exception of `thrifty.errors` by its name.
fn ours(py: Python<'_>, class: &str, message: String) -> PyErr {
    match py.import("thrifty.errors").and_then(|m| m.getattr(class)) {
        Ok(class) => match class.call1((message,)) {
            Ok(value) => PyErr::from_value(value),
            Err(e) => e,
        },
        Err(e) => e,
    }
}

/// `OSError(errno, reason, filename)`, so that Python picks FileNotFoundError, PermissionError and so on.
fn os_error(py: Python<'_>, path: &std::path::Path, doing: &str, source: &std::io::Error) -> PyErr {
    match source.raw_os_error() {
        Some(errno) => {
            let reason = py
                .import("os")
                .and_then(|os| os.call_method1("strerror", (errno,)))
                .and_then(|s| s.extract::<String>())
                .unwrap_or_else(|_| source.to_string());
            PyOSError::new_err((errno, format!("{reason} while {doing}"), path.to_path_buf()))
        }
        None => ours(py, "FormatError", format!("{}: {doing}: {source}", path.display())),
    }
}

fn base(py: Python<'_>, e: &Base) -> PyErr {
    match e {
        Base::Io { path, doing, source } => os_error(py, path, doing, source),
        Base::Format { .. } | Base::Newer { .. } => ours(py, "FormatError", e.to_string()),
        Base::Locked { .. } => ours(py, "LockedError", e.to_string()),
        Base::Cancelled => PyKeyboardInterrupt::new_err(()),
        Base::Simd { .. } => PyValueError::new_err(e.to_string()),
        Base::Threads { .. } => PyRuntimeError::new_err(e.to_string()),
    }
}

/// An error of any crate as the exception that Python users catch.
pub(crate) trait IntoPyErr {
    fn into_py_err(self, py: Python<'_>) -> PyErr;
}

impl IntoPyErr for Base {
    fn into_py_err(self, py: Python<'_>) -> PyErr {
        base(py, &self)
    }
}

impl IntoPyErr for Rambo {
    fn into_py_err(self, py: Python<'_>) -> PyErr {
        match &self {
            Rambo::Base(e) => base(py, e),
            Rambo::Input { .. } => ours(py, "FormatError", self.to_string()),
            Rambo::DuplicateName { .. } => ours(py, "DuplicateName", self.to_string()),
            Rambo::UnknownDocument { .. } => ours(py, "UnknownDocument", self.to_string()),
            Rambo::Argument { .. } => PyValueError::new_err(self.to_string()),
            Rambo::Mismatch { .. } => ours(py, "MismatchError", self.to_string()),
            Rambo::Resume { .. } => ours(py, "ResumeMismatch", self.to_string()),
            Rambo::Capacity { .. } => ours(py, "CapacityError", self.to_string()),
            Rambo::Infeasible { .. } => ours(py, "Infeasible", self.to_string()),
        }
    }
}

impl IntoPyErr for Slide {
    fn into_py_err(self, py: Python<'_>) -> PyErr {
        match &self {
            Slide::Base(e) => base(py, e),
            Slide::Input { .. } => ours(py, "DatasetError", self.to_string()),
            Slide::Argument { .. } => PyValueError::new_err(self.to_string()),
            Slide::Resume { .. } => ours(py, "ResumeMismatch", self.to_string()),
            Slide::Capacity { .. } => ours(py, "CapacityError", self.to_string()),
            Slide::Diverged { .. } => ours(py, "ModelError", self.to_string()),
        }
    }
}

impl IntoPyErr for Pair {
    fn into_py_err(self, py: Python<'_>) -> PyErr {
        match &self {
            Pair::Base(e) => base(py, e),
            Pair::Argument { .. } => PyValueError::new_err(self.to_string()),
            Pair::Capacity { .. } => ours(py, "CapacityError", self.to_string()),
            Pair::NotFinite => ours(py, "ModelError", self.to_string()),
            Pair::Mismatch { .. } => ours(py, "MismatchError", self.to_string()),
        }
    }
}

impl IntoPyErr for Spec {
    fn into_py_err(self, py: Python<'_>) -> PyErr {
        match &self {
            Spec::Base(e) => base(py, e),
            Spec::Argument { .. } => PyValueError::new_err(self.to_string()),
            Spec::OutOfBlocks { .. } => ours(py, "OutOfBlocks", self.to_string()),
            Spec::StalePlan { .. } => ours(py, "StalePlan", self.to_string()),
            Spec::Mismatch { .. } => ours(py, "MismatchError", self.to_string()),
            Spec::NotFinite { .. } => ours(py, "ModelError", self.to_string()),
        }
    }
}
