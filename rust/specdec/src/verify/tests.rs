//! Rules on small chains: forms of laws, threads, paths and rounds.

use proptest::prelude::*;
use thrifty_base::hash::mix64;
use thrifty_base::noise::{Noise, Purpose};
use thrifty_base::progress::Progress;
use thrifty_base::sampling::race;
use thrifty_base::simd::Path;

use super::batch::verify_on;
use super::tree::verify_trees_on;
use super::{Batch, Drafted, Numbers, Params, Rule, Trees, ancestors};
use crate::{Error, Result};

/// A batch that owns its arrays.
#[derive(Clone, Debug)]
struct Case {
    vocab: usize,
    width: usize,
    p: Vec<f32>,
    q: Vec<f32>,
    draft: Vec<i64>,
    uid: Vec<u64>,
    position: Vec<i64>,
}

/// Rows of chances, some of them 0.
fn laws(seed: u64, rows: usize, vocab: usize) -> Vec<f32> {
    let mut out: Vec<f32> = (0..rows * vocab).map(|i| (mix64(seed ^ mix64(i as u64)) % 7) as f32).collect();
    for (i, row) in out.chunks_mut(vocab).enumerate() {
        row[i % vocab] += 0.5;
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }
    out
}

impl Case {
    fn new(seed: u64, n: usize, width: usize, vocab: usize) -> Self {
        let (p, q) = (laws(seed, n * (width + 1), vocab), laws(!seed, n * width, vocab));
        let uid: Vec<u64> = (0..n as u64).map(|i| mix64(seed + i)).collect();
        let position: Vec<i64> = (0..n as i64).map(|i| 1000 * i).collect();
        let mut draft = vec![-1; n * width];
        for i in 0..n * width {
            let (request, at) = (i / width, i % width);
            // Requests have from none to all places.
            if at < request % (width + 1) {
                let random = Noise::new(seed, uid[request]).of(Purpose::Draft, position[request] as u64);
                let drawn =
                    race(Path::Scalar, &q[i * vocab..][..vocab], random, (position[request] + at as i64) as u64);
                draft[i] = drawn.unwrap() as i64;
            }
        }
        Self { vocab, width, p, q, draft, uid, position }
    }

    fn batch(&self) -> Batch<'_> {
        Batch {
            vocab: self.vocab,
            width: self.width,
            p: Numbers::F32(&self.p),
            q: Drafted::Dense(Numbers::F32(&self.q)),
            draft: &self.draft,
            uid: &self.uid,
            position: &self.position,
            scores: None,
            q_lse: None,
            q_token: None,
        }
    }
}

