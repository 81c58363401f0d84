//! The batch call: everything is checked that can be without reading rows, then requests are verified one by one.

use rayon::prelude::*;
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;
use thrifty_base::simd::{self, Path};

use super::Rule;
use super::chain::{Chain, Room};
use super::params::Params;
use super::rows::Numbers;
use crate::{Error, Result};

/// Drafts of a request at most: schedulers count them in a byte.
const MOST: usize = 255;
/// A vocabulary has at most so many ids: [`thrifty_base::sampling`] counts blocks of eight in 23 bits.
const MOST_IDS: usize = 1 << 26;
/// Positions are below: they stand above those 24 bits.
const MOST_POSITIONS: i64 = 1 << 40;

/// What drafts were drawn from.
#[derive(Clone, Copy, Debug)]
pub enum Drafted<'a> {
    /// Rows of all ids, one a draft.
    Dense(Numbers<'a>),
    /// The same, laws already where rows of the target are scores.
    Laws(&'a [f32]),
    /// Lists of ids and their chances, one a draft.
    Sparse {
        /// Where each list begins and ends; one more than there are lists.
        indptr: &'a [i64],
        /// Ids, in any order.
        ids: &'a [u32],
        /// Their chances.
        chances: &'a [f32],
    },
    /// Nothing: a draft was certain, as those of a lookup are.
    Certain,
}

/// Chains of drafts, and what target and drafter say about them.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Ids are below.
    pub vocab: usize,
    /// Places for drafts of each request.
    pub width: usize,
    /// Rows of the target: `width + 1` of each request, of which one more than it has drafts are read.
    pub p: Numbers<'a>,
    /// What drafts were drawn from: `width` rows of each request.
    pub q: Drafted<'a>,
    /// Ids of drafts, `width` of each request; -1 behind the last.
    pub draft: &'a [i64],
    /// What the random numbers of each request are a function of, beside the seed.
    pub uid: &'a [u64],
    /// Where the first draft of each request stands in its sequence.
    pub position: &'a [i64],
    /// How p and dense q become laws; `None` where they are laws.
    pub scores: Option<Params<'a>>,
    /// ln of the sum of e^(score / temperature) of each row of q, penalties applied. Not read where ids are limited.
    pub q_lse: Option<&'a [f32]>,
    /// The chance with which each draft was drawn.
    pub q_token: Option<&'a [f32]>,
}

impl Batch<'_> {
    /// Fails, naming the argument, where arrays do not fit together or hold what can't be.
    pub fn check(&self) -> Result<()> {
        self.check_with(self.width)
    }

    /// [`Self::check`] where q has so many rows of each request.
    pub(super) fn check_with(&self, rows: usize) -> Result<()> {
        let Self { vocab, width, p, q, draft, uid, position, .. } = *self;
        if !(1..=MOST_IDS).contains(&vocab) {
            return Err(Error::argument("p", format!("rows of {vocab} ids; 1 to {MOST_IDS} are possible")));
        }
        if width > MOST {
            return Err(Error::argument("draft", format!("{width} drafts a request; at most {MOST} are possible")));
        }
        let n = uid.len();
        let cells = n * width;
        length("position", position.len(), n)?;
        length("draft", draft.len(), cells)?;
        length("p", p.len(), (n * (width + 1)).saturating_mul(vocab))?;
        match q {
            Drafted::Dense(q) => length("q", q.len(), (n * rows).saturating_mul(vocab))?,
            Drafted::Laws(q) => length("q", q.len(), (n * rows).saturating_mul(vocab))?,
            Drafted::Sparse { indptr, ids, chances } => sparse(indptr, ids, chances, n * rows, vocab)?,
            Drafted::Certain => {}
        }
        for (name, told) in [("q_lse", self.q_lse), ("q_token", self.q_token)] {
            told.map_or(Ok(()), |told| length(name, told.len(), cells))?;
        }
        if self.q_lse.is_some() && !(self.scores.is_some() && matches!(q, Drafted::Dense(_))) {
            return Err(Error::argument("q_lse", "only rows of scores have one; leave it out"));
        }
        self.scores.map_or(Ok(()), |params| params.check(n, vocab))?;
        for request in 0..n {
            let begin = position[request];
            if !(0..MOST_POSITIONS - width as i64).contains(&begin) {
                let what = format!("request {request}: {begin} is not between 0 and 2^40 - {width}");
                return Err(Error::argument("position", what));
            }
            self.check_drafts(request, &draft[request * width..][..width])?;
        }
        Ok(())
    }

    fn check_drafts(&self, request: usize, draft: &[i64]) -> Result<()> {
        let own = draft.iter().position(|&id| id == -1).unwrap_or(draft.len());
        if let Some(at) = (own..draft.len()).find(|&at| draft[at] != -1) {
            let what = format!("request {request}, position {at}: {} stands behind a -1; padding goes last", draft[at]);
            return Err(Error::argument("draft", what));
        }
        match draft[..own].iter().position(|&id| id < 0 || id >= self.vocab as i64) {
            None => Ok(()),
            Some(at) => {
                let what = format!(
                    "request {request}, position {at}: {} is not below the vocabulary of {}, nor the padding -1",
                    draft[at], self.vocab
                );
                Err(Error::argument("draft", what))
            }
        }
    }
}

