//! Columns of Parquet files in the few types that the readers of cells expect.

use polars_core::prelude::{Column, DataFrame, DataType, PolarsResult};

/// Casts decimals to floats, dictionary columns to text and small integers to 64 bits; other columns stay as they are.
pub(super) fn plain(table: DataFrame) -> PolarsResult<DataFrame> {
    DataFrame::new_infer_height(table.into_columns().into_iter().map(plain_column).collect::<PolarsResult<_>>()?)
}

fn plain_column(column: Column) -> PolarsResult<Column> {
    match column.dtype() {
        DataType::Decimal(..) => column.cast(&DataType::Float64),
        DataType::Categorical(..) | DataType::Enum(..) => column.cast(&DataType::String),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => column.cast(&DataType::Int64),
        _ => Ok(column),
    }
}
