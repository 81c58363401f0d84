//! Rows as bytes: numbers to and from each precision.

use thrifty_base::math::bf16;
use thrifty_base::simd::Path;
use thrifty_base::tensors::Dtype;

use crate::spec::{Layout, PairSpec, Precision};

/// How the rows of a table are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) precision: Precision,
    pub(crate) layout: Layout,
    pub(crate) head_dim: usize,
}

impl Stored {
    /// Of a pair table.
    pub(crate) fn of(spec: &PairSpec, layout: Layout) -> Self {
        Self { precision: spec.precision, layout, head_dim: spec.head_dim }
    }

    /// All of them as a tensor.
    pub(crate) fn tensor(&self) -> (Dtype, [usize; 2]) {
        let dtype = match self.precision {
            Precision::F32 => Dtype::F32,
            Precision::Bf16 => Dtype::Bf16,
            Precision::I8 => Dtype::I8,
        };
        (dtype, [self.layout.bytes / self.layout.stride, self.layout.stride / dtype.size()])
    }

    /// Writes numbers to rows; returns the largest error of a number, and the relative error in the L2 norm, that rounding
    /// makes.
    pub(crate) fn write(&self, path: Path, values: &[f32], bytes: &mut [u8]) -> (f32, f64) {
        let n = self.head_dim;
        let mut back = vec![0.0f32; n];
        let (mut most, mut error, mut norm) = (0.0f32, 0.0f64, 0.0f64);
        for (row, values) in bytes.chunks_exact_mut(self.layout.stride).zip(values.chunks_exact(n)) {
            match self.precision {
                Precision::F32 => bytemuck::cast_slice_mut(&mut row[..4 * n]).copy_from_slice(values),
                Precision::Bf16 => bf16::narrow(path, values, bytemuck::cast_slice_mut(&mut row[..2 * n])),
                Precision::I8 => {
                    let scale = whole_numbers(values, bytemuck::cast_slice_mut(&mut row[..n]));
                    row[self.layout.scale..self.layout.scale + 4].copy_from_slice(&scale.to_le_bytes());
                }
            }
            self.read(path, row, &mut back);
            for (&a, &b) in values.iter().zip(&back) {
                most = most.max((a - b).abs());
                error += f64::from(a - b).powi(2);
                norm += f64::from(a).powi(2);
            }
        }
        (most, if norm > 0.0 { (error / norm).sqrt() } else { 0.0 })
    }

    /// Reads the numbers of rows.
    pub(crate) fn read(&self, path: Path, bytes: &[u8], values: &mut [f32]) {
        let Self { layout, head_dim: n, .. } = *self;
        for (row, out) in bytes.chunks_exact(layout.stride).zip(values.chunks_exact_mut(n)) {
            match self.precision {
                Precision::F32 => out.copy_from_slice(bytemuck::cast_slice(&row[..4 * n])),
                Precision::Bf16 => bf16::widen(path, bytemuck::cast_slice(&row[..2 * n]), out),
                Precision::I8 => {
                    let scale = f32::from_le_bytes(row[layout.scale..layout.scale + 4].try_into().expect("four bytes"));
                    let whole: &[i8] = bytemuck::cast_slice(&row[..n]);
                    out.iter_mut().zip(whole).for_each(|(out, &x)| *out = scale * f32::from(x));
                }
            }
        }
    }
}

/// Writes numbers from -127 to 127; returns what they are multiplied by.
pub(crate) fn whole_numbers(values: &[f32], out: &mut [i8]) -> f32 {
    let most = values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let scale = most / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (out, &x) in out.iter_mut().zip(values) {
        *out = (x * inverse).round_ties_even().clamp(-127.0, 127.0) as i8;
    }
    scale
}
