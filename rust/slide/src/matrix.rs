//! Rows of weights, in f32 or bf16, wherever they are.

use thrifty_base::math::Rows;
use thrifty_base::math::bf16::widen;
use thrifty_base::pages::{Floats, Pages};
use thrifty_base::prefetch::prefetch;
use thrifty_base::simd::Path;

/// Numbers of a matrix.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// The upper halves of f32.
    Bf16(&'a [u16]),
}

/// A matrix by rows, for reading.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The numbers.
    pub values: Values<'a>,
    /// Numbers from one row to the next.
    pub stride: usize,
    /// Numbers of a row that count.
    pub length: usize,
}

/// Numbers of a matrix, for a step.
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// As they are.
    F32(&'a mut [f32]),
    /// The upper halves of f32.
    Bf16(&'a mut [u16]),
}

impl<'a> ValuesMut<'a> {
    /// The same numbers, for a while.
    pub fn again(&mut self) -> ValuesMut<'_> {
        match self {
            Self::F32(values) => ValuesMut::F32(values),
            Self::Bf16(values) => ValuesMut::Bf16(values),
        }
    }

    /// For reading, in rows of `length` numbers.
    pub fn matrix(&self, length: usize) -> Matrix<'_> {
        let values = match self {
            Self::F32(values) => Values::F32(values),
            Self::Bf16(values) => Values::Bf16(values),
        };
        Matrix { values, stride: length, length }
    }

    /// The numbers before `at`, and the others.
    pub fn split_at(self, at: usize) -> (Self, Self) {
        match self {
            Self::F32(values) => {
                let (a, b) = values.split_at_mut(at);
                (Self::F32(a), Self::F32(b))
            }
            Self::Bf16(values) => {
                let (a, b) = values.split_at_mut(at);
                (Self::Bf16(a), Self::Bf16(b))
            }
        }
    }
}

/// Rows of weights in memory of their own, one after the other without gaps.
#[derive(Debug)]
pub enum Store {
    /// As they are.
    F32(Floats),
    /// The upper halves of f32.
    Bf16(Pages<u16>),
}

impl Store {
    /// For reading, in rows of `length` numbers.
    pub fn matrix(&self, length: usize) -> Matrix<'_> {
        let values = match self {
            Self::F32(values) => Values::F32(values),
            Self::Bf16(values) => Values::Bf16(values),
        };
        Matrix { values, stride: length, length }
    }

    /// For a step.
    pub fn values_mut(&mut self) -> ValuesMut<'_> {
        match self {
            Self::F32(values) => ValuesMut::F32(values),
            Self::Bf16(values) => ValuesMut::Bf16(values),
        }
    }
}

impl<'a> Matrix<'a> {
    /// Copies a row.
    pub fn copy(&self, path: Path, row: usize, out: &mut [f32]) {
        let range = row * self.stride..row * self.stride + self.length;
        match self.values {
            Values::F32(values) => out.copy_from_slice(&values[range]),
            Values::Bf16(values) => widen(path, &values[range], out),
        }
    }

    /// Asks memory for some rows.
    pub fn prefetch(&self, ids: &[u32]) {
        for &id in ids {
            let range = id as usize * self.stride..id as usize * self.stride + self.length;
            match self.values {
                Values::F32(values) => prefetch(&values[range]),
                Values::Bf16(values) => prefetch(&values[range]),
            }
        }
    }

    /// The rows `ids`: where they are, or copied to `scratch` if they are not in f32. `starts` is room for where they begin.
    pub fn rows<'b>(&self, path: Path, ids: &[u32], scratch: &'b mut Vec<f32>, starts: &'b mut Vec<usize>) -> Rows<'b>
    where
        'a: 'b,
    {
        starts.clear();
        match self.values {
            Values::F32(data) => {
                starts.extend(ids.iter().map(|&id| id as usize * self.stride));
                Rows { data, starts, length: self.length }
            }
            Values::Bf16(_) => {
                scratch.resize(ids.len() * self.length, 0.0);
                for (&id, out) in ids.iter().zip(scratch.chunks_exact_mut(self.length)) {
                    self.copy(path, id as usize, out);
                }
                starts.extend((0..ids.len()).map(|i| i * self.length));
                Rows { data: scratch, starts, length: self.length }
            }
        }
    }
}
