//! Rows in the order of their distance: one integer holds both, so that a comparison is one
//! instruction and equal distances fall by row, the same way every time.

/// A row at a distance; ordered by distance, then by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked(u64);

impl Ranked {
    pub(super) fn new(distance: f32, row: u32) -> Self {
        let bits = distance.to_bits();
        // Negative numbers order backwards by their bits, and below all others.
        let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        Self(u64::from(ordered) << 32 | u64::from(row))
    }

    pub(super) fn distance(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }

    pub(super) fn row(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_order_by_distance_then_row_and_keep_both() {
        let distances = [f32::NEG_INFINITY, -2.5, -1e-30, 0.0, 1e-30, 0.7, 3e38, f32::INFINITY];
        let mut before = None;
        for distance in distances {
            for row in [0, 1, u32::MAX] {
                let ranked = Ranked::new(distance, row);
                assert_eq!((ranked.distance(), ranked.row()), (distance, row));
                assert!(before < Some(ranked));
                before = Some(ranked);
            }
        }
    }
}
