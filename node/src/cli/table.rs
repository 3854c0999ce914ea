//! Tables with aligned columns.

use super::terminal::{Colour, Terminal, harmless};

/// A cell: its text, and the colour that its meaning has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// A cell without a colour. Control characters in `text` are replaced.
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self {
            text: harmless(text.as_ref()),
            colour: None,
        }
    }

    /// The same cell in a colour.
    #[must_use]
    pub(super) const fn coloured(mut self, colour: Colour) -> Self {
        self.colour = Some(colour);
        self
    }
}

/// Rows under a heading.
#[derive(Clone, Debug)]
pub(super) struct Table {
    heading: Vec<&'static str>,
    /// Whether the column is one of numbers, whose ends stand below each other.
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub(super) fn new(heading: &[&'static str]) -> Self {
        Self {
            heading: heading.to_vec(),
            right: vec![false; heading.len()],
            rows: Vec::new(),
        }
    }

    /// The same table with a column of numbers.
    #[must_use]
    pub(super) fn right(mut self, column: usize) -> Self {
        if let Some(right) = self.right.get_mut(column) {
            *right = true;
        }
        self
    }

    /// Adds a row. Missing cells are empty.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, columns two blanks apart and nothing behind the last word of a line.
    #[must_use]
    pub(super) fn render(&self, terminal: &Terminal) -> String {
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| width(&cell.text))
                .chain([width(self.heading[column])])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heading.len()).map(width_of).collect();
        let heading: Vec<Cell> = self
            .heading
            .iter()
            .map(|text| Cell::new(text).coloured(Colour::Bold))
            .collect();
        let mut text = String::new();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            let mut pending = 0;
            for ((cell, column_width), right) in row.iter().zip(&widths).zip(&self.right) {
                let spare = column_width - width(&cell.text);
                if *right {
                    pending += spare;
                }
                if !cell.text.is_empty() {
                    line.extend(std::iter::repeat_n(' ', pending));
                    pending = 0;
                    match cell.colour {
                        Some(colour) => line.push_str(&terminal.paint(colour, &cell.text)),
                        None => line.push_str(&cell.text),
                    }
                }
                pending += if *right { 2 } else { spare + 2 };
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

/// Columns that a text takes: East Asian wide characters take two.
fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

/// The wide ranges of Unicode's East Asian Width that texts of a cluster can come near: Hangul,
/// kana, CJK and full-width forms, and emoji.
fn character_width(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036f | 0x200b..=0x200f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
