//! Rows by their keys, and all rows page by page.
//!
//! - Pages go in the order of key hashes, which no write, seal or compaction changes: a row that is
//!   there all the time is listed exactly once.
//! - Parts of a listing are equal parts of all hashes; together they are the whole.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::fetch::{Pick, fetch};
use crate::filter::Filter;
use crate::key_hash::KeyHash;
use crate::matching::matching;
use crate::member::Member;
use crate::pages::Reading;
use crate::row::{IndexSettings, Row, Want};
use crate::state::State;

/// What to list.
#[derive(Debug, Clone)]
pub struct List {
    /// Where the page before ended ([`ListPage::next`]).
    pub after: Option<Bytes>,
    /// Rows at most.
    pub limit: usize,
    /// Bytes after which the page ends: keys, vectors at 4 a component, and metadata.
    pub page_bytes: usize,
    /// Only one of so many parts: (parts, part).
    pub parts: Option<(u32, u32)>,
    /// What of each row.
    pub want: Want,
    /// Only rows that match.
    pub filter: Option<Filter>,
}

/// A page of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListPage {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where the next page begins; none at the end.
    pub next: Option<Bytes>,
}

/// The rows of these keys that are there, in their order.
pub(crate) fn get(state: &State, keys: &[(KeyHash, String)], want: Want) -> Result<Vec<Row>> {
    let members: Vec<&Member> = state.members().collect();
    let mut picks = Vec::with_capacity(keys.len());
    let mut wanted = Vec::with_capacity(keys.len());
    for (hash, key) in keys {
        let found = members
            .iter()
            .enumerate()
            .find_map(|(number, member)| Some(Pick { member: number, row: member.find(*hash)? }));
        if let Some(pick) = found {
            picks.push(pick);
            wanted.push(key);
        }
    }
    let rows = fetch(&members, &picks, want, Reading::Again)?;
    match rows.iter().zip(wanted).find(|(row, key)| row.key != **key) {
        None => Ok(rows),
        Some((row, key)) => {
            Err(Error::Corrupt(format!("the row {:?} where {key:?} was to be", row.key)))
        }
    }
}

/// A page.
pub(crate) fn list(state: &State, settings: &IndexSettings, list: &List) -> Result<ListPage> {
    let members: Vec<&Member> = state.members().collect();
    let matches = matching(&members, settings, list.filter.as_ref())?;
    page(&members, matches.as_deref(), list)
}

/// A page of what is left of each member, whatever the filter of `list` says.
pub(crate) fn page(
    members: &[&Member],
    matches: Option<&[RoaringBitmap]>,
    list: &List,
) -> Result<ListPage> {
    let Some(start) = start_of(list)? else { return Ok(ListPage::default()) };
    let mut walk = Walk::new(members, matches, start);
    let (mut picks, mut hashes) = (Vec::new(), Vec::new());
    let mut more = false;
    while let Some((hash, pick)) = walk.next() {
        if list.parts.is_some_and(|(parts, part)| hash.part(parts) != part) {
            break;
        }
        if picks.len() == list.limit {
            more = true;
            break;
        }
        hashes.push(hash);
        picks.push(pick);
    }
    let mut rows = fetch(members, &picks, list.want, Reading::Once)?;
    let mut bytes = 0;
    let over = rows.iter().position(|row| {
        bytes += row_bytes(row);
        bytes > list.page_bytes
    });
    if let Some(over) = over
        && over.max(1) < rows.len()
    {
        rows.truncate(over.max(1));
        more = true;
    }
    let last = rows.len().checked_sub(1).and_then(|last| hashes.get(last)).copied();
    let next = last.filter(|_| more).map(|last| Bytes::copy_from_slice(&last.0));
    Ok(ListPage { rows, next })
}

fn row_bytes(row: &Row) -> usize {
    let vector = row.vector.as_ref().map_or(0, |vector| vector.len() * 4);
    let metadata = row.metadata.as_ref().map_or(0, |metadata| metadata.encoded_bytes());
    row.key.len() + vector + metadata
}

/// The first hash that may be on the page; none when there is no more.
fn start_of(list: &List) -> Result<Option<KeyHash>> {
    if let Some((parts, part)) = list.parts
        && part >= parts
    {
        return Err(Error::Invalid(format!("part {part} of {parts} parts does not exist")));
    }
    match &list.after {
        Some(after) => {
            let last = after.first_chunk().filter(|_| after.len() == KeyHash::BYTES);
            let last = last.ok_or_else(|| Error::Invalid("no cursor of a listing".to_owned()))?;
            Ok(u128::from_be_bytes(*last).checked_add(1).map(|next| KeyHash(next.to_be_bytes())))
        }
        None => Ok(Some(match list.parts {
            None => KeyHash([0; KeyHash::BYTES]),
            Some((parts, part)) => first_of_part(parts, part),
        })),
    }
}

/// The lowest hash that [`KeyHash::part`] puts in `part`.
fn first_of_part(parts: u32, part: u32) -> KeyHash {
    let head = (u64::from(part) << 32).div_ceil(u64::from(parts)) as u32;
    let mut bytes = [0; KeyHash::BYTES];
    if let Some(first) = bytes.first_chunk_mut() {
        *first = head.to_be_bytes();
    }
    KeyHash(bytes)
}

/// Living, matching rows of all members in the order of hashes.
struct Walk<'a> {
    members: &'a [&'a Member],
    matches: Option<&'a [RoaringBitmap]>,
    heads: BinaryHeap<Reverse<(KeyHash, usize, u32)>>,
}

impl<'a> Walk<'a> {
    fn new(
        members: &'a [&'a Member],
        matches: Option<&'a [RoaringBitmap]>,
        start: KeyHash,
    ) -> Self {
        let mut walk = Self { members, matches, heads: BinaryHeap::new() };
        for (number, member) in members.iter().enumerate() {
            walk.push(number, member.lower_bound(start));
        }
        walk
    }

    /// The next row of a member, from `row` on.
    fn push(&mut self, number: usize, row: u32) {
        let Some(member) = self.members.get(number) else { return };
        let next = match self.matches.map(|matches| matches.get(number)) {
            None => (row..member.len()).find(|row| !member.dead.contains(*row)),
            // What matches is alive.
            Some(matches) => matches.and_then(|matches| matches.range(row..).next()),
        };
        if let Some(next) = next {
            self.heads.push(Reverse((member.hash(next), number, next)));
        }
    }

    fn next(&mut self) -> Option<(KeyHash, Pick)> {
        let Reverse((hash, member, row)) = self.heads.pop()?;
        self.push(member, row + 1);
        Some((hash, Pick { member, row }))
    }
}

#[cfg(test)]
mod tests {
    use super::first_of_part;
    use crate::key_hash::KeyHash;

    #[test]
    fn parts_begin_where_the_hash_says() {
        for parts in [1, 2, 3, 7, 16] {
            for part in 0..parts {
                let first = first_of_part(parts, part);
                assert_eq!(first.part(parts), part, "{part} of {parts}");
                if let Some(before) = u128::from_be_bytes(first.0).checked_sub(1) {
                    assert_eq!(KeyHash(before.to_be_bytes()).part(parts), part - 1);
                }
            }
        }
    }
}
