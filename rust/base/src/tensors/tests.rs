use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::write::header_sum;
use super::*;
use crate::progress::Progress;
use crate::{Error, Result};

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("thrifty-tensors-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn metadata() -> BTreeMap<String, String> {
    [("format", "thrifty-test"), ("version", "3"), ("note", "\"q\"\\ \u{e9}\n")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
}

/// Names, dtypes, shapes and data of a small file: odd lengths, an empty tensor, a single number.
fn small() -> Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)> {
    let bytes = |n: usize| (0..n).map(|i| (7 * i + 3) as u8).collect::<Vec<_>>();
    vec![
        ("w", Dtype::F32, vec![3, 5], bytes(60)),
        ("empty", Dtype::F32, vec![0, 4], vec![]),
        ("h\u{e9} \"x\"", Dtype::Bf16, vec![7], bytes(14)),
        ("one", Dtype::U64, vec![], bytes(8)),
        ("b", Dtype::U8, vec![64], bytes(64)),
        ("last", Dtype::U32, vec![2, 1], bytes(8)),
    ]
}

fn write_small(path: &Path) -> Result<()> {
    let given = small();
    let tensors: Vec<Tensor<'_>> =
        given.iter().map(|(name, dtype, shape, bytes)| Tensor { name, dtype: *dtype, shape, bytes }).collect();
    write(path, &metadata(), &tensors, &Progress::new())
}

/// A file with this header, its checksum right, and `room` bytes of data.
fn sealed(json: &str, room: usize) -> Vec<u8> {
    let mut header = json.as_bytes().to_vec();
    header.resize((8 + header.len()).next_multiple_of(PAGE) - 8, b' ');
    if header.len() >= PREFIX.len() + DIGITS {
        let sum = format!("{:032x}", header_sum(&header));
        header[PREFIX.len()..PREFIX.len() + DIGITS].copy_from_slice(sum.as_bytes());
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(&header);
    file.resize(file.len() + room, 0);
    file
}

fn opened(path: &Path, bytes: &[u8]) -> Result<Tensors> {
    std::fs::write(path, bytes).unwrap();
    Tensors::open(path)
}

#[test]
fn round_trip() {
    let dir = folder("round");
    let path = dir.join("a.safetensors");
    write_small(&path).unwrap();
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "neither partial file nor lock stay");
    let t = Tensors::open(&path).unwrap();
    assert_eq!(t.metadata(), &metadata());
    assert_eq!(t.names().count(), small().len());
    for (name, dtype, shape, bytes) in small() {
        let view = t.tensor(name).unwrap();
        assert_eq!((view.dtype, view.shape, view.bytes), (dtype, &shape[..], &bytes[..]), "{name}");
        assert!((view.bytes.as_ptr() as usize).is_multiple_of(LINE), "{name}");
        assert_eq!(t.expect(name, dtype, &shape).unwrap(), bytes);
        t.verify(name).unwrap();
    }
    t.verify_all(&Progress::new()).unwrap();
    let e = t.expect("w", Dtype::F32, &[5, 3]).unwrap_err().to_string();
    assert!(e.contains("F32 of shape [3, 5] where F32 of shape [5, 3] is needed (section w, offset 4096)"), "{e}");
    let e = t.tensor("v").unwrap_err().to_string();
    assert!(e.contains("no such tensor; there are: b, empty, h\u{e9} \"x\", last, one, w"), "{e}");
    assert_eq!(t.expect_format("thrifty-test", 3).unwrap(), 3);
    assert!(matches!(t.expect_format("thrifty-test", 2), Err(Error::Newer { found: 3, supported: 2, .. })));
    assert!(matches!(t.expect_format("other", 3), Err(Error::Format { .. })));
    std::fs::remove_dir_all(dir).unwrap();
}

