//! Draws with a request's own random numbers.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::noise::{Noise, Purpose};
use thrifty_base::sampling::race;
use thrifty_base::simd;
use thrifty_specdec::step::Step;

use crate::array::vector;
use crate::error::IntoPyErr;

/// An id from each law: `vocab` probabilities each. `begin` is the position of the round's first draft, `node` the number
/// of the node of a tree that the id follows, 0 for the root.
#[pyfunction]
pub(crate) fn specdec_draw<'py>(
    py: Python<'py>,
    law: &Bound<'py, PyAny>,
    vocab: usize,
    seed: u64,
    purpose: &str,
    uid: &Bound<'py, PyAny>,
    position: &Bound<'py, PyAny>,
    begin: &Bound<'py, PyAny>,
    node: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let purpose = match purpose {
        "draft" => Purpose::Draft,
        "accept" => Purpose::Accept,
        "resample" => Purpose::Resample,
        "bonus" => Purpose::Bonus,
        "shared" => Purpose::Shared,
        other => return Err(PyValueError::new_err(format!("purpose: {other:?} is none of draft, shared"))),
    };
    let law = vector::<f32>(law, "law", "float32")?;
    let uid = vector::<u64>(uid, "uid", "uint64")?;
    let position = vector::<u64>(position, "position", "uint64")?;
    let begin = vector::<u64>(begin, "begin", "uint64")?;
    let node = vector::<u64>(node, "node", "uint64")?;
    let (law, uid, position, begin) = (law.as_slice()?, uid.as_slice()?, position.as_slice()?, begin.as_slice()?);
    let node = node.as_slice()?;
    let n = uid.len();
    if vocab == 0 || law.len() != n * vocab || position.len() != n || begin.len() != n || node.len() != n {
        return Err(PyValueError::new_err(format!("law: {} numbers; {n} rows of {vocab} are needed", law.len())));
    }
    let path = simd::path().map_err(|e| e.into_py_err(py))?;
    let mut out = Vec::with_capacity(n);
    for (row, law) in law.chunks_exact(vocab).enumerate() {
        let random = Noise::new(seed, uid[row]).behind(purpose, begin[row], node[row]);
        let Some(id) = race(path, law, random, position[row]) else {
            let what = format!("law: row {row} holds no chance, or what is no number");
            return Err(PyValueError::new_err(what));
        };
        out.push(id as i64);
    }
    Ok(out.into_pyarray(py))
}

/// Ids drawn, and the laws that they were drawn from.
pub(super) type Drawn<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray2<f32>>);

/// Draws draft number `depth` of some rows of a step from scores, under the law of each row's request.
pub(super) fn draw_rows<'py>(
    py: Python<'py>,
    step: &Step,
    rows: &[i64],
    scores: &PyReadonlyArray2<'py, f32>,
    depth: u64,
    (seed, purpose): (u64, Purpose),
) -> PyResult<Drawn<'py>> {
    let (n, vocab) = (rows.len(), scores.shape()[1]);
    if scores.shape()[0] != n || vocab == 0 || !scores.is_c_contiguous() {
        let what = format!("scores: shape {:?}; ({n}, vocab), contiguous, is needed", scores.shape());
        return Err(PyValueError::new_err(what));
    }
    let path = simd::path().map_err(|e| e.into_py_err(py))?;
    let (mut laws, mut ids, mut order) = (scores.as_slice()?.to_vec(), Vec::with_capacity(n), Vec::new());
    for (law, &row) in laws.chunks_exact_mut(vocab).zip(rows) {
        let Some(row) = usize::try_from(row).ok().filter(|&row| row < step.giving) else {
            return Err(PyValueError::new_err(format!("rows: {row} is not one of {} rows that give ids", step.giving)));
        };
        step.sampling(row).law(path, law, &mut order);
        let random = Noise::new(seed, step.uids[row]).of(purpose, step.next(row));
        let Some(id) = race(path, law, random, step.next(row) + depth) else {
            let what = format!("scores: those of row {row} are no law");
            return Err(PyValueError::new_err(what));
        };
        ids.push(id as i64);
    }
    Ok((ids.into_pyarray(py), laws.into_pyarray(py).reshape([n, vocab])?))
}
