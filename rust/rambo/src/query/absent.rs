//! How many buckets answer an item that no document holds: more than the rate says now and then, since relatives have
//! the same bits set.

use thrifty_base::hash::mix64;

use super::view::View;
use crate::simd::Simd;

/// Items whose rows are read. On a file that is not in memory yet each row waits for the disk.
const ITEMS: usize = 512;
/// Rows of different items make one more item, as likely as any: so many in all, for answers that are rare but many.
const COMBINED: usize = 16_384;

/// How many buckets of the first repetition answer each of a sample of absent items.
#[inline(always)]
pub(super) fn absent<S: Simd>(s: S, view: &View<'_>) -> Vec<u32> {
    let repetition = &view.repetitions[0];
    let stride = repetition.stride();
    let hashes: Vec<u64> = (1..=ITEMS as u64).map(mix64).collect();
    let mut places = vec![0; ITEMS * stride];
    repetition.locate(s, &hashes, &mut places);
    let mut combined = vec![0; ITEMS * stride];
    let mut masks = vec![s.zero(); ITEMS * repetition.chunks];
    let mut out = Vec::with_capacity(COMBINED);
    for round in 0..COMBINED / ITEMS {
        for (i, place) in combined.iter_mut().enumerate() {
            let other = mix64((round * ITEMS * stride + i) as u64) as usize % ITEMS;
            *place = places[other * stride + i % stride];
        }
        repetition.read(s, &combined, &mut masks, 0, repetition.chunks);
        for masks in masks.chunks_exact(repetition.chunks) {
            let mut answered = 0;
            for &mask in masks {
                answered += s.count(mask);
            }
            out.push(answered);
        }
    }
    out
}
