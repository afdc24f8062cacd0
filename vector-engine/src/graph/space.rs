//! What a graph is built over: rows that know how far apart they are.

/// Rows `0..rows` and their distances. Smaller is nearer, none is negative, and a row is as far from
/// another as that is from it: pruning compares distances of pairs with one another.
pub trait Space: Sync {
    /// How many rows there are.
    fn rows(&self) -> u32;

    /// How far two rows are apart.
    fn distance(&self, one: u32, other: u32) -> f32;

    /// How far one row is from each of some, in their order; what was in `out` goes.
    fn distances(&self, from: u32, to: &[u32], out: &mut Vec<f32>) {
        out.clear();
        out.extend(to.iter().map(|&row| self.distance(from, row)));
    }
}
