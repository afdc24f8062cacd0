//! Decides whether a history of one register is linearizable: whether every operation can be given
//! one moment between its call and its answer so that each sees what was written last.
//!
//! The search is Wing and Gong's, with a memory of the states that were tried.

use std::collections::HashSet;
use std::time::Instant;

/// What the register holds: a number, or nothing.
pub type Value = Option<u64>;

/// What an operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It saw this.
    Read(Value),
    /// It left this behind.
    Write(Value),
    /// It found the first and left the second behind.
    Swap(Value, Value),
    /// It left all as it was because it did not find this.
    Refused(Value),
}

/// One finished operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// When it was called.
    pub called: Instant,
    /// When its answer came.
    pub answered: Instant,
    /// What it did.
    pub action: Action,
}

impl Action {
    /// The register after it, if it can happen now.
    fn apply(self, register: Value) -> Option<Value> {
        match self {
            Self::Read(seen) => (seen == register).then_some(register),
            Self::Write(value) => Some(value),
            Self::Swap(expected, value) => (expected == register).then_some(value),
            Self::Refused(expected) => (expected != register).then_some(register),
        }
    }
}

/// Whether `operations` can be put into an order that starts with `first` in the register.
pub fn is_linearizable(first: Value, operations: &[Operation]) -> bool {
    let mut operations = operations.to_vec();
    operations.sort_by_key(|operation| operation.called);
    let words = operations.len().div_ceil(64);
    let mut tried: HashSet<(Vec<u64>, Value)> = HashSet::new();
    let mut pending = vec![(vec![0_u64; words], first)];
    while let Some((done, register)) = pending.pop() {
        let is_done = |index: usize| done[index / 64] & (1 << (index % 64)) != 0;
        let open: Vec<usize> = (0..operations.len()).filter(|index| !is_done(*index)).collect();
        let Some(horizon) = open.iter().map(|index| operations[*index].answered).min() else {
            return true;
        };
        for index in open {
            let operation = operations[index];
            if operation.called > horizon {
                break;
            }
            if let Some(next) = operation.action.apply(register) {
                let mut done = done.clone();
                done[index / 64] |= 1 << (index % 64);
                if tried.insert((done.clone(), next)) {
                    pending.push((done, next));
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A history from (called, answered, action) in arbitrary units.
    fn history(operations: &[(u64, u64, Action)]) -> Vec<Operation> {
        let start = Instant::now();
        let at = |unit: u64| start + Duration::from_secs(unit);
        operations
            .iter()
            .map(|(called, answered, action)| Operation {
                called: at(*called),
                answered: at(*answered),
                action: *action,
            })
            .collect()
    }

    #[test]
    fn concurrent_operations_may_take_either_order() {
        use Action::{Read, Write};
        let seen = [(0, 10, Write(Some(1))), (0, 10, Write(Some(2))), (11, 12, Read(Some(1)))];
        assert!(is_linearizable(None, &history(&seen)));
        let early = [(0, 10, Write(Some(1))), (1, 2, Read(Some(1))), (3, 4, Read(Some(1)))];
        assert!(is_linearizable(None, &history(&early)));
    }

    #[test]
    fn planted_violations_are_found() {
        use Action::{Read, Refused, Swap, Write};
        let stale = [(0, 1, Write(Some(1))), (2, 3, Write(Some(2))), (4, 5, Read(Some(1)))];
        let lost = [(0, 1, Write(Some(1))), (2, 3, Read(None))];
        let back = [(0, 9, Write(Some(1))), (1, 2, Read(Some(1))), (3, 4, Read(None))];
        let two_winners = [(0, 9, Swap(None, Some(1))), (0, 9, Swap(None, Some(2)))];
        let refused_alone = [(0, 1, Refused(None)), (2, 3, Swap(None, Some(1)))];
        for violation in [&stale[..], &lost, &back, &two_winners, &refused_alone] {
            assert!(!is_linearizable(None, &history(violation)), "{violation:?}");
        }
    }
}
