//! Training of rows: gradients, and steps by them.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::progress::Progress;
use thrifty_pairconnect::backward::{Batch, Gradients, Room, backward};
use thrifty_pairconnect::borrowed::lookup;
use thrifty_pairconnect::field::Rows;
use thrifty_pairconnect::hash::PairHash;
use thrifty_pairconnect::optimizer::{Optimizer, Rule, update};
use thrifty_pairconnect::spec::PairSpec;

use super::ids::Ids;
use super::table::PairTable;
use crate::array::{vector, vector_mut};
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

/// Batches of no more pairs than this are worked on where they are given: a thread of their own would cost more.
const SHORT: usize = 1 << 16;

type Floats<'py> = Bound<'py, PyArray1<f32>>;

/// Rows, gradients of their values and logits, and of the weights.
pub(super) type Found<'py> = (Bound<'py, PyArray1<u64>>, Floats<'py>, Option<Floats<'py>>, Option<Floats<'py>>);

/// Arrays of a batch.
pub(super) struct Arrays<'py> {
    ids: Ids<'py>,
    weights: Option<PyReadonlyArray1<'py, f32>>,
    gradient: PyReadonlyArray1<'py, f32>,
}

impl<'py> Arrays<'py> {
    pub(super) fn new(
        ids: &Bound<'py, PyAny>,
        weights: Option<&Bound<'py, PyAny>>,
        gradient: &Bound<'py, PyAny>,
    ) -> PyResult<Self> {
        Ok(Self {
            ids: Ids::new(ids)?,
            weights: weights.map(|w| vector::<f32>(w, "weights", "float32")).transpose()?,
            gradient: vector::<f32>(gradient, "grad", "float32")?,
        })
    }

    pub(super) fn batch(&self, tokens: usize) -> PyResult<Batch<'_>> {
        Ok(Batch {
            ids: self.ids.as_slice()?,
            tokens,
            weights: self.weights.as_ref().map(|w| w.as_slice()).transpose()?,
            gradient: self.gradient.as_slice()?,
        })
    }
}

/// Does `work` here where it is short, else as a long call.
fn soon_or_late<T: Send, E: IntoPyErr + Send>(
    py: Python<'_>,
    pairs: usize,
    work: impl FnOnce(&Progress) -> Result<T, E> + Send,
) -> PyResult<T> {
    if pairs <= SHORT {
        return work(&Progress::new()).map_err(|e| e.into_py_err(py));
    }
    long_call(py, None, work)
}

/// The same for work on the pairs of a batch.
pub(super) fn soon_or_long<T: Send, E: IntoPyErr + Send>(
    py: Python<'_>,
    batch: &Batch<'_>,
    spec: &PairSpec,
    work: impl FnOnce(&Progress) -> Result<T, E> + Send,
) -> PyResult<T> {
    soon_or_late(py, pairs(batch.ids.len(), batch.tokens, spec), work)
}

/// Pairs of so many ids in all heads, at most.
fn pairs(ids: usize, tokens: usize, spec: &PairSpec) -> usize {
    let each = if spec.window == 0 { tokens } else { spec.window };
    ids.saturating_mul(each).saturating_mul(spec.heads)
}

