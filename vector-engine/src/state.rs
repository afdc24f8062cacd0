//! All rows of an index at one moment: immutable, so that a query sees one state to its end.
//!
//! - A key lives in at most one member.
//! - Every change makes a new state out of the one before; the lane is the only one that does.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::chunk::Chunk;
use crate::delta::{Delta, DeltaKey};
use crate::error::Result;
use crate::key_hash::{HashSecret, KeyHash};
use crate::member::{Member, Rows};
use crate::row::IndexSettings;
use crate::sealed::Sealed;

/// The rows of an index.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// Sealed segments.
    pub(crate) sealed: Vec<Member>,
    /// Rows on their way into a sealed segment.
    pub(crate) frozen: Vec<Member>,
    /// Rows that came since.
    pub(crate) growing: Vec<Member>,
    /// Writes since.
    pub(crate) growing_writes: u64,
}

impl State {
    /// All members.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.sealed.iter().chain(&self.frozen).chain(&self.growing)
    }

    /// True when `later` still has all sealed segments of this one.
    pub(crate) fn is_kept_by(&self, later: &Self) -> bool {
        self.sealed.iter().all(|member| later.sealed.iter().any(|now| now.is_same(member)))
    }

    fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.growing.iter_mut().chain(&mut self.frozen).chain(&mut self.sealed)
    }

    /// Rows that live.
    pub(crate) fn rows(&self) -> u64 {
        self.members().map(|member| u64::from(member.living())).sum()
    }

    /// How many pages queries did not find in memory.
    pub(crate) fn missed_pages(&self) -> u64 {
        let missed = |member: &Member| match &member.rows {
            Rows::Growing(_) => 0,
            Rows::Sealed(sealed) => sealed.missed_pages(),
        };
        self.sealed.iter().map(missed).sum()
    }

    /// Rows of the growing segment, the dead ones too.
    pub(crate) fn growing_rows(&self) -> usize {
        self.growing.iter().map(|member| member.len() as usize).sum()
    }

    /// Bytes of memory of the growing segment, about.
    pub(crate) fn growing_bytes(&self) -> usize {
        let bytes = |member: &Member| match &member.rows {
            Rows::Growing(chunk) => chunk.memory_bytes(),
            Rows::Sealed(_) => 0,
        };
        self.growing.iter().map(bytes).sum()
    }

    /// True while a row with an owner lives.
    pub(crate) fn has_owned(&self) -> bool {
        self.members().any(Member::has_owned)
    }

    /// The living row of a key.
    pub(crate) fn find(&self, hash: KeyHash) -> Option<(&Member, u32)> {
        self.members().find_map(|member| Some((member, member.find(hash)?)))
    }

    /// Makes the row of a key dead, wherever it lives.
    pub(crate) fn kill(&mut self, hash: KeyHash) {
        for member in self.members_mut() {
            if let Some(row) = member.find(hash) {
                member.kill(row);
                return;
            }
        }
    }

    /// Applies one write. Reads the owner of a row where a deletion asks for one.
    pub(crate) fn apply(
        &mut self,
        settings: &IndexSettings,
        secret: &HashSecret,
        delta: Delta,
    ) -> Result<()> {
        for DeltaKey { key, owner } in &delta.deleted {
            let hash = KeyHash::of(secret, key);
            let goes = match (owner, self.find(hash)) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(_), Some((member, row))) => member.owner(row)? == *owner,
            };
            if goes {
                self.kill(hash);
            }
        }
        for row in &delta.rows {
            self.kill(KeyHash::of(secret, &row.row.key));
        }
        self.growing_writes += 1;
        if !delta.rows.is_empty() {
            let chunk = Chunk::of_write(settings, secret, delta.rows)?;
            self.growing.push(Member::new(Rows::Growing(Arc::new(chunk))));
        }
        self.merge_tail(settings)
    }

    /// Merges the last chunks while they are of like size, so that there are few.
    fn merge_tail(&mut self, settings: &IndexSettings) -> Result<()> {
        self.growing.retain(|member| member.living() > 0);
        while let [.., a, b] = self.growing.as_slice() {
            let (Rows::Growing(in_a), Rows::Growing(in_b)) = (&a.rows, &b.rows) else { break };
            if in_a.is_settled() || in_b.is_settled() || a.living() > 2 * b.living() {
                break;
            }
            let merged = Chunk::merged(settings, (in_a, &a.dead), (in_b, &b.dead))?;
            self.growing.truncate(self.growing.len() - 2);
            self.growing.push(Member::new(Rows::Growing(Arc::new(merged))));
        }
        Ok(())
    }

    /// The rows of a new segment with these hashes, in their order, that died since its builder saw
    /// `source`.
    pub(crate) fn died_since(&self, source: &[Member], hashes: &[u8]) -> RoaringBitmap {
        let hashes = hashes.as_chunks::<{ KeyHash::BYTES }>().0;
        let mut dead = RoaringBitmap::new();
        for old in source {
            let Some(now) = self.members().find(|now| now.is_same(old)) else { continue };
            let died = now.dead.as_ref() - old.dead.as_ref();
            let row_of = |row| hashes.binary_search(&old.hash(row).0).ok();
            dead.extend(died.iter().filter_map(row_of).map(|row| row as u32));
        }
        dead
    }

    /// Puts a new segment with its dead rows in the place of what it was made of.
    pub(crate) fn replace(&mut self, source: &[Member], new: Option<(Sealed, RoaringBitmap)>) {
        self.drop_members(source);
        if let Some((sealed, dead)) = new {
            let rows = Rows::Sealed(Arc::new(sealed));
            self.sealed.push(Member { rows, dead: Arc::new(dead) });
        }
    }

    fn drop_members(&mut self, gone: &[Member]) {
        let stays = |member: &Member| !gone.iter().any(|gone| gone.is_same(member));
        self.sealed.retain(stays);
        self.frozen.retain(stays);
        self.growing.retain(stays);
    }
}
