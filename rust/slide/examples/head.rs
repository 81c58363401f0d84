//! Times the phases of a head's step.
use std::time::Instant;
use thrifty_base::{pages::Floats, philox::Philox, pool::pool};
use thrifty_slide::{
    active::Draw, adam::Adam, batch::Batch, head::*, matrix::*, sampling::*, softmax::Loss, sparse::Sparse,
};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let get = |n: &str, d: f64| a.iter().position(|x| x == n).map_or(d, |i| a[i + 1].parse().unwrap());
    let (labels, h, b) = (get("labels", 670_091.0) as usize, 128usize, get("batch", 128.0) as usize);
    let sampling = Sampling {
        method: Method::Tables(thrifty_slide::hash::Family::Dwta),
        k: get("k", 6.0) as usize,
        tables: get("tables", 50.0) as usize,
        range: get("range", 3.0 * get("k", 6.0)) as usize,
        bucket: get("bucket", 128.0) as usize,
        active: get("active", 1000.0) as usize,
        each: get("each", 8.0) as usize,
        rehash: get("rehash", 250.0) as usize,
        draw: Draw::Uniform,
        correct: false,
    };
    let slice = Slice { first: 0, rows: labels, neurons: labels };
    let pool = pool(get("threads", 1.0) as usize).unwrap();
    let mut head = Head::new(slice, h, sampling, Loss::Softmax, Adam { rate: 1e-3, ..Adam::default() }, 1).unwrap();
    let mut w = Floats::zeros(labels * h).unwrap();
    let mut bias = Floats::zeros(labels).unwrap();
    let r = Philox::new(1, 77);
    w.iter_mut()
        .enumerate()
        .for_each(|(i, w)| *w = ((r.u64_at(i as u64) >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.088);
    let t = Instant::now();
    pool.install(|| head.rebuild(Matrix { values: Values::F32(&w), stride: h, length: h }).unwrap());
    println!("build {:.2}s, {:.0} MB", t.elapsed().as_secs_f64(), head.tables().unwrap().bytes() as f64 / 1e6);
    let rows: Vec<u32> = (0..b as u32).collect();
    let ends: Vec<u64> = (1..=b as u64).collect();
    let mut times: Vec<[f64; 6]> = Vec::new();
    let (mut moves, mut returned, mut loss) = (0, 0, 0.0);
    for step in 0..get("steps", 200.0) as u64 {
        // Labels of a Zipf-like distribution; hidden values near the weights that the label began with.
        let ids: Vec<u32> = (0..b as u64)
            .map(|i| {
                let u = (r.u64_at(1 << 50 | step << 20 | i) >> 11) as f64 / (1u64 << 53) as f64;
                (((labels as f64).ln() * u).exp() as u32).min(labels as u32 - 1)
            })
            .collect();
        let mut hidden = vec![0.0f32; b * h];
        for (i, &id) in ids.iter().enumerate() {
            for c in 0..h {
                let noise = (r.u64_at(2 << 50 | step << 20 | (i * h + c) as u64) >> 40) as f32 / (1 << 23) as f32 - 1.0;
                let base =
                    ((r.u64_at((id as usize * h + c) as u64) >> 40) as f32 / (1 << 23) as f32 - 1.0) + 0.7 * noise;
                hidden[i * h + c] = base.max(0.0);
            }
        }
        let targets = Sparse { ends: &ends, indices: &ids, values: &[] };
        let mut t = [0.0; 6];
        pool.install(|| {
            let mut clock = Instant::now();
            let mut lap = || {
                let e = clock.elapsed().as_secs_f64() * 1e3;
                clock = Instant::now();
                e
            };
            let batch = Batch::new(targets, &rows, hidden, h);
            t[0] = lap();
            let (wanted, asked) = head.ask(
                Weights { rows: Matrix { values: Values::F32(&w), stride: h, length: h }, bias: &bias },
                &batch,
                sampling.each,
            );
            t[1] = lap();
            let active = head.choose(&batch, &wanted);
            t[2] = lap();
            let weights = Weights { rows: Matrix { values: Values::F32(&w), stride: h, length: h }, bias: &bias };
            let forward = head.forward(weights, &batch, &active);
            let all = forward.sums.clone();
            loss = head.loss(&all, &forward.of_labels) / b as f64;
            t[3] = lap();
            let _ =
                head.backward(WeightsMut { rows: ValuesMut::F32(&mut w), bias: &mut bias }, &batch, forward, &all, 1.0);
            t[4] = lap();
            moves += head.rehash(Matrix { values: Values::F32(&w), stride: h, length: h }, sampling.rehash).unwrap();
            t[5] = lap();
            returned += asked.returned;
        });
        times.push(t);
    }
    let n = times.len();
    let mut sum = 0.0;
    for (i, name) in ["batch", "ask", "choose", "forward", "backward", "rehash"].iter().enumerate() {
        let mut v: Vec<f64> = times.iter().map(|t| t[i]).collect();
        v.sort_by(f64::total_cmp);
        sum += v[n / 2];
        println!("{name}: median {:.3} ms, min {:.3}, max {:.3}", v[n / 2], v[0], v[n - 1]);
    }
    println!(
        "sum of medians {sum:.2} ms; moves/step {:.0}, returned/row {:.1}, waiting {:?}, loss {loss:.3}",
        moves as f64 / n as f64,
        returned as f64 / (n * b) as f64,
        head.waiting()
    );
}