fn run(path: Path, batch: &Batch<'_>, rule: Rule, threads: usize) -> Result<(Vec<i64>, Vec<i64>)> {
    let n = batch.uid.len();
    let (mut accepted, mut tokens) = (vec![0; n], vec![7; n * (batch.width + 1)]);
    verify_on(path, batch, rule, 9, threads, &Progress::new(), &mut accepted, &mut tokens)?;
    Ok((accepted, tokens))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Dense, sparse and certain laws, threads and instruction sets give the same.
    #[test]
    fn forms(seed in 0u64..1_000_000, n in 1usize..9, width in 0usize..5, vocab in 1usize..40) {
        let case = Case::new(seed, n, width, vocab);
        let batch = case.batch();
        let kept: Vec<usize> = (0..case.q.len()).rev().filter(|&i| case.q[i] > 0.0).collect();
        let rows: Vec<Vec<usize>> =
            (0..n * width).map(|row| kept.iter().copied().filter(|i| i / vocab == row).collect()).collect();
        let ids: Vec<u32> = rows.iter().flatten().map(|i| (i % vocab) as u32).collect();
        let chances: Vec<f32> = rows.iter().flatten().map(|&i| case.q[i]).collect();
        let mut indptr = vec![0i64];
        rows.iter().for_each(|row| indptr.push(indptr[indptr.len() - 1] + row.len() as i64));
        let sparse = Batch { q: Drafted::Sparse { indptr: &indptr, ids: &ids, chances: &chances }, ..batch };
        let told: Vec<f32> = (0..n * width)
            .map(|i| if case.draft[i] < 0 { f32::NAN } else { case.q[i * vocab + case.draft[i] as usize] })
            .collect();
        let certain = Batch { q: Drafted::Certain, ..batch };
        let (ones, zeros): (Vec<u32>, Vec<i64>) =
            (case.draft.iter().map(|&id| id.max(0) as u32).collect(), (0..=(n * width) as i64).collect());
        let all = vec![1.0f32; ones.len()];
        let as_lists = Batch { q: Drafted::Sparse { indptr: &zeros, ids: &ones, chances: &all }, ..batch };
        for rule in Rule::ALL {
            let first = run(Path::Scalar, &batch, rule, 1).unwrap();
            let of_certain = run(Path::Scalar, &certain, rule, 1).unwrap();
            for path in Path::usable() {
                for threads in [1, 3] {
                    prop_assert_eq!(&run(path, &batch, rule, threads).unwrap(), &first);
                    prop_assert_eq!(&run(path, &sparse, rule, threads).unwrap(), &first);
                    let with_told = Batch { q_token: Some(&told), ..batch };
                    prop_assert_eq!(&run(path, &with_told, rule, threads).unwrap(), &first);
                    prop_assert_eq!(&run(path, &certain, rule, threads).unwrap(), &of_certain);
                    prop_assert_eq!(&run(path, &as_lists, rule, threads).unwrap(), &of_certain);
                }
            }
            for (request, tokens) in first.1.chunks(width + 1).enumerate() {
                let (accepted, draft) = (first.0[request] as usize, &case.draft[request * width..][..width]);
                prop_assert_eq!(&tokens[..accepted], &draft[..accepted]);
                prop_assert!((0..vocab as i64).contains(&tokens[accepted]));
                prop_assert!(tokens[accepted + 1..].iter().all(|&t| t == -1));
                // What is emitted can be emitted.
                for (i, &id) in tokens[..=accepted].iter().enumerate() {
                    let row = request * (width + 1) + i;
                    prop_assert!(case.p[row * vocab + id as usize] > 0.0);
                }
            }
        }
    }

    /// Scores in f32 and bf16, their sums told or not, at any temperature, over more than one chunk.
    #[test]
    fn scores(seed in 0u64..1_000_000, vocab in prop_oneof![2usize..50, 4000usize..9000], temperature in 0.3f32..2.0) {
        let (n, width) = (4, 3);
        let case = Case::new(seed, n, width, vocab);
        let narrow = |x: &[f32]| -> Vec<u16> { x.iter().map(|x| (((x * 8.0).to_bits() >> 16) + 1) as u16).collect() };
        let wide = |x: &[u16]| -> Vec<f32> { x.iter().map(|&x| f32::from_bits(u32::from(x) << 16)).collect() };
        let (p16, q16) = (narrow(&case.p), narrow(&case.q));
        let (p, q) = (wide(&p16), wide(&q16));
        let temperatures = vec![temperature; n];
        let scores = Some(Params { temperature: &temperatures, ..Params::default() });
        let lse: Vec<f32> = q
            .chunks(vocab)
            .map(|row| row.iter().map(|x| (f64::from(*x) / f64::from(temperature)).exp()).sum::<f64>().ln() as f32)
            .collect();
        let batch = Batch {
            p: Numbers::F32(&p), q: Drafted::Dense(Numbers::F32(&q)), scores, ..case.batch()
        };
        let half = Batch { p: Numbers::Bf16(&p16), q: Drafted::Dense(Numbers::Bf16(&q16)), ..batch };
        for rule in Rule::ALL {
            let first = run(Path::Scalar, &batch, rule, 1).unwrap();
            for path in Path::usable() {
                prop_assert_eq!(&run(path, &batch, rule, 2).unwrap(), &first);
                prop_assert_eq!(&run(path, &half, rule, 1).unwrap(), &first);
                prop_assert_eq!(&run(path, &Batch { q_lse: Some(&lse), ..half }, rule, 1).unwrap(), &first);
            }
        }
    }
}

