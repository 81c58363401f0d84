//! A vector as a set of coordinates.

use thrifty_base::math::LANES;

/// Coordinates of a vector that make its set, as the reference implementation of SLIDE takes.
pub const TOP: usize = 30;

/// The [`TOP`] largest coordinates of vector `lane`, of those that are not zero; of equal ones the first. They are largest
/// by sign, not by size: a vector and its negative are to differ.
pub(super) fn top<'a>(block: &[f32], lane: usize, found: &'a mut Vec<(f32, u32)>) -> &'a [(f32, u32)] {
    found.clear();
    let numbers = block.iter().skip(lane).step_by(LANES).zip(0u32..);
    found.extend(numbers.filter(|&(&x, _)| x != 0.0 && !x.is_nan()).map(|(&x, c)| (x, c)));
    if found.len() > TOP {
        found.select_nth_unstable_by(TOP - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(TOP);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_and_of_equals_the_first() {
        let of = |x: &dyn Fn(usize) -> f32| -> Vec<u32> {
            let mut block = vec![0.0; 100 * LANES];
            (0..100).for_each(|c| block[c * LANES + 5] = x(c));
            let mut found = Vec::new();
            let mut set: Vec<u32> = top(&block, 5, &mut found).iter().map(|f| f.1).collect();
            set.sort_unstable();
            set
        };
        assert_eq!(of(&|c| c as f32 - 50.0), (70..100).collect::<Vec<_>>());
        assert_eq!(of(&|_| -1.0), (0..30).collect::<Vec<_>>());
        assert_eq!(of(&|c| if c % 20 == 0 { -2.0 } else { 0.0 }), [0, 20, 40, 60, 80]);
        assert_eq!(of(&|c| if c == 7 { f32::NAN } else { -0.0 }), [0u32; 0]);
    }
}
