//! Pages out of a space: current names and versions, with and without a delimiter.

use std::ops::Bound;

use bytes::Bytes;

use super::{Space, Visit, history_name, history_prefix};
use crate::entry::Entry;
use crate::limits::PAGE_MAX;
use crate::scan::{Scan, ScanItem, ScanPage, VersionScan};

impl Space {
    /// A page of current names.
    pub(crate) fn scan(&self, scan: &Scan) -> ScanPage {
        let limit = scan.limit.min(PAGE_MAX);
        let mut page = ScanPage::default();
        let Some(start) = start_of(scan) else { return page };
        let from = match &start {
            Bound::Included(key) => Bound::Included(key.as_slice()),
            Bound::Excluded(key) => Bound::Excluded(key.as_slice()),
            Bound::Unbounded => Bound::Unbounded,
        };
        self.current.visit(from, &mut |name, entry| {
            if !name.starts_with(&scan.prefix) {
                return Visit::Stop;
            }
            if page.items.len() >= limit {
                page.more = true;
                return Visit::Stop;
            }
            match common_prefix(name, &scan.prefix, &scan.delimiter) {
                Some(prefix) => {
                    page.items.push(ScanItem::Prefix(Bytes::copy_from_slice(prefix)));
                    seek_past(prefix).map_or(Visit::Stop, Visit::Seek)
                }
                None => {
                    page.items.push(ScanItem::Version {
                        name: Bytes::copy_from_slice(name),
                        entry: entry.clone(),
                        newest: true,
                    });
                    Visit::Next
                }
            }
        });
        page
    }

    /// A page of versions: by name, then newest first.
    pub(crate) fn scan_versions(&self, scan: &VersionScan) -> ScanPage {
        let limit = scan.limit.min(PAGE_MAX);
        let mut page = ScanPage::default();
        let mut versions = Vec::new();
        let mut name = match self.first_of(scan) {
            First::None => return page,
            First::Inside(name, after) => {
                self.versions_of(&name, &mut versions);
                let newest = versions.first().map(|entry| entry.sequence);
                versions.retain(|entry| entry.sequence < after);
                if !push_versions(&mut page, limit, &name, &versions, newest) {
                    return page;
                }
                self.next_name(Some(&name))
            }
            First::At(name) => Some(name),
        };
        while let Some(found) = name {
            if !found.starts_with(&scan.prefix) {
                break;
            }
            if let Some(prefix) = common_prefix(&found, &scan.prefix, &scan.delimiter) {
                if page.items.len() >= limit {
                    page.more = true;
                    break;
                }
                page.items.push(ScanItem::Prefix(Bytes::copy_from_slice(prefix)));
                name = seek_past(prefix).and_then(|next| self.name_at_or_after(&next));
                continue;
            }
            versions.clear();
            self.versions_of(&found, &mut versions);
            let newest = versions.first().map(|entry| entry.sequence);
            if !push_versions(&mut page, limit, &found, &versions, newest) {
                break;
            }
            name = self.next_name(Some(&found));
        }
        page
    }

    fn first_of(&self, scan: &VersionScan) -> First {
        let at = |name: Option<Vec<u8>>| name.map_or(First::None, First::At);
        let Some((after, sequence)) = &scan.after else {
            return at(self.name_at_or_after(&scan.prefix));
        };
        if after.as_ref() < scan.prefix.as_ref() {
            return at(self.name_at_or_after(&scan.prefix));
        }
        if let Some(sequence) = sequence {
            // Past the prefix nothing follows, not even the rest of this name.
            return match after.starts_with(&scan.prefix) {
                true => First::Inside(after.to_vec(), *sequence),
                false => First::None,
            };
        }
        match common_prefix(after, &scan.prefix, &scan.delimiter) {
            Some(prefix) if prefix.len() == after.len() => {
                at(seek_past(prefix).and_then(|next| self.name_at_or_after(&next)))
            }
            _ => at(self.next_name(Some(after))),
        }
    }

    fn name_at_or_after(&self, name: &[u8]) -> Option<Vec<u8>> {
        let here = self.current.get(name).is_some() || self.newest_in_history(name).is_some();
        if here { Some(name.to_vec()) } else { self.next_name(Some(name)) }
    }

