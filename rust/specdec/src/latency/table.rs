//! Times that were measured on a machine, as JSON.

use serde::{Deserialize, Serialize};

use super::{Knots, Learned};
use crate::{Error, Result};

/// Version of the format.
const FORMAT: u32 = 1;

/// What times depend on beside sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the device.
    pub device: String,
    /// What weights and activations are.
    pub dtype: String,
    /// Whether passes are replayed as graphs.
    pub graphs: bool,
}

/// Milliseconds of passes by their number of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Rows, ascending.
    pub sizes: Vec<u32>,
    /// Milliseconds of each size.
    pub ms: Vec<f64>,
    /// Whether passes are filled up to the next size.
    pub padded: bool,
    /// Milliseconds for each token in the caches that a pass reads.
    #[serde(default)]
    pub kv_ms_per_token: f64,
}

/// A draft and its passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftLine {
    /// What the draft is called.
    pub name: String,
    /// Its passes.
    pub line: Line,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    format: u32,
    /// Where.
    pub machine: Machine,
    /// Milliseconds of a step outside both models.
    pub host_ms: f64,
    /// Passes of the target.
    pub verify: Line,
    /// Passes of the drafts.
    pub drafts: Vec<DraftLine>,
}

impl Line {
    /// A model that begins with these times.
    pub fn learned(&self) -> Result<Learned> {
        Learned::new(Knots::new(&self.sizes, &self.ms, self.padded)?, self.kv_ms_per_token)
    }
}

impl Table {
    /// Of what was measured on a machine.
    pub fn new(machine: Machine, host_ms: f64, verify: Line, drafts: Vec<DraftLine>) -> Result<Self> {
        let table = Self { format: FORMAT, machine, host_ms, verify, drafts };
        table.check()?;
        Ok(table)
    }

    /// Reads a table, and refuses that of another machine.
    pub fn from_json(text: &str, here: &Machine) -> Result<Self> {
        let table: Self = serde_json::from_str(text).map_err(|e| Error::argument("table", format!("{e}")))?;
        if table.format != FORMAT {
            let what = format!("format {} is not {FORMAT}, which this version reads; calibrate again", table.format);
            return Err(Error::argument("table", what));
        }
        let there = &table.machine;
        let fields = [
            ("device", there.device.clone(), here.device.clone()),
            ("dtype", there.dtype.clone(), here.dtype.clone()),
            ("graphs", there.graphs.to_string(), here.graphs.to_string()),
        ];
        for (field, there, here) in fields {
            if there != here {
                return Err(Error::Mismatch { field, there, here });
            }
        }
        table.check()?;
        Ok(table)
    }

    /// The table as text that [`Table::from_json`] reads.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::argument("table", format!("{e}")))
    }

    fn check(&self) -> Result<()> {
        if !(self.host_ms >= 0.0 && self.host_ms.is_finite()) {
            return Err(Error::argument("host_ms", format!("{} is not a number of at least 0", self.host_ms)));
        }
        self.verify.learned()?;
        self.drafts.iter().try_for_each(|draft| draft.line.learned().map(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let machine = Machine { device: "A card".into(), dtype: "bfloat16".into(), graphs: true };
        let line = |ms: &[f64]| Line { sizes: vec![1, 8, 64], ms: ms.to_vec(), padded: true, kv_ms_per_token: 1e-5 };
        let draft = DraftLine { name: "small".into(), line: line(&[0.5, 0.5, 0.7]) };
        Table::new(machine, 0.1, line(&[8.0, 8.5, 9.75]), vec![draft]).unwrap()
    }

    #[test]
    fn is_read_as_it_was_written() {
        let table = table();
        let read = Table::from_json(&table.to_json().unwrap(), &table.machine).unwrap();
        assert_eq!(read, table);
        assert_eq!(read.verify.learned().unwrap().ms(9, 100_000), 9.75 + 1.0);
    }

    #[test]
    fn another_machine_is_refused() {
        let table = table();
        let text = table.to_json().unwrap();
        let here = &table.machine;
        for (field, other) in [
            ("device", Machine { device: "Another card".into(), ..here.clone() }),
            ("dtype", Machine { dtype: "float32".into(), ..here.clone() }),
            ("graphs", Machine { graphs: false, ..here.clone() }),
        ] {
            let found = Table::from_json(&text, &other);
            assert!(matches!(found, Err(Error::Mismatch { field: f, .. }) if f == field), "{found:?}");
        }
    }

    #[test]
    fn what_is_no_table() {
        let table = table();
        let text = table.to_json().unwrap();
        let bad = [
            text.replace("\"format\":1", "\"format\":2"),
            text.replace("[1,8,64]", "[1,8,8]"),
            text.replace("\"host_ms\":0.1", "\"host_ms\":-0.1"),
            text.replace("9.75", "-9.75"),
            text.replace("\"padded\":true", "\"padded\":1"),
            text.replace("\"padded\"", "\"filled\""),
            text[..40].to_owned(),
        ];
        for text in bad {
            assert!(matches!(Table::from_json(&text, &table.machine), Err(Error::Argument { .. })), "{text}");
        }
    }
}
