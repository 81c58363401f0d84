//! How many hits chance alone would give.
//!
//! A document that does not hold an item is reported for it when its bucket answers in every repetition: because the
//! bucket's filter errs, independently from item to item; or because a holder of the item shares the bucket, and then for
//! all items of a sequence that this holder has.

use std::sync::LazyLock;

use crate::plan::Repetition;

/// What chance does in one segment.
#[derive(Debug)]
pub(crate) struct Chance {
    live: f64,
    buckets: f64,
    /// By repetition: rate of a filter, and how much of the holders' effect there is on a document, as an exponent.
    repetitions: Vec<(f64, f64)>,
    /// By how many buckets of the first repetition answer an item.
    items: Vec<Seen>,
}

/// What it says about an item that so many buckets of the first repetition answer it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// How likely that many are if no document of the segment holds the item, and if one does.
    likelihood: (f64, f64),
    /// Documents that are expected to be found without holding it, in either case.
    false_documents: (f64, f64),
    /// Its chance to be found in a document that does not hold it, if both cases are as likely beforehand.
    chance: f64,
}

impl Seen {
    /// `holders`: how many there are if a document holds it.
    fn new(likelihood: (f64, f64), false_documents: (f64, f64), holders: f64, live: f64) -> Self {
        let both = likelihood.0 + likelihood.1;
        let mean = |absent: f64, held: f64| (likelihood.0 * absent + likelihood.1 * held) / both;
        let others = live - mean(0.0, holders);
        let chance = mean(false_documents.0, false_documents.1) / others.max(1.0);
        Self { likelihood, false_documents, chance: chance.clamp(0.0, 1.0) }
    }
}

/// Documents that are expected to be found without holding a single item, by segment; each comes with its documents.
///
/// Beforehand it is as likely as not that no document holds the item; else it is one of some document, and all documents of
/// the index are as likely. So an item that many documents of one segment hold is hardly expected in another.
pub(super) fn single(segments: &[(f64, Seen)]) -> Vec<f64> {
    let all: f64 = segments.iter().map(|(live, _)| live).sum();
    let odds: Vec<f64> =
        segments.iter().map(|(live, s)| live / all * s.likelihood.1 / s.likelihood.0.max(1e-12)).collect();
    let sum = 1.0 + odds.iter().sum::<f64>();
    let of = |((_, seen), odds): (&(f64, Seen), &f64)| {
        let held = odds / sum;
        held * seen.false_documents.1 + (1.0 - held) * seen.false_documents.0
    };
    segments.iter().zip(&odds).map(of).collect()
}

/// One number of holders that an item may have.
struct Case {
    holders: f64,
    prior: f64,
    /// Buckets of the first repetition that they take: B (1 - (1 - 1/B)^V).
    taken: usize,
    /// Chance of an unrelated document in all later repetitions: a product of 1 - (1 - p)(1 - c)^V.
    others: f64,
}

impl Chance {
    /// `absent`: how many buckets of the first repetition answered each of a sample of absent items. `holders`: how many
    /// documents hold an item of one of them, and with what probability.
    pub(super) fn new(
        shape: &[Repetition],
        blooms: &[f64],
        live: usize,
        absent: &[u32],
        holders: &[(u32, f64)],
    ) -> Self {
        let buckets = f64::from(shape[0].buckets);
        let one = (-1.0 / buckets).ln_1p();
        let exponent = |collision: f64| if buckets > 1.0 { (-collision).ln_1p() / one } else { 0.0 };
        let repetitions: Vec<(f64, f64)> =
            blooms.iter().zip(shape).map(|(&p, r)| (p, exponent(r.collision.min(0.999)))).collect();
        let mut this = Self { live: live as f64, buckets, repetitions, items: Vec::new() };
        let shares = smoothed(absent, shape[0].buckets as usize);
        this.items = if this.repetitions.len() == 1 {
            direct(&shares, holders, this.live)
        } else {
            let cases = this.cases(holders);
            (0..shares.len()).map(|answered| this.item(answered, &shares, &cases)).collect()
        };
        this
    }

    /// What an item may be: one that nobody holds; or an item of one of the documents, whose holders V are distributed as
    /// `holders` says.
    fn cases(&self, holders: &[(u32, f64)]) -> Vec<Case> {
        let case = |(holders, prior)| {
            let silent = |e: f64| (1.0 - 1.0 / self.buckets).powf(e * holders);
            let taken = (self.buckets * (1.0 - silent(1.0))).round() as usize;
            let others = self.repetitions[1..].iter().map(|&(p, e)| 1.0 - (1.0 - p) * silent(e)).product();
            Case { holders, prior, taken, others }
        };
        holders.iter().map(|&(v, share)| (f64::from(v), share)).chain([(0.0, 1.0)]).map(case).collect()
    }