    /// Versions of up to `names_max` names after `after`, all versions of each, for a checkpoint or
    /// a walk: the name each belongs to, newest first.
    pub(crate) fn run_of_names(
        &self,
        after: Option<&[u8]>,
        versions_max: usize,
        visit: &mut dyn FnMut(&[u8], &Entry),
    ) -> Option<Vec<u8>> {
        // Walk both tables side by side: a run costs its length, not a lookup a name.
        let mut history = Vec::new();
        let past = after.map(history_past);
        let from = past.as_deref().map_or(Bound::Unbounded, Bound::Included);
        self.history.visit(from, &mut |key, entry| {
            history.push((history_name(key), entry.clone()));
            if history.len() > versions_max { Visit::Stop } else { Visit::Next }
        });
        // The last history name may be cut: it is left to the next run unless it is all there is.
        let cut = (history.len() > versions_max).then(|| history.last().map(|(n, _)| n.clone()));
        let cut = cut.flatten();
        let mut history = history.into_iter().peekable();
        let mut count = 0;
        let mut last: Option<Vec<u8>> = None;
        let mut stopped = false;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.current.visit(from, &mut |name, entry| {
            while let Some((older, _)) = history.peek() {
                if older.as_slice() >= name || cut.as_ref() == Some(older) {
                    break;
                }
                if let Some((older, entry)) = history.next() {
                    visit(&older, &entry);
                    count += 1;
                    last = Some(older);
                }
            }
            let at_cut = cut.as_ref().is_some_and(|cut| cut.as_slice() <= name);
            if at_cut || count >= versions_max {
                stopped = true;
                return Visit::Stop;
            }
            visit(name, entry);
            count += 1;
            last = Some(name.to_vec());
            while let Some((older, entry)) = history.next_if(|(older, _)| older == name) {
                visit(&older, &entry);
                count += 1;
            }
            Visit::Next
        });
        if !stopped {
            while let Some((older, entry)) = history.next_if(|(n, _)| cut.as_ref() != Some(n)) {
                visit(&older, &entry);
                last = Some(older);
            }
        }
        match (last, cut) {
            // One name has more versions than a run: take it whole.
            (None, Some(name)) => {
                let mut versions = Vec::new();
                self.versions_of(&name, &mut versions);
                versions.iter().for_each(|entry| visit(&name, entry));
                Some(name)
            }
            (last, _) => last,
        }
    }
}

fn history_past(name: &[u8]) -> Vec<u8> {
    let mut past = history_prefix(name);
    if let Some(last) = past.last_mut() {
        *last = 2;
    }
    past
}

enum First {
    None,
    At(Vec<u8>),
    Inside(Vec<u8>, u64),
}

/// Pushes versions of one name; false when the page is full and more follow.
fn push_versions(
    page: &mut ScanPage,
    limit: usize,
    name: &[u8],
    versions: &[Entry],
    newest: Option<u64>,
) -> bool {
    let shared = Bytes::copy_from_slice(name);
    for entry in versions {
        if page.items.len() >= limit {
            page.more = true;
            return false;
        }
        let newest = newest == Some(entry.sequence);
        page.items.push(ScanItem::Version { name: shared.clone(), entry: entry.clone(), newest });
    }
    true
}

fn start_of(scan: &Scan) -> Option<Bound<Vec<u8>>> {
    let at_prefix = Bound::Included(scan.prefix.to_vec());
    let (from, is_after) = match &scan.from {
        Bound::Unbounded => return Some(at_prefix),
        Bound::Included(from) => (from, false),
        Bound::Excluded(from) => (from, true),
    };
    if from.as_ref() < scan.prefix.as_ref() {
        return Some(at_prefix);
    }
    if !is_after {
        return Some(Bound::Included(from.to_vec()));
    }
    match common_prefix(from, &scan.prefix, &scan.delimiter) {
        Some(prefix) if prefix.len() == from.len() => seek_past(prefix).map(Bound::Included),
        _ => Some(Bound::Excluded(from.to_vec())),
    }
}

/// The part of `name` up to and with the first delimiter after the prefix.
fn common_prefix<'a>(name: &'a [u8], prefix: &[u8], delimiter: &[u8]) -> Option<&'a [u8]> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = name.strip_prefix(prefix)?;
    let at = match delimiter {
        [one] => rest.iter().position(|byte| byte == one)?,
        _ => rest.windows(delimiter.len()).position(|window| window == delimiter)?,
    };
    name.get(..prefix.len() + at + delimiter.len())
}

/// The first key after everything that begins with `prefix`; none when nothing can follow.
fn seek_past(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut next = prefix.get(..=kept)?.to_vec();
    if let Some(last) = next.last_mut() {
        *last += 1;
    }
    Some(next)
}
