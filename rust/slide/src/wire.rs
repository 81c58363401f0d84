//! Hidden values and their gradients as they travel between slices: a bit for each value, then those that are not zero.
//!
//! Gradients are sent where values are not zero, which both sides know; elsewhere the rectifier stops them.

use thrifty_base::math::bf16;
use thrifty_base::simd::Path;

use crate::{Error, Result};

/// How numbers travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Wire {
    /// As they are.
    F32,
    /// Rounded to bf16.
    Bf16,
    /// Rounded to 127 steps of the largest number of their row, which travels as well.
    I8,
}

/// Steps from zero to the largest number of a row.
const STEPS: f32 = 127.0;

impl Wire {
    /// Bytes of so many numbers of so many rows.
    pub fn bytes(self, rows: usize, numbers: usize) -> usize {
        match self {
            Self::F32 => 4 * numbers,
            Self::Bf16 => 2 * numbers,
            Self::I8 => 4 * rows + numbers,
        }
    }

    /// Appends rows of numbers that end at `ends`.
    fn push(self, path: Path, numbers: &[f32], ends: &[usize], out: &mut Vec<u8>) {
        match self {
            Self::F32 => out.extend_from_slice(bytemuck::cast_slice(numbers)),
            Self::Bf16 => {
                let mut halves = vec![0u16; numbers.len()];
                bf16::narrow(path, numbers, &mut halves);
                out.extend_from_slice(bytemuck::cast_slice(&halves));
            }
            Self::I8 => {
                let rows = || ends.iter().scan(0, |at, &end| Some(&numbers[std::mem::replace(at, end)..end]));
                let steps: Vec<f32> =
                    rows().map(|row| row.iter().fold(0.0f32, |most, x| most.max(x.abs())) / STEPS).collect();
                out.extend_from_slice(bytemuck::cast_slice(&steps));
                for (row, &step) in rows().zip(&steps) {
                    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
                    out.extend(row.iter().map(|x| (x * inverse).round() as i8 as u8));
                }
            }
        }
    }

    /// The numbers of rows that end at `ends`, of as many bytes as [`Self::bytes`] says.
    fn numbers(self, path: Path, bytes: &[u8], ends: &[usize]) -> Vec<f32> {
        match self {
            Self::F32 => copied(bytes),
            Self::Bf16 => {
                let halves: Vec<u16> = copied(bytes);
                let mut out = vec![0.0f32; halves.len()];
                bf16::widen(path, &halves, &mut out);
                out
            }
            Self::I8 => {
                let (steps, bytes) = bytes.split_at(4 * ends.len());
                let steps: Vec<f32> = copied(steps);
                let mut out = Vec::with_capacity(bytes.len());
                for (&end, step) in ends.iter().zip(steps) {
                    out.extend(bytes[out.len()..end].iter().map(|&x| f32::from(x as i8) * step));
                }
                out
            }
        }
    }
}

/// Bytes, as many as whole numbers have, as numbers.
fn copied<T: bytemuck::Pod>(bytes: &[u8]) -> Vec<T> {
    let mut out = vec![T::zeroed(); bytes.len() / size_of::<T>()];
    bytemuck::cast_slice_mut(&mut out).copy_from_slice(bytes);
    out
}

/// Numbers below this could round to zero; they travel as zeros.
const LEAST: f32 = f32::MIN_POSITIVE;

/// Appends the message of `rows` rows of `units` hidden values, which begin `stride` numbers apart. Values that would be
/// rounded to zero are zeros.
pub fn pack_hidden(
    wire: Wire,
    path: Path,
    hidden: &[f32],
    stride: usize,
    rows: usize,
    units: usize,
    out: &mut Vec<u8>,
) {
    let begin = out.len();
    out.resize(begin + (rows * units).div_ceil(8), 0);
    let (mut values, mut ends) = (Vec::with_capacity(rows * units), Vec::with_capacity(rows));
    for (row, x) in hidden.chunks_exact(stride).take(rows).enumerate() {
        let least = match wire {
            Wire::I8 => (x[..units].iter().fold(0.0f32, |most, &x| most.max(x)) * (0.5 / STEPS)).max(LEAST),
            _ => LEAST,
        };
        for (unit, &h) in x[..units].iter().enumerate() {
            if h >= least {
                let bit = row * units + unit;
                out[begin + bit / 8] |= 1 << (bit % 8);
                values.push(h);
            }
        }
        ends.push(values.len());
    }
    wire.push(path, &values, &ends, out);
}

/// Puts the values of a message where they belong: row after row, `stride` numbers apart, from `first` on.
pub fn unpack_hidden(
    wire: Wire,
    path: Path,
    message: &[u8],
    (rows, first, units): (usize, usize, usize),
    out: &mut [f32],
    stride: usize,
) -> Result<()> {
    let size = (rows * units).div_ceil(8);
    let bad = || Error::argument("message", format!("{} bytes are no {rows} rows of {units} values", message.len()));
    let (bits, rest) = message.split_at_checked(size).ok_or_else(bad)?;
    let is_set = |bit: usize| bits[bit / 8] >> (bit % 8) & 1 == 1;
    let ends: Vec<usize> = (0..rows)
        .scan(0, |all, row| {
            *all += (row * units..(row + 1) * units).filter(|&bit| is_set(bit)).count();
            Some(*all)
        })
        .collect();
    if rest.len() != wire.bytes(rows, ends.last().copied().unwrap_or(0)) {
        return Err(bad());
    }
    let mut values = wire.numbers(path, rest, &ends).into_iter();
    for row in 0..rows {
        let out = &mut out[row * stride + first..][..units];
        for (unit, out) in out.iter_mut().enumerate() {
            *out = if is_set(row * units + unit) { values.next().ok_or_else(bad)? } else { 0.0 };
        }
    }
    Ok(())
}

