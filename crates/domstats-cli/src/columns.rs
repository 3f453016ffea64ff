//! Aligned columns for people and `awk`, without terminal control sequences.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

/// Returns the rows with two spaces between columns. The last column is not padded and may hold
/// any text.
pub(crate) fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut page = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Writing into a string cannot fail.
            let _ = match column + 1 < N {
                true => write!(page, "{cell}{:1$}  ", "", width - cell.width()),
                false => writeln!(page, "{cell}"),
            };
        }
    }
    page
}
