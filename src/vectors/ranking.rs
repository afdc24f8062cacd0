//! Rankings that queries have found and not told to their end: keys and distances, kept a while for
//! the next pages.
//!
//! A ranking is found by its number and believed only for the binding it was made for. Rows are read
//! again for each page, so what is kept is small; what was dropped is searched again.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use storage_engine::Environment;
use vector_engine::Hit;

use super::limits::{QUERY_TOKEN_LIFE, RANKINGS_BYTES_MAX};

/// A result's place in a ranking.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ranked {
    /// Key of the row.
    pub(super) key: String,
    /// Its distance, when it was found by vector.
    pub(super) distance: Option<f32>,
    /// Its fused score, when both vector and text were searched.
    pub(super) fused: Option<f32>,
    /// Scores of the texts that it was found by.
    pub(super) text_scores: Vec<(String, f32)>,
}

impl From<Hit> for Ranked {
    fn from(hit: Hit) -> Self {
        let Hit { key, distance, fused, text_scores, .. } = hit;
        Self { key, distance, fused, text_scores }
    }
}

/// The rankings that are kept.
pub(super) struct Rankings {
    environment: Arc<dyn Environment>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By number, and so by age.
    rankings: BTreeMap<u64, Ranking>,
    last: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Ranking {
    binding: [u8; 32],
    end_ms: u64,
    bytes: usize,
    ranked: Arc<[Ranked]>,
}

impl Rankings {
    /// None yet.
    pub(super) fn new(environment: Arc<dyn Environment>) -> Self {
        Self { environment, kept: Mutex::default() }
    }

    /// Keeps a ranking; answers its number.
    pub(super) fn keep(&self, binding: [u8; 32], ranked: &Arc<[Ranked]>) -> u64 {
        let bytes = ranked.iter().map(ranked_bytes).sum();
        let now_ms = self.environment.now_ms();
        let life_ms = u64::try_from(QUERY_TOKEN_LIFE.as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.kept.lock();
        kept.last += 1;
        let number = kept.last;
        let end_ms = now_ms.saturating_add(life_ms);
        kept.bytes += bytes;
        let ranking = Ranking { binding, end_ms, bytes, ranked: Arc::clone(ranked) };
        kept.rankings.insert(number, ranking);
        while let Some(first) = kept.rankings.first_entry() {
            let is_old = first.get().end_ms < now_ms;
            let bytes = first.get().bytes;
            if !is_old && kept.bytes <= RANKINGS_BYTES_MAX {
                break;
            }
            kept.rankings.pop_first();
            kept.bytes -= bytes;
        }
        number
    }

    /// The ranking of a number, if it is the one of this binding.
    pub(super) fn find(&self, number: u64, binding: [u8; 32]) -> Option<Arc<[Ranked]>> {
        let kept = self.kept.lock();
        let ranking = kept.rankings.get(&number)?;
        (ranking.binding == binding).then(|| Arc::clone(&ranking.ranked))
    }
}

impl std::fmt::Debug for Rankings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rankings").finish_non_exhaustive()
    }
}

fn ranked_bytes(ranked: &Ranked) -> usize {
    let texts = ranked.text_scores.iter();
    let texts: usize = texts.map(|(key, _)| size_of::<(String, f32)>() + key.len()).sum();
    size_of::<Ranked>() + ranked.key.len() + texts
}

#[cfg(test)]
mod tests {
    use storage_engine::media::SimEnvironment;

    use super::*;

    fn ranking(key_bytes: usize) -> Arc<[Ranked]> {
        let key = "k".repeat(key_bytes);
        Arc::new([Ranked { key, distance: Some(0.5), fused: None, text_scores: vec![] }])
    }

    #[test]
    fn a_ranking_is_found_by_its_binding_alone() {
        let rankings = Rankings::new(Arc::new(SimEnvironment::new(1)));
        let number = rankings.keep([1; 32], &ranking(3));
        assert_eq!(rankings.find(number, [1; 32]).unwrap().len(), 1);
        assert!(rankings.find(number, [2; 32]).is_none());
        assert!(rankings.find(number + 1, [1; 32]).is_none());
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_old() {
        let environment = Arc::new(SimEnvironment::new(1));
        let rankings = Rankings::new(Arc::<SimEnvironment>::clone(&environment));
        let half = ranking(RANKINGS_BYTES_MAX / 2 - 1000);
        let numbers: Vec<u64> = (0..3).map(|_| rankings.keep([0; 32], &half)).collect();
        let there: Vec<bool> =
            numbers.iter().map(|number| rankings.find(*number, [0; 32]).is_some()).collect();
        assert_eq!(there, [false, true, true]);
        environment.advance(QUERY_TOKEN_LIFE * 2);
        let last = rankings.keep([0; 32], &ranking(1));
        assert!(rankings.find(numbers[2], [0; 32]).is_none());
        assert!(rankings.find(last, [0; 32]).is_some());
        assert!(rankings.kept.lock().bytes < 1000);
    }
}
