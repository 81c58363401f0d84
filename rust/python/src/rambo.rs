//! `thrifty_rambo` for Python.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use thrifty_base::container::Target;
use thrifty_base::memory::Mode;
use thrifty_base::progress::Progress;
use thrifty_rambo::build::{self, Options, Shape};
use thrifty_rambo::builder::Builder;
use thrifty_rambo::input::{By, Input, Reading, Records, list_inputs};
use thrifty_rambo::items::{Items, Within};
use thrifty_rambo::plan::{self, Plan, Wish};
use thrifty_rambo::query::{SearchOptions, query_items, search_items};
use thrifty_rambo::{Error, Index};

use crate::array::{numbers, vector};
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

/// How documents are cut, as it comes from Python.
#[derive(FromPyObject)]
struct ItemsArgument {
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
    fn read(&self) -> Result<Items, Error> {
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
struct WishArgument {
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
    fn read(&self) -> Wish {
        Wish {
            fpr: self.fpr,
            max_bytes: self.max_bytes,
            multiplicity: self.multiplicity,
            nodes: self.nodes,
            seed: self.seed,
        }
    }
}

fn read_by(by: &str) -> Result<By, Error> {
    match by {
        "file" => Ok(By::File),
        "record" => Ok(By::Record),
        other => {
            Err(Error::Argument { argument: "by", what: format!("'{other}' is not possible; give file or record") })
        }
    }
}

fn read_plan(json: &str) -> Result<Plan, Error> {
    let plan: Plan = serde_json::from_str(json)
        .map_err(|e| Error::Argument { argument: "plan", what: format!("not a plan: {e}") })?;
    plan.check()?;
    Ok(plan)
}

fn inputs_of(inputs: Vec<(PathBuf, String)>) -> Vec<Input> {
    inputs.into_iter().map(|(path, name)| Input { path, name }).collect()
}

fn mode(load: bool) -> Mode {
    if load { Mode::Load } else { Mode::Map }
}

trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|e| e.into_py_err(py))
    }
}

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

/// Plans from item counts; JSON.
#[pyfunction]
#[pyo3(signature = (counts, wish))]
pub(crate) fn rambo_plan(py: Python<'_>, counts: &Bound<'_, PyAny>, wish: WishArgument) -> PyResult<String> {
    let counts = vector::<u64>(counts, "items", "uint64")?;
    let counts = counts.as_slice()?;
    let plan = py.detach(|| plan::plan(counts, &wish.read())).or_raise(py)?;
    Ok(plan_json(&plan))
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
    let reading = Reading { by: read_by(by).or_raise(py)?, items: items.read().or_raise(py)?, threads };
    let (inputs, wish) = (inputs_of(inputs), wish.read());
    let plan = long_call(py, progress, |p| {
        let counted = build::count(&inputs, reading, p)?;
        build::plan_counted(&counted, reading, &wish)
    })?;
    Ok(plan_json(&plan))
}

fn plan_json(plan: &Plan) -> String {
    let described = plan.describe();
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
    let reading = Reading { by: read_by(by).or_raise(py)?, items: items.read().or_raise(py)?, threads };
    let shape = match plan {
        None => Shape::Counted(wish.read()),
        Some(json) => Shape::Planned(read_plan(json).or_raise(py)?),
    };
    let options = Options { reading, shape, node, checkpoint_seconds };
    let inputs = inputs_of(inputs);
    let (index, report) = long_call(py, progress, |p| build::build(&path, &inputs, &options, p))?;
    let report = serde_json::to_string(&report).expect("a report has only plain fields");
    let plan = plan_json(index.plan());
    Ok((RamboIndex { index: Arc::new(index) }, report, plan))
}

/// A frozen index.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct RamboIndex {
    index: Arc<Index>,
}

#[pymethods]
impl RamboIndex {
    /// Opens an index file.
    #[staticmethod]
    #[pyo3(signature = (path, load, progress))]
    fn open(py: Python<'_>, path: PathBuf, load: bool, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let index = long_call(py, progress, |_| Index::open(&path, mode(load)))?;
        Ok(Self { index: Arc::new(index) })
    }