pub(super) fn to_python(py: Python<'_>, (found, weights): (Gradients, Option<Vec<f32>>)) -> Found<'_> {
    let Gradients { rows, values, logits } = found;
    (
        rows.into_pyarray(py),
        values.into_pyarray(py),
        logits.map(|logits| logits.into_pyarray(py)),
        weights.map(|w| w.into_pyarray(py)),
    )
}

fn parsed(spec: &str) -> PyResult<PairSpec> {
    serde_json::from_str(spec).map_err(|e| PyValueError::new_err(format!("spec: {e}")))
}

/// A rule of its name and numbers.
fn rule(name: &str, betas: (f32, f32), epsilon: f32) -> PyResult<Rule> {
    match name {
        "sgd" => Ok(Rule::Sgd),
        "adagrad" => Ok(Rule::RowAdagrad { epsilon }),
        "adam" => Ok(Rule::LazyAdam { beta1: betas.0, beta2: betas.1, epsilon }),
        other => Err(PyValueError::new_err(format!("rule: '{other}' is not sgd, adagrad or adam"))),
    }
}

/// Writes what sequences of `tokens` ids look up in rows of the caller to `out`.
#[pyfunction]
#[pyo3(signature = (spec, values, logits, ids, tokens, weights, threads, out))]
pub(crate) fn pair_lookup(
    py: Python<'_>,
    spec: &str,
    values: &Bound<'_, PyAny>,
    logits: Option<&Bound<'_, PyAny>>,
    ids: &Bound<'_, PyAny>,
    tokens: usize,
    weights: Option<&Bound<'_, PyAny>>,
    threads: usize,
    out: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let spec = parsed(spec)?;
    let values = vector::<f32>(values, "values", "float32")?;
    let values = values.as_slice()?;
    let logits = logits.map(|l| vector::<f32>(l, "logits", "float32")).transpose()?;
    let logits = logits.as_ref().map(|l| l.as_slice()).transpose()?;
    let ids = Ids::new(ids)?;
    let ids = ids.as_slice()?;
    let weights = weights.map(|w| vector::<f32>(w, "weights", "float32")).transpose()?;
    let weights = weights.as_ref().map(|w| w.as_slice()).transpose()?;
    let mut out = vector_mut::<f32>(out, "out", "float32")?;
    let out = out.as_slice_mut()?;
    soon_or_late(py, pairs(ids.len(), tokens, &spec), |p| {
        lookup(&spec, values, logits, ids, tokens, weights, threads, p, out)
    })
}

/// Gradients of the rows of the caller that sequences of `tokens` ids looked up.
#[pyfunction]
#[pyo3(signature = (spec, values, logits, ids, tokens, weights, grad, threads))]
pub(crate) fn pair_backward<'py>(
    py: Python<'py>,
    spec: &str,
    values: Option<&Bound<'py, PyAny>>,
    logits: Option<&Bound<'py, PyAny>>,
    ids: &Bound<'py, PyAny>,
    tokens: usize,
    weights: Option<&Bound<'py, PyAny>>,
    grad: &Bound<'py, PyAny>,
    threads: usize,
) -> PyResult<Found<'py>> {
    let spec = parsed(spec)?;
    spec.check().map_err(|e| e.into_py_err(py))?;
    let values = values.map(|v| vector::<f32>(v, "values", "float32")).transpose()?;
    let values = values.as_ref().map(|v| v.as_slice()).transpose()?;
    let logits = logits.map(|l| vector::<f32>(l, "logits", "float32")).transpose()?;
    let logits = logits.as_ref().map(|l| l.as_slice()).transpose()?;
    let rows = match values {
        Some(values) => Rows::apart(&spec, values, logits),
        None => Rows::none(&spec, weights.is_some()),
    };
    let rows = rows.map_err(|e| e.into_py_err(py))?;
    let arrays = Arrays::new(ids, weights, grad)?;
    let batch = arrays.batch(tokens)?;
    let found = soon_or_long(py, &batch, &spec, |p| {
        backward(&spec, &PairHash::new(&spec), rows, batch, threads, p, &mut Room::default())
    })?;
    Ok(to_python(py, found))
}

