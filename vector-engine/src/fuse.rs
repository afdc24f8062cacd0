//! Reciprocal rank fusion: one ranking from several whose scores cannot be compared.

use std::collections::HashMap;
use std::hash::Hash;

/// Added to every rank, so that the first places of one list do not outweigh all others.
const RANK_BASE: u64 = 60;
/// What a rank gives is `1 / (60 + rank)`, counted in this many parts: sums of whole numbers do not
/// depend on their order, so that equal ranks in other lists are equal scores.
const PARTS: u64 = 1 << 52;

/// Something ranked, with the sum of `1 / (60 + rank)` over the lists that have it, ranks from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused<T> {
    /// What is ranked.
    pub id: T,
    /// Its score: greater is better.
    pub score: f32,
}

/// The `keep` best of all lists (each best first), best first; of equal ones, the least id first.
/// What a list names again counts where it stands first.
pub fn fuse<T, L>(lists: impl IntoIterator<Item = L>, keep: usize) -> Vec<Fused<T>>
where
    T: Copy + Eq + Hash + Ord,
    L: IntoIterator<Item = T>,
{
    let mut sums: HashMap<T, Sum> = HashMap::new();
    for (list, ids) in lists.into_iter().enumerate() {
        for (rank, id) in (1..).zip(ids) {
            let sum = sums.entry(id).or_default();
            if sum.last_list != Some(list) {
                sum.last_list = Some(list);
                sum.parts += PARTS / (RANK_BASE + rank);
            }
        }
    }
    let mut fused: Vec<(T, u64)> = sums.into_iter().map(|(id, sum)| (id, sum.parts)).collect();
    let best_first = |a: &(T, u64), b: &(T, u64)| b.1.cmp(&a.1).then(a.0.cmp(&b.0));
    if keep < fused.len() {
        fused.select_nth_unstable_by(keep, best_first);
        fused.truncate(keep);
    }
    fused.sort_unstable_by(best_first);
    let told = |(id, parts)| Fused { id, score: (parts as f64 / PARTS as f64) as f32 };
    fused.into_iter().map(told).collect()
}

#[derive(Debug, Default)]
struct Sum {
    parts: u64,
    last_list: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(fused: &[Fused<u32>]) -> Vec<u32> {
        fused.iter().map(|fused| fused.id).collect()
    }

    #[test]
    fn lists_fuse_to_this_order() {
        let cases: [(&[&[u32]], &[u32]); 9] = [
            (&[], &[]),
            (&[&[]], &[]),
            (&[&[5, 3, 9]], &[5, 3, 9]),
            (&[&[1, 2], &[2, 1]], &[1, 2]),
            (&[&[2, 1], &[1, 2]], &[1, 2]),
            (&[&[1, 2, 3], &[3]], &[3, 1, 2]),
            (&[&[7], &[8], &[9], &[8]], &[8, 7, 9]),
            (&[&[1, 1, 1, 2], &[2]], &[2, 1]),
            (&[&[4, 5, 6], &[5, 6, 4], &[6, 4, 5]], &[4, 5, 6]),
        ];
        for (lists, expected) in cases {
            assert_eq!(ids(&fuse(lists.iter().map(|list| list.iter().copied()), 10)), expected);
        }
    }

    #[test]
    fn scores_are_sums_of_reciprocal_ranks() {
        let fused = fuse([vec![1, 2], vec![2, 3, 1]], 10);
        let expected =
            [(2, 1.0 / 62.0 + 1.0 / 61.0), (1, 1.0 / 61.0 + 1.0 / 63.0), (3, 1.0 / 62.0)];
        for (fused, (id, score)) in fused.iter().zip(expected) {
            assert_eq!(fused.id, id);
            assert!((f64::from(fused.score) - score).abs() < 1e-8);
        }
        assert_eq!(fused.len(), 3);
    }

    #[test]
    fn fewer_are_the_first_of_more() {
        let lists: Vec<Vec<u32>> =
            (1..6).map(|seed| (0..200).map(|n| n * 37 % 211 * seed % 307).collect()).collect();
        let all = fuse(lists.clone(), usize::MAX);
        for keep in [0, 1, 10, 199, all.len(), all.len() + 1] {
            assert_eq!(fuse(lists.clone(), keep), all[..keep.min(all.len())]);
        }
        let reversed = fuse(lists.into_iter().rev(), usize::MAX);
        assert_eq!(reversed, all);
    }
}
