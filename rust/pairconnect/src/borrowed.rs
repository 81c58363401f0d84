//! Lookups in rows that lie with their owner, as the parameters of a network do.

use thrifty_base::math::{self, combine};
use thrifty_base::pool::default_threads;
use thrifty_base::progress::Progress;
use thrifty_base::simd;

use crate::field::Rows;
use crate::hash::PairHash;
use crate::lookup::{View, check_weights};
use crate::numbers::{Places, TASK};
use crate::parallel::each;
use crate::shares::Pooling;
use crate::spec::{BLOCK, Layout, PairSpec, Pool, Precision};
use crate::table::check_ids;
use crate::{Error, Result};

#[derive(Default)]
struct Room {
    shares: Vec<f32>,
    starts: Vec<usize>,
}

/// What sequences of `tokens` ids look up, as [`PairTable::lookup`](crate::table::PairTable::lookup) does.
pub fn lookup(
    spec: &PairSpec,
    values: &[f32],
    logits: Option<&[f32]>,
    ids: &[u32],
    tokens: usize,
    weights: Option<&[f32]>,
    threads: usize,
    progress: &Progress,
    out: &mut [f32],
) -> Result<()> {
    spec.check()?;
    let rows = Rows::apart(spec, values, logits)?;
    check_ids(ids, spec.vocab)?;
    check_weights(spec, weights)?;
    if tokens == 0 && !ids.is_empty() || tokens != 0 && !ids.len().is_multiple_of(tokens) {
        return Err(Error::argument("ids", format!("{} ids are no sequences of {tokens}", ids.len())));
    }
    if out.len() != ids.len() * spec.width() {
        let what = format!("{} numbers; {} are needed", out.len(), ids.len() * spec.width());
        return Err(Error::argument("out", what));
    }
    let threads = if threads == 0 { default_threads() } else { threads };
    let (path, hash) = (simd::path()?, PairHash::new(spec));
    if spec.pool != Pool::Softmax && spec.head_dim.is_multiple_of(BLOCK) {
        // Such rows are a table's, whatever the spec says of the table that will be made of them.
        let spec = PairSpec { precision: Precision::F32, ..*spec };
        let view = View { spec: &spec, layout: Layout::of(&spec)?, hash: &hash, data: bytemuck::cast_slice(values) };
        return view.sequences(path, ids, tokens, weights, threads, progress, out);
    }
    let places = Places::of(spec, ids.len(), tokens)?;
    let mut numbers = Vec::new();
    progress.start("rows", ids.len() as u64)?;
    places.rows(ids, &hash, threads, progress, &mut numbers)?;
    progress.start("lookup", ids.len() as u64)?;
    let pooling = Pooling { path, rows, weights };
    let tasks: Vec<_> = out.chunks_mut(TASK * spec.width()).enumerate().collect();
    each(threads, tasks, |room: &mut Room, (part, out)| {
        for (i, out) in out.chunks_exact_mut(spec.width()).enumerate() {
            let position = part * TASK + i;
            let n = places.count(position);
            for (h, out) in out.chunks_exact_mut(spec.head_dim).enumerate() {
                let of_head = &numbers[position * places.each() + h * places.pairs..][..n];
                pooling.shares(&places, h, of_head, &mut room.shares);
                room.starts.clear();
                room.starts.extend(of_head.iter().map(|&row| (h * spec.rows + row as usize) * spec.head_dim));
                out.fill(0.0);
                let rows = math::Rows { data: values, starts: &room.starts, length: spec.head_dim };
                combine(path, rows, &room.shares, out);
            }
        }
        Ok(progress.advance((out.len() / spec.width()) as u64)?)
    })
}
