//! Text tables: the first column to the left, figures to the right.

use std::fmt;

/// Rows of cells under a heading.
#[derive(Clone, Debug)]
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    pub fn new<S: Into<String>>(heading: impl IntoIterator<Item = S>) -> Table {
        Table { heading: heading.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells stay empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let lines = || std::iter::once(&self.heading).chain(&self.rows);
        let width =
            |column| lines().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.heading.len()).map(width).collect();
        for (index, row) in lines().enumerate() {
            let mut line = String::new();
            for (column, &width) in widths.iter().enumerate() {
                let cell = cell(row, column);
                line += &match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                writeln!(f, "{}", "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len() - 2))?;
            }
        }
        Ok(())
    }
}

/// A figure with three significant digits or so: `0.871`, `12.3`, `1,234`.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".into(),
        ..0.9995 => format!("{value:.3}"),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => grouped(value.round() as i64),
    }
}

/// A whole number with commas between its thousands.
fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["name", "ns"]);
        table.row(["ring", "1,234"]);
        table.row(["a pipe"]);
        assert_eq!(table.to_string(), "name       ns\n-------------\nring    1,234\na pipe\n");
    }

    #[test]
    fn figures_keep_three_digits() {
        let figures = [0.8712, 1.0, 9.996, 55.55, 99.96, 1234567.8, -1234.0, f64::NAN];
        let texts = figures.map(figure);
        assert_eq!(texts, ["0.871", "1.00", "10.0", "55.5", "100", "1,234,568", "-1,234", "-"]);
    }
}
