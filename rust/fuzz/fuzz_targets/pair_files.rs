//! Files of pair tables and of PairLM, damaged: opening ends with an error or with something that can be used.
//!
//! The header's checksum is made right before the file is opened, since nothing gets behind it otherwise.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use thrifty_base::progress::Progress;
use thrifty_pairconnect::model::{ModelSpec, PairLm, write};
use thrifty_pairconnect::shortlist::{Shortlist, ShortlistSpec};
use thrifty_pairconnect::spec::{Kind, PairSpec, Pool, Precision};
use thrifty_pairconnect::table::PairTable;
use xxhash_rust::xxh3::Xxh3;

/// What a header begins with; the 32 digits of its checksum follow.
const PREFIX: &[u8] = br#"{"__metadata__":{"xxh3":""#;
const DIGITS: usize = 32;

/// A file that this process alone writes, in memory where there is such a place.
static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("thrifty-fuzz-{}", std::process::id()))
});

/// Sound files, whose headers and data inputs are mixed with.
static SOUND: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let spec = PairSpec {
        vocab: 20,
        rows: 4,
        heads: 2,
        head_dim: 8,
        window: 2,
        offsets: true,
        include_self: false,
        pool: Pool::Softmax,
        query_gram: 1,
        key_gram: 1,
        hash: Kind::Mix64,
        seed: 1,
        precision: Precision::F32,
    };
    let table = PairTable::zeros(spec, None).expect("small");
    table.save(&PATH, &Progress::new()).expect("there is room");
    let first = std::fs::read(&*PATH).expect("just written");
    let short = ShortlistSpec { rows: 4, length: 2, seed: 1 };
    let list = Shortlist::new(short, 20, [1, 3].repeat(24), vec![-1.0; 48]).expect("sizes fit");
    let model = ModelSpec { vocab: 20, dim: 16, hidden: 16, layers: vec![spec], shortlist: Some(short) };
    let numbers = [0.5; 20 * 16];
    let dense: [(&str, &[usize], &[f32]); 6] = [
        ("embed", &[20, 16], &numbers),
        ("norm", &[16], &numbers[..16]),
        ("layers.0.out", &[16, 16], &numbers[..256]),
        ("layers.0.norm", &[16], &numbers[..16]),
        ("layers.0.gate_up", &[32, 16], &[0.1; 512]),
        ("layers.0.down", &[16, 16], &numbers[..256]),
    ];
    write(&PATH, &model, "{}", &dense, &[&table], Some(&list), &Progress::new()).expect("sizes fit");
    [first, std::fs::read(&*PATH).expect("just written")]
});

/// The header that `input` asks for: itself, or a sound one in which some bytes are its.
fn header(sound: &[u8], input: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(sound[..8].try_into().expect("eight bytes")) as usize;
    let mut header = sound[8..8 + length].to_vec();
    header.truncate(header.trim_ascii_end().len());
    match input {
        [0, own @ ..] => {
            header.truncate(PREFIX.len() + DIGITS);
            header.extend_from_slice(own);
        }
        // Pieces: where, how many bytes go, how many come, those.
        pieces => {
            let mut rest = pieces;
            while let [a, b, out, come, tail @ ..] = rest {
                let body = header.len() - PREFIX.len() - DIGITS;
                let at = PREFIX.len() + DIGITS + usize::from(u16::from_le_bytes([*a, *b])) % (body + 1);
                let end = (at + usize::from(*out) % 16).min(header.len());
                let (new, after) = tail.split_at(tail.len().min(usize::from(*come) % 32));
                header.splice(at..end, new.iter().copied());
                rest = after;
            }
        }
    }
    header.resize((header.len() + 8).next_multiple_of(4096) - 8, b' ');
    let mut hash = Xxh3::new();
    hash.update(PREFIX);
    hash.update(&header[PREFIX.len() + DIGITS..]);
    let digits = format!("{:032x}", hash.digest128());
    header[PREFIX.len()..PREFIX.len() + DIGITS].copy_from_slice(digits.as_bytes());
    header
}

fuzz_target!(|input: &[u8]| {
    let [which, input @ ..] = input else { return };
    let sound = &SOUND[usize::from(which % 2)];
    let file = if *which < 16 {
        // As it came.
        input.to_vec()
    } else {
        let data = 8 + u64::from_le_bytes(sound[..8].try_into().expect("eight bytes")) as usize;
        let header = header(sound, input);
        [&(header.len() as u64).to_le_bytes()[..], &header, &sound[data..]].concat()
    };
    std::fs::write(&*PATH, file).expect("there is room");
    let progress = Progress::new();
    if let Ok(table) = PairTable::open(&PATH, which % 4 < 2, &progress) {
        let spec = *table.spec();
        let ids = [0, spec.vocab as u32 - 1, 0];
        let mut out = vec![0.0; 3 * spec.width()];
        table.lookup(&ids, 3, None, 1, &progress, &mut out).expect("ids are below vocab");
    }
    if let Ok(model) = PairLm::open(&PATH, Precision::F32, &progress) {
        let mut out = vec![0.0; model.spec().vocab];
        // What a model says may be no number; it says so.
        let _ = model.all_scores(&[0, 0], &[(2, 0)], 1, &progress, &mut out);
    }
});
