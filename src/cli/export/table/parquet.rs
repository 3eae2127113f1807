//! Rows as Parquet: groups of rows of a bounded size, compressed with zstd.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::{Cell, Column, Kind};

/// Rows of a group: they are in memory together, and a reader takes that many at a time.
const GROUP_ROWS: usize = 1 << 16;

/// What is written and not taken yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Rows on their way into a file.
pub(super) struct Rows {
    writer: SerializedFileWriter<Written>,
    written: Written,
    kinds: Vec<Kind>,
    /// By column.
    cells: Vec<Vec<Cell>>,
}

impl Rows {
    pub(super) fn new(columns: &[Column]) -> anyhow::Result<Self> {
        let fields = columns.iter().map(|(name, kind)| field(name, *kind).map(Arc::new));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let schema = Type::group_type_builder("row").with_fields(fields).build()?;
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?)).build();
        let written = Written::default();
        let writer = SerializedFileWriter::new(written.clone(), Arc::new(schema), Arc::new(properties))?;
        let kinds: Vec<Kind> = columns.iter().map(|(_, kind)| *kind).collect();
        Ok(Self { writer, written, cells: kinds.iter().map(|_| Vec::new()).collect(), kinds })
    }

    /// Takes a row; the bytes of a group, where that was its last row.
    pub(super) fn push(&mut self, row: &[Cell]) -> anyhow::Result<Option<Vec<u8>>> {
        for (column, cell) in self.cells.iter_mut().zip(row) {
            column.push(cell.clone());
        }
        if self.cells[0].len() < GROUP_ROWS {
            return Ok(None);
        }
        self.write_group()?;
        Ok(Some(self.written.take()))
    }

    fn write_group(&mut self) -> anyhow::Result<()> {
        if self.cells[0].is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for (cells, kind) in self.cells.iter_mut().zip(&self.kinds) {
            let Some(mut column) = group.next_column()? else { break };
            let cells = std::mem::take(cells);
            let present: Vec<i16> = cells.iter().map(|cell| i16::from(*cell != Cell::Empty)).collect();
            macro_rules! write {
                ($type:ty, $pattern:pat => $value:expr) => {{
                    let values: Vec<<$type as DataType>::T> = cells
                        .into_iter()
                        .filter_map(|cell| match cell {
                            $pattern => Some($value),
                            _ => None,
                        })
                        .collect();
                    column.typed::<$type>().write_batch(&values, Some(&present), None)?;
                }};
            }
            match kind {
                Kind::Text => write!(ByteArrayType, Cell::Text(text) => ByteArray::from(text.into_bytes())),
                Kind::Time => write!(Int64Type, Cell::Time(ms) => ms),
                Kind::Whole => write!(Int64Type, Cell::Whole(number) => number),
                Kind::Number => write!(DoubleType, Cell::Number(number) => number),
                Kind::Flag => write!(BoolType, Cell::Flag(flag) => flag),
            }
            column.close()?;
        }
        group.close()?;
        Ok(())
    }

    /// The bytes of the rest.
    pub(super) fn finish(mut self) -> anyhow::Result<Vec<u8>> {
        self.write_group()?;
        self.writer.close()?;
        Ok(self.written.take())
    }
}

fn field(name: &str, kind: Kind) -> Result<Type, parquet::errors::ParquetError> {
    let (physical, logical) = match kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        Kind::Whole => (Physical::INT64, None),
        Kind::Number => (Physical::DOUBLE, None),
        Kind::Flag => (Physical::BOOLEAN, None),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}
