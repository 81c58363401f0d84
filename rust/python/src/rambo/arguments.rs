//! Arguments as they come from Python.

use std::path::PathBuf;

use pyo3::prelude::*;
use thrifty_base::memory::Mode;
use thrifty_rambo::Error;
use thrifty_rambo::input::{By, Input, Reading};
use thrifty_rambo::items::{Items, Within};
use thrifty_rambo::plan::{Plan, Wish};

use crate::error::IntoPyErr;

/// How documents are cut, as it comes from Python.
#[derive(FromPyObject)]
pub(crate) struct ItemsArgument {
    #[pyo3(attribute)]
    kind: String,
    #[pyo3(attribute)]
    k: u32,
    #[pyo3(attribute)]
    n: u32,
    #[pyo3(attribute)]
    within: String,
}

impl ItemsArgument {
    pub(super) fn read(&self) -> Result<Items, Error> {
        match (self.kind.as_str(), self.within.as_str()) {
            ("dna", _) => Items::dna(self.k),
            ("text", "document") => Items::text(self.n, Within::Document),
            ("text", "line") => Items::text(self.n, Within::Line),
            ("text", other) => Err(Error::Argument {
                argument: "within",
                what: format!("'{other}' is not possible; give document or line"),
            }),
            (other, _) => {
                Err(Error::Argument { argument: "items", what: format!("'{other}' is not possible; give dna or text") })
            }
        }
    }
}

/// What to plan for, as it comes from Python.
#[derive(FromPyObject)]
pub(crate) struct WishArgument {
    #[pyo3(attribute)]
    fpr: f64,
    #[pyo3(attribute)]
    max_bytes: Option<u64>,
    #[pyo3(attribute)]
    multiplicity: f64,
    #[pyo3(attribute)]
    nodes: u32,
    #[pyo3(attribute)]
    seed: u64,
}

impl WishArgument {
    pub(super) fn read(&self) -> Wish {
        Wish {
            fpr: self.fpr,
            max_bytes: self.max_bytes,
            multiplicity: self.multiplicity,
            nodes: self.nodes,
            seed: self.seed,
        }
    }
}

pub(super) fn read_by(by: &str) -> Result<By, Error> {
    match by {
        "file" => Ok(By::File),
        "record" => Ok(By::Record),
        other => {
            Err(Error::Argument { argument: "by", what: format!("'{other}' is not possible; give file or record") })
        }
    }
}

pub(super) fn read_plan(json: &str) -> Result<Plan, Error> {
    let plan: Plan = serde_json::from_str(json)
        .map_err(|e| Error::Argument { argument: "plan", what: format!("not a plan: {e}") })?;
    plan.check()?;
    Ok(plan)
}

pub(super) fn inputs_of(inputs: Vec<(PathBuf, String)>) -> Vec<Input> {
    inputs.into_iter().map(|(path, name)| Input { path, name }).collect()
}

pub(super) fn mode(load: bool) -> Mode {
    if load { Mode::Load } else { Mode::Map }
}

pub(super) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|e| e.into_py_err(py))
    }
}

/// How documents are read.
pub(super) fn read_reading(py: Python<'_>, by: &str, items: &ItemsArgument, threads: usize) -> PyResult<Reading> {
    Ok(Reading { by: read_by(by).or_raise(py)?, items: items.read().or_raise(py)?, threads })
}
