//! Writing: data are hashed on their way to the file, then the header follows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::{BLOCK, CHECKSUM, DIGITS, Dtype, LINE, MOST_HEADER, PAD, PAGE, PREFIX, Tensor};
use crate::files::{Replacement, WriteLock};
use crate::progress::Progress;
use crate::{Error, Result};

/// Writes a file, which appears under its name when it is complete.
///
/// `metadata` is what the file says of itself; keys that are `xxh3` or begin with `xxh3.` are taken. Data are read once
/// and never copied. Fails where names repeat or are taken, or where the bytes of a tensor do not fill its shape.
pub fn write(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: &[Tensor<'_>],
    progress: &Progress,
) -> Result<()> {
    check(path, metadata, tensors)?;
    let zeros = vec![0; tensors.len()];
    let length = header(metadata, tensors, &zeros).len();
    let start = (8 + length).next_multiple_of(PAGE);
    if start - 8 > MOST_HEADER {
        let what = format!("names and metadata take {length} bytes; a header has at most {MOST_HEADER}");
        return Err(Error::format(path, "header", 0, what));
    }
    let _lock = WriteLock::take(path)?;
    let mut replacement = Replacement::new(path)?;
    let partial = replacement.partial().to_owned();
    let file = replacement.file();
    let failed = || Error::io(&partial, "writing");
    progress.start("write", tensors.iter().map(|t| t.bytes.len() as u64).sum())?;
    file.seek(SeekFrom::Start(start as u64)).map_err(failed())?;
    let mut sums = Vec::with_capacity(tensors.len());
    let mut at = start;
    for (i, tensor) in tensors.iter().enumerate() {
        let mut hash = Xxh3::new();
        // Blocks end at multiples of their size: the system then keeps the file in pages as large, and maps it so.
        let (first, rest) = tensor.bytes.split_at(tensor.bytes.len().min(BLOCK - at % BLOCK));
        for block in [first].into_iter().chain(rest.chunks(BLOCK)) {
            hash.update(block);
            file.write_all(block).map_err(failed())?;
            progress.advance(block.len() as u64)?;
        }
        sums.push(hash.digest128());
        at += tensor.bytes.len();
        if i + 1 < tensors.len() {
            let pad = pad_behind(tensor);
            file.write_all(&[0; LINE][..pad]).map_err(failed())?;
            at += pad;
        }
    }
    let mut head = ((start - 8) as u64).to_le_bytes().to_vec();
    head.extend_from_slice(&header(metadata, tensors, &sums));
    head.resize(start, b' ');
    let at = 8 + PREFIX.len();
    let sum = header_sum(&head[8..]);
    head[at..at + DIGITS].copy_from_slice(hex(sum).as_bytes());
    file.seek(SeekFrom::Start(0)).map_err(failed())?;
    file.write_all(&head).map_err(failed())?;
    replacement.commit()?;
    Ok(())
}

/// The checksum of a header, whatever stands in the place of its own checksum.
pub(super) fn header_sum(header: &[u8]) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&header[..PREFIX.len()]);
    hash.update(&header[PREFIX.len() + DIGITS..]);
    hash.digest128()
}

fn hex(sum: u128) -> String {
    format!("{sum:032x}")
}

fn pad_behind(tensor: &Tensor<'_>) -> usize {
    tensor.bytes.len().next_multiple_of(LINE) - tensor.bytes.len()
}

fn check(path: &Path, metadata: &BTreeMap<String, String>, tensors: &[Tensor<'_>]) -> Result<()> {
    let bad = |section: &str, what: String| Err(Error::format(path, section, 0, what));
    if let Some(key) = metadata.keys().find(|k| *k == "xxh3" || k.starts_with(CHECKSUM)) {
        return bad("header", format!("metadata '{key}' has a name that checksums have; choose another"));
    }
    let mut names = BTreeSet::new();
    for Tensor { name, dtype, shape, bytes } in tensors {
        if name.starts_with("__") {
            return bad(name, "names that begin with '__' belong to the format; choose another".into());
        }
        if !names.insert(name) {
            return bad(name, "two tensors have this name; choose another for one of them".into());
        }
        let needed = dtype.bytes(shape);
        if needed != Some(bytes.len()) {
            let needed = needed.map_or("more bytes than there can be".into(), |n| format!("{n} bytes"));
            let what = format!("{} of shape {shape:?} takes {needed}, there are {}", dtype.name(), bytes.len());
            return bad(name, what);
        }
    }
    Ok(())
}

/// The JSON, with zeros for its own checksum; its length does not depend on `sums`.
fn header(metadata: &BTreeMap<String, String>, tensors: &[Tensor<'_>], sums: &[u128]) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut out = format!("{PREFIX}{}\"", hex(0));
    let given = metadata.iter().map(|(key, value)| (key.clone(), value.clone()));
    let sums = tensors.iter().zip(sums).map(|(t, &sum)| (format!("{CHECKSUM}{}", t.name), hex(sum)));
    for (key, value) in given.chain(sums) {
        out += &format!(",{}:{}", quoted(&key), quoted(&value));
    }
    out.push('}');
    let mut at = 0;
    let mut entry = |name: &str, dtype: Dtype, shape: &[usize], bytes: usize| {
        let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let (name, dtype, end) = (quoted(name), dtype.name(), at + bytes);
        out += &format!(r#",{name}:{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{at},{end}]}}"#);
        at = end;
    };
    for (i, tensor) in tensors.iter().enumerate() {
        entry(tensor.name, tensor.dtype, tensor.shape, tensor.bytes.len());
        let pad = pad_behind(tensor);
        if pad > 0 && i + 1 < tensors.len() {
            entry(&format!("{PAD}{i}"), Dtype::U8, &[pad], pad);
        }
    }
    out.push('}');
    out.into_bytes()
}
