//! Text for people: aligned columns, which `awk` can take apart, and nothing that moves a cursor.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

/// Returns rows with two spaces between the columns. The last column is not padded, so its cells
/// may hold anything.
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
