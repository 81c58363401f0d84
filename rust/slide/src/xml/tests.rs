use std::path::PathBuf;

use proptest::prelude::*;
use thrifty_base::progress::Progress;

use super::decimal::short;
use super::line::Filler;
use super::*;
use crate::Error;

struct File(PathBuf);

impl File {
    fn new(name: &str, text: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("thrifty-xml-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn read(&self, threads: usize) -> crate::Result<Rows> {
        read(&self.0, threads, &Progress::new())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn same(text: &str) {
    let (ours, std) = (parse_f32(text.as_bytes()), text.parse::<f32>().ok());
    assert_eq!(ours.map(f32::to_bits), std.map(f32::to_bits), "{text}: {ours:?} where std has {std:?}");
}

#[test]
fn numbers_as_std_reads_them() {
    for text in [
        "0",
        "-0",
        "+0.0",
        "1.",
        ".5",
        "-.5",
        ".",
        "",
        "-",
        "+",
        "1e5",
        "1E-5",
        "1e",
        "1e+",
        "1e-",
        "e5",
        ".e1",
        "1.5.5",
        "1_0",
        " 1",
        "1 ",
        "0x10",
        "inf",
        "-Infinity",
        "nan",
        "NaN",
        "1e999999999999",
        "1e-999999999999",
        "0e999999999999",
        "16777217",
        "16777219",
        "9007199254740993",
        "9007199254740992",
        "18446744073709551616",
        "99999999999999999999",
        "00000000000000000000000001",
        "0.00000000000000000000000000000000000000000001",
        "1e22",
        "1e23",
        "9007199254740992e22",
        "3.4028235e38",
        "3.4028236e38",
        "1e38",
        "1e39",
        "1.1754943e-38",
        "1e-45",
        "7e-46",
        "1e-22",
        "1e-23",
        "\u{664}",
    ] {
        same(text);
    }
}

/// Numbers just at, below and above the middle between two f32: rounding to f64 first would go wrong here.
#[test]
fn middles_are_not_rounded_twice() {
    assert!(short(b"16777217", 0).is_none(), "2^24 + 1 is the middle of two f32");
    for text in ["16777217.000000001", "16777216.999999999", "0.5000000298023223", "0.5000000298023225", "8388608.5"] {
        same(text);
    }
    for base in 0..200_000u64 {
        // 25 significant bits, the last one set, in few digits behind the point.
        let middle = (1 << 24) + 2 * base + 1;
        for shift in [1u32, 3, 5] {
            let scaled = middle as f64 / f64::from(1 << shift);
            same(&format!("{scaled}"));
            same(&format!("{scaled}1"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn short_decimals(digits in 0u64..1 << 54, places in 0usize..24, sign in "[-+]?", power in "(e[-+]?[0-9]{1,2})?") {
        let text = format!("{digits:0width$}", width = places + 1);
        let (whole, fraction) = text.split_at(text.len() - places);
        same(&format!("{sign}{whole}.{fraction}{power}"));
    }

    #[test]
    fn all_values_of_f32(bits: u32) {
        let value = f32::from_bits(bits);
        for text in [format!("{value}"), format!("{value:e}"), format!("{}", f64::from(value)), format!("{value:.4}")] {
            same(&text);
        }
    }

    #[test]
    fn anything_like_a_number(text in "[-+]?[0-9]{0,22}\\.?[0-9]{0,22}([eE][-+]?[0-9]{0,4})?") {
        same(&text);
    }

    #[test]
    fn anything(text in "[-+.eE0-9 infa]{0,12}") {
        same(&text);
    }

    /// The quick reading of a line is the careful one.
    #[test]
    fn lines_read_quickly_or_with_care(
        labels in prop::collection::vec(0u32..12, 0..4),
        pairs in prop::collection::vec((0u32..12, "[-+]?[0-9]{1,4}(\\.[0-9]{0,5})?(e-?[0-9])?"), 0..6),
        gap in "( |\t|  )", end in "( |\r|\t| \r)?", noise in "([x:, ]|)", at in 0usize..64,
    ) {
        let labels = labels.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let pairs: String = pairs.iter().map(|(f, v)| format!("{gap}{f}:{v}")).collect();
        let mut line = format!("{labels}{pairs}{end}");
        if line.is_char_boundary(at.min(line.len())) {
            line.insert_str(at.min(line.len()), &noise);
        }
        // Without a newline nothing is read quickly.
        let outcome = |text: &[u8]| {
            let (mut features, mut values) = ([0; 64], [0.0; 64]);
            let mut filler = Filler::new(&mut features, &mut values, (10, 10));
            let next = filler.line(text, 0);
            let (n, labels) = (filler.filled(), filler.labels);
            next.map(|next| (next, features[..n].to_vec(), values[..n].to_vec(), labels))
        };
        prop_assert_eq!(outcome(format!("{line}\n").as_bytes()), outcome(line.as_bytes()));
    }

    /// Whatever the bytes are: rows or an error, no panic.
    #[test]
    fn any_bytes(header in "[0-9]{1,2} [0-9]{1,2} [0-9]{1,2}\r?\n", text in "[0-9:,. \n\r\te-]{0,60}") {
        let file = File::new("any", (header + &text).as_bytes());
        if let Ok(rows) = file.read(1) {
            rows.inputs().check_valued("inputs", rows.shape.0).unwrap();
            rows.targets().check("targets", rows.shape.1).unwrap();
        }
    }
}

#[test]
fn what_lines_may_look_like() {
    let file = File::new(
        "looks",
        b"7 9 5\r\n0,4 8:1 2:-0.5\r\n 1:2e-3\r\n\r\n3\n\t5:1  6:.25 \n1,,2 0:123456.789012345678\n2 1:1",
    );
    let rows = file.read(2).unwrap();
    assert_eq!(rows.ends, [2, 3, 3, 3, 5, 6, 7]);
    assert_eq!(rows.features, [8, 2, 1, 5, 6, 0, 1]);
    assert_eq!(rows.values, [1.0, -0.5, 2e-3, 1.0, 0.25, 123_456.79, 1.0]);
    assert_eq!(rows.label_ends, [2, 2, 2, 3, 3, 5, 6]);
    assert_eq!(rows.labels, [0, 4, 3, 1, 2, 2]);
    assert_eq!(rows.shape, (9, 5));
}

#[test]
fn mistakes_have_a_line() {
    for (text, line, message) in [
        ("2 9 5\n0 1:1\n0 1:1 3:1 1:2\n", 3, "feature 1 is there twice"),
        ("1 9 5\n3,1,3 1:1\n", 2, "label 3 is there twice"),
        ("1 9 5\n1:1 2:1\n", 2, "'1:1' is not a list of labels; a row without labels begins with a blank"),
        ("1 9 5\n0 1:1 2\n", 2, "'2' is not feature:value"),
        ("1 9 5\n0 1:1:2\n", 2, "feature 1 has the value '1:2'"),
        ("1 9 5\n0 1:\n", 2, "feature 1 has the value ''"),
        ("1 9 5\n0 1:1e39\n", 2, "feature 1 has the value '1e39'"),
        ("1 9 5\n0 ::::::::\n", 2, "feature '' is not a number"),
        ("1 9 5\n0 4294967296:1\n", 2, "feature '4294967296' is not a number"),
        ("1 9 5\n0 9:1\n", 2, "feature 9 is beyond the 9 features"),
        ("18446744073709551615 9 5\n0 1:1\n", 2, "the header says 18446744073709551615 rows, the file has 1"),
        ("1 18446744073709551615 5\n0 1:1\n", 1, "the header says 18446744073709551615 features"),
        ("1 9 4294967297\n0 1:1\n", 1, "the header says 4294967297 labels"),
        ("99999999999999999999 1 1\n", 1, "the header must be three numbers"),
    ] {
        match File::new("mistakes", text.as_bytes()).read(1) {
            Err(Error::Input { line: found, what, .. }) => {
                assert!(found == line && what.contains(message), "{found}: {what}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

/// In a file of many parts the first mistake is the one that is named, by its line, whatever the threads.
#[test]
fn the_first_mistake_of_many_parts() {
    let rows = 300_000;
    let mut lines: Vec<String> = (0..rows).map(|i| format!("{} {}:0.25 {}:1.5", i % 7, i % 50, 50 + i % 40)).collect();
    lines.insert(0, format!("{rows} 100 7"));
    let good = File::new("parts", (lines.join("\n") + "\n").as_bytes());
    let (one, two) = (good.read(1).unwrap(), good.read(2).unwrap());
    assert_eq!((&one.ends, &one.features, &one.label_ends), (&two.ends, &two.features, &two.label_ends));
    assert_eq!(one.values, two.values);
    assert!(one.labels == two.labels && one.labels.iter().enumerate().all(|(i, &l)| l as usize == i % 7));
    for bad in [299_000, 250_000, 123_456] {
        lines[bad].push_str(" 99:x");
        let file = File::new("parts-bad", (lines.join("\n") + "\n").as_bytes());
        for threads in [1, 2] {
            match file.read(threads) {
                Err(Error::Input { line, .. }) => assert_eq!(line, bad as u64 + 1),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn stops_when_asked() {
    let file = File::new("stop", b"1 1 1\n0 0:1\n");
    let progress = Progress::new();
    progress.cancel();
    let stopped = |r: crate::Result<()>| matches!(r, Err(Error::Base(thrifty_base::Error::Cancelled)));
    assert!(stopped(read(&file.0, 1, &progress).map(|_| ())));
    let rows = file.read(1).unwrap();
    assert!(stopped(write(&file.0, rows.inputs(), rows.targets(), rows.shape, 1, &progress)));
    assert_eq!(std::fs::read(&file.0).unwrap(), b"1 1 1\n0 0:1\n", "the old file is there");
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is written reads back, bit by bit, and does not depend on the threads.
    #[test]
    fn round_trip(given in prop::collection::vec(
        (prop::collection::btree_set(0u32..30, 0..4), prop::collection::btree_map(any::<u32>(), any::<u32>(), 0..9)),
        0..30,
    )) {
        let mut rows = Rows { shape: (1 << 32, 30), ..Rows::default() };
        for (labels, pairs) in &given {
            rows.labels.extend(labels);
            for (&feature, &bits) in pairs.iter().rev() {
                let value = f32::from_bits(bits);
                rows.features.push(feature);
                rows.values.push(if value.is_finite() { value } else { 0.1 });
            }
            rows.ends.push(rows.features.len() as u64);
            rows.label_ends.push(rows.labels.len() as u64);
        }
        let file = File::new("round", b"");
        let mut texts = Vec::new();
        for threads in [1, 3] {
            write(&file.0, rows.inputs(), rows.targets(), rows.shape, threads, &Progress::new()).unwrap();
            texts.push(std::fs::read(&file.0).unwrap());
            let back = file.read(threads).unwrap();
            prop_assert_eq!((&back.ends, &back.features, &back.label_ends, &back.labels, back.shape),
                (&rows.ends, &rows.features, &rows.label_ends, &rows.labels, rows.shape));
            prop_assert_eq!(bits(&back.values), bits(&rows.values));
        }
        prop_assert!(texts[0] == texts[1]);
    }
}

#[test]
fn many_blocks_and_what_can_not_be_written() {
    let n = 200_000u32;
    let ends: Vec<u64> = (1..=u64::from(n)).collect();
    let ids: Vec<u32> = (0..n).collect();
    let values: Vec<f32> = ids.iter().map(|&i| i as f32 / 7.0).collect();
    let inputs = Sparse { ends: &ends, indices: &ids, values: &values };
    let targets = Sparse { ends: &ends, indices: &ids, values: &[] };
    let file = File::new("blocks", b"");
    let to = |inputs, targets, labels| write(&file.0, inputs, targets, (n as usize, labels), 2, &Progress::new());
    to(inputs, targets, n as usize).unwrap();
    let back = file.read(2).unwrap();
    assert!(back.features == ids && back.labels == ids && bits(&back.values) == bits(&values) && back.ends == ends);
    let (two, twice) = ([2u64], [1u32, 1]);
    let pair = Sparse { ends: &two, indices: &twice, values: &values[..2] };
    let fails = |r: crate::Result<()>, message: &str| {
        let e = r.unwrap_err().to_string();
        assert!(e.contains(message), "{e}");
    };
    fails(to(pair, pair, 9), "inputs: row 0 has the index 1 twice");
    fails(to(inputs, pair, 9), "targets: 1 rows for 200000 rows of inputs");
    fails(to(inputs, targets, 9), "targets: row 9 has the index 9; indices are below 9");
    let odd = [f32::NAN];
    let nan = Sparse { ends: &ends[..1], indices: &ids[..1], values: &odd };
    fails(to(nan, nan, 9), "row 0 has the value NaN at index 0");
}
