//! What positions look up: their pairs' rows, as one.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use thrifty_base::math::{dispatch, exp};
use thrifty_base::pool::pool;
use thrifty_base::prefetch::{prefetch, prefetch_near};
use thrifty_base::progress::Progress;
use thrifty_base::simd::Path;

use crate::gather::{Bag, Unit};
use crate::hash::{PairHash, gram};
use crate::spec::{BLOCK, Layout, PairSpec, Pool, Precision};
use crate::{Error, Result};

/// Positions of a task.
const TASK: usize = 64;
/// Rows whose places are kept after they were read.
const ROWS: usize = 1024;
/// How many rows ahead memory is asked, where vectors are of 64 bytes and where they are shorter: measured on a Sapphire
/// Rapids, whose second cache has 2 MiB a core, and on a Zen with 512 KiB, each slower with the other's.
const AHEAD: [usize; 2] = [64, 16];
/// And how many more with vectors of 64 bytes where rows have so many bytes or more: of 8 MB, which lie in the last cache,
/// 131,072 lookups took 27 ns each with 64 and 21 with 72 to 192 on one core, 23 and 22 on another; narrower rows up to 6 % longer.
const FARTHER: usize = 8;
const WIDE: usize = 512;
/// And how many where that would be all rows at once.
const FEW: usize = 24;
/// How many rows ahead narrow ones, of bf16 or whole numbers, come from the second cache to the first, with vectors of 64
/// bytes: of 256 MB on the Xeon, rows of 256 bytes took 4 to 6 % less time and such of 132 bytes 12 %, with 8 to 24 alike;
/// rows of 512 bytes took longer.
const SOON: usize = 16;
/// Bytes of rows that the first cache has room for; and the bytes of a table up to which memory need not be asked.
const ROOM: usize = 1 << 14;
const NEAR: usize = 1 << 19;

/// A table as lookups see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) spec: &'a PairSpec,
    pub(crate) layout: Layout,
    pub(crate) hash: &'a PairHash,
    pub(crate) data: &'a [u8],
}

/// Room that lookups need, used again.
#[derive(Clone, Debug, Default)]
pub struct Room {
    keys: Vec<u32>,
    words: Vec<u64>,
    starts: Vec<usize>,
    factors: Vec<f32>,
}

/// Refuses offset weights that are not one a head and distance.
pub(crate) fn check_weights(spec: &PairSpec, weights: Option<&[f32]>) -> Result<()> {
    let Some(weights) = weights else { return Ok(()) };
    if spec.window == 0 {
        let what = "a weight a distance needs a window; this table looks at all ids before a position";
        return Err(Error::argument("weights", what));
    }
    if weights.len() != spec.heads * spec.window {
        let what = format!("{} numbers; {} heads x {} distances are needed", weights.len(), spec.heads, spec.window);
        return Err(Error::argument("weights", what));
    }
    Ok(())
}

