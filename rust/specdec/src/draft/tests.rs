//! Drafters against what they would say if they looked at everything anew.

use std::collections::HashMap;

use proptest::prelude::*;
use thrifty_base::draft::{Ask, Draft, Proposals};
use thrifty_base::philox::Philox;
use thrifty_base::sampling::Sampling;

use super::*;

const VOCAB: usize = 4;

fn ask(sequence: usize, tokens: usize) -> Ask {
    Ask { sequence, tokens, sampling: Sampling::default(), random: Philox::new(0, 0) }
}

fn proposed<D: Draft>(drafter: &mut D, sequence: usize, tokens: usize) -> Vec<u32>
where
    D::Error: std::fmt::Debug,
{
    let mut out = Proposals::default();
    drafter.propose(&[ask(sequence, tokens)], true, &mut out).unwrap();
    assert!(out.ends == [out.ids.len()] && out.chances == vec![1.0; out.ids.len()]);
    assert!(out.laws.ids == out.ids && out.laws.ends == (1..=out.ids.len()).collect::<Vec<_>>());
    out.ids
}

/// The longest match of the text's last ids, of equal ones the latest, and what followed it.
fn looked_up(ids: &[u32], least: usize, longest: usize, tokens: usize) -> Vec<u32> {
    let same = |end: usize| (1..=end.min(longest)).take_while(|&k| ids[end - k] == ids[ids.len() - k]).count();
    let best = (least..ids.len()).map(|end| (same(end), end)).filter(|m| m.0 >= least).max();
    let Some((_, place)) = best else { return Vec::new() };
    let mut all = ids.to_vec();
    (place..place + tokens).for_each(|at| all.push(all[at]));
    all.split_off(ids.len())
}

/// What a sequence goes through.
#[derive(Clone, Debug)]
enum Op {
    Append(Vec<u32>),
    Truncate(usize),
    Fork,
    Round { tokens: usize, accept: usize, instead: u32 },
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0..VOCAB as u32;
    prop_oneof![
        prop::collection::vec(id.clone(), 0..6).prop_map(Op::Append),
        (0usize..40).prop_map(Op::Truncate),
        Just(Op::Fork),
        (0usize..6, 0usize..6, id).prop_map(|(tokens, accept, instead)| Op::Round { tokens, accept, instead }),
    ]
}

/// Does operations; `wanted` says what is to be proposed for ids that are all settled, and learns them.
fn operate<D: Draft>(drafter: &mut D, ops: &[Op], mut wanted: impl FnMut(&[u32], usize) -> Vec<u32>)
where
    D::Error: std::fmt::Debug,
{
    let mut ids = vec![1, 2, 1];
    let mut sequence = drafter.open(&ids).unwrap();
    for op in ops {
        match op {
            Op::Append(more) => {
                drafter.append(sequence, more).unwrap();
                ids.extend(more);
            }
            Op::Truncate(length) => {
                let length = ids.len().min(*length);
                drafter.truncate(sequence, length).unwrap();
                ids.truncate(length);
            }
            Op::Fork => {
                let other = drafter.fork(sequence).unwrap();
                // The one before may go another way.
                drafter.append(sequence, &[3, 3, 3]).unwrap();
                drafter.close(sequence).unwrap();
                assert!(drafter.length(sequence).is_err());
                sequence = other;
            }
            Op::Round { tokens, accept, instead } => {
                let expected = wanted(&ids, *tokens);
                assert_eq!(drafter.offer(sequence, *tokens).unwrap(), expected.len());
                assert_eq!(proposed(drafter, sequence, *tokens), expected);
                let accepted = (*accept).min(expected.len());
                drafter.truncate(sequence, ids.len() + accepted).unwrap();
                drafter.append(sequence, &[*instead]).unwrap();
                ids.extend(&expected[..accepted]);
                ids.push(*instead);
            }
        }
        assert_eq!(drafter.length(sequence).unwrap(), ids.len());
    }
}

