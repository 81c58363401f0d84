//! A head whose weights lie with the caller.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use numpy::{IntoPyArray, PyReadonlyArray1, ToPyArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use thrifty_base::lent::Lent;
use thrifty_base::math::padded;
use thrifty_base::pool::pool;
use thrifty_slide::active::Wanted;
use thrifty_slide::batch::{Batch, Values};
use thrifty_slide::head::{Forward, Head, Memory, Slice, Weights};
use thrifty_slide::predict::{dense, sparse};
use thrifty_slide::softmax::Sums;
use thrifty_slide::sparse::Sparse;

use super::config::{Arrays, Config, adam, loss};
use super::weights::{Floats, Ids, Lists, Read, Writing, all_sums, expect, read, wanted};
use crate::array::vector;
use crate::error::IntoPyErr;

/// A forward pass whose gradients are yet to come.
struct Pending {
    values: Values,
    rows: usize,
    forward: Forward,
}

struct State {
    head: Head,
    pending: HashMap<u64, Pending>,
    next: u64,
}

/// An output layer, or a slice of it, over weights that Python holds.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct SlideHead {
    state: Mutex<State>,
    /// Forward passes to be forgotten when the state is free: the collector of garbage may not wait for it.
    forgotten: Mutex<Vec<u64>>,
    length: usize,
    rows: usize,
}

/// Figures of a head's tables.
pub(crate) fn stats<'py>(py: Python<'py>, head: &Head) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let (waiting, oldest) = head.waiting();
    out.set_item("steps", head.steps())?;
    out.set_item("k", head.sampling().k)?;
    out.set_item("range", head.sampling().range)?;
    out.set_item("tables", head.tables().map_or(0, |t| t.hash().tables()))?;
    out.set_item("table_bytes", head.tables().map_or(0, thrifty_slide::tables::Tables::bytes))?;
    out.set_item("queue", waiting)?;
    out.set_item("oldest_stale_steps", oldest)?;
    Ok(out)
}

impl SlideHead {
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for token in self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            state.pending.remove(&token);
        }
        state
    }

    /// The weights of all neurons that are here.
    fn weights<'a>(&self, weight: &'a Read<'_>, bias: &'a PyReadonlyArray1<'_, f32>) -> PyResult<Weights<'a>> {
        let bias = bias.as_slice()?;
        expect("bias", bias.len(), self.rows)?;
        Ok(Weights { rows: weight.matrix(self.rows, self.length)?, bias })
    }

    /// Rows of `length` numbers with padding.
    fn padded(&self, hidden: &PyReadonlyArray1<'_, f32>) -> PyResult<(Lent, usize)> {
        let hidden = hidden.as_slice()?;
        let rows = hidden.len() / self.length;
        expect("hidden", hidden.len(), rows * self.length)?;
        if let Some(at) = hidden.iter().position(|h| !h.is_finite()) {
            let (row, unit) = (at / self.length, at % self.length);
            return Err(PyValueError::new_err(format!("hidden: row {row} has {} at unit {unit}", hidden[at])));
        }
        let width = padded(self.length);
        let mut out = Lent::zeros(padded(rows) * width);
        for (out, row) in out.chunks_exact_mut(width).zip(hidden.chunks_exact(self.length)) {
            out[..self.length].copy_from_slice(row);
        }
        Ok((out, rows))
    }
}

#[pymethods]
impl SlideHead {
    /// `slice`: (first neuron, neurons here, neurons of the whole layer). Without `bias` steps leave the biases as they are.
    #[new]
    #[pyo3(signature = (head, slice, length, loss, rate, seed, bias, adam="sparse"))]
    fn new(
        py: Python<'_>,
        head: Config,
        slice: (u32, usize, usize),
        length: usize,
        loss: &str,
        rate: f32,
        seed: u64,
        bias: bool,
        adam: &str,
    ) -> PyResult<Self> {
        let (first, rows, neurons) = slice;
        if rows == 0 || first as usize + rows > neurons {
            let what = format!("slice: {rows} neurons from {first} on are not a part of {neurons}");
            return Err(PyValueError::new_err(what));
        }
        let (sampling, loss) = (head.sampling(py, neurons)?, self::loss(loss)?);
        let adam = self::adam(adam, rate)?;
        let head = py.detach(|| Head::new(Slice { first, rows, neurons }, length, sampling, loss, adam, seed));
        let head = head.map_err(|e| e.into_py_err(py))?;
        let head = if bias { head } else { head.without_bias() };
        let state = Mutex::new(State { head, pending: HashMap::new(), next: 0 });
        Ok(Self { state, forgotten: Mutex::default(), length, rows })
    }