impl View<'_> {
    /// Lookups of the positions `from..ids.len()` of one sequence.
    pub(crate) fn sequence(
        self,
        path: Path,
        ids: &[u32],
        from: usize,
        weights: Option<&[f32]>,
        room: &mut Room,
        out: &mut [f32],
    ) {
        debug_assert!(out.len() == (ids.len() - from) * self.spec.width());
        dispatch(path, Positions { table: self, ids, from, weights, room, out });
    }

    /// Lookups of sequences of `tokens` ids each, by `threads` threads.
    pub(crate) fn sequences(
        self,
        path: Path,
        ids: &[u32],
        tokens: usize,
        weights: Option<&[f32]>,
        threads: usize,
        progress: &Progress,
        out: &mut [f32],
    ) -> Result<()> {
        progress.start("lookup", ids.len() as u64)?;
        if ids.is_empty() {
            return Ok(());
        }
        let width = self.spec.width();
        if threads == 1 || ids.len() <= TASK {
            let mut room = Room::default();
            for (ids, out) in ids.chunks_exact(tokens).zip(out.chunks_exact_mut(tokens * width)) {
                self.sequence(path, ids, 0, weights, &mut room, out);
                progress.advance(tokens as u64)?;
            }
            return Ok(());
        }
        let sequences = ids.chunks_exact(tokens).zip(out.chunks_exact_mut(tokens * width));
        let parts = sequences
            .flat_map(|(ids, out)| out.chunks_mut(TASK * width).enumerate().map(move |(i, out)| (ids, i * TASK, out)));
        let parts: Vec<_> = parts.collect();
        pool(threads)?.install(|| {
            parts.into_par_iter().try_for_each_init(Room::default, |room, (ids, from, out)| {
                let end = from + out.len() / width;
                self.sequence(path, &ids[..end], from, weights, room, out);
                progress.advance((end - from) as u64)
            })
        })?;
        Ok(())
    }

    /// Rows of position `ids.len() - 1`, counted over all heads: head by head, nearest pairs first.
    pub(crate) fn rows(self, ids: &[u32], words: &mut Vec<u64>, rows: &mut Vec<usize>) {
        let mut keys = Vec::new();
        let (keys, begin) = self.keys(ids, ids.len() - 1, &mut keys);
        rows.clear();
        self.places(ids, keys, begin, ids.len() - 1, 1, words, rows);
    }

    /// The n-grams of other sides that positions from `from` on look at, and the place of the first.
    #[inline(always)]
    fn keys<'k>(self, ids: &'k [u32], from: usize, keys: &'k mut Vec<u32>) -> (&'k [u32], usize) {
        let PairSpec { key_gram, window, .. } = *self.spec;
        if key_gram == 1 {
            return (ids, 0);
        }
        // A distance is `window` at most, and no pair is farther than the beginning.
        let begin = if window == 0 { 0 } else { from.saturating_sub(window) };
        keys.clear();
        keys.extend((begin..ids.len()).map(|t| gram(&ids[..=t], key_gram)));
        (keys, begin)
    }

    /// Appends the rows of position `t`, times `stride`; returns how many a head has.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // what a position is, and room
    fn places(
        self,
        ids: &[u32],
        keys: &[u32],
        begin: usize,
        t: usize,
        stride: usize,
        words: &mut Vec<u64>,
        places: &mut Vec<usize>,
    ) -> usize {
        let distances = self.spec.distances(t);
        let others = &keys[t + 1 - distances.end - begin..t + 1 - distances.start - begin];
        words.resize(others.len(), 0);
        self.hash.words(gram(&ids[..=t], self.spec.query_gram), others, distances.start, words);
        let before = places.len();
        places.resize(before + self.spec.heads * words.len(), 0);
        if !words.is_empty() {
            for (h, places) in places[before..].chunks_exact_mut(words.len()).enumerate() {
                self.hash.places(words, h, stride, places);
            }
        }
        words.len()
    }
}

struct Positions<'a> {
    table: View<'a>,
    ids: &'a [u32],
    from: usize,
    weights: Option<&'a [f32]>,
    room: &'a mut Room,
    out: &'a mut [f32],
}

impl WithSimd for Positions<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { table, ids, from, weights, room, out } = self;
        match table.spec.precision {
            Precision::F32 => all::<S, f32>(s, table, ids, from, weights, room, out),
            Precision::Bf16 => all::<S, u16>(s, table, ids, from, weights, room, out),
            Precision::I8 => all::<S, i8>(s, table, ids, from, weights, room, out),
        }
    }
}