proptest! {
    /// Whatever was taken back and forked, lookups find what a search of the ids finds.
    #[test]
    fn lookups(least in 1usize..4, more in 0usize..5, ops in prop::collection::vec(op(), 0..30)) {
        let longest = least + more;
        let mut drafter = Ready::new(Lookup::new(least, longest).unwrap(), VOCAB);
        // Texts are so short that all places are looked at.
        operate(&mut drafter, &ops, |ids, tokens| looked_up(ids, least, longest, tokens));
    }

    /// Counts are those of all that was settled, once each, and the longest context that was seen often enough decides.
    #[test]
    fn counts(order in 1usize..4, least in 1u32..3, text in prop::collection::vec(0..VOCAB as u32, 0..30)) {
        let mut source = Counts::new(order, least, usize::MAX).unwrap();
        source.learn(&text, 0);
        let mut seen: HashMap<Vec<u32>, [u32; VOCAB]> = HashMap::new();
        for at in 0..text.len() {
            for n in 1..=order.min(at) {
                seen.entry(text[at - n..at].to_vec()).or_default()[text[at] as usize] += 1;
            }
        }
        prop_assert_eq!(source.contexts(), seen.len());
        let mut drafter = Ready::new(source, VOCAB);
        let begin = [1, 0, 2, 1];
        for at in 0..begin.len() {
            for n in 1..=order.min(at) {
                seen.entry(begin[at - n..at].to_vec()).or_default()[begin[at] as usize] += 1;
            }
        }
        let mut all = begin.to_vec();
        for _ in 0..5 {
            let next = (1..=order.min(all.len())).rev().find_map(|n| {
                let counts = seen.get(&all[all.len() - n..])?;
                let most = *counts.iter().max()?;
                (most >= least).then(|| counts.iter().position(|&c| c == most).unwrap() as u32)
            });
            let Some(next) = next else { break };
            all.push(next);
        }
        let sequence = drafter.open(&begin).unwrap();
        prop_assert_eq!(proposed(&mut drafter, sequence, 5), &all[begin.len()..]);
    }

    /// The table holds the last that was said of each context, of so many contexts.
    #[test]
    fn recycled(
        order in 1usize..3, contexts in 1usize..6,
        told in prop::collection::vec((prop::collection::vec(0..VOCAB as u32, 1..8), 0..VOCAB as u32), 0..20),
    ) {
        let mut drafter = Ready::new(Recycled::new(2, order, contexts).unwrap(), VOCAB);
        let mut table: Vec<(Vec<u32>, [u32; 2])> = Vec::new();
        for (text, id) in &told {
            let pair = [*id, (id + 1) % VOCAB as u32];
            drafter.observe(text, &pair).unwrap();
            let Some(begin) = text.len().checked_sub(order) else { continue };
            let context = text[begin..].to_vec();
            match table.iter_mut().find(|row| row.0 == context) {
                Some(row) => row.1 = pair,
                None => table.push((context, pair)),
            }
            if table.len() > contexts {
                table.remove(0);
            }
        }
        for (context, pair) in &table {
            prop_assert_eq!(drafter.source().candidates(context), pair);
        }
        let begin = [0, 3, 1];
        let mut all = begin.to_vec();
        while let Some(row) = table.iter().find(|row| all.ends_with(&row.0)).filter(|_| all.len() < 8) {
            all.push(row.1[0]);
        }
        let sequence = drafter.open(&begin).unwrap();
        prop_assert_eq!(proposed(&mut drafter, sequence, 5), &all[3..]);
    }

    /// The second one is asked where the first has nothing, and both know all ids.
    #[test]
    fn cascades(ops in prop::collection::vec(op(), 0..30)) {
        let lookup = |least| Ready::new(Lookup::new(least, 8).unwrap(), VOCAB);
        let mut drafter = Cascade::new(lookup(4), lookup(1));
        operate(&mut drafter, &ops, |ids, tokens| {
            let first = looked_up(ids, 4, 8, tokens);
            if first.is_empty() { looked_up(ids, 1, 8, tokens) } else { first }
        });
    }
}

#[test]
fn a_loop_goes_round() {
    let mut drafter = Ready::new(Lookup::new(2, 8).unwrap(), 10);
    let sequence = drafter.open(&[5, 7, 8, 7, 8]).unwrap();
    assert_eq!(proposed(&mut drafter, sequence, 5), [7, 8, 7, 8, 7]);
}

#[test]
fn many_asks_of_a_cascade() {
    let counts = Counts::new(1, 1, 100).unwrap();
    let mut drafter = Cascade::new(Ready::new(Lookup::new(2, 8).unwrap(), 10), Ready::new(counts, 10));
    let found = [vec![1, 2, 3, 1, 2], vec![4, 5, 4], vec![6]].map(|ids| drafter.open(&ids).unwrap());
    let mut out = Proposals::default();
    drafter.propose(&found.map(|name| ask(name, 2)), true, &mut out).unwrap();
    // The first one is looked up; of the second pairs are counted; of the third nothing is known.
    assert_eq!(out.ids, [3, 1, 5, 4]);
    assert_eq!(out.ends, [2, 4, 4]);
    assert_eq!(out.laws.ends, [1, 2, 3, 4]);
    assert_eq!(out.laws.ids, out.ids);
    assert_eq!(found.map(|name| drafter.length(name).unwrap()), [7, 5, 1]);
}

#[test]
fn errors_name_what_is_wrong() {
    assert!(Lookup::new(0, 4).is_err() && Lookup::new(3, 2).is_err());
    assert!(Counts::new(0, 1, 1).is_err() && Counts::new(17, 1, 1).is_err() && Counts::new(1, 0, 1).is_err());
    assert!(Recycled::new(0, 1, 1).is_err() && Recycled::new(1, 1, 0).is_err());
    let mut drafter = Ready::new(Recycled::new(2, 1, 9).unwrap(), 10);
    assert!(drafter.open(&[10]).is_err() && drafter.fork(0).is_err() && drafter.close(0).is_err());
    let sequence = drafter.open(&[1]).unwrap();
    assert!(drafter.append(sequence, &[10]).is_err() && drafter.truncate(sequence, 2).is_err());
    assert!(drafter.observe(&[1], &[1]).is_err() && drafter.observe(&[1], &[1, 2, 3, 4]).is_err());
    let mut out = Proposals::default();
    assert!(drafter.propose(&[ask(sequence, 1), ask(sequence, 1)], false, &mut out).is_err());
    assert!(drafter.propose(&[ask(7, 1)], false, &mut out).is_err());
}
