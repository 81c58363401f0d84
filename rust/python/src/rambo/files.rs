//! Plans, builds and changes of index files.

use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use thrifty_rambo::build::{self, Options, Shape};
use thrifty_rambo::change::{self, FoldTo};
use thrifty_rambo::input::list_inputs;
use thrifty_rambo::plan::{self, Plan};

use super::RamboIndex;
use super::arguments::{ItemsArgument, OrRaise, WishArgument, inputs_of, read_by, read_plan, read_reading};
use crate::array::vector;
use crate::interrupt::long_call;

/// Expands files, folders and a list to (path, name) pairs; also how many files of folders were passed over.
#[pyfunction]
#[pyo3(signature = (paths, list, items))]
pub(crate) fn rambo_list_inputs(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    list: Option<PathBuf>,
    items: ItemsArgument,
) -> PyResult<(Vec<(PathBuf, String)>, usize)> {
    let items = items.read().or_raise(py)?;
    let (inputs, passed) = list_inputs(&paths, list.as_deref(), items).or_raise(py)?;
    Ok((inputs.into_iter().map(|i| (i.path, i.name)).collect(), passed))
}

/// Item hashes of a sequence or text, in order, repeats included; and the windows skipped.
#[pyfunction]
#[pyo3(signature = (data, items))]
pub(crate) fn rambo_hashes<'py>(
    py: Python<'py>,
    data: &[u8],
    items: ItemsArgument,
) -> PyResult<(Bound<'py, PyArray1<u64>>, u64)> {
    let items = items.read().or_raise(py)?;
    let mut out = Vec::new();
    let skipped = py.detach(|| items.hashes(data, &mut out));
    Ok((out.into_pyarray(py), skipped))
}

/// Hashes, where each document's end, and skipped windows of each.
type Hashed<'py> = (Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<i64>>, Vec<u64>);

/// Item hashes of many sequences or texts, one after the other; where each ends; and the windows skipped in each.
#[pyfunction]
#[pyo3(signature = (data, items))]
pub(crate) fn rambo_hashes_many<'py>(
    py: Python<'py>,
    data: Vec<PyBackedBytes>,
    items: ItemsArgument,
) -> PyResult<Hashed<'py>> {
    let items = items.read().or_raise(py)?;
    let (hashes, ends, skipped) = py.detach(|| {
        let (mut hashes, mut own) = (Vec::new(), Vec::new());
        let (mut ends, mut skipped) = (Vec::with_capacity(data.len()), Vec::with_capacity(data.len()));
        for each in &data {
            own.clear();
            skipped.push(items.hashes(each, &mut own));
            hashes.extend_from_slice(&own);
            ends.push(hashes.len() as i64);
        }
        (hashes, ends, skipped)
    });
    Ok((hashes.into_pyarray(py), ends.into_pyarray(py), skipped))
}

/// Plans from item counts; JSON.
#[pyfunction]
#[pyo3(signature = (counts, wish))]
pub(crate) fn rambo_plan(py: Python<'_>, counts: &Bound<'_, PyAny>, wish: WishArgument) -> PyResult<String> {
    let counts = vector::<u64>(counts, "items", "uint64")?;
    let counts = counts.as_slice()?;
    let plan = py.detach(|| plan::plan(counts, &wish.read())).or_raise(py)?;
    Ok(plan_json(&plan, None))
}

/// Plans from files, which are counted; JSON.
#[pyfunction]
#[pyo3(signature = (inputs, by, items, wish, threads, progress))]
pub(crate) fn rambo_plan_files(
    py: Python<'_>,
    inputs: Vec<(PathBuf, String)>,
    by: &str,
    items: ItemsArgument,
    wish: WishArgument,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let reading = read_reading(py, by, &items, threads)?;
    let (inputs, wish) = (inputs_of(inputs), wish.read());
    let (plan, bytes) = long_call(py, progress, |p| {
        let counted = build::count(&inputs, reading, p)?;
        build::plan_counted(&counted, reading, &wish)
    })?;
    Ok(plan_json(&plan, Some(bytes)))
}