/// A step of rows of the caller, `length` numbers each: the one with this number, from 1.
#[pyfunction]
#[pyo3(signature = (name, betas, eps, lr, number, values, length, state, rows, grads, threads))]
pub(crate) fn pair_update(
    py: Python<'_>,
    name: &str,
    betas: (f32, f32),
    eps: f32,
    lr: f32,
    number: u64,
    values: &Bound<'_, PyAny>,
    length: usize,
    state: &Bound<'_, PyAny>,
    rows: &Bound<'_, PyAny>,
    grads: &Bound<'_, PyAny>,
    threads: usize,
) -> PyResult<()> {
    let rule = rule(name, betas, eps)?;
    let mut values = vector_mut::<f32>(values, "values", "float32")?;
    let values = values.as_slice_mut()?;
    let mut state = vector_mut::<f32>(state, "state", "float32")?;
    let state = state.as_slice_mut()?;
    let rows = vector::<u64>(rows, "rows", "uint64")?;
    let rows = rows.as_slice()?;
    let grads = vector::<f32>(grads, "grads", "float32")?;
    let grads = grads.as_slice()?;
    soon_or_late(py, rows.len(), |p| update(rule, lr, number, values, length, state, rows, grads, threads, p))
}

/// A rule and what it remembers of a table; use `thrifty.pairconnect.optim`.
#[pyclass(module = "thrifty._core")]
pub(crate) struct PairOptimizer {
    inner: Optimizer,
}

#[pymethods]
impl PairOptimizer {
    #[new]
    fn new(py: Python<'_>, table: PyRef<'_, PairTable>, name: &str, betas: (f32, f32), eps: f32) -> PyResult<Self> {
        let inner = Optimizer::new(rule(name, betas, eps)?, table.core()).map_err(|e| e.into_py_err(py))?;
        Ok(Self { inner })
    }

    /// Steps so far.
    #[getter]
    fn steps(&self) -> u64 {
        self.inner.state().0
    }

    /// Gradients of a batch and the step of its rows; returns the gradient of the weights.
    fn step<'py>(
        &mut self,
        py: Python<'py>,
        mut table: PyRefMut<'py, PairTable>,
        ids: &Bound<'py, PyAny>,
        tokens: usize,
        weights: Option<&Bound<'py, PyAny>>,
        grad: &Bound<'py, PyAny>,
        lr: f32,
        threads: usize,
    ) -> PyResult<Option<Floats<'py>>> {
        let arrays = Arrays::new(ids, weights, grad)?;
        let batch = arrays.batch(tokens)?;
        let (spec, table, inner) = (*table.core().spec(), table.core_mut(), &mut self.inner);
        let found = soon_or_long(py, &batch, &spec, |p| inner.step(table, batch, lr, threads, p))?;
        Ok(found.map(|weights| weights.into_pyarray(py)))
    }

    /// A step by gradients of rows.
    fn apply(
        &mut self,
        py: Python<'_>,
        mut table: PyRefMut<'_, PairTable>,
        rows: &Bound<'_, PyAny>,
        grads: &Bound<'_, PyAny>,
        logit_grads: Option<&Bound<'_, PyAny>>,
        lr: f32,
        threads: usize,
    ) -> PyResult<()> {
        let rows = vector::<u64>(rows, "rows", "uint64")?;
        let rows = rows.as_slice()?;
        let grads = vector::<f32>(grads, "grads", "float32")?;
        let grads = grads.as_slice()?;
        let logits = logit_grads.map(|g| vector::<f32>(g, "logit_grads", "float32")).transpose()?;
        let logits = logits.as_ref().map(|g| g.as_slice()).transpose()?.unwrap_or_default();
        let (table, inner) = (table.core_mut(), &mut self.inner);
        soon_or_late(py, rows.len(), |p| inner.apply(table, rows, grads, logits, lr, threads, p))
    }

    /// What is remembered of values and of logits, row by row; copies.
    fn state<'py>(&self, py: Python<'py>) -> (Floats<'py>, Floats<'py>) {
        let (_, values, logits) = self.inner.state();
        (PyArray1::from_slice(py, values), PyArray1::from_slice(py, logits))
    }

    /// Goes on from a state.
    fn load(
        &mut self,
        py: Python<'_>,
        steps: u64,
        values: &Bound<'_, PyAny>,
        logits: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let values = vector::<f32>(values, "values", "float32")?;
        let logits = vector::<f32>(logits, "logits", "float32")?;
        self.inner.load(steps, values.as_slice()?, logits.as_slice()?).map_err(|e| e.into_py_err(py))
    }
}
