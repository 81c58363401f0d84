//! `specdec_verify`, `specdec_verify_trees` and `specdec_ancestors`.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use thrifty_base::progress::Progress;
use thrifty_specdec::Error;
use thrifty_specdec::verify::{Batch, Drafted, Numbers, Params, Rule, Trees, ancestors, verify, verify_trees};

use crate::array::vector;
use crate::error::IntoPyErr;
use crate::interrupt::long_call;

/// Batches of no more numbers than this are verified where they are given: a thread of their own would cost more.
const SHORT: usize = 1 << 20;

/// Dense rows.
pub(super) enum Rows<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    Bf16(PyReadonlyArray1<'py, u16>),
}

impl<'py> Rows<'py> {
    fn new(argument: &Bound<'py, PyAny>, name: &str) -> PyResult<Self> {
        if argument.cast::<PyArray1<u16>>().is_ok() {
            return Ok(Self::Bf16(vector::<u16>(argument, name, "uint16")?));
        }
        Ok(Self::F32(vector::<f32>(argument, name, "float32, or uint16 for bfloat16")?))
    }

    fn numbers(&self) -> PyResult<Numbers<'_>> {
        Ok(match self {
            Self::F32(x) => Numbers::F32(x.as_slice()?),
            Self::Bf16(x) => Numbers::Bf16(x.as_slice()?),
        })
    }
}

/// What drafts were drawn from.
pub(super) enum Source<'py> {
    Dense(Rows<'py>),
    Sparse(PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, u32>, PyReadonlyArray1<'py, f32>),
    Certain,
}

type Three<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

impl<'py> Source<'py> {
    pub(super) fn new(argument: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let Some(argument) = argument else { return Ok(Self::Certain) };
        if let Ok((indptr, ids, chances)) = argument.extract::<Three<'py>>() {
            return Ok(Self::Sparse(
                vector::<i64>(&indptr, "q.indptr", "int64")?,
                vector::<u32>(&ids, "q.ids", "uint32")?,
                vector::<f32>(&chances, "q.probs", "float32")?,
            ));
        }
        Ok(Self::Dense(Rows::new(argument, "q")?))
    }

    pub(super) fn drafted(&self) -> PyResult<Drafted<'_>> {
        Ok(match self {
            Self::Dense(rows) => Drafted::Dense(rows.numbers()?),
            Self::Sparse(indptr, ids, chances) => {
                Drafted::Sparse { indptr: indptr.as_slice()?, ids: ids.as_slice()?, chances: chances.as_slice()? }
            }
            Self::Certain => Drafted::Certain,
        })
    }
}

/// Settings of requests, an array each.
#[derive(FromPyObject)]
pub(crate) struct Settings<'py> {
    #[pyo3(item)]
    temperature: Bound<'py, PyAny>,
    #[pyo3(item)]
    top_k: Bound<'py, PyAny>,
    #[pyo3(item)]
    top_p: Bound<'py, PyAny>,
    #[pyo3(item)]
    min_p: Bound<'py, PyAny>,
    #[pyo3(item)]
    repetition_penalty: Bound<'py, PyAny>,
    #[pyo3(item)]
    presence_penalty: Bound<'py, PyAny>,
    #[pyo3(item)]
    frequency_penalty: Bound<'py, PyAny>,
    #[pyo3(item)]
    indptr: Bound<'py, PyAny>,
    #[pyo3(item)]
    prefix: Bound<'py, PyAny>,
}

/// The arrays of [`Settings`]: numbers, then whole numbers.
struct Arrays<'py> {
    floats: [PyReadonlyArray1<'py, f32>; 6],
    whole: [PyReadonlyArray1<'py, i64>; 3],
}

impl<'py> Arrays<'py> {
    fn new(from: &Settings<'py>) -> PyResult<Self> {
        let float = |array, name| vector::<f32>(array, name, "float32");
        let whole = |array, name| vector::<i64>(array, name, "int64");
        Ok(Self {
            floats: [
                float(&from.temperature, "temperature")?,
                float(&from.top_p, "top_p")?,
                float(&from.min_p, "min_p")?,
                float(&from.repetition_penalty, "repetition_penalty")?,
                float(&from.presence_penalty, "presence_penalty")?,
                float(&from.frequency_penalty, "frequency_penalty")?,
            ],
            whole: [whole(&from.top_k, "top_k")?, whole(&from.indptr, "prefix")?, whole(&from.prefix, "prefix")?],
        })
    }

    fn params(&self) -> PyResult<Params<'_>> {
        let [temperature, top_p, min_p, repetition, presence, frequency] = &self.floats;
        let [top_k, indptr, prefix] = &self.whole;
        Ok(Params {
            temperature: temperature.as_slice()?,
            top_k: top_k.as_slice()?,
            top_p: top_p.as_slice()?,
            min_p: min_p.as_slice()?,
            repetition_penalty: repetition.as_slice()?,
            presence_penalty: presence.as_slice()?,
            frequency_penalty: frequency.as_slice()?,
            indptr: indptr.as_slice()?,
            prefix: prefix.as_slice()?,
        })
    }
}

pub(super) fn rule(name: &str) -> PyResult<Rule> {
    Rule::ALL.into_iter().find(|rule| rule.name() == name).ok_or_else(|| {
        let names = Rule::ALL.map(Rule::name).join(", ");
        PyValueError::new_err(format!("rule: '{name}' is none of {names}"))
    })
}

type Verified<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i64>>);