/// Rounds of drafting and verifying give the chain's law, though each is drawn by one seed: 3 ids of a Markov chain.
#[test]
fn rounds_have_the_law_of_the_target() {
    let p = [[0.6f32, 0.3, 0.1], [0.2, 0.2, 0.6], [0.5, 0.0, 0.5]];
    let q = [[0.2f32, 0.5, 0.3], [0.4, 0.4, 0.2], [0.3, 0.3, 0.4]];
    let (runs, length, width) = (60_000u64, 3usize, 2usize);
    for rule in [Rule::Token, Rule::Block, Rule::SeedExact] {
        let mut counts = [0f64; 27];
        for uid in 0..runs {
            let mut ids = vec![0usize];
            while ids.len() <= length {
                let begin = ids.len() as u64;
                let mut chain = vec![ids[ids.len() - 1]];
                for i in 0..width {
                    let purpose = if rule == Rule::SeedExact { Purpose::Shared } else { Purpose::Draft };
                    let random = Noise::new(9, uid).of(purpose, begin);
                    chain.push(race(Path::Scalar, &q[chain[i]], random, begin + i as u64).unwrap());
                }
                let draft: Vec<i64> = chain[1..].iter().map(|&id| id as i64).collect();
                let rows =
                    |law: &[[f32; 3]; 3], n: usize| -> Vec<f32> { chain[..n].iter().flat_map(|&id| law[id]).collect() };
                let (p, q) = (rows(&p, width + 1), rows(&q, width));
                let batch = Batch {
                    vocab: 3,
                    width,
                    p: Numbers::F32(&p),
                    q: Drafted::Dense(Numbers::F32(&q)),
                    draft: &draft,
                    uid: &[uid],
                    position: &[begin as i64],
                    scores: None,
                    q_lse: None,
                    q_token: None,
                };
                let (accepted, tokens) = run(Path::Scalar, &batch, rule, 1).unwrap();
                ids.extend(tokens[..=accepted[0] as usize].iter().map(|&id| id as usize));
            }
            counts[9 * ids[1] + 3 * ids[2] + ids[3]] += 1.0;
        }
        for (cell, count) in counts.into_iter().enumerate() {
            let (a, b, c) = (cell / 9, cell / 3 % 3, cell % 3);
            let chance = f64::from(p[0][a] * p[a][b] * p[b][c]);
            let (mean, sd) = (runs as f64 * chance, (runs as f64 * chance * (1.0 - chance)).sqrt());
            // 81 cells at 4.5 sd: by chance in fewer than 1 of 1,000 changes of the code.
            assert!((count - mean).abs() <= 4.5 * sd, "{rule:?} {cell}: {count} {mean}");
        }
    }
}

/// Where p = q to rounding, drafts pass and nothing goes wrong; where p gives a draft nothing, it never does.
#[test]
fn extremes() {
    let p = [0.25f32, 0.25, 0.5, 0.25, 0.25, 0.5];
    let base =
        Case { vocab: 3, width: 1, p: p.to_vec(), q: p[..3].to_vec(), draft: vec![2], uid: vec![1], position: vec![0] };
    for rule in [Rule::Token, Rule::Block] {
        assert_eq!(run(Path::Scalar, &base.batch(), rule, 1).unwrap().0, [1]);
        let never = Case { p: vec![0.5, 0.5, 0.0, 1.0, 0.0, 0.0], ..base.clone() };
        let (accepted, tokens) = run(Path::Scalar, &never.batch(), rule, 1).unwrap();
        assert!(accepted == [0] && tokens[0] < 2 && tokens[1] == -1);
        // Less than what f32 can tell apart leaves no residual; then p is drawn from.
        let less = Case { p: vec![0.25, 0.25, 0.1, 0.0, 0.0, 1.0], q: vec![0.26, 0.26, 0.9], ..base.clone() };
        let wrong = run(Path::Scalar, &less.batch(), rule, 1);
        assert!(matches!(wrong, Err(Error::Argument { argument: "p", .. })), "{wrong:?}");
    }
}

#[test]
fn errors_name_their_request() {
    let case = Case::new(1, 8, 2, 5);
    let batch = case.batch();
    let says = |batch: &Batch<'_>, rule: Rule, what: &str| {
        for threads in [1, 4] {
            let error = run(Path::Scalar, batch, rule, threads).unwrap_err().to_string();
            assert!(error.contains(what), "{error} / {what}");
        }
    };
    let mut p = case.p.clone();
    p[3 * 5 * 4 + 2] = f32::NAN;
    p[3 * 5 * 6] = f32::NAN;
    for rule in Rule::ALL {
        says(&Batch { p: Numbers::F32(&p), ..batch }, rule, "request 4, position 0: a number of p is NaN");
        says(
            &Batch { p: Numbers::F32(&p), scores: Some(Params::default()), ..batch },
            rule,
            "request 4, position 0: a number of p is NaN",
        );
    }
    let masked = vec![f32::NEG_INFINITY; p.len()];
    let zeros = vec![0.0; p.len()];
    let scores = Some(Params::default());
    says(
        &Batch { p: Numbers::F32(&masked), scores, ..batch },
        Rule::Greedy,
        "request 0, position 0: all ids of p are masked",
    );
    says(&Batch { p: Numbers::F32(&zeros), ..batch }, Rule::Block, "request 0, position 0: all ids of p are masked");
    says(&Batch { p: Numbers::F32(&vec![1.0; p.len()]), ..batch }, Rule::Block, "from_logits");
    says(&Batch { draft: &[9; 16], ..batch }, Rule::Token, "request 0, position 0: 9 is not below the vocabulary of 5");
    says(&Batch { draft: &[-1, 3].repeat(8), ..batch }, Rule::Token, "request 0, position 1: 3 stands behind a -1");
    says(&Batch { position: &[-1; 8], ..batch }, Rule::Token, "position: request 0");
    says(&Batch { q_lse: Some(&[0.0; 16]), ..batch }, Rule::Token, "q_lse: only rows of scores");
    says(&Batch { q_token: Some(&[0.0; 15]), ..batch }, Rule::Token, "q_token: 15 numbers; 16");
    says(
        &Batch { q: Drafted::Dense(Numbers::F32(&[0.2; 80])), q_token: Some(&[0.0; 16]), ..batch },
        Rule::Token,
        "q_token: request 1",
    );
    let low = [-1.0f32; 8];
    let params = Params { temperature: &low, ..Params::default() };
    says(&Batch { scores: Some(params), ..batch }, Rule::Token, "temperature: request 0: -1");
}

