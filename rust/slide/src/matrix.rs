//! Rows of weights, in f32 or bf16, wherever they are.

use thrifty_base::math::Rows;

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

/// The number whose upper half this is.
#[inline(always)]
pub fn widened(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

impl<'a> Matrix<'a> {
    /// Copies a row.
    pub fn copy(&self, row: usize, out: &mut [f32]) {
        let range = row * self.stride..row * self.stride + self.length;
        match self.values {
            Values::F32(values) => out.copy_from_slice(&values[range]),
            Values::Bf16(values) => out.iter_mut().zip(&values[range]).for_each(|(o, &x)| *o = widened(x)),
        }
    }

    /// The rows `ids`: where they are, or copied to `scratch` if they are not in f32. `starts` is room for where they begin.
    pub fn rows<'b>(&self, ids: &[u32], scratch: &'b mut Vec<f32>, starts: &'b mut Vec<usize>) -> Rows<'b>
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
                    self.copy(id as usize, out);
                }
                starts.extend((0..ids.len()).map(|i| i * self.length));
                Rows { data: scratch, starts, length: self.length }
            }
        }
    }
}
