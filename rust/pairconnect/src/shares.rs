//! What the rows of a position are multiplied by, and the gradients that pass through that.

use pulp::{Simd, WithSimd};
use thrifty_base::math::{self, dispatch, dots};
use thrifty_base::progress::Progress;
use thrifty_base::simd::Path;

use crate::Result;
use crate::field::Rows;
use crate::lookup::softmax;
use crate::numbers::{Places, TASK};
use crate::parallel::each;
use crate::spec::Pool;

/// What the pairs of a batch are pooled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pooling<'a> {
    pub(crate) path: Path,
    pub(crate) rows: Rows<'a>,
    /// A number a head and distance.
    pub(crate) weights: Option<&'a [f32]>,
}

struct Softmax<'a>(&'a mut Vec<f32>);

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        softmax(s, self.0);
    }
}

impl Pooling<'_> {
    /// Writes what each of a position's `rows` in head `h` is multiplied by; `rows` are counted within the head.
    pub(crate) fn shares(&self, places: &Places<'_>, h: usize, rows: &[u32], out: &mut Vec<f32>) {
        let spec = places.spec;
        let weights = self.weights.map(|w| &w[h * spec.window..h * spec.window + rows.len()]);
        out.clear();
        if spec.pool == Pool::Softmax {
            out.extend(rows.iter().map(|&row| self.rows.logit(h * spec.rows + row as usize)));
            if let Some(weights) = weights {
                out.iter_mut().zip(weights).for_each(|(x, w)| *x += w);
            }
            dispatch(self.path, Softmax(out));
            return;
        }
        let scale = scale(spec.pool, rows.len());
        match weights {
            Some(weights) => out.extend(weights.iter().map(|w| w * scale)),
            None => out.resize(rows.len(), scale),
        }
    }
}

/// What a sum of `n` rows is multiplied by.
#[inline(always)]
pub(crate) fn scale(pool: Pool, n: usize) -> f32 {
    if pool == Pool::Mean && n > 0 { 1.0 / n as f32 } else { 1.0 }
}

/// Numbers for each place of a batch.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// What the pair's row is multiplied by.
    pub(crate) shares: Vec<f32>,
    /// Gradient of the pair's logit; empty where rows have none.
    pub(crate) logits: Vec<f32>,
}

#[derive(Default)]
struct Room {
    starts: Vec<usize>,
    shares: Vec<f32>,
    products: Vec<f32>,
}

impl Shares {
    /// Fills both, and returns the gradient of the weights, summed in double precision, where there are some.
    pub(crate) fn fill(
        &mut self,
        places: &Places<'_>,
        pooling: Pooling<'_>,
        rows: &[u32],
        gradient: &[f32],
        threads: usize,
        progress: &Progress,
    ) -> Result<Option<Vec<f32>>> {
        let (spec, wide) = (places.spec, places.each());
        let has_logits = spec.pool == Pool::Softmax;
        self.shares.resize(rows.len(), 0.0);
        self.logits.resize(if has_logits { rows.len() } else { 0 }, 0.0);
        let size = pooling.weights.map_or(0, <[f32]>::len);
        let mut sums = vec![0.0f64; rows.len().div_ceil((TASK * wide).max(1)) * size];
        let mut logits = self.logits.chunks_mut((TASK * wide).max(1));
        let mut of_parts = sums.chunks_mut(size.max(1));
        let mut tasks = Vec::new();
        for (part, shares) in self.shares.chunks_mut((TASK * wide).max(1)).enumerate() {
            tasks.push((part, shares, logits.next().unwrap_or_default(), of_parts.next().unwrap_or_default()));
        }
        let (values, field) = pooling.rows.values;
        each(threads, tasks, |room: &mut Room, (part, shares, logits, sums)| {
            let positions = shares.len() / wide;
            for (i, shares) in shares.chunks_exact_mut(wide).enumerate() {
                let position = part * TASK + i;
                let n = places.count(position);
                let gradient = &gradient[position * spec.width()..(position + 1) * spec.width()];
                for (h, gradient) in gradient.chunks_exact(spec.head_dim).enumerate() {
                    let first = h * places.pairs;
                    let of_head = &rows[position * wide + first..][..n];
                    pooling.shares(places, h, of_head, &mut room.shares);
                    shares[first..first + n].copy_from_slice(&room.shares);
                    room.starts.clear();
                    room.starts.extend(of_head.iter().map(|&row| field.start(h * spec.rows + row as usize)));
                    room.products.resize(n, 0.0);
                    let found = math::Rows { data: values, starts: &room.starts, length: spec.head_dim };
                    dots(pooling.path, found, gradient, &mut room.products);
                    if has_logits {
                        let mean: f32 = room.shares.iter().zip(&room.products).map(|(share, x)| share * x).sum();
                        room.products.iter_mut().zip(&room.shares).for_each(|(x, share)| *x = share * (*x - mean));
                        logits[i * wide + first..][..n].copy_from_slice(&room.products);
                    } else {
                        let scale = scale(spec.pool, n);
                        room.products.iter_mut().for_each(|x| *x *= scale);
                    }
                    if size > 0 {
                        let sums = &mut sums[h * spec.window..][..n];
                        sums.iter_mut().zip(&room.products).for_each(|(sum, &x)| *sum += f64::from(x));
                    }
                }
            }
            Ok(progress.advance(positions as u64)?)
        })?;
        // Parts are always the same, and added in their order.
        Ok(pooling.weights.map(|weights| {
            let total = |i| sums.chunks_exact(size).map(|part| part[i]).sum::<f64>() as f32;
            (0..weights.len()).map(total).collect()
        }))
    }
}
