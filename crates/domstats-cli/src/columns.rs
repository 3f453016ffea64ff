//! Aligned columns for people, which `awk` can take apart.

use std::io::{self, Write};

/// Writes rows with two spaces between the columns. The last column is not padded, so it may
/// hold anything.
pub(crate) fn write<const N: usize>(out: &mut impl Write, rows: &[[String; N]]) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in rows {
        let (last, padded) = row
            .split_last()
            .map_or((None, &[][..]), |(l, p)| (Some(l), p));
        for (cell, width) in padded.iter().zip(widths) {
            write!(out, "{cell:width$}  ")?;
        }
        writeln!(out, "{}", last.map_or("", String::as_str))?;
    }
    Ok(())
}