/// Appends the gradients (rows of `length`) of the `units` units from `first` on, where `hidden` (rows of `stride`) is not zero.
pub fn pack_gradient(
    wire: Wire,
    path: Path,
    (gradient, length): (&[f32], usize),
    (hidden, stride): (&[f32], usize),
    (first, units): (usize, usize),
    out: &mut Vec<u8>,
) {
    let (mut values, mut ends) = (Vec::new(), Vec::new());
    for (g, h) in gradient.chunks_exact(length).zip(hidden.chunks_exact(stride)) {
        let pairs = g[first..first + units].iter().zip(&h[first..first + units]);
        values.extend(pairs.filter(|(_, h)| **h > 0.0).map(|(g, _)| *g));
        ends.push(values.len());
    }
    wire.push(path, &values, &ends, out);
}

/// Adds such a message to `out`, rows of `width` for the units from `first` on of `hidden` (rows of `stride`).
pub fn add_gradient(
    wire: Wire,
    path: Path,
    message: &[u8],
    (hidden, stride): (&[f32], usize),
    (rows, first, units): (usize, usize, usize),
    out: &mut [f32],
    width: usize,
) -> Result<()> {
    let bad = || Error::argument("message", format!("{} bytes are no gradient of {rows} rows", message.len()));
    let here = |row: usize| &hidden[row * stride + first..][..units];
    let ends: Vec<usize> = (0..rows)
        .scan(0, |all, row| {
            *all += here(row).iter().filter(|h| **h > 0.0).count();
            Some(*all)
        })
        .collect();
    if message.len() != wire.bytes(rows, ends.last().copied().unwrap_or(0)) {
        return Err(bad());
    }
    let mut values = wire.numbers(path, message, &ends).into_iter();
    for (row, out) in out.chunks_exact_mut(width).take(rows).enumerate() {
        for (out, _) in out.iter_mut().zip(here(row)).filter(|(_, h)| **h > 0.0) {
            *out += values.next().ok_or_else(bad)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use thrifty_base::philox::Philox;
    use thrifty_base::simd;

    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let random = Philox::new(seed, 9);
        (0..count as u64).map(|i| (random.u64_at(i) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    #[test]
    fn what_travels_arrives() {
        let path = simd::path().unwrap();
        for (wire, near) in [(Wire::F32, 0.0), (Wire::Bf16, 1.0 / 256.0), (Wire::I8, 0.5 / 127.0)] {
            for (rows, units) in [(1, 1), (3, 5), (16, 32), (7, 33)] {
                let (stride, wide) = (units + 3, units + 11);
                let hidden: Vec<f32> = numbers(rows * stride, 1).iter().map(|x| x.max(0.0)).collect();
                let mut message = Vec::new();
                pack_hidden(wire, path, &hidden, stride, rows, units, &mut message);
                let mut got = vec![7.0f32; rows * wide];
                unpack_hidden(wire, path, &message, (rows, 4, units), &mut got, wide).unwrap();
                for row in 0..rows {
                    for unit in 0..units {
                        let (x, y) = (hidden[row * stride + unit], got[row * wide + 4 + unit]);
                        let near = if wire == Wire::I8 { near } else { near * x };
                        let found = (x <= near || y > 0.0) && (x > 0.0 || y == 0.0);
                        assert!((x - y).abs() <= near && found, "{x} {y}");
                    }
                    assert_eq!(got[row * wide + 3], 7.0);
                }
                let gradient = numbers(rows * wide, 2);
                let (mut message, mut sum) = (Vec::new(), vec![1.0f32; rows * units]);
                pack_gradient(wire, path, (&gradient, wide), (&got, wide), (4, units), &mut message);
                let place = (rows, 4, units);
                add_gradient(wire, path, &message, (&got, wide), place, &mut sum, units).unwrap();
                for (i, s) in sum.iter().enumerate() {
                    let at = i / units * wide + 4 + i % units;
                    let exact = if got[at] > 0.0 { 1.0 + gradient[at] } else { 1.0 };
                    assert!((s - exact).abs() <= near + 1e-6);
                }
                assert!(
                    add_gradient(wire, path, &message[1..], (&got, wide), place, &mut sum, units).is_err()
                        || message.is_empty()
                );
            }
        }
    }

    #[test]
    fn damaged_messages_are_refused() {
        let path = simd::path().unwrap();
        let mut out = vec![0.0; 16];
        for message in [&[][..], &[0xff], &[0x01, 0, 0], &[0x00, 0, 0, 0x80, 0x3f]] {
            assert!(unpack_hidden(Wire::F32, path, message, (2, 0, 4), &mut out, 8).is_err());
        }
        assert!(unpack_hidden(Wire::F32, path, &[0x01, 0, 0, 0x80, 0x3f], (2, 0, 4), &mut out, 8).is_ok());
        assert_eq!(out[0], 1.0);
    }
}
