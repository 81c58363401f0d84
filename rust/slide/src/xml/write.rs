//! Writing a file: blocks of rows are formatted on all threads while those before them go to the file.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use thrifty_base::files::{Replacement, WriteLock};
use thrifty_base::pool::pool;
use thrifty_base::progress::Progress;

use super::repeated;
use crate::sparse::Sparse;
use crate::{Error, Result};

/// Rows, labels and pairs that one thread formats at a time.
const BLOCK: u64 = 1 << 16;

/// Writes rows of `shape` (features, labels) on `threads` threads; the file appears when it is complete.
///
/// Values have as many digits as it takes to read back the same f32. Refuses ids that are twice in a row.
pub fn write(
    path: &Path,
    inputs: Sparse<'_>,
    targets: Sparse<'_>,
    shape: (usize, usize),
    threads: usize,
    progress: &Progress,
) -> Result<()> {
    inputs.check_valued("inputs", shape.0)?;
    targets.check("targets", shape.1)?;
    let rows = inputs.rows();
    if targets.rows() != rows {
        return Err(Error::argument("targets", format!("{} rows for {rows} rows of inputs", targets.rows())));
    }
    let pool = pool(threads)?;
    let blocks = cut(inputs, targets);
    let _lock = WriteLock::take(path)?;
    let mut replacement = Replacement::new(path)?;
    let partial = replacement.partial().to_owned();
    let file = replacement.file();
    let put = |file: &mut std::fs::File, texts: &[Vec<u8>]| -> Result<()> {
        for text in texts {
            file.write_all(text).map_err(thrifty_base::Error::io(&partial, "writing"))?;
        }
        Ok(())
    };
    progress.start("write", rows as u64)?;
    let mut ready = vec![format!("{rows} {} {}\n", shape.0, shape.1).into_bytes()];
    for wave in blocks.chunks(4 * pool.current_num_threads()) {
        let format = || -> Result<Vec<Vec<u8>>> {
            let one = |block: &Range<usize>| {
                let text = formatted(inputs, targets, block.clone())?;
                progress.advance(block.len() as u64)?;
                Ok(text)
            };
            wave.par_iter().map(one).collect()
        };
        let (written, next) = pool.install(|| rayon::join(|| put(file, &ready), format));
        written?;
        ready = next?;
    }
    put(file, &ready)?;
    replacement.commit()?;
    Ok(())
}

/// Blocks of rows of like work.
fn cut(inputs: Sparse<'_>, targets: Sparse<'_>) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let (mut from, mut before) = (0, 0);
    for i in 0..inputs.rows() {
        let work = inputs.ends[i] + targets.ends[i] + i as u64;
        if work - before >= BLOCK || i + 1 == inputs.rows() {
            blocks.push(from..i + 1);
            (from, before) = (i + 1, work);
        }
    }
    blocks
}

fn formatted(inputs: Sparse<'_>, targets: Sparse<'_>, rows: Range<usize>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut scratch = Vec::new();
    for i in rows {
        for (name, ids) in [("inputs", inputs.row(i)), ("targets", targets.row(i))] {
            if let Some(twice) = repeated(ids, &mut scratch) {
                return Err(Error::argument(name, format!("row {i} has the index {twice} twice")));
            }
        }
        for (n, &label) in targets.row(i).iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            put_id(&mut out, label);
        }
        for at in inputs.range(i) {
            out.push(b' ');
            put_id(&mut out, inputs.indices[at]);
            out.push(b':');
            put_value(&mut out, inputs.values[at]);
        }
        out.push(b'\n');
    }
    Ok(out)
}

fn put_id(out: &mut Vec<u8>, mut id: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (id % 10) as u8;
        id /= 10;
        if id == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn put_value(out: &mut Vec<u8>, value: f32) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format(value);
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}
