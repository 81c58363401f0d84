//! The block rule (Sun et al., "Block verification accelerates speculative decoding", ICLR 2025, algorithm 2).
//!
//! Drafts are judged together. With r_0 = 1 and r_i = min(1, r_{i-1} p_i(x_i) / q_i(x_i)), the first i drafts pass with
//! probability h_i = s_i / (s_i + 1 - r_i), s_i = sum of max(r_i p_{i+1} - q_{i+1}, 0), and all of them with r_g; the
//! most that pass are accepted, and what follows is drawn from max(r_i p_{i+1} - q_{i+1}, 0), scaled to 1. What is
//! emitted has the law p, and no rule accepts more drafts in the mean.

use thrifty_base::noise::Purpose;

use super::chain::{Chain, Room};
use crate::Result;

/// Writes what is emitted and returns how many drafts were accepted.
pub(super) fn verify(chain: &Chain<'_>, room: &mut Room, tokens: &mut [i64]) -> Result<usize> {
    weigh(chain, room)?;
    let all = chain.draft.len();
    // Behind a weight of 0 none passes.
    let mut i = room.weights.len();
    loop {
        let (r, u) = if i == 0 { (1.0, 0.0) } else { (room.weights[i - 1], chain.uniform(i - 1, 0)) };
        // h_i <= r_i, since s_i <= r_i: most that fail do so before a row is read.
        if i > 0 && u > r {
            i -= 1;
            continue;
        }
        let next = if i == all {
            chain.drawn_at(Purpose::Bonus, chain.place(i), room)?
        } else {
            let p = chain.p(i, &mut room.p)?;
            let q = chain.q(i, &mut room.q)?;
            if i > 0 {
                let s = chain.surplus(i, r as f32, &p, &q, &mut room.out)?;
                if u * (s + 1.0 - r) > s {
                    i -= 1;
                    continue;
                }
            }
            chain.replace(i, r as f32, &p, &q, &mut room.out)?
        };
        tokens[..i].copy_from_slice(&chain.draft[..i]);
        tokens[i] = next as i64;
        return Ok(i);
    }
}

/// The weights r_i, up to the first that is 0.
fn weigh(chain: &Chain<'_>, room: &mut Room) -> Result<()> {
    room.weights.clear();
    let mut r = 1.0f64;
    for (i, &id) in chain.draft.iter().enumerate() {
        let q = chain.q_chance(i, &mut room.q)?;
        let p = chain.p(i, &mut room.p)?.chance(chain.path, id as usize);
        r = (r * (f64::from(p) / f64::from(q))).min(1.0);
        if r == 0.0 {
            break;
        }
        room.weights.push(r);
    }
    Ok(())
}