    /// What `answered` buckets of the first repetition say.
    ///
    /// The weight of each case is how likely it makes this many answers: those that the holders' buckets take, and the rest
    /// as `shares` tells of absent items. An unrelated document then has an answering bucket in the first repetition with
    /// the share of those.
    fn item(&self, answered: usize, shares: &[f64], cases: &[Case]) -> Seen {
        let (mut absent, mut held, mut false_held, mut mean) = ((0.0, 0.0), 0.0, 0.0, 0.0);
        for case in cases {
            let Some(rest) = answered.checked_sub(case.taken) else { continue };
            let weight = case.prior * shares[rest];
            let documents = (self.live - case.holders) * answered as f64 / self.buckets * case.others;
            if case.holders == 0.0 {
                absent = (weight, documents);
                continue;
            }
            held += weight;
            false_held += weight * documents;
            mean += weight * case.holders;
        }
        if held > 1e-12 {
            return Seen::new((absent.0, held), (absent.1, false_held / held), mean / held, self.live);
        }
        if absent.0 > 1e-12 {
            return Seen::new((absent.0, 0.0), (absent.1, 0.0), 0.0, self.live);
        }
        // More answers than anything sampled explains.
        let free = self.free(answered, 1.0 - self.repetitions[0].0);
        let chance: f64 = self.repetitions.iter().map(|&(p, e)| 1.0 - (1.0 - p) * free.powf(e)).product();
        let holders = self.holders(free);
        Seen::new((0.0, 1.0), (absent.1, (self.live - holders) * chance), holders, self.live)
    }

    /// Chance of an item that so many buckets of the first repetition answer: to be found in a document that does not hold
    /// it.
    pub(super) fn of(&self, answered: u32) -> f64 {
        self.items[answered as usize].chance
    }

    /// Documents that chance alone is expected to report for a single item that so many buckets of the first repetition
    /// answer, whatever share of all queries somebody holds.
    ///
    /// (1 - answered / B) / (1 - p) estimates without bias the share of buckets without a holder, so the mean over queries
    /// is right for those that nobody holds and for those that many do. For a single query it may exceed 1.
    pub(super) fn of_single(&self, answered: usize) -> f64 {
        let (p, collisions) = self.repetitions[0];
        let free = (1.0 - answered as f64 / self.buckets) / (1.0 - p).max(1e-12);
        let holders = if collisions == 0.0 {
            self.buckets * (1.0 - free) // a bucket each
        } else {
            free.max(1e-12).ln() / (-1.0 / self.buckets).ln_1p()
        };
        let chance: f64 = self.repetitions.iter().map(|&(p, e)| 1.0 - (1.0 - p) * free.powf(e)).product();
        ((self.live - holders) * chance).max(0.0)
    }

    /// Of a single item that so many buckets of the first repetition answer: the segment's documents, and what that says.
    pub(super) fn seen(&self, answered: usize) -> (f64, Seen) {
        (self.live, self.items[answered])
    }

    /// Probability that a bucket of the first repetition has none of the holders, when `answered` of B answer and a share
    /// `silent` of those without a holder does not: B (1 - silent (1 - 1/B)^V) are expected to answer (paper section 4).
    fn free(&self, answered: usize, silent: f64) -> f64 {
        ((1.0 - answered as f64 / self.buckets) / silent.max(1e-12)).min(1.0)
    }

    /// Holders that leave a bucket free with this probability.
    fn holders(&self, free: f64) -> f64 {
        if self.buckets < 2.0 {
            return 0.0;
        }
        (free.max(1e-12).ln() / (-1.0 / self.buckets).ln_1p()).clamp(0.0, self.live)
    }

    /// Documents that hold none of `n` items and are expected to be reported for at least `least` of them, when `answered`
    /// buckets of the first repetition reached as many, and an item's chance is `mean`.
    ///
    /// Either the filters err often enough, or the document shares its buckets with holders in some repetitions C and the
    /// filters err in the others: sum over C of prod over C of a_r, prod over the rest of 1 - a_r, times the binomial tail
    /// for the product of the rest's rates, where a_r = 1 - free^e_r is the chance to share a bucket with a holder.
    pub(super) fn documents(&self, n: u64, least: u64, answered: usize, mean: f64) -> f64 {
        let silent = 1.0 - binomial_tail(n, least, self.repetitions[0].0);
        let free = self.free(answered, silent);
        let shared: Vec<f64> = self.repetitions.iter().map(|&(_, e)| 1.0 - free.powf(e)).collect();
        let mut sum = 0.0;
        for subset in 1u32..1 << shared.len() {
            let (mut weight, mut rate) = (1.0, 1.0);
            for (r, (&a, &(p, _))) in shared.iter().zip(&self.repetitions).enumerate() {
                if subset >> r & 1 == 1 {
                    weight *= a;
                } else {
                    weight *= 1.0 - a;
                    rate *= p;
                }
            }
            if weight * self.live > 1e-12 {
                sum += weight * binomial_tail(n, least, rate);
            }
        }
        (self.live - self.holders(free)) * sum.max(binomial_tail(n, least, mean)).min(1.0)
    }
}