    /// Hashes all rows of the weights; with `master`, keeps them in f32 as well.
    #[pyo3(signature = (weight, master, threads))]
    fn refresh(&self, py: Python<'_>, weight: &Bound<'_, PyAny>, master: bool, threads: usize) -> PyResult<()> {
        let weight = read(weight)?;
        let rows = weight.matrix(self.rows, self.length)?;
        let done = py.detach(|| {
            pool(threads)?.install(|| {
                let head = &mut self.lock().head;
                if master {
                    head.keep_master(rows)?;
                }
                head.refresh(rows)
            })
        });
        done.map_err(|e| e.into_py_err(py))
    }

    /// What rows ask of this slice: (ends, neurons, counts), and (neurons returned, labels found, labels).
    #[pyo3(signature = (weight, bias, hidden, targets, each, threads))]
    fn ask<'py>(
        &self,
        py: Python<'py>,
        weight: &Bound<'py, PyAny>,
        bias: &Bound<'py, PyAny>,
        hidden: &Bound<'py, PyAny>,
        targets: [Bound<'py, PyAny>; 2],
        each: Option<usize>,
        threads: usize,
    ) -> PyResult<(Lists<'py>, (u64, u64, u64))> {
        let (weight, bias) = (read(weight)?, vector::<f32>(bias, "bias", "float32")?);
        let weights = self.weights(&weight, &bias)?;
        let (hidden, rows) = self.padded(&vector(hidden, "hidden", "float32")?)?;
        let targets = Arrays::new("targets", &targets)?;
        let targets = self.checked(py, targets.sparse()?, rows)?;
        let numbers: Vec<u32> = (0..rows as u32).collect();
        let asked = py.detach(|| {
            pool(threads)?.install(|| {
                let batch = Batch::new(targets, &numbers, hidden, padded(self.length));
                let head = &self.lock().head;
                Ok(head.ask(weights, &batch, each.unwrap_or(head.sampling().each)))
            })
        });
        let (wanted, asked) = asked.map_err(|e: thrifty_slide::Error| e.into_py_err(py))?;
        let ends: Vec<u32> = wanted.ends.iter().map(|&end| end as u32).collect();
        let lists = (ends.into_pyarray(py), wanted.ids.into_pyarray(py), wanted.counts.into_pyarray(py));
        Ok((lists, (asked.returned, asked.found, asked.labels)))
    }

