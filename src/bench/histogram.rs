//! Latencies in buckets of equal relative width: constant memory, at most 1.6 % too high, cheap to
//! merge.
//!
//! Values below 128 ns are exact; above, every power of two is cut into 64 buckets.

use std::time::Duration;

/// Buckets of one power of two, as a power of two.
const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
/// Powers of two above the exact range of a 64-bit count of nanoseconds.
const BUCKETS: usize = FINE * (64 - FINE_BITS as usize + 1);

/// How often each latency was seen.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    total_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), count: 0, total_ns: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Adds one latency.
    pub fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket_of(ns)) {
            *count += 1;
        }
        self.count += 1;
        self.total_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds everything that `other` saw.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.total_ns += other.total_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many latencies were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest latency, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The mean latency.
    pub fn mean(&self) -> Duration {
        let mean_ns = self.total_ns.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean_ns).unwrap_or(u64::MAX))
    }

    /// The latency that `share` (0 to 1) of all did not exceed, to the width of a bucket.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(highest_of(bucket).min(self.max_ns));
            }
        }
        self.max()
    }
}

fn bucket_of(ns: u64) -> usize {
    let magnitude = (u64::BITS - ns.leading_zeros()).saturating_sub(FINE_BITS + 1);
    // The top bits of `ns`: below 128 the value itself, else 64..128.
    let top = (ns >> magnitude) as usize;
    magnitude as usize * FINE + top
}

fn highest_of(bucket: usize) -> u64 {
    if bucket < 2 * FINE {
        return bucket as u64;
    }
    let magnitude = bucket / FINE - 1;
    let top = (bucket - magnitude * FINE) as u128;
    u64::try_from(((top + 1) << magnitude) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(127), 127);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        for bucket in 0..BUCKETS - 1 {
            let highest = highest_of(bucket);
            assert_eq!(bucket_of(highest), bucket);
            assert_eq!(bucket_of(highest + 1), bucket + 1);
        }
    }

    #[test]
    fn quantiles_are_right_to_a_bucket() {
        let mut histogram = Histogram::default();
        for us in 1..=10_000u64 {
            histogram.record(Duration::from_micros(us));
        }
        for (share, us) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (0.999, 9_990.0)] {
            let found = histogram.quantile(share).as_secs_f64() * 1e6;
            assert!((found / us - 1.0).abs() < 0.016, "{share}: {found}");
        }
        assert_eq!(histogram.max(), Duration::from_millis(10));
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(10));
        assert_eq!(histogram.count(), 10_000);
        assert_eq!(histogram.mean(), Duration::from_nanos(5_000_500));
    }

    #[test]
    fn merging_is_recording_both() {
        let (mut left, mut right, mut both) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for ns in [1u64, 200, 30_000, 4_000_000] {
            left.record(Duration::from_nanos(ns));
            both.record(Duration::from_nanos(ns));
            right.record(Duration::from_nanos(ns * 7));
            both.record(Duration::from_nanos(ns * 7));
        }
        left.merge(&right);
        assert_eq!(left.counts, both.counts);
        assert_eq!((left.count, left.max_ns), (both.count, both.max_ns));
    }

    #[test]
    fn an_empty_histogram_has_only_zeros() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        assert_eq!((histogram.mean(), histogram.max()), (Duration::ZERO, Duration::ZERO));
    }
}
