use std::path::{Path, PathBuf};

use super::*;
use crate::Error;
use crate::memory::Mode;
use crate::progress::Progress;

const KIND: Kind = Kind { name: "test", version: 3 };

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("thrifty-container-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Three sections, one of them empty, one of more than two blocks.
fn write(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let meta = b"{\"k\":31}".to_vec();
    let rows: Vec<u8> = (0..2 * BLOCK + 777).map(|i| ((i * i) >> 7) as u8).collect();
    let specs = [Spec::small("meta", meta.len()), Spec::small("none", 0), Spec::bulk("rows", rows.len() as u64)];
    let mut copies = Vec::new();
    for target in [Target::File(path.to_owned()), Target::Memory] {
        let mut w = Writer::create(&target, KIND, &specs).unwrap();
        w.write(&meta).unwrap();
        for chunk in rows.chunks(300_001) {
            w.write(chunk).unwrap();
        }
        let c = w.finish(Mode::Map).unwrap();
        assert_eq!(c.length(), file_length(&specs));
        copies.push(c.bytes().to_vec());
    }
    assert!(copies[0] == copies[1], "a container in memory is the file");
    (meta, rows)
}

#[test]
fn round_trip() {
    let dir = folder("round");
    let path = dir.join("a");
    let (meta, rows) = write(&path);
    for mode in [Mode::Map, Mode::Load] {
        let c = Container::open(&path, KIND, mode).unwrap();
        assert_eq!(c.section("meta").unwrap(), meta);
        assert_eq!(c.section("rows").unwrap(), rows);
        assert_eq!(c.section("none").unwrap(), b"");
        assert!(c.section("other").is_err());
        assert_eq!(c.offset("rows") % 4096, 0);
        assert_eq!(c.verify(&Progress::new()).unwrap(), []);
        assert_eq!(c.length(), std::fs::metadata(&path).unwrap().len());
    }
    std::fs::remove_dir_all(dir).unwrap();
}

/// Every byte of the file is covered: a flip anywhere is found by opening or by verify.
#[test]
fn every_flip_is_found() {
    let dir = folder("flip");
    let path = dir.join("a");
    write(&path);
    let good = std::fs::read(&path).unwrap();
    let step = 40_009; // a prime: all residues of the alignment come up
    let all_of_head = 0..512;
    let tail = good.len() - 300..good.len();
    for at in all_of_head.chain((512..good.len()).step_by(step)).chain(tail) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bad).unwrap();
        let found = match Container::open(&path, KIND, Mode::Map) {
            Err(_) => true,
            Ok(c) => !c.verify(&Progress::new()).unwrap().is_empty(),
        };
        assert!(found, "flip at {at} of {}", good.len());
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn damage_names_the_place() {
    let dir = folder("place");
    let path = dir.join("a");
    write(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    let rows = Container::open(&path, KIND, Mode::Map).unwrap().offset("rows") as usize;
    bytes[rows + BLOCK + 5] ^= 4;
    bytes[rows - 1] = 1; // padding
    std::fs::write(&path, &bytes).unwrap();
    let found = Container::open(&path, KIND, Mode::Map).unwrap().verify(&Progress::new()).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].section, "padding");
    assert_eq!(found[1], Damage { section: "rows".into(), offset: (rows + BLOCK) as u64, length: BLOCK as u64 });
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn cut_short_newer_and_foreign_files() {
    let dir = folder("cut");
    let path = dir.join("a");
    write(&path);
    let good = std::fs::read(&path).unwrap();
    for part in 0..50 {
        std::fs::write(&path, &good[..good.len() * part / 50]).unwrap();
        assert!(matches!(Container::open(&path, KIND, Mode::Map), Err(Error::Format { .. })), "{part}/50");
    }
    let mut newer = good.clone();
    newer[20] = 4;
    std::fs::write(&path, &newer).unwrap();
    let e = Container::open(&path, KIND, Mode::Map).unwrap_err();
    assert!(matches!(e, Error::Newer { found: 4, supported: 3, .. }), "{e}");
    std::fs::write(&path, &good).unwrap();
    assert!(Container::open(&path, Kind { name: "other", version: 3 }, Mode::Map).is_err());
    std::fs::write(&path, vec![7; 5000]).unwrap();
    assert!(Container::open(&path, KIND, Mode::Map).is_err());
    assert!(matches!(Container::open(&dir.join("none"), KIND, Mode::Map), Err(Error::Io { .. })));
    std::fs::remove_dir_all(dir).unwrap();
}
