//! Where searches begin, and the chance that builds draw from.

use super::space::Space;

/// Rows looked at for each entry that is chosen.
const SAMPLED_PER_ENTRY: usize = 32;

/// Rows that the middle is measured against.
const MEASURED: usize = 512;

/// Chooses entries: the row in the middle of a sample, then rows drawn with the square of how far
/// they are from those before, so that they lie where rows are and apart from each other.
pub(super) fn choose_entries<S: Space + ?Sized>(
    space: &S,
    count: usize,
    random: &mut Random,
) -> Vec<u32> {
    let rows = space.rows();
    let mut sample: Vec<u32> = if rows as usize <= count.saturating_mul(SAMPLED_PER_ENTRY) {
        (0..rows).collect()
    } else {
        (0..count * SAMPLED_PER_ENTRY).map(|_| random.below(rows)).collect()
    };
    random.shuffle(&mut sample);
    let Some(middle) = middle(space, &sample) else { return Vec::new() };
    let mut entries = vec![middle];
    let mut nearest = Vec::new();
    space.distances(middle, &sample, &mut nearest);
    let mut distances = Vec::new();
    while entries.len() < count {
        let Some(&next) = random.weighted(&nearest).and_then(|at| sample.get(at)) else { break };
        entries.push(next);
        space.distances(next, &sample, &mut distances);
        for ((nearest, &distance), row) in nearest.iter_mut().zip(&distances).zip(&sample) {
            // Rounding may leave a row apart from itself.
            *nearest = if entries.contains(row) { 0.0 } else { nearest.min(distance) };
        }
    }
    entries
}

/// The sampled row that is nearest to the others in sum.
fn middle<S: Space + ?Sized>(space: &S, sample: &[u32]) -> Option<u32> {
    let measured = sample.get(..MEASURED.min(sample.len()))?;
    let mut distances = Vec::new();
    let mut sum = |row: u32| -> f32 {
        space.distances(row, measured, &mut distances);
        distances.iter().sum()
    };
    let sums = sample.iter().take(MEASURED).map(|&row| (sum(row), row));
    sums.min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)))
        .map(|(_, row)| row)
}

/// Numbers that look like chance and follow from a seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound; 0 when the bound is 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    pub(super) fn shuffle(&mut self, rows: &mut [u32]) {
        for last in (1..rows.len()).rev() {
            rows.swap(last, self.below(last as u32 + 1) as usize);
        }
    }

    /// A place, drawn by the weights; none when all are 0.
    fn weighted(&mut self, weights: &[f32]) -> Option<usize> {
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let mut left = (self.next() >> 11) as f64 / (1_u64 << 53) as f64 * total;
        let mut last = None;
        for (at, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            left -= f64::from(weight);
            last = Some(at);
            if left < 0.0 {
                break;
            }
        }
        last
    }
}
