//! Products of some rows of a matrix with a vector: what a shortlist asks of the output layer.

use pulp::{Simd, WithSimd};
use thrifty_base::math::{LANES, bf16, dispatch};
use thrifty_base::prefetch::prefetch;
use thrifty_base::simd::Path;

use crate::gather::Unit;
use crate::spec::Precision;
use crate::whole::{Whole, WholeRows};

/// Rows one after the other.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: usize,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
    I8(WholeRows),
}

impl Rows {
    /// Rows of `columns` numbers, a multiple of [`LANES`], rounded to `precision`.
    pub(crate) fn new(path: Path, values: &[f32], columns: usize, precision: Precision) -> Self {
        let numbers = match precision {
            Precision::F32 => Numbers::F32(values.to_vec()),
            Precision::Bf16 => {
                let mut numbers = vec![0; values.len()];
                bf16::narrow(path, values, &mut numbers);
                Numbers::Bf16(numbers)
            }
            Precision::I8 => Numbers::I8(WholeRows::new(values, columns)),
        };
        Self { columns, numbers }
    }

    /// Bytes of the numbers.
    pub(crate) fn bytes(&self) -> usize {
        match &self.numbers {
            Numbers::F32(w) => 4 * w.len(),
            Numbers::Bf16(w) => 2 * w.len(),
            Numbers::I8(w) => w.bytes(),
        }
    }

    /// Vectors in the form that products take.
    pub(crate) fn round(&self, path: Path, x: &[f32], room: &mut Whole) {
        if let Numbers::I8(_) = self.numbers {
            room.round(path, x, self.columns);
        }
    }

    /// `out[i] = rows[ids[i]] . x[p]`; `room` is what [`Self::round`] made of `x`.
    pub(crate) fn products(&self, path: Path, ids: &[u32], x: &[f32], room: &Whole, p: usize, out: &mut [f32]) {
        let alone = &x[p * self.columns..(p + 1) * self.columns];
        match &self.numbers {
            Numbers::F32(w) => dispatch(path, Products { w, ids, x: alone, out }),
            Numbers::Bf16(w) => dispatch(path, Products { w, ids, x: alone, out }),
            Numbers::I8(w) => w.products(path, ids, room, p, out),
        }
    }

    /// Asks memory for rows.
    pub(crate) fn ask(&self, ids: &[u32]) {
        for &id in ids {
            let range = id as usize * self.columns..(id as usize + 1) * self.columns;
            match &self.numbers {
                Numbers::F32(w) => prefetch(&w[range]),
                Numbers::Bf16(w) => prefetch(&w[range]),
                Numbers::I8(w) => prefetch(w.weights(id as usize)),
            }
        }
    }
}

struct Products<'a, R> {
    w: &'a [R],
    ids: &'a [u32],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl<R: Unit> WithSimd for Products<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        match LANES / S::F32_LANES {
            1 => self.all::<S, 1>(s),
            2 => self.all::<S, 2>(s),
            4 => self.all::<S, 4>(s),
            _ => self.all::<S, LANES>(s),
        }
    }
}

impl<R: Unit> Products<'_, R> {
    #[inline(always)]
    fn all<S: Simd, const V: usize>(self, s: S) {
        let Self { w, ids, x, out } = self;
        for (&id, out) in ids.iter().zip(out) {
            let row: &[[R; LANES]] = w[id as usize * x.len()..(id as usize + 1) * x.len()].as_chunks().0;
            let mut sums = [s.splat_f32s(0.0); V];
            for (w, x) in row.iter().zip(x.as_chunks::<LANES>().0) {
                let w = R::widen(w);
                let (w, x) = (S::as_simd_f32s(&w).0, S::as_simd_f32s(x).0);
                for v in 0..V {
                    sums[v] = s.mul_add_f32s(w[v], x[v], sums[v]);
                }
            }
            let mut lanes = [0.0f32; LANES];
            S::as_mut_simd_f32s(&mut lanes).0.copy_from_slice(&sums);
            let mut half = LANES / 2;
            while half > 0 {
                for i in 0..half {
                    lanes[i] += lanes[i + half];
                }
                half /= 2;
            }
            *out = lanes[0];
        }
    }
}
