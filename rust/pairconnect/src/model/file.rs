//! Files of models.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use thrifty_base::progress::Progress;
use thrifty_base::simd;
use thrifty_base::tensors::{self, Dtype, Tensor, Tensors};

use super::{Layer, ModelSpec, PairLm, Short};
use crate::chosen::Rows;
use crate::dense::Matrix;
use crate::hash;
use crate::shortlist::Shortlist;
use crate::spec::Precision;
use crate::table::{PairTable, hash_is_known};
use crate::{Error, Result};

/// What files of models say they are.
const FORMAT: &str = "thrifty.pairlm";
/// Their version.
const VERSION: u32 = 1;
impl PairLm {
    /// Opens a file of a model. Dense weights are rounded to `precision`; tables stay in the file, as they are there.
    pub fn open(path: &FilePath, precision: Precision, progress: &Progress) -> Result<Self> {
        Self::of(Arc::new(Tensors::open(path)?), precision, progress)
    }

    fn of(file: Arc<Tensors>, precision: Precision, progress: &Progress) -> Result<Self> {
        let path = file.path();
        file.expect_format(FORMAT, VERSION)?;
        hash_is_known(&file, hash::VERSION)?;
        let bad = |what: String| thrifty_base::Error::format(path, "header", 8, what);
        let Some(spec) = file.metadata().get("spec") else {
            return Err(bad("there is no 'spec' in the metadata".into()).into());
        };
        let spec: ModelSpec = serde_json::from_str(spec).map_err(|e| bad(format!("spec: {e}")))?;
        spec.check().map_err(|e| bad(format!("spec: {e}")))?;
        file.verify_all(progress)?;
        let simd = simd::path()?;
        let floats = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let numbers: Vec<f32> = bytemuck::cast_slice(file.expect(name, Dtype::F32, shape)?).to_vec();
            match numbers.iter().position(|x| !x.is_finite()) {
                Some(at) => {
                    let what = format!("'{name}' has {} at number {at}; numbers are finite", numbers[at]);
                    Err(thrifty_base::Error::format(path, "data", 0, what).into())
                }
                None => Ok(numbers),
            }
        };
        let matrix = |name: &str, rows: usize, columns: usize| -> Result<Matrix> {
            Ok(Matrix::new(simd, &floats(name, &[rows, columns])?, columns, precision))
        };
        let (dim, hidden) = (spec.dim, spec.hidden);
        let short = match spec.shortlist {
            Some(short) => {
                let list = Shortlist::of(short, spec.vocab, &file)?;
                let rows = Rows::new(simd, &floats("embed", &[spec.vocab, dim])?, dim, precision);
                Some(Arc::new(Short { list, rows }))
            }
            None => None,
        };
        let layers = spec.layers.iter().enumerate().map(|(i, table)| {
            let name = |part: &str| format!("layers.{i}.{part}");
            Ok(Layer {
                table: PairTable::of(*table, Arc::clone(&file), &name("rows"))?,
                out: matrix(&name("out"), dim, table.width())?,
                norm: floats(&name("norm"), &[dim])?,
                gate_up: matrix(&name("gate_up"), 2 * hidden, dim)?,
                down: matrix(&name("down"), dim, hidden)?,
            })
        });
        Ok(Self {
            embed: Arc::new(matrix("embed", spec.vocab, dim)?),
            layers: layers.collect::<Result<_>>()?,
            norm: floats("norm", &[dim])?,
            note: file.metadata().get("note").cloned().unwrap_or_default(),
            path: simd,
            precision,
            short,
            spec,
            file,
        })
    }

    /// The same model with another shortlist, or without; all that does not change is shared.
    pub fn with_shortlist(&self, list: Option<Shortlist>) -> Result<Self> {
        let short = match list {
            Some(list) => {
                let dim = self.spec.dim;
                let embed = self.file.expect("embed", Dtype::F32, &[self.spec.vocab, dim])?;
                let rows = Rows::new(self.path, bytemuck::cast_slice(embed), dim, self.precision);
                Some(Arc::new(Short { list, rows }))
            }
            None => None,
        };
        let spec = ModelSpec { shortlist: short.as_ref().map(|short| *short.list.spec()), ..self.spec.clone() };
        Ok(Self { spec, short, ..self.clone() })
    }

    /// Writes a file of the model as it is now, with dense weights as precise as those that it was opened from.
    pub fn save(&self, path: &FilePath, progress: &Progress) -> Result<()> {
        let metadata = metadata(&self.spec, &self.note);
        let names: Vec<&str> = self.file.names().filter(|name| !name.starts_with("shortlist.")).collect();
        let views = names.iter().map(|name| self.file.tensor(name)).collect::<thrifty_base::Result<Vec<_>>>()?;
        let mut tensors: Vec<_> = names
            .iter()
            .zip(&views)
            .map(|(name, v)| Tensor { name, dtype: v.dtype, shape: v.shape, bytes: v.bytes })
            .collect();
        let shape = self.short.as_ref().map_or([0, 0], |short| short.list.shape());
        if let Some(short) = &self.short {
            tensors.extend(short.list.tensors(&shape));
        }
        Ok(tensors::write(path, &metadata, &tensors, progress)?)
    }
}

/// Numbers of a model to write: name, shape and values.
pub type Dense<'a> = (&'a str, &'a [usize], &'a [f32]);

/// Writes a file of a model. Names and shapes are those that [`PairLm::open`] looks for.
pub fn write(
    path: &FilePath,
    spec: &ModelSpec,
    note: &str,
    dense: &[Dense<'_>],
    tables: &[&PairTable],
    shortlist: Option<&Shortlist>,
    progress: &Progress,
) -> Result<()> {
    spec.check()?;
    if shortlist.map(Shortlist::spec) != spec.shortlist.as_ref() {
        return Err(Error::argument("shortlist", "it is not that of the model"));
    }
    if !tables.iter().map(|table| table.spec()).eq(&spec.layers) {
        return Err(Error::argument("tables", "they are not those of the model's layers"));
    }
    let metadata = metadata(spec, note);
    let names: Vec<String> = (0..tables.len()).map(|i| format!("layers.{i}.rows")).collect();
    let shapes: Vec<_> = tables.iter().map(|table| table.shape()).collect();
    let dense = dense.iter().map(|&(name, shape, values)| Tensor {
        name,
        dtype: Dtype::F32,
        shape,
        bytes: bytemuck::cast_slice(values),
    });
    let rows = tables.iter().zip(&names).zip(&shapes).map(|((table, name), (dtype, shape))| Tensor {
        name,
        dtype: *dtype,
        shape,
        bytes: table.data(),
    });
    let shape = shortlist.map_or([0, 0], Shortlist::shape);
    let short = shortlist.into_iter().flat_map(|list| list.tensors(&shape));
    Ok(tensors::write(path, &metadata, &dense.chain(rows).chain(short).collect::<Vec<_>>(), progress)?)
}

/// What the header of a model's file says.
fn metadata(spec: &ModelSpec, note: &str) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    let mut tell = |key: &str, value: String| metadata.insert(key.to_owned(), value);
    tell("format", FORMAT.into());
    tell("version", VERSION.to_string());
    tell("hash_version", hash::VERSION.to_string());
    tell("spec", serde_json::to_string(spec).expect("plain structures become JSON"));
    tell("note", note.to_owned());
    metadata
}
