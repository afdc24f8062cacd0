//! Which rows a walk has met: a bit for each, cleared by undoing what was set, so that a walk over
//! a thousand of a million rows costs a thousand.

/// A set of rows below a bound.
#[derive(Debug, Default)]
pub(super) struct Visited {
    words: Vec<u64>,
    touched: Vec<u32>,
}

impl Visited {
    /// Empties the set and makes room for rows below `rows`.
    pub(super) fn reset(&mut self, rows: u32) {
        for &row in &self.touched {
            if let Some(word) = self.words.get_mut(row as usize / 64) {
                *word = 0;
            }
        }
        self.touched.clear();
        self.words.resize((rows as usize).div_ceil(64), 0);
    }

    /// Whether the row was not in the set, and is now. Rows above the bound never enter.
    pub(super) fn insert(&mut self, row: u32) -> bool {
        let Some(word) = self.words.get_mut(row as usize / 64) else { return false };
        let bit = 1 << (row % 64);
        let fresh = *word & bit == 0;
        if fresh {
            *word |= bit;
            self.touched.push(row);
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_enters_once_until_the_set_is_reset() {
        let mut visited = Visited::default();
        for _ in 0..3 {
            visited.reset(130);
            for row in [0, 63, 64, 129] {
                assert!(visited.insert(row));
                assert!(!visited.insert(row));
            }
            assert!(!visited.insert(1000), "out of bounds");
        }
        visited.reset(10);
        assert!(visited.insert(9));
    }
}
