//! The token rule (arXiv 2211.17192, algorithm 1; arXiv 2302.01318, algorithm 2).
//!
//! A draft x of law q is accepted with probability min(1, p(x) / q(x)). In the place of the first that is not stands a
//! draw of max(p - q, 0), scaled to 1; behind drafts that all were, one of p. What is emitted then has the law p, and a
//! draft is accepted with probability sum of min(p, q).

use thrifty_base::noise::Purpose;

use super::chain::{Chain, Room};
use crate::Result;

/// Writes what is emitted and returns how many drafts were accepted. Rows behind the first rejection are not read,
/// and of q only its row and chances of drafts.
pub(super) fn verify(chain: &Chain<'_>, room: &mut Room, tokens: &mut [i64]) -> Result<usize> {
    for (i, &id) in chain.draft.iter().enumerate() {
        // Accepted if p gives the draft as much as this.
        let least = chain.uniform(i, 0) * f64::from(chain.q_chance(i, &mut room.q)?);
        if chain.reaches(i, least) {
            tokens[i] = id;
            continue;
        }
        let p = chain.p(i, &mut room.p)?;
        if least <= f64::from(p.chance(chain.path, id as usize)) {
            tokens[i] = id;
            continue;
        }
        let q = chain.q(i, &mut room.q)?;
        tokens[i] = chain.replace(i, 1.0, &p, &q, &mut room.out)? as i64;
        return Ok(i);
    }
    let all = chain.draft.len();
    tokens[all] = chain.drawn_at(Purpose::Bonus, chain.place(all), room)? as i64;
    Ok(all)
}