/// [`Chance::items`] where each document has a bucket of its own: of the buckets that answer, those of holders and others
/// that err. A sample has few of the many numbers of holders there may be, so each stands for a quarter around it.
fn direct(shares: &[f64], holders: &[(u32, f64)], live: f64) -> Vec<Seen> {
    let most = shares.len() - 1;
    let mut held = vec![0.0; most + 1];
    for &(v, share) in holders {
        let reach = v as usize / 4;
        let around = (v as usize).saturating_sub(reach).min(most)..=(v as usize + reach).min(most);
        let each = share / around.clone().count() as f64;
        held[around].iter_mut().for_each(|h| *h += each);
    }
    let erring: Vec<usize> = (0..=most).filter(|&rest| shares[rest] > 0.0).collect();
    let mean = erring.iter().map(|&rest| rest as f64 * shares[rest]).sum::<f64>();
    let item = |answered: usize| {
        let (mut all, mut false_ones) = (0.0, 0.0);
        for &rest in erring.iter().take_while(|&&rest| rest < answered) {
            let v = answered - rest;
            let weight = held[v] * shares[rest];
            all += weight;
            // Buckets of holders answer rightly, so fewer are left to err than for an absent item.
            false_ones += weight * rest as f64 * (1.0 - v as f64 / live).max(0.0);
        }
        let (absent, a) = (shares[answered], answered as f64);
        if all <= 1e-12 && absent <= 1e-12 {
            // Where nothing sampled explains so many answers, as many err as usual.
            let usual = mean * (1.0 - a / live).max(0.0);
            return Seen::new((0.0, 1.0), (a, usual), a - usual, live);
        }
        let false_ones = if all > 0.0 { false_ones / all } else { 0.0 };
        Seen::new((absent, all), (a, false_ones), a - false_ones, live)
    };
    (0..=most).map(item).collect()
}

/// Share of a sample with each number from 0 to `most`, smoothed over its neighbours as far as the sample is spread.
fn smoothed(sample: &[u32], most: usize) -> Vec<f64> {
    let n = sample.len() as f64;
    let mut counts = vec![0.0; most + 1];
    for &answered in sample {
        counts[answered as usize] += 1.0 / n;
    }
    let mean = sample.iter().map(|&a| f64::from(a)).sum::<f64>() / n;
    let variance = sample.iter().map(|&a| (f64::from(a) - mean).powi(2)).sum::<f64>() / n;
    let reach = (variance.sqrt() / 4.0) as usize;
    (0..=most)
        .map(|i| {
            let near = &counts[i.saturating_sub(reach)..(i + reach + 1).min(most + 1)];
            near.iter().sum::<f64>() / near.len() as f64
        })
        .collect()
}

