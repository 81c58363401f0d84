use std::path::Path;
use std::time::Instant;
use thrifty_base::progress::Progress;
use thrifty_slide::{
    active::Draw,
    adam::Adam,
    network::{Network, Precision, Shape},
    sampling::{Method, Sampling},
    softmax::Loss,
    train::Trainer,
    xml,
};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let get = |n: &str, d: f64| a.iter().position(|x| x == n).map_or(d, |i| a[i + 1].parse().unwrap());
    let threads = get("threads", 1.0) as usize;
    let p = Progress::new();
    let t = Instant::now();
    let train = xml::read(Path::new("/tmp/wn/train.txt"), threads, &p).unwrap();
    let test = xml::read(Path::new("/tmp/wn/test.txt"), threads, &p).unwrap();
    println!("read {:.2}s", t.elapsed().as_secs_f64());
    let (features, labels) = train.shape;
    let network =
        Network::new(Shape { features, hidden: get("hidden", 128.0) as usize, labels }, Precision::F32, 1).unwrap();
    let sampling = Sampling {
        k: get("k", 4.0) as usize,
        tables: get("tables", 50.0) as usize,
        range: get("range", 3.0 * get("k", 4.0)) as usize,
        bucket: get("bucket", 128.0) as usize,
        active: get("active", 1024.0) as usize,
        each: get("each", 8.0) as usize,
        rehash: get("rehash", 64.0) as usize,
        method: if get("random", 0.0) > 0.0 {
            Method::Random
        } else {
            Method::Tables(thrifty_slide::hash::Family::Dwta)
        },
        draw: Draw::Uniform,
        correct: get("correct", 0.0) > 0.0,
    };
    let mut t_ =
        Trainer::new(network, sampling, Loss::Softmax, Adam { rate: get("rate", 0.01) as f32, ..Adam::default() }, 128, 1)
            .unwrap();
    let mut spent = 0.0;
    for e in 0..get("epochs", 4.0) as u64 {
        let t = Instant::now();
        let r = t_.epoch(train.inputs(), train.targets(), threads, None, &p).unwrap();
        spent += t.elapsed().as_secs_f64();
        let ids = t_.predict(test.inputs(), 5, None, threads, &p).unwrap().ids;
        let hits = (0..test.ends.len()).filter(|&i| test.targets().row(i).contains(&ids[5 * i])).count();
        println!(
            "queue {:?} epoch {e} {spent:.2}s loss {:.3} returned {:.0} recall {:.3} active {:.0} P@1 {:.4}",
            t_.head().waiting(),
            r.loss,
            r.returned,
            r.recall,
            r.active,
            hits as f64 / test.ends.len() as f64
        );
    }
}