    /// The most wanted neurons of each row over slices that were asked one by one, as `forward` takes them.
    #[staticmethod]
    fn merge<'py>(
        py: Python<'py>,
        slices: Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)>,
        each: usize,
    ) -> PyResult<Lists<'py>> {
        let slices: Vec<Wanted> = slices.iter().map(wanted).collect::<PyResult<_>>()?;
        if slices.iter().any(|slice| slice.rows() != slices[0].rows()) {
            return Err(PyValueError::new_err("slices: not the same number of rows"));
        }
        let merged = Wanted::merged(&slices, each);
        let ends: Vec<u32> = merged.ends.iter().map(|&end| end as u32).collect();
        Ok((ends.into_pyarray(py), merged.ids.into_pyarray(py), merged.counts.into_pyarray(py)))
    }

    /// Scores of a batch's active neurons in this slice. `asked` is what its rows want of all slices, or with `own` of this one,
    /// which then chooses for itself. Returns a number for
    /// `backward`, then for each row the maximum of its scores, the sum of exponentials and the scores of its labels; and
    /// the active neurons of all slices.
    #[pyo3(signature = (weight, bias, hidden, targets, asked, threads, own=false))]
    fn forward<'py>(
        &self,
        py: Python<'py>,
        weight: &Bound<'py, PyAny>,
        bias: &Bound<'py, PyAny>,
        hidden: &Bound<'py, PyAny>,
        targets: [Bound<'py, PyAny>; 2],
        asked: (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>),
        threads: usize,
        own: bool,
    ) -> PyResult<(u64, (Floats<'py>, Floats<'py>, Floats<'py>), Ids<'py>)> {
        let dense = self.lock().head.adam().dense;
        let mut writing = dense.then(|| Writing::new(weight, bias)).transpose()?;
        let mut to = writing.as_mut().map(|w| w.weights(self.rows, self.length)).transpose()?;
        let reading =
            (!dense).then(|| Ok::<_, PyErr>((read(weight)?, vector(bias, "bias", "float32")?))).transpose()?;
        let from = reading.as_ref().map(|(weight, bias)| self.weights(weight, bias)).transpose()?;
        let (hidden, rows) = self.padded(&vector(hidden, "hidden", "float32")?)?;
        let targets = Arrays::new("targets", &targets)?;
        let targets = self.checked(py, targets.sparse()?, rows)?;
        let wanted = wanted(&asked)?;
        expect("asked", wanted.rows(), rows)?;
        let neurons = self.lock().head.slice().neurons;
        if let Some(id) = wanted.ids.iter().find(|&&id| id as usize >= neurons) {
            return Err(PyValueError::new_err(format!("asked: neuron {id} is not below {neurons}")));
        }
        let numbers: Vec<u32> = (0..rows as u32).collect();
        let done = py.detach(|| {
            pool(threads)?.install(|| {
                let batch = Batch::new(targets, &numbers, hidden, padded(self.length));
                let state = &mut *self.lock();
                let active =
                    if own { state.head.choose_own(&batch, &wanted) } else { state.head.choose(&batch, &wanted) };
                if let Some(to) = &mut to {
                    state.head.catch_up(to.again(), &active);
                }
                let moved = to.as_ref().map(|to| to.weights(self.length));
                let weights = from.or(moved).expect("one or the other");
                let forward = state.head.forward(weights, &batch, &active, &wanted);
                let sums = forward.sums.clone();
                let of_labels = forward.of_labels.clone();
                let token = state.next;
                state.next += 1;
                state.pending.insert(token, Pending { values: batch.into_values(), rows, forward });
                Ok((token, sums, of_labels, active.ids))
            })
        });
        let (token, sums, of_labels, ids) = done.map_err(|e: thrifty_slide::Error| e.into_py_err(py))?;
        let Sums { mut most, mut sums } = sums;
        most.truncate(rows);
        sums.truncate(rows);
        let figures = (most.into_pyarray(py), sums.into_pyarray(py), of_labels.into_pyarray(py));
        Ok((token, figures, ids.into_pyarray(py)))
    }

    /// Mean loss of a batch, from the sums and labels' scores of all slices.
    fn loss(&self, most: &Bound<'_, PyAny>, sums: &Bound<'_, PyAny>, of_labels: &Bound<'_, PyAny>) -> PyResult<f64> {
        let (most, sums) = (vector::<f32>(most, "most", "float32")?, vector::<f32>(sums, "sums", "float32")?);
        let all = Sums { most: most.as_slice()?.to_vec(), sums: sums.as_slice()?.to_vec() };
        let of_labels = vector::<f32>(of_labels, "of_labels", "float32")?;
        Ok(self.lock().head.loss(&all, of_labels.as_slice()?) / all.most.len().max(1) as f64)
    }

    /// Updates the weights of a forward pass's active neurons and returns the gradient of the hidden values; then hashes as
    /// many waiting rows again as the settings allow.
    #[pyo3(signature = (token, weight, bias, most, sums, scale, threads))]
    fn backward<'py>(
        &self,
        py: Python<'py>,
        token: u64,
        weight: &Bound<'py, PyAny>,
        bias: &Bound<'py, PyAny>,
        most: &Bound<'py, PyAny>,
        sums: &Bound<'py, PyAny>,
        scale: f32,
        threads: usize,
    ) -> PyResult<Floats<'py>> {
        let mut writing = Writing::new(weight, bias)?;
        let mut to = writing.weights(self.rows, self.length)?;
        let Pending { values, rows, forward } = self.pending(token)?;
        let all = all_sums(most, sums, rows)?;
        let numbers: Vec<u32> = (0..rows as u32).collect();
        let ends = vec![0; rows];
        let done = py.detach(|| {
            pool(threads)?.install(|| {
                let nothing = Sparse { ends: &ends, indices: &[], values: &[] };
                let batch = Batch::again(nothing, &numbers, values);
                let head = &mut self.lock().head;
                let gradient = head.backward(to.again(), &batch, forward, &all, scale);
                let most = head.sampling().rehash;
                head.rehash(to.weights(self.length).rows, most)?;
                Ok(gradient)
            })
        });
        Ok(done.map_err(|e: thrifty_slide::Error| e.into_py_err(py))?.to_pyarray(py))
    }

    /// Gradients of a forward pass: active neurons of the slice, those of their rows, biases and of the hidden values.
    #[pyo3(signature = (token, weight, bias, most, sums, scale, threads))]
    fn gradients<'py>(
        &self,
        py: Python<'py>,
        token: u64,
        weight: &Bound<'py, PyAny>,
        bias: &Bound<'py, PyAny>,
        most: &Bound<'py, PyAny>,
        sums: &Bound<'py, PyAny>,
        scale: f32,
        threads: usize,
    ) -> PyResult<(Ids<'py>, Floats<'py>, Floats<'py>, Floats<'py>)> {
        let (weight, bias) = (read(weight)?, vector::<f32>(bias, "bias", "float32")?);
        let weights = self.weights(&weight, &bias)?;
        let Pending { values, rows, forward } = self.pending(token)?;
        let all = all_sums(most, sums, rows)?;
        let numbers: Vec<u32> = (0..rows as u32).collect();
        let ends = vec![0; rows];
        let done = py.detach(|| {
            pool(threads)?.install(|| {
                let nothing = Sparse { ends: &ends, indices: &[], values: &[] };
                let batch = Batch::again(nothing, &numbers, values);
                Ok(self.lock().head.gradients(weights, &batch, forward, &all, scale))
            })
        });
        let (g, hidden) = done.map_err(|e: thrifty_slide::Error| e.into_py_err(py))?;
        Ok((g.ids.into_pyarray(py), g.rows.to_pyarray(py), g.bias.into_pyarray(py), hidden.to_pyarray(py)))
    }

    /// Forgets a forward pass that no backward pass follows; never waits.
    fn forget(&self, token: u64) {
        match self.state.try_lock() {
            Ok(mut state) => drop(state.pending.remove(&token)),
            Err(TryLockError::Poisoned(state)) => drop(state.into_inner().pending.remove(&token)),
            Err(TryLockError::WouldBlock) => {
                self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).push(token);
            }
        }
    }

    /// Another learning rate from the next step on.
    fn set_rate(&self, py: Python<'_>, rate: f32) -> PyResult<()> {
        self.lock().head.set_rate(rate).map_err(|e| e.into_py_err(py))
    }

    /// Rows of the slice that others changed: they join those that wait to be hashed again.
    fn touch(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<()> {
        let ids = vector::<u32>(ids, "ids", "uint32")?;
        self.lock().head.touch(ids.as_slice()?).map_err(|e| e.into_py_err(py))
    }

    /// Hashes rows that wait again: as many as a step may, or `all`.
    #[pyo3(signature = (weight, all, threads))]
    fn rehash(&self, py: Python<'_>, weight: &Bound<'_, PyAny>, all: bool, threads: usize) -> PyResult<usize> {
        let weight = read(weight)?;
        let rows = weight.matrix(self.rows, self.length)?;
        let done = py.detach(|| {
            pool(threads)?.install(|| {
                let head = &mut self.lock().head;
                let most = if all { usize::MAX } else { head.sampling().rehash };
                head.rehash(rows, most)
            })
        });
        done.map_err(|e| e.into_py_err(py))
    }

    /// Brings all rows up to date: with dense Adam, those that had no gradient lack steps. Returns whether any did.
    #[pyo3(signature = (weight, bias, threads))]
    fn settle(
        &self,
        py: Python<'_>,
        weight: &Bound<'_, PyAny>,
        bias: &Bound<'_, PyAny>,
        threads: usize,
    ) -> PyResult<bool> {
        if self.lock().head.is_settled() {
            return Ok(false);
        }
        let mut writing = Writing::new(weight, bias)?;
        let to = writing.weights(self.rows, self.length)?;
        let done = py.detach(|| pool(threads).map(|pool| pool.install(|| self.lock().head.settle(to))));
        done.map_err(|e| e.into_py_err(py))?;
        Ok(true)
    }

    /// Copies of what training left beside the weights: (steps, moments, those of biases, weights in f32). Rows must be up to
    /// date: `settle`.
    fn memory<'py>(&self, py: Python<'py>) -> (u64, Floats<'py>, Floats<'py>, Option<Floats<'py>>) {
        let (steps, moments, of_bias, master) = {
            let state = self.lock();
            let memory = state.head.memory();
            let own = |x: &[f32]| x.to_vec();
            (memory.steps, own(memory.moments), own(memory.bias_moments), memory.master.map(own))
        };
        (steps, moments.into_pyarray(py), of_bias.into_pyarray(py), master.map(|m| m.into_pyarray(py)))
    }

    /// Goes on from another head's memory.
    fn remember(
        &self,
        py: Python<'_>,
        memory: (u64, Bound<'_, PyAny>, Bound<'_, PyAny>, Option<Bound<'_, PyAny>>),
    ) -> PyResult<()> {
        let (steps, moments, of_bias, master) = memory;
        let moments = vector::<f32>(&moments, "moments", "float32")?;
        let of_bias = vector::<f32>(&of_bias, "bias_moments", "float32")?;
        let master = master.map(|m| vector::<f32>(&m, "master", "float32")).transpose()?;
        let master = master.as_ref().map(|m| m.as_slice()).transpose()?;
        let memory = Memory { steps, moments: moments.as_slice()?, bias_moments: of_bias.as_slice()?, master };
        self.lock().head.remember(memory).map_err(|e| e.into_py_err(py))
    }

    /// Ids and scores of the `k` best neurons of each row, and how many were scored: all, or the `candidates` that most
    /// tables return.
    #[pyo3(signature = (weight, bias, hidden, k, candidates, threads))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        weight: &Bound<'py, PyAny>,
        bias: &Bound<'py, PyAny>,
        hidden: &Bound<'py, PyAny>,
        k: usize,
        candidates: Option<usize>,
        threads: usize,
    ) -> PyResult<(Ids<'py>, Floats<'py>, u64)> {
        let (weight, bias) = (read(weight)?, vector::<f32>(bias, "bias", "float32")?);
        let weights = self.weights(&weight, &bias)?;
        if k == 0 || k > self.rows {
            return Err(PyValueError::new_err(format!("k: {k} is not possible; from 1 to {}", self.rows)));
        }
        let (hidden, rows) = self.padded(&vector(hidden, "hidden", "float32")?)?;
        let numbers: Vec<u32> = (0..rows as u32).collect();
        let ends = vec![0; rows];
        let done = py.detach(|| {
            pool(threads)?.install(|| {
                let nothing = Sparse { ends: &ends, indices: &[], values: &[] };
                let batch = Batch::new(nothing, &numbers, hidden, padded(self.length));
                let head = &mut self.lock().head;
                match candidates {
                    Some(candidates) => {
                        head.rehash(weights.rows, usize::MAX)?;
                        Ok(sparse(head.path(), head, weights, &batch, k, candidates))
                    }
                    None => {
                        let (first, mut best) = (head.slice().first, dense(head.path(), weights, &batch, k));
                        best.ids.iter_mut().for_each(|id| *id += first);
                        Ok(best)
                    }
                }
            })
        });
        let best = done.map_err(|e: thrifty_slide::Error| e.into_py_err(py))?;
        Ok((best.ids.into_pyarray(py), best.scores.into_pyarray(py), best.scored))
    }

    /// Figures of the tables.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.lock();
        let out = stats(py, &state.head)?;
        out.set_item("pending", state.pending.len())?;
        Ok(out)
    }
}

impl SlideHead {
    fn pending(&self, token: u64) -> PyResult<Pending> {
        let found = self.lock().pending.remove(&token);
        found.ok_or_else(|| {
            PyValueError::new_err("backward: there was no such forward pass, or its gradients were taken")
        })
    }

    fn checked<'a>(&self, py: Python<'_>, targets: Sparse<'a>, rows: usize) -> PyResult<Sparse<'a>> {
        let neurons = self.lock().head.slice().neurons;
        targets.check("labels", neurons).map_err(|e| e.into_py_err(py))?;
        if targets.rows() != rows {
            let what = format!("labels: {} rows for {rows} rows of hidden values", targets.rows());
            return Err(PyValueError::new_err(what));
        }
        if let Some(row) = (0..rows).find(|&row| targets.row(row).is_empty()) {
            return Err(PyValueError::new_err(format!("labels: row {row} has none; leave such rows out")));
        }
        Ok(targets)
    }
}