/// Probability that at least `least` of `n` trials succeed, each with probability `p`.
///
/// The number of items that an unrelated document seems to hold is a sum of independent trials of unlike probability;
/// with the mean probability the binomial tail bounds it from above for thresholds over the mean (Hoeffding 1956).
pub(super) fn binomial_tail(n: u64, least: u64, p: f64) -> f64 {
    if least == 0 || p >= 1.0 {
        return 1.0;
    }
    if least > n || p <= 0.0 {
        return 0.0;
    }
    let (log_p, log_q) = (p.ln(), (-p).ln_1p());
    // Sum from `least` up while terms matter; below the mean the other tail is the short one.
    let term = |k: u64| (ln_choose(n, k) + k as f64 * log_p + (n - k) as f64 * log_q).exp();
    let ratio = |k: u64| (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
    if least as f64 > n as f64 * p {
        let (mut sum, mut t, mut k) = (0.0, term(least), least);
        loop {
            sum += t;
            if k == n || t < 1e-17 * sum {
                return sum.min(1.0);
            }
            t *= ratio(k);
            k += 1;
        }
    }
    let (mut sum, mut t, mut k) = (0.0, term(least - 1), least - 1);
    loop {
        sum += t;
        if k == 0 || t < 1e-17 * sum {
            return (1.0 - sum).clamp(0.0, 1.0);
        }
        k -= 1;
        t /= ratio(k);
    }
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Logarithm of n!: a table for small n, Stirling's series beyond (error below 1e-12).
fn ln_factorial(n: u64) -> f64 {
    static SMALL: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let logs = (0..1024u32).map(|i| f64::from(i.max(1)).ln());
        logs.scan(0.0, |sum, log| {
            *sum += log;
            Some(*sum)
        })
        .collect()
    });
    if let Some(&known) = SMALL.get(n as usize) {
        return known;
    }
    let x = n as f64;
    x * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI * x).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
        + 1.0 / (1260.0 * x.powi(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of scipy.stats.binom.sf(least - 1, n, p).
    #[test]
    fn against_scipy() {
        for (n, least, p, expected) in [
            (1, 1, 0.003, 0.003),
            (120, 60, 0.3, 3.541_126e-6),
            (120, 30, 0.3, 0.904_095_6),
            (1000, 1, 1e-3, 0.632_304_6),
            (50, 0, 0.1, 1.0),
            (50, 51, 0.1, 0.0),
        ] {
            let got = binomial_tail(n, least, p);
            assert!((got - expected).abs() <= 1e-6 * expected.max(1e-12), "{n} {least} {p}: {got} {expected}");
        }
    }

    fn shape(buckets: u32, collisions: &[f64]) -> Vec<Repetition> {
        let one = |&collision: &f64| Repetition { buckets, hashes: 5, rows: 1000, collision };
        collisions.iter().map(one).collect()
    }

    /// Told over absent and held items alike, as many false documents as there are.
    #[test]
    fn own_buckets_are_calibrated() {
        // 400 buckets for 300 documents that err at 1/1000 each: 0.3 errors an item; held items have 10 holders.
        let poisson = [380u32, 114, 16, 2];
        let absent: Vec<u32> = (0..4).flat_map(|n| std::iter::repeat_n(n, poisson[n as usize] as usize)).collect();
        let chance = Chance::new(&shape(400, &[0.0]), &[1e-3], 300, &absent, &[(10, 1.0)]);
        let told = |held: usize| -> f64 {
            let one = |n: usize| f64::from(poisson[n]) / 512.0 * single(&[chance.seen(held + n)])[0];
            (0..4).map(one).sum()
        };
        let alone =
            |held: usize| -> f64 { (0..4).map(|n| f64::from(poisson[n]) / 512.0 * chance.of_single(held + n)).sum() };
        // As many as there are among absent items alone, and among held ones alone.
        assert!((0.95..1.05).contains(&(alone(0) / 0.3)) && (0.95..1.05).contains(&(alone(10) / 0.29)));
        let seen = (114.0 + 2.0 * 16.0 + 3.0 * 2.0) / 512.0;
        let both = (told(0) + told(10)) / (seen + seen * 290.0 / 300.0);
        assert!((0.9..1.1).contains(&both), "{both}");
    }

    /// What many documents of one segment hold is chance in another.
    #[test]
    fn segments_share_what_they_know() {
        let absent: Vec<u32> = (0..512).map(|i| u32::from(i % 16 == 0)).collect();
        let [many, few] = [(400, 40), (50, 1)]
            .map(|(n, holders)| Chance::new(&shape(n, &[0.0]), &[1e-3], n as usize, &absent, &[(holders, 1.0)]));
        let told = single(&[many.seen(40), few.seen(1)]);
        assert!(told[0] < 0.1 && told[1] > 0.99, "{told:?}");
        let told = single(&[many.seen(0), few.seen(1)]);
        assert!((0.2..0.5).contains(&told[1]), "{told:?}");
    }

    /// A merged index whose documents still have buckets of their own asks its later repetitions too.
    #[test]
    fn later_repetitions_count_without_collisions() {
        let chance = Chance::new(&shape(512, &[0.0, 0.0]), &[0.03, 0.1], 50, &[15; 64], &[(1, 1.0)]);
        assert!(chance.of(15) <= 1.01 * 15.0 / 512.0 * 0.1, "{}", chance.of(15));
    }

    #[test]
    fn tails_add_up() {
        for n in [5u64, 40, 300] {
            for p in [0.01, 0.3, 0.9] {
                let pmf: f64 = (0..=n).map(|k| binomial_tail(n, k, p) - binomial_tail(n, k + 1, p)).sum();
                assert!((pmf - 1.0).abs() < 1e-9);
                for k in 0..n {
                    assert!(binomial_tail(n, k, p) >= binomial_tail(n, k + 1, p) - 1e-12);
                }
            }
        }
    }
}