/// How many drafts of each request are accepted, and what each emits, `width + 1` numbers a request.
#[pyfunction]
#[pyo3(signature = (rule, seed, vocab, width, p, q, draft, uid, position, scores, q_lse, q_token, threads))]
pub(crate) fn specdec_verify<'py>(
    py: Python<'py>,
    rule: &str,
    seed: u64,
    vocab: usize,
    width: usize,
    p: &Bound<'py, PyAny>,
    q: Option<&Bound<'py, PyAny>>,
    draft: &Bound<'py, PyAny>,
    uid: &Bound<'py, PyAny>,
    position: &Bound<'py, PyAny>,
    scores: Option<Settings<'py>>,
    q_lse: Option<&Bound<'py, PyAny>>,
    q_token: Option<&Bound<'py, PyAny>>,
    threads: usize,
) -> PyResult<Verified<'py>> {
    let rule = self::rule(rule)?;
    let (p, q) = (Rows::new(p, "p")?, Source::new(q)?);
    let draft = vector::<i64>(draft, "draft", "int64")?;
    let uid = vector::<u64>(uid, "uid", "uint64")?;
    let position = vector::<i64>(position, "position", "int64")?;
    let arrays = scores.as_ref().map(Arrays::new).transpose()?;
    let told = |array: Option<&Bound<'py, PyAny>>, name| array.map(|a| vector::<f32>(a, name, "float32")).transpose();
    let (q_lse, q_token) = (told(q_lse, "q_lse")?, told(q_token, "q_token")?);
    let batch = Batch {
        vocab,
        width,
        p: p.numbers()?,
        q: q.drafted()?,
        draft: draft.as_slice()?,
        uid: uid.as_slice()?,
        position: position.as_slice()?,
        scores: arrays.as_ref().map(Arrays::params).transpose()?,
        q_lse: q_lse.as_ref().map(|a| a.as_slice()).transpose()?,
        q_token: q_token.as_ref().map(|a| a.as_slice()).transpose()?,
    };
    batch.check().map_err(|e| e.into_py_err(py))?;
    let n = batch.uid.len();
    let (mut accepted, mut tokens) = (vec![0; n], vec![-1; n * (width + 1)]);
    let (a, t) = (&mut accepted[..], &mut tokens[..]);
    soon_or_late(py, &batch, threads, |threads, progress| verify(&batch, rule, seed, threads, progress, a, t))?;
    Ok((accepted.into_pyarray(py), tokens.into_pyarray(py)))
}

/// Does `work` here where it is short, else as a long call.
fn soon_or_late(
    py: Python<'_>,
    batch: &Batch<'_>,
    threads: usize,
    work: impl FnOnce(usize, &Progress) -> Result<(), Error> + Send,
) -> PyResult<()> {
    if batch.p.len() <= SHORT {
        return py.detach(|| work(1, &Progress::new())).map_err(|e| e.into_py_err(py));
    }
    long_call(py, None, |progress| work(threads, progress))
}

/// How many nodes of each tree are accepted, and `2 width + 1` numbers each: what it emits, and by which nodes.
#[pyfunction]
#[pyo3(signature = (rule, seed, vocab, width, p, q, tokens, parents, uid, position, scores, threads))]
pub(crate) fn specdec_verify_trees<'py>(
    py: Python<'py>,
    rule: &str,
    seed: u64,
    vocab: usize,
    width: usize,
    p: &Bound<'py, PyAny>,
    q: Option<&Bound<'py, PyAny>>,
    tokens: &Bound<'py, PyAny>,
    parents: &Bound<'py, PyAny>,
    uid: &Bound<'py, PyAny>,
    position: &Bound<'py, PyAny>,
    scores: Option<Settings<'py>>,
    threads: usize,
) -> PyResult<Verified<'py>> {
    let rule = self::rule(rule)?;
    let (p, q) = (Rows::new(p, "p")?, Source::new(q)?);
    let (tokens, parents) = (vector::<i64>(tokens, "tokens", "int64")?, vector::<i64>(parents, "parents", "int64")?);
    let uid = vector::<u64>(uid, "uid", "uint64")?;
    let position = vector::<i64>(position, "position", "int64")?;
    let arrays = scores.as_ref().map(Arrays::new).transpose()?;
    let batch = Batch {
        vocab,
        width,
        p: p.numbers()?,
        q: q.drafted()?,
        draft: tokens.as_slice()?,
        uid: uid.as_slice()?,
        position: position.as_slice()?,
        scores: arrays.as_ref().map(Arrays::params).transpose()?,
        q_lse: None,
        q_token: None,
    };
    let trees = Trees { batch, parents: parents.as_slice()? };
    trees.check().map_err(|e| e.into_py_err(py))?;
    let n = batch.uid.len();
    let (mut accepted, mut out) = (vec![0; n], vec![-1; n * (2 * width + 1)]);
    let (a, o) = (&mut accepted[..], &mut out[..]);
    soon_or_late(py, &batch, threads, |threads, progress| verify_trees(&trees, rule, seed, threads, progress, a, o))?;
    Ok((accepted.into_pyarray(py), out.into_pyarray(py)))
}

/// The nodes on the way to each node, as bits; `width` nodes of each tree.
#[pyfunction]
pub(crate) fn specdec_ancestors<'py>(
    py: Python<'py>,
    parents: &Bound<'py, PyAny>,
    width: usize,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let parents = vector::<i64>(parents, "parents", "int64")?;
    Ok(ancestors(parents.as_slice()?, width).map_err(|e| e.into_py_err(py))?.into_pyarray(py))
}