    /// Where the file is; None when the index is in memory only.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.index.file().map(PathBuf::from)
    }

    /// Names of documents by id.
    fn names(&self) -> Vec<&str> {
        (0..self.index.documents() as u32).map(|id| self.index.name(id)).collect()
    }

    /// Distinct items of each document, by id.
    fn item_counts<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        let counts: Vec<u64> = (0..self.index.documents() as u32).map(|id| self.index.item_count(id)).collect();
        counts.into_pyarray(py)
    }

    /// Description as JSON.
    fn describe(&self) -> String {
        serde_json::to_string(&self.index.describe()).expect("a description has only plain fields")
    }

    /// Documents of each item: (starts int64[n + 1], documents uint32[...]).
    #[pyo3(signature = (hashes, threads, progress))]
    fn query<'py>(
        &self,
        py: Python<'py>,
        hashes: &Bound<'py, PyAny>,
        threads: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u32>>)> {
        /// Below this a query takes about a millisecond: not worth a thread that watches.
        const SHORT: usize = 2048;
        let hashes = vector::<u64>(hashes, "hashes", "uint64")?;
        let hashes = hashes.as_slice()?;
        let answers = if hashes.len() <= SHORT && progress.is_none() {
            py.detach(|| query_items(&self.index, hashes, 1, &Progress::new())).or_raise(py)?
        } else {
            long_call(py, progress, |p| query_items(&self.index, hashes, threads, p))?
        };
        Ok((answers.starts.into_pyarray(py), numbers(py, answers.documents)?))
    }

    /// Searches for queries given as hashes with the end of each: (hit starts int64, documents uint32, found uint64,
    /// expected false float64, items uint64, expected false documents float64).
    #[pyo3(signature = (hashes, ends, theta, top, threads, progress))]
    fn search<'py>(
        &self,
        py: Python<'py>,
        hashes: &Bound<'py, PyAny>,
        ends: &Bound<'py, PyAny>,
        theta: f64,
        top: Option<usize>,
        threads: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<SearchArrays<'py>> {
        let hashes = vector::<u64>(hashes, "hashes", "uint64")?;
        let ends = vector::<i64>(ends, "ends", "int64")?;
        let (hashes, ends) = (hashes.as_slice()?, ends.as_slice()?);
        let mut queries = Vec::with_capacity(ends.len());
        let mut from = 0;
        for &end in ends {
            let query = usize::try_from(end).ok().and_then(|end| hashes.get(from..end));
            let Some(query) = query else {
                return Err(pyo3::exceptions::PyValueError::new_err("ends: must rise and stay within hashes"));
            };
            queries.push(query);
            from = end as usize;
        }
        let options = SearchOptions { theta, top, threads };
        let answers = long_call(py, progress, |p| search_items(&self.index, &queries, &options, p))?;
        let mut starts = vec![0i64];
        let (mut documents, mut found, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        let (mut items, mut chance) = (Vec::new(), Vec::new());
        for answer in answers {
            for hit in &answer.hits {
                documents.push(hit.document);
                found.push(hit.found);
                expected.push(hit.expected_false);
            }
            starts.push(documents.len() as i64);
            items.push(answer.items);
            chance.push(answer.expected_false_documents);
        }
        Ok((
            starts.into_pyarray(py),
            documents.into_pyarray(py),
            found.into_pyarray(py),
            expected.into_pyarray(py),
            items.into_pyarray(py),
            chance.into_pyarray(py),
        ))
    }

    /// Reads every byte: (section, offset, length) of what is damaged.
    #[pyo3(signature = (progress))]
    fn verify(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<(String, u64, u64)>> {
        let damage = long_call(py, progress, |p| self.index.verify(p))?;
        Ok(damage.into_iter().map(|d| (d.section, d.offset, d.length)).collect())
    }
}

type SearchArrays<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<u32>>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<f64>>,
);

/// An index that documents are put into.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct RamboBuilder {
    builder: Mutex<Option<Builder>>,
}

impl RamboBuilder {
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Builder) -> Result<T, Error> + Send) -> PyResult<T> {
        py.detach(|| {
            let mut guard = self.builder.lock().unwrap_or_else(PoisonError::into_inner);
            guard.as_mut().map(work)
        })
        .ok_or_else(frozen)?
        .or_raise(py)
    }
}

