//! How many drafts at each depth are worth how much.

use crate::acceptance::{DEPTHS, Row};

/// Bins; eight to a factor of two, so the last holds all that is worth less than a 1/256 of the best.
pub(super) const BINS: usize = 64;
const SHIFT: u32 = 20;

/// Where bins begin: bits of the best value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale(u32);

impl Scale {
    pub(super) fn new(best: f32) -> Self {
        Self(best.to_bits())
    }

    /// Where a value is that is not nothing.
    #[inline(always)]
    pub(super) fn bin(self, value: f32) -> usize {
        ((self.0.saturating_sub(value.to_bits()) >> SHIFT) as usize).min(BINS - 1)
    }

    /// Values above this are in bins up to `bin`; the last bin has all that is not nothing.
    pub(super) fn floor(self, bin: usize) -> f32 {
        if bin + 1 >= BINS {
            return 0.0;
        }
        f32::from_bits(self.0.saturating_sub((bin as u32 + 1) << SHIFT))
    }
}

/// Values of one draft by bin and depth.
#[derive(Clone, Debug)]
pub(super) struct Histogram(Vec<Sums>);

/// Count and sum of values, by depth.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(super) struct Sums {
    pub(super) count: [u32; DEPTHS],
    pub(super) gain: [f32; DEPTHS],
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self(vec![Sums::default(); BINS])
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(Sums::default());
    }

    /// Values of a request, which do not rise with depth.
    #[inline(always)]
    pub(super) fn add(&mut self, scale: Scale, values: &Row) {
        for k in 0..DEPTHS {
            let value = values.0[k];
            if value <= 0.0 {
                break;
            }
            let sums = &mut self.0[scale.bin(value)];
            sums.count[k] += 1;
            sums.gain[k] += value;
        }
    }

    /// Values of the first `cap` ids of a request.
    #[inline(always)]
    pub(super) fn add_some(&mut self, scale: Scale, weight: f32, worth: &[f32], cap: usize) {
        for (k, worth) in worth.iter().enumerate().take(cap.min(DEPTHS)) {
            let value = weight * worth;
            if value <= 0.0 {
                break;
            }
            let sums = &mut self.0[scale.bin(value)];
            sums.count[k] += 1;
            sums.gain[k] += value;
        }
    }

    /// Adds the values of a bin; whether there are any.
    #[inline]
    pub(super) fn down_to(&self, bin: usize, sums: &mut Sums) -> bool {
        let Sums { count, gain } = &self.0[bin];
        let any = count.iter().fold(0, |any, n| any | n) != 0;
        if any {
            for k in 0..DEPTHS {
                sums.count[k] += count[k];
                sums.gain[k] += gain[k];
            }
        }
        any
    }
}