/// Every file that was ever written stays readable, and is what the tests in Python read with the official package.
#[test]
fn bytes_are_fixed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tensors/small.safetensors");
    let dir = folder("golden");
    let path = dir.join("small.safetensors");
    write_small(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() == std::fs::read(&golden).unwrap(), "{} differs", path.display());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn every_truncation_and_every_extension_is_found() {
    let dir = folder("cut");
    let path = dir.join("a");
    write_small(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    for length in 0..good.len() {
        assert!(matches!(opened(&path, &good[..length]), Err(Error::Format { .. })), "{length} of {}", good.len());
    }
    let longer = [&good[..], &[0]].concat();
    assert!(matches!(opened(&path, &longer), Err(Error::Format { .. })));
    std::fs::remove_dir_all(dir).unwrap();
}

/// Whatever a single byte is turned into: opening fails, or `verify` of the tensor that holds it, and no other.
#[test]
fn every_flip_is_found() {
    let dir = folder("flip");
    let path = dir.join("a");
    write_small(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    let start = PAGE; // the header of the small file fits in a page
    for at in 0..good.len() {
        for change in [1, 0x13, 0xFF] {
            let mut bad = good.clone();
            bad[at] ^= change;
            match opened(&path, &bad) {
                Err(e) => {
                    assert!(matches!(e, Error::Format { .. }), "{at}: {e}");
                    assert!(at < start, "data are looked at by verify only, {at}: {e}");
                }
                Ok(t) => {
                    assert!(at >= start, "byte {at} ^ {change} of the header was accepted");
                    t.verify_all(&Progress::new()).unwrap_err();
                    for (name, _, _, bytes) in small() {
                        let same = t.tensor(name).unwrap().bytes == bytes;
                        assert_eq!(t.verify(name).is_ok(), same, "{name}, byte {at}");
                    }
                }
            }
        }
    }
    std::fs::remove_dir_all(dir).unwrap();
}

/// Headers with a right checksum that lie.
#[test]
fn hostile_headers() {
    let dir = folder("hostile");
    let path = dir.join("a");
    let sum = "0".repeat(DIGITS);
    let with = |rest: &str| format!(r#"{PREFIX}{sum}","xxh3.a":"{sum}","xxh3.b":"{sum}"}}{rest}}}"#);
    let entry = |name: &str, dtype: &str, shape: &str, from: &str, to: &str| {
        format!(r#","{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let a = entry("a", "U8", "[64]", "0", "64");
    assert!(opened(&path, &sealed(&with(&a), 64)).is_ok(), "the shape of the others is right");
    let most = usize::MAX.to_string();
    for (what, message, json, room) in [
        ("no data", "of 0 bytes of data", with(&a), 0),
        ("less data", "of 63 bytes of data", with(&a), 63),
        ("more data", "65 bytes of data where the tensors take 64", with(&a), 65),
        ("hole", "lies at 128..129", with(&(a.clone() + &entry("b", "U8", "[1]", "128", "129"))), 129),
        ("overlap", "lies at 63..127", with(&(a.clone() + &entry("b", "U8", "[64]", "63", "127"))), 127),
        ("twice the same place", "lies at 0..64", with(&(a.clone() + &entry("b", "U8", "[64]", "0", "64"))), 64),
        (
            "not aligned",
            "no multiple of 64",
            with(&(entry("a", "U8", "[4]", "0", "4") + &entry("b", "U8", "[1]", "4", "5"))),
            5,
        ),
        ("backwards", "lies at 64..0", with(&entry("a", "U8", "[0]", "64", "0")), 64),
        ("huge end", "of 64 bytes of data", with(&entry("a", "U8", "[64]", "0", &most)), 64),
        ("huge both", "lies at 1844", with(&entry("a", "U8", "[0]", &most, &most)), 64),
        ("beyond 64 bits", "invalid", with(&entry("a", "U8", "[64]", "0", "18446744073709551680")), 64),
        ("product wraps", "does not take 0 bytes", with(&entry("a", "U8", "[4294967296,4294967296]", "0", "0")), 0),
        (
            "product wraps to 64",
            "does not take 64 bytes",
            with(&entry("a", "F64", "[2305843009213693960]", "0", "64")),
            64,
        ),
        ("negative", "invalid", with(&entry("a", "U8", "[-64]", "0", "64")), 64),
        ("fraction", "invalid", with(&entry("a", "U8", "[64.0]", "0", "64")), 64),
        ("dtype", "dtype 'F8' is not known", with(&entry("a", "F8", "[64]", "0", "64")), 64),
        ("other size", "does not take 64 bytes", with(&entry("a", "F32", "[64]", "0", "64")), 64),
        ("name twice", "'a' is there twice", with(&(a.clone() + &a)), 64),
        ("metadata twice", "'__metadata__' is there twice", with(&(a.clone() + r#","__metadata__":{}"#)), 64),
        ("key twice", "metadata 'xxh3.a' is there twice", with(&a).replace(r#""xxh3.b""#, r#""xxh3.a""#), 64),
        ("no checksum", "has no checksum", with(&entry("c", "U8", "[64]", "0", "64")), 64),
        (
            "short checksum",
            "has no checksum",
            with(&a).replace(&format!(r#""xxh3.a":"{sum}""#), r#""xxh3.a":"00""#),
            64,
        ),
        ("unknown field", "unknown field `x`", with(&a.replace(r#""dtype""#, r#""x":1,"dtype""#)), 64),
        ("field twice", "duplicate field `dtype`", with(&a.replace(r#""dtype""#, r#""dtype":"U8","dtype""#)), 64),
        ("field missing", "missing field `data_offsets`", with(r#","a":{"dtype":"U8","shape":[64]}"#), 64),
        ("three offsets", "trailing characters", with(&a.replace("[0,64]", "[0,32,64]")), 64),
        ("not a map", "invalid", with(r#","a":[]"#), 0),
        (
            "metadata not strings",
            "invalid type",
            with(&a).replace(&format!(r#""xxh3.b":"{sum}""#), r#""xxh3.b":1"#),
            64,
        ),
        ("something behind", "trailing characters", with(&a) + "{}", 64),
        ("not closed", "EOF", with(&a).trim_end_matches('}').to_owned(), 64),
        ("nested", "invalid", with(&format!(r#","a":{}"#, "[".repeat(100_000))), 0),
        ("half a surrogate", "hex escape", with(&a.replace("\"a\"", "\"\\ud800\"")), 64),
        ("no prefix", "begins without a checksum", "{}".to_owned(), 0),
        ("foreign", "begins without a checksum", format!("{{{}}}", &a[1..]), 64),
    ] {
        let e = opened(&path, &sealed(&json, room)).expect_err(what);
        assert!(matches!(&e, Error::Format { .. }) && e.to_string().contains(message), "{what}: {e}");
    }
    for length in [0u64, 1, 4088, u64::MAX, u64::MAX - 7, 1 << 62] {
        let bytes = [&length.to_le_bytes()[..], &[b' '; 4088]].concat();
        assert!(matches!(opened(&path, &bytes), Err(Error::Format { .. })), "{length}");
    }
    assert!(matches!(Tensors::open(&dir.join("none")), Err(Error::Io { .. })));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_can_not_be_written() {
    let dir = folder("refuse");
    let path = dir.join("a");
    let tensor = |name, shape, bytes| Tensor { name, dtype: Dtype::U8, shape, bytes };
    for (tensors, key, message) in [
        (vec![tensor("a", &[2], &[1])], "k", "U8 of shape [2] takes 2 bytes, there are 1"),
        (vec![tensor("a", &[usize::MAX, 2], &[1])], "k", "takes more bytes than there can be"),
        (vec![tensor("a", &[1], &[1]), tensor("a", &[1], &[1])], "k", "two tensors have this name"),
        (vec![tensor("__pad.0", &[1], &[1])], "k", "belong to the format"),
        (vec![tensor("a", &[1], &[1])], "xxh3", "a name that checksums have"),
        (vec![tensor("a", &[1], &[1])], "xxh3.b", "a name that checksums have"),
    ] {
        let metadata = [(key.to_owned(), "v".to_owned())].into();
        let e = write(&path, &metadata, &tensors, &Progress::new()).unwrap_err().to_string();
        assert!(e.contains(message), "{e}");
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

/// The partial file leads to a device that is full: the old file stays, nothing else does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let dir = folder("full");
    let path = dir.join("a");
    std::fs::write(&path, b"old").unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.join("a.partial")).unwrap();
    let e = write_small(&path).unwrap_err();
    assert!(matches!(&e, Error::Io { source, .. } if source.raw_os_error() == Some(28)), "{e}");
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn stopped_in_the_middle() {
    let dir = folder("stop");
    let path = dir.join("a");
    let progress = Progress::new();
    progress.cancel();
    let tensors = [Tensor { name: "a", dtype: Dtype::U8, shape: &[1], bytes: &[1] }];
    assert!(matches!(write(&path, &metadata(), &tensors, &progress), Err(Error::Cancelled)));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

fn any_tensor() -> impl Strategy<Value = (String, Dtype, Vec<usize>, Vec<u8>)> {
    let shape = prop::collection::vec(0usize..9, 0..4);
    ("[a-z./\\\\\"é\u{7}]{0,8}", prop::sample::select(&Dtype::ALL[..]), shape).prop_flat_map(|(name, dtype, shape)| {
        let n = dtype.bytes(&shape).unwrap();
        (Just(name), Just(dtype), Just(shape), prop::collection::vec(any::<u8>(), n))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The official reader takes what is written and finds the same.
    #[test]
    fn as_the_official_reader_says(
        given in prop::collection::vec(any_tensor(), 0..12),
        note in prop::collection::btree_map("[a-w]{1,4}", ".{0,12}", 0..4),
    ) {
        let given: BTreeMap<String, _> = given.into_iter().map(|(name, d, s, b)| (name, (d, s, b))).collect();
        let tensors: Vec<Tensor<'_>> = given
            .iter()
            .map(|(name, (dtype, shape, bytes))| Tensor { name, dtype: *dtype, shape, bytes })
            .collect();
        let dir = folder("official");
        let path = dir.join(format!("{:?}", std::thread::current().id()));
        write(&path, &note, &tensors, &Progress::new()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let official = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let (_, head) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let noted = head.metadata().clone().unwrap();
        let ours = Tensors::open(&path).unwrap();
        ours.verify_all(&Progress::new()).unwrap();
        prop_assert_eq!(ours.metadata(), &note);
        prop_assert!(note.iter().all(|(k, v)| noted.get(k) == Some(v)));
        prop_assert_eq!(ours.names().count(), tensors.len());
        for t in &tensors {
            let theirs = official.tensor(t.name).unwrap();
            prop_assert_eq!(theirs.data(), t.bytes);
            prop_assert_eq!(theirs.shape(), t.shape);
            prop_assert_eq!(format!("{}", theirs.dtype()), t.dtype.name());
            let place = theirs.data().as_ptr() as usize - bytes.as_ptr() as usize;
            prop_assert!(place.is_multiple_of(LINE) || t.bytes.is_empty());
            prop_assert_eq!(ours.tensor(t.name).unwrap().bytes, t.bytes);
        }
        prop_assert!(official.names().len() < 2 * tensors.len() + 1);
    }
}
