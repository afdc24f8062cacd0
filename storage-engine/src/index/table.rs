//! Ordered names with one entry each: the seam between the index and where it is kept.
//!
//! Step 1 keeps a table in memory ([`MemoryTable`]); immutable runs on index zones fit behind the
//! same trait.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::Bound;

use crate::entry::Entry;

/// What a visitor wants next.
pub(crate) enum Visit {
    /// The next key.
    Next,
    /// The first key at or after this one.
    Seek(Vec<u8>),
    /// Nothing more.
    Stop,
}

/// Ordered keys with one entry each.
pub(crate) trait Table: Send + Sync + std::fmt::Debug {
    /// The entry of a key.
    fn get(&self, key: &[u8]) -> Option<Entry>;
    /// Sets the entry of a key; shows the one it replaces.
    fn insert(&mut self, key: Box<[u8]>, entry: Entry, replaced: &mut dyn FnMut(&[u8], Entry));
    /// Sets many entries at once: fast when they are in order and the table is empty.
    fn fill(&mut self, entries: Vec<(Box<[u8]>, Entry)>);
    /// Removes a key.
    fn remove(&mut self, key: &[u8]) -> Option<Entry>;
    /// Number of keys.
    fn len(&self) -> usize;
    /// Walks keys in order from `from`, as the visitor says.
    fn visit(&self, from: Bound<&[u8]>, visitor: &mut dyn FnMut(&[u8], &Entry) -> Visit);
}

/// A table in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryTable {
    entries: BTreeMap<Box<[u8]>, Entry>,
}

impl Table for MemoryTable {
    fn get(&self, key: &[u8]) -> Option<Entry> {
        self.entries.get(key).cloned()
    }

    fn insert(&mut self, key: Box<[u8]>, entry: Entry, replaced: &mut dyn FnMut(&[u8], Entry)) {
        match self.entries.entry(key) {
            Slot::Vacant(slot) => {
                slot.insert(entry);
            }
            Slot::Occupied(mut slot) => {
                let old = slot.insert(entry);
                replaced(slot.key(), old);
            }
        }
    }

    fn fill(&mut self, entries: Vec<(Box<[u8]>, Entry)>) {
        if self.entries.is_empty() {
            // Built from below, with full nodes, in one pass.
            self.entries = entries.into_iter().collect();
        } else {
            self.entries.extend(entries);
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        self.entries.remove(key)
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn visit(&self, from: Bound<&[u8]>, visitor: &mut dyn FnMut(&[u8], &Entry) -> Visit) {
        let mut range = self.entries.range::<[u8], _>((from, Bound::Unbounded));
        while let Some((key, entry)) = range.next() {
            match visitor(key, entry) {
                Visit::Next => {}
                Visit::Stop => return,
                Visit::Seek(to) => {
                    let to = Bound::Included(to.as_slice());
                    range = self.entries.range::<[u8], _>((to, Bound::Unbounded));
                }
            }
        }
    }
}

/// Key of an older version: the name, escaped and terminated so that order by name is kept, then the
/// sequence inverted, so that newer comes first.
pub(crate) fn history_key(name: &[u8], sequence: u64) -> Box<[u8]> {
    let mut key = history_prefix(name);
    key.extend_from_slice(&(!sequence).to_be_bytes());
    key.into()
}

/// What all history keys of a name begin with.
pub(crate) fn history_prefix(name: &[u8]) -> Vec<u8> {
    // With room for the sequence, so that a whole key needs no second allocation.
    let mut key = Vec::with_capacity(name.len() + 10);
    for &byte in name {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
    key.extend_from_slice(&[0, 1]);
    key
}

/// The name of a history key.
pub(crate) fn history_name(key: &[u8]) -> Vec<u8> {
    let body = &key[..key.len().saturating_sub(10)];
    let mut name = Vec::with_capacity(body.len());
    let mut bytes = body.iter();
    while let Some(&byte) = bytes.next() {
        name.push(byte);
        if byte == 0 {
            bytes.next();
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_keys_order_by_name_then_newest_first() {
        let names: [&[u8]; 7] = [b"", b"a", b"a\0", b"a\0b", b"a\x01", b"ab", b"b"];
        let mut keys = Vec::new();
        for name in names {
            for sequence in [9, 5, 1] {
                keys.push(history_key(name, sequence));
                assert_eq!(history_name(&history_key(name, sequence)), name);
            }
        }
        let mut sorted = keys.clone();
        sorted.sort();
        assert_eq!(keys, sorted);
    }
}
