//! Short decimal numbers, exactly and fast.

/// Powers of ten that f64 holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The number that `text` is, as `str::parse` reads it.
pub fn parse_f32(text: &[u8]) -> Option<f32> {
    match short(text, 0) {
        Some((value, end)) if end == text.len() => Some(value),
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// The number at `at` and where it ends; `None` where it is not short and plain, or none.
///
/// With digits below 2^53 and a power of ten up to 22, both exact in f64, one division or multiplication gives the
/// nearest f64. The f32 nearest to that is the f32 nearest to the number itself unless the f64 lies in the middle
/// between two f32: middles are f64 numbers, so rounding to f64 moves a number onto one at most, never across. All
/// results but 0 lie between 1e-22 and 2^53 1e22, where f32 is neither subnormal nor infinite.
#[inline(always)]
pub(super) fn short(text: &[u8], mut at: usize) -> Option<(f32, usize)> {
    let sign = *text.get(at)?;
    at += usize::from(matches!(sign, b'-' | b'+'));
    let start = at;
    let mut digits = 0u64;
    while let Some(d) = digit(text, at) {
        digits = digits.wrapping_mul(10).wrapping_add(d);
        at += 1;
    }
    let mut count = at - start;
    let mut power = 0i32;
    if text.get(at) == Some(&b'.') {
        at += 1;
        let point = at;
        while let Some(d) = digit(text, at) {
            digits = digits.wrapping_mul(10).wrapping_add(d);
            at += 1;
        }
        count += at - point;
        // More than 19 digits are refused below, whatever their number does here.
        power = -((at - point).min(99) as i32);
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let down = *text.get(at + 1)? == b'-';
        at += 1 + usize::from(down || text[at + 1] == b'+');
        let mut exponent = digit(text, at)? as i32;
        at += 1;
        while let Some(d) = digit(text, at) {
            exponent = (10 * exponent + d as i32).min(1_000);
            at += 1;
        }
        power = power.saturating_add(if down { -exponent } else { exponent });
    }
    // 19 digits fit in 64 bits.
    if count == 0 || count > 19 || digits > 1 << 53 {
        return None;
    }
    let exact = digits as f64;
    let scale = *POWERS.get(power.unsigned_abs() as usize)?;
    let value = if power < 0 { exact / scale } else { exact * scale };
    let below_f32 = value.to_bits() & ((1 << 29) - 1);
    if below_f32 == 1 << 28 {
        return None;
    }
    let value = value as f32;
    Some((if sign == b'-' { -value } else { value }, at))
}

#[inline(always)]
fn digit(text: &[u8], at: usize) -> Option<u64> {
    let d = text.get(at)?.wrapping_sub(b'0');
    (d < 10).then_some(u64::from(d))
}