/// Trees of random shape, on all paths and by threads; without branches they emit what chains do.
#[test]
fn trees() {
    for seed in 0..40 {
        let (n, width, vocab) = (6, 5, 9);
        let case = Case::new(seed, n, width, vocab);
        // A row of q more than chains have, behind those of each request.
        let mut q = Vec::new();
        for request in case.q.chunks(width * vocab) {
            q.extend_from_slice(request);
            q.extend_from_slice(&request[..vocab]);
        }
        let batch = Batch { q: Drafted::Dense(Numbers::F32(&q)), ..case.batch() };
        let parents: Vec<i64> =
            (0..n * width).map(|i| if case.draft[i] < 0 { -1 } else { (i % width) as i64 - 1 }).collect();
        let walk = |path, trees: &Trees<'_>, rule, threads| {
            let (mut accepted, mut out) = (vec![0; n], vec![0; n * (2 * width + 1)]);
            verify_trees_on(path, trees, rule, 9, threads, &Progress::new(), &mut accepted, &mut out)?;
            Result::Ok((accepted, out))
        };
        for rule in Rule::ALL {
            let (accepted, tokens) = run(Path::Scalar, &case.batch(), rule, 1).unwrap();
            for path in Path::usable() {
                let found = walk(path, &Trees { batch, parents: &parents }, rule, 2).unwrap();
                assert_eq!(found.0, accepted);
                for (request, out) in found.1.chunks(2 * width + 1).enumerate() {
                    assert_eq!(out[..=width], tokens[request * (width + 1)..][..=width]);
                    let nodes = (0..width as i64).map(|i| if i < accepted[request] { i } else { -1 });
                    assert!(nodes.eq(out[width + 1..].iter().copied()));
                }
            }
        }
        // Branches: distinct ids, parents at random.
        let tokens: Vec<i64> = (0..n).flat_map(|r| (0..width as i64).map(move |i| (i + r as i64) % 9)).collect();
        let parents: Vec<i64> =
            (0..n * width).map(|i| mix64(seed + i as u64) as i64 % (i % width + 1) as i64).collect();
        let parents: Vec<i64> = parents.into_iter().map(|p| p.abs() - 1).collect();
        let even = vec![1.0 / 9.0; q.len()];
        for q in [Drafted::Dense(Numbers::F32(&even)), Drafted::Certain] {
            let batch = Batch { q, draft: &tokens, ..case.batch() };
            let trees = Trees { batch, parents: &parents };
            for rule in Rule::ALL {
                let first = walk(Path::Scalar, &trees, rule, 1).unwrap();
                for path in Path::usable() {
                    assert_eq!(walk(path, &trees, rule, 3).unwrap(), first);
                }
                for (request, out) in first.1.chunks(2 * width + 1).enumerate() {
                    let mut parent = -1;
                    for i in 0..first.0[request] as usize {
                        let node = out[width + 1 + i];
                        let at = request * width + node as usize;
                        assert!(parents[at] == parent && tokens[at] == out[i]);
                        parent = node;
                    }
                }
            }
            let twice = vec![3i64; tokens.len()];
            let same = Trees { batch: Batch { draft: &twice, ..batch }, parents: &vec![-1; tokens.len()] };
            assert!(walk(Path::Scalar, &same, Rule::Token, 1).unwrap_err().to_string().contains("sibling"));
        }
    }
}

#[test]
fn ways_to_the_root() {
    let bits = ancestors(&[-1, 0, 0, 2, -1, -1], 3).unwrap_err().to_string();
    assert!(bits.contains("tree 1, node 0: 2"), "{bits}");
    assert_eq!(ancestors(&[-1, 0, 0, 2, -1, 4], 6).unwrap(), [1, 3, 5, 13, 16, 48]);
    let long: Vec<i64> = (0..70).map(|i| i - 1).collect();
    let bits = ancestors(&long, 70).unwrap();
    assert_eq!(bits[2 * 69..], [u64::MAX, 63]);
    assert!(ancestors(&[], 0).unwrap().is_empty());
}