pub(super) fn length(name: &'static str, got: usize, wanted: usize) -> Result<()> {
    if got == wanted { Ok(()) } else { Err(Error::argument(name, format!("{got} numbers; {wanted} are needed"))) }
}

fn sparse(indptr: &[i64], ids: &[u32], chances: &[f32], rows: usize, vocab: usize) -> Result<()> {
    if ids.len() != chances.len() {
        return Err(Error::argument(
            "q",
            format!("{} ids and {} chances; as many are needed", ids.len(), chances.len()),
        ));
    }
    let ends = (indptr.first(), indptr.last()) == (Some(&0), Some(&(ids.len() as i64)));
    if indptr.len() != rows + 1 || !ends || !indptr.is_sorted() {
        let what = format!(
            "indptr of {} numbers; {} that go from 0 up to {}, the number of ids, are needed",
            indptr.len(),
            rows + 1,
            ids.len()
        );
        return Err(Error::argument("q", what));
    }
    if let Some(at) = ids.iter().position(|&id| id as usize >= vocab) {
        let list = indptr.partition_point(|&begin| begin <= at as i64).saturating_sub(1);
        let what = format!("list {list}: id {} is not below the vocabulary of {vocab}", ids[at]);
        return Err(Error::argument("q", what));
    }
    Ok(())
}

/// Decides on all requests: how many drafts of each are accepted, and what it emits: these and one id more, then -1.
///
/// A request's result depends on nothing of others. Rows are read as far as they are needed: what stands in others is
/// not looked at. On an error, which names its request, what was written is not specified.
pub fn verify(
    batch: &Batch<'_>,
    rule: Rule,
    seed: u64,
    threads: usize,
    progress: &Progress,
    accepted: &mut [i64],
    tokens: &mut [i64],
) -> Result<()> {
    verify_on(simd::path()?, batch, rule, seed, threads, progress, accepted, tokens)
}

/// [`verify`] on one path.
pub(super) fn verify_on(
    path: Path,
    batch: &Batch<'_>,
    rule: Rule,
    seed: u64,
    threads: usize,
    progress: &Progress,
    accepted: &mut [i64],
    tokens: &mut [i64],
) -> Result<()> {
    batch.check()?;
    length("accepted", accepted.len(), batch.uid.len())?;
    let work = |request: usize, room: &mut Room, tokens: &mut [i64]| {
        let chain = Chain::new(batch, path, seed, request, room);
        rule.verify(&chain, room, tokens)
    };
    each_request(batch.width + 1, threads, progress, accepted, tokens, work)
}

/// Does `work` for every request, with room that is used again and with `each` numbers to write to, -1 at first.
pub(super) fn each_request(
    each: usize,
    threads: usize,
    progress: &Progress,
    accepted: &mut [i64],
    out: &mut [i64],
    work: impl Fn(usize, &mut Room, &mut [i64]) -> Result<usize> + Sync,
) -> Result<()> {
    let n = accepted.len();
    length("tokens", out.len(), n * each)?;
    let some = |first: usize, accepted: &mut [i64], out: &mut [i64]| -> Result<()> {
        let mut room = Room::default();
        for (i, (accepted, out)) in accepted.iter_mut().zip(out.chunks_mut(each)).enumerate() {
            out.fill(-1);
            *accepted = work(first + i, &mut room, out)? as i64;
            progress.check()?;
        }
        Ok(())
    };
    if threads <= 1 || n <= 1 {
        return some(0, accepted, out);
    }
    // Requests take unlike time, so there are more parts than threads.
    let part = n.div_ceil(8 * threads);
    let first = pool(threads)?.install(|| {
        let parts = accepted.par_chunks_mut(part).zip(out.par_chunks_mut(part * each)).enumerate();
        // Of errors, that of the first request, as with one thread.
        parts.map(|(i, (accepted, out))| some(i * part, accepted, out).err()).reduce(|| None, Option::or)
    });
    first.map_or(Ok(()), Err)
}