fn plan_json(plan: &Plan, bytes: Option<u64>) -> String {
    let described = plan.describe(bytes);
    serde_json::to_string(&described).expect("a plan has only plain fields")
}

/// Builds an index from files; returns it with a report and the plan as JSON.
#[pyfunction]
#[pyo3(signature = (path, inputs, by, items, wish, plan, node, threads, checkpoint_seconds, progress))]
pub(crate) fn rambo_build(
    py: Python<'_>,
    path: PathBuf,
    inputs: Vec<(PathBuf, String)>,
    by: &str,
    items: ItemsArgument,
    wish: WishArgument,
    plan: Option<&str>,
    node: Option<u32>,
    threads: usize,
    checkpoint_seconds: f64,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(RamboIndex, String, String)> {
    let reading = read_reading(py, by, &items, threads)?;
    let shape = match plan {
        None => Shape::Counted(wish.read()),
        Some(json) => Shape::Planned(read_plan(json).or_raise(py)?),
    };
    let options = Options { reading, shape, node, checkpoint_seconds };
    let inputs = inputs_of(inputs);
    let (index, report) = long_call(py, progress, |p| build::build(&path, &inputs, &options, p))?;
    let report = serde_json::to_string(&report).expect("a report has only plain fields");
    let plan = plan_json(index.plan(), Some(index.bytes()));
    Ok((RamboIndex::new(index), report, plan))
}

/// Adds documents to an index; returns it with (documents, segments opened, documents of other shards).
#[pyfunction]
#[pyo3(signature = (path, inputs, by, threads, progress))]
pub(crate) fn rambo_add(
    py: Python<'_>,
    path: PathBuf,
    inputs: Vec<(PathBuf, String)>,
    by: &str,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(RamboIndex, (u64, u64, u64))> {
    let by = read_by(by).or_raise(py)?;
    let inputs = inputs_of(inputs);
    let (index, added) = long_call(py, progress, |p| change::add(&path, &inputs, by, threads, p))?;
    Ok((RamboIndex::new(index), (added.documents, added.segments, added.elsewhere)))
}

/// Takes documents out of an index.
#[pyfunction]
#[pyo3(signature = (path, names, threads, progress))]
pub(crate) fn rambo_remove(
    py: Python<'_>,
    path: PathBuf,
    names: Vec<String>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<RamboIndex> {
    Ok(RamboIndex::new(long_call(py, progress, |p| change::remove(&path, &names, threads, p))?))
}

/// Stacks indexes.
#[pyfunction]
#[pyo3(signature = (out, paths, threads, progress))]
pub(crate) fn rambo_stack(
    py: Python<'_>,
    out: PathBuf,
    paths: Vec<PathBuf>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<RamboIndex> {
    Ok(RamboIndex::new(long_call(py, progress, |p| change::stack(&out, &paths, threads, p))?))
}

/// Folds an index; exactly one of buckets, rows, max_bytes is given.
#[pyfunction]
#[pyo3(signature = (path, out, buckets, rows, max_bytes, threads, progress))]
pub(crate) fn rambo_fold(
    py: Python<'_>,
    path: PathBuf,
    out: PathBuf,
    buckets: Option<u32>,
    rows: Option<u64>,
    max_bytes: Option<u64>,
    threads: usize,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<RamboIndex> {
    let to = match (buckets, rows, max_bytes) {
        (Some(n), None, None) => FoldTo::Buckets(n),
        (None, Some(n), None) => FoldTo::Rows(n),
        (None, None, Some(n)) => FoldTo::MaxBytes(n),
        _ => {
            return Err(pyo3::exceptions::PyValueError::new_err("give exactly one of buckets, rows and max_bytes"));
        }
    };
    Ok(RamboIndex::new(long_call(py, progress, |p| change::fold(&path, &out, to, threads, p))?))
}
