//! Which files a command line means, and what their documents are called.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Input;
use crate::items::Items;
use crate::{Error, Result};

const COMPRESSION: [&str; 6] = [".gz", ".bgz", ".zst", ".xz", ".bz2", ".lzma"];
const DNA: [&str; 7] = [".fa", ".fasta", ".fna", ".ffn", ".fq", ".fastq", ".fas"];
const TEXT: [&str; 2] = [".txt", ".text"];

fn strip<'a>(name: &'a str, suffixes: &[&str]) -> Option<&'a str> {
    suffixes.iter().find_map(|s| {
        let at = name.len().checked_sub(s.len())?;
        let fits = at > 0 && name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(s);
        fits.then(|| &name[..at])
    })
}

/// The file's name without the suffixes of its format and compression: `x/GCF_1.fa.gz` is `GCF_1`.
pub fn document_name(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |n| n.to_string_lossy());
    let mut stem: &str = &name;
    stem = strip(stem, &COMPRESSION).unwrap_or(stem);
    stem = strip(stem, &DNA).or_else(|| strip(stem, &TEXT)).unwrap_or(stem);
    stem.to_owned()
}

fn is_document(path: &Path, items: Items) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = strip(&name, &COMPRESSION).unwrap_or(&name);
    match items {
        Items::Dna { .. } => strip(stem, &DNA).is_some(),
        Items::Text { .. } => strip(stem, &TEXT).is_some(),
    }
}

/// Expands files, folders and a list file to inputs. Files of a folder come in the order of their names and must have a
/// suffix of the format; files named one by one may be called anything. Returns the inputs and how many files of
/// folders were passed over.
pub fn list_inputs(paths: &[PathBuf], list: Option<&Path>, items: Items) -> Result<(Vec<Input>, usize)> {
    let mut inputs = Vec::new();
    let mut passed_over = 0;
    let mut named: Vec<(PathBuf, Option<String>)> = paths.iter().map(|p| (p.clone(), None)).collect();
    if let Some(list) = list {
        named.extend(read_list(list)?);
    }
    for (path, name) in named {
        if path.as_os_str() == "-" {
            inputs.push(Input { path, name: name.unwrap_or_else(|| "stdin".into()) });
            continue;
        }
        let meta = std::fs::metadata(&path).map_err(thrifty_base::Error::io(&path, "reading"))?;
        if meta.is_dir() {
            passed_over += walk(&path, items, &mut inputs)?;
        } else {
            let name = name.unwrap_or_else(|| document_name(&path));
            inputs.push(Input { path, name });
        }
    }
    if inputs.is_empty() {
        let what = match items {
            Items::Dna { .. } => {
                "no FASTA or FASTQ file here (names end in .fa, .fasta, .fna, .ffn, .fas, .fq, .fastq)"
            }
            Items::Text { .. } => "no text file here (names end in .txt or .text)",
        };
        let path = paths.first().cloned().unwrap_or_default();
        return Err(Error::Input { path, line: None, what: format!("{what}, each also with .gz, .zst, .xz or .bz2") });
    }
    Ok((inputs, passed_over))
}

fn walk(folder: &Path, items: Items, inputs: &mut Vec<Input>) -> Result<usize> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(thrifty_base::Error::io(folder, "listing"))? {
        entries.push(entry.map_err(thrifty_base::Error::io(folder, "listing"))?.path());
    }
    entries.sort();
    let mut passed_over = 0;
    for path in entries {
        if path.is_dir() {
            passed_over += walk(&path, items, inputs)?;
        } else if is_document(&path, items) {
            inputs.push(Input::of(&path));
        } else {
            passed_over += 1;
        }
    }
    Ok(passed_over)
}

/// A list has one path a line, optionally a tab and the document's name; relative paths start at the list's folder.
fn read_list(list: &Path) -> Result<Vec<(PathBuf, Option<String>)>> {
    let mut text = String::new();
    std::fs::File::open(list)
        .and_then(|mut f| f.read_to_string(&mut text))
        .map_err(thrifty_base::Error::io(list, "reading the list"))?;
    let base = list.parent().unwrap_or(Path::new(""));
    let mut seen = HashMap::new();
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let (path, name) = line.split_once('\t').map_or((line, None), |(p, n)| (p, Some(n.to_owned())));
        let path = base.join(path);
        if let Some(first) = seen.insert(path.clone(), i + 1) {
            return Err(Error::Input {
                path: list.to_owned(),
                line: Some(i as u64 + 1),
                what: format!("{} stands in line {first} already", path.display()),
            });
        }
        if !path.exists() {
            return Err(Error::Input {
                path: list.to_owned(),
                line: Some(i as u64 + 1),
                what: format!("no file {}", path.display()),
            });
        }
        out.push((path, name));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (path, name) in [
            ("a/GCF_000148585.2.fa.gz", "GCF_000148585.2"),
            ("x.fasta", "x"),
            ("x.FNA.XZ", "x"),
            ("reads.fastq.zst", "reads"),
            ("book.txt.bz2", "book"),
            ("noext", "noext"),
            ("odd.name.v1", "odd.name.v1"),
            (".fa", ".fa"),
            ("x.txt.fa", "x.txt"),
        ] {
            assert_eq!(document_name(Path::new(path)), name);
        }
    }
}