fn frozen() -> PyErr {
    pyo3::exceptions::PyValueError::new_err("this builder was frozen already; make another one")
}

#[pymethods]
impl RamboBuilder {
    #[new]
    #[pyo3(signature = (plan, items, node))]
    fn new(py: Python<'_>, plan: &str, items: ItemsArgument, node: Option<u32>) -> PyResult<Self> {
        let builder = read_plan(plan).and_then(|plan| Builder::new(items.read()?, plan, node)).or_raise(py)?;
        Ok(Self { builder: Mutex::new(Some(builder)) })
    }

    /// Adds a document with all its item hashes.
    #[pyo3(signature = (name, hashes))]
    fn add(&self, py: Python<'_>, name: &str, hashes: &Bound<'_, PyAny>) -> PyResult<()> {
        let hashes = vector::<u64>(hashes, "hashes", "uint64")?;
        let mut hashes = hashes.as_slice()?.to_vec();
        self.with(py, |b| b.add(name, &mut hashes))
    }

    /// Adds a document given as sequence or text; returns the windows skipped.
    #[pyo3(signature = (name, data))]
    fn add_bytes(&self, py: Python<'_>, name: &str, data: &[u8]) -> PyResult<u64> {
        self.with(py, |b| {
            let mut hashes = Vec::new();
            let skipped = b.items().hashes(data, &mut hashes);
            b.add(name, &mut hashes).map(|()| skipped)
        })
    }

    /// Documents so far.
    fn documents(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |b| Ok(b.documents()))
    }

    /// Writes the index (or keeps it in memory) and opens it; the builder is used up.
    #[pyo3(signature = (path, threads, progress))]
    fn freeze(
        &self,
        py: Python<'_>,
        path: Option<PathBuf>,
        threads: usize,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<RamboIndex> {
        let taken = py.detach(|| self.builder.lock().unwrap_or_else(PoisonError::into_inner).take());
        let builder = taken.ok_or_else(frozen)?;
        let index = long_call(py, progress, |p| {
            let _lock = path.as_deref().map(thrifty_base::files::WriteLock::take).transpose()?;
            let target = path.clone().map_or(Target::Memory, Target::File);
            builder.freeze(&target, threads, Mode::Map, p)
        })?;
        Ok(RamboIndex { index: Arc::new(index) })
    }
}

/// Queries of a file, batch after batch.
#[pyclass(frozen, module = "thrifty._core")]
pub(crate) struct RamboQueries {
    records: Mutex<Records>,
    items: Items,
}

type QueryBatch<'py> = (Vec<String>, Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<i64>>, Vec<u64>);

#[pymethods]
impl RamboQueries {
    #[new]
    #[pyo3(signature = (path, items))]
    fn new(py: Python<'_>, path: PathBuf, items: ItemsArgument) -> PyResult<Self> {
        let items = items.read().or_raise(py)?;
        let records = py.detach(|| Records::open_queries(&path, items)).or_raise(py)?;
        Ok(Self { records: Mutex::new(records), items })
    }

    /// The next queries, about `letters` letters of them: (names, hashes uint64, ends int64, windows skipped); None at
    /// the end.
    #[pyo3(signature = (letters))]
    fn next_batch<'py>(&self, py: Python<'py>, letters: usize) -> PyResult<Option<QueryBatch<'py>>> {
        let batch = py.detach(|| -> Result<_, Error> {
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut names, mut hashes, mut ends, mut skipped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            let mut read = 0;
            while read < letters {
                let Some(record) = records.next()? else { break };
                read += record.bytes.len() + 64;
                skipped.push(self.items.hashes(record.bytes, &mut hashes));
                ends.push(hashes.len() as i64);
                names.push(record.name);
            }
            Ok((names, hashes, ends, skipped))
        });
        let (names, hashes, ends, skipped) = batch.or_raise(py)?;
        if names.is_empty() {
            return Ok(None);
        }
        Ok(Some((names, hashes.into_pyarray(py), ends.into_pyarray(py), skipped)))
    }
}