#[inline(always)]
fn all<S: Simd, R: Unit>(
    s: S,
    table: View<'_>,
    ids: &[u32],
    from: usize,
    weights: Option<&[f32]>,
    room: &mut Room,
    out: &mut [f32],
) {
    let View { spec, layout, data, .. } = table;
    let numbers: &[R] = bytemuck::cast_slice(data);
    let Room { keys, words, starts, factors } = room;
    let (keys, begin) = table.keys(ids, from, keys);
    let most = spec.heads * spec.distances(ids.len() - 1).len();
    let (short, narrow) = (S::F32_LANES < BLOCK, layout.stride < WIDE);
    let far = AHEAD[usize::from(short)] + if short || narrow { 0 } else { FARTHER };
    let rows = most.saturating_mul(ids.len() - from);
    let (ahead, soon) = match layout.bytes > NEAR {
        false => (0, 0),
        true if rows <= far => (far.min(FEW), 0),
        true => (far, if short || !narrow || size_of::<R>() == 4 { 0 } else { SOON }),
    };
    let ask = if rows.saturating_mul(layout.stride) <= ROOM { prefetch_near::<R> } else { prefetch::<R> };
    let own = (spec.precision == Precision::I8).then_some(layout.scale);
    starts.clear();
    // The places of later positions are told while rows of this one are on their way.
    let (mut at, mut told) = (0, from);
    let mut rest = out;
    for t in from..ids.len() {
        let (out, after) = rest.split_at_mut(spec.width());
        // The result's lines are asked for as well: in no cache, they would come when they are written.
        if soon > 0 {
            prefetch(&after[..after.len().min(spec.width())]);
        }
        rest = after;
        if at >= ROWS {
            starts.drain(..at);
            at = 0;
        }
        let n = spec.distances(t).len();
        while told < ids.len() && (told <= t || starts.len() < at + spec.heads * n + ahead) {
            table.places(ids, keys, begin, told, layout.stride / size_of::<R>(), words, starts);
            told += 1;
        }
        if t == from {
            starts.iter().take(ahead).for_each(|&start| ask(&numbers[start..][..spec.head_dim]));
        }
        let scale = if spec.pool == Pool::Mean && n > 0 { 1.0 / n as f32 } else { 1.0 };
        for (h, out) in out.chunks_exact_mut(spec.head_dim).enumerate() {
            let now = &starts[at..at + n];
            let weights = weights.map(|w| &w[h * spec.window..h * spec.window + n]);
            let given = factors_of::<S, R>(s, table, now, weights, factors);
            let after = |rows: usize| if rows == 0 { &[] } else { starts.get(at + rows..).unwrap_or(&[]) };
            let factors = given.then(|| &factors[..n]);
            Bag { data: numbers, starts: now, later: after(ahead), soon: after(soon), factors, own, scale }.sum(s, out);
            at += n;
        }
    }
}

/// Writes what each row is multiplied by, its own factor aside; says whether that is other than 1.
#[inline(always)]
fn factors_of<S: Simd, R>(
    s: S,
    View { spec, layout, data, .. }: View<'_>,
    starts: &[usize],
    weights: Option<&[f32]>,
    factors: &mut Vec<f32>,
) -> bool {
    factors.clear();
    match (spec.pool, weights) {
        (Pool::Softmax, weights) => {
            factors.extend(starts.iter().map(|&start| number(data, start * size_of::<R>() + layout.logit)));
            if let Some(weights) = weights {
                factors.iter_mut().zip(weights).for_each(|(x, w)| *x += w);
            }
            softmax(s, factors);
        }
        (_, Some(weights)) => factors.extend_from_slice(weights),
        (_, None) => return false,
    }
    true
}

/// The f32 at a byte.
#[inline(always)]
fn number(data: &[u8], at: usize) -> f32 {
    f32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"))
}

/// Logits to shares, which sum to 1; what is no number makes all of them none.
#[inline(always)]
pub(crate) fn softmax<S: Simd>(s: S, x: &mut Vec<f32>) {
    let n = x.len();
    let most = x.iter().fold(f32::NEG_INFINITY, |most, &x| if x > most || x.is_nan() { x } else { most });
    if !most.is_finite() {
        x.fill(f32::NAN);
        return;
    }
    x.iter_mut().for_each(|x| *x -= most);
    x.resize(n.next_multiple_of(BLOCK), f32::NEG_INFINITY);
    S::as_mut_simd_f32s(x).0.iter_mut().for_each(|x| *x = exp(s, *x));
    x.truncate(n);
    let sum: f32 = x.iter().sum();
    x.iter_mut().for_each(|x| *x /= sum);
}
