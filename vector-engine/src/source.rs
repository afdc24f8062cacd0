//! The living rows of some members, merged in the order of their hashes: what a segment is made of.
//!
//! - A source can be gone through more than once and gives the same rows each time.
//! - Sealed rows are read in runs, in the order in which they lie.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::error::{Error, Result};
use crate::key_hash::KeyHash;
use crate::layout::Locator;
use crate::member::{Member, Rows};
use crate::metadata::Metadata;
use crate::pages::Reading;
use crate::row::Owner;
use crate::sealed::Sealed;

/// Rows of a sealed segment read at once.
const RUN_ROWS: u32 = 256;

/// What of the rows is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Vectors and properties.
    Whole,
    /// Vectors; the key is empty, and so is the metadata.
    Vectors,
}

/// A row on its way.
#[derive(Debug)]
pub(crate) struct SourceRow {
    pub(crate) hash: KeyHash,
    pub(crate) key: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) metadata: Metadata,
    pub(crate) vector: Vec<f32>,
}

/// Members to be merged, as they were when it was made.
#[derive(Debug)]
pub(crate) struct Source {
    members: Vec<Member>,
}

impl Source {
    pub(crate) fn new(members: Vec<Member>) -> Self {
        Self { members }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> u32 {
        self.members.iter().map(Member::living).sum()
    }

    /// The members.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Hands out every row, in the order of hashes.
    pub(crate) fn for_each(
        &self,
        pass: Pass,
        mut each: impl FnMut(SourceRow) -> Result<()>,
    ) -> Result<()> {
        let mut runs: Vec<Run<'_>> = self.members.iter().map(Run::new).collect();
        let mut heads = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            if let Some(hash) = run.head() {
                heads.push(Reverse((hash, number)));
            }
        }
        let mut last = None;
        while let Some(Reverse((hash, number))) = heads.pop() {
            if last == Some(hash) {
                return Err(Error::Corrupt("a key lives in two segments".to_owned()));
            }
            last = Some(hash);
            let Some(run) = runs.get_mut(number) else { continue };
            if let Some(row) = run.next(pass)? {
                each(row)?;
            }
            if let Some(hash) = run.head() {
                heads.push(Reverse((hash, number)));
            }
        }
        Ok(())
    }
}

/// The rows of one member that are still to come.
struct Run<'a> {
    member: &'a Member,
    next: u32,
    read: VecDeque<SourceRow>,
}

impl<'a> Run<'a> {
    fn new(member: &'a Member) -> Self {
        let mut run = Self { member, next: 0, read: VecDeque::new() };
        run.skip_dead();
        run
    }

    fn skip_dead(&mut self) {
        while self.next < self.member.len() && self.member.dead.contains(self.next) {
            self.next += 1;
        }
    }

    fn head(&self) -> Option<KeyHash> {
        match self.read.front() {
            Some(row) => Some(row.hash),
            None if self.next < self.member.len() => Some(self.member.hash(self.next)),
            None => None,
        }
    }

    fn next(&mut self, pass: Pass) -> Result<Option<SourceRow>> {
        if self.read.is_empty() && self.next < self.member.len() {
            match &self.member.rows {
                Rows::Growing(chunk) => {
                    let number = self.next;
                    let row = chunk.row(number).map(|row| SourceRow {
                        hash: chunk.hash(number),
                        key: row.key.clone(),
                        owner: row.owner,
                        metadata: row.metadata.clone(),
                        vector: chunk.vector(number).to_vec(),
                    });
                    self.read.extend(row);
                    self.next += 1;
                }
                Rows::Sealed(sealed) => self.read_run(sealed, pass)?,
            }
            self.skip_dead();
        }
        Ok(self.read.pop_front())
    }

    fn read_run(&mut self, sealed: &Sealed, pass: Pass) -> Result<()> {
        let mut rows = Vec::new();
        while rows.len() < RUN_ROWS as usize && self.next < sealed.len() {
            rows.push(self.next);
            self.next += 1;
            self.skip_dead();
        }
        let mut locators: Vec<Locator> = Vec::with_capacity(rows.len());
        let read = &mut self.read;
        sealed.read_rows(&rows, Reading::Once, |place, bytes| {
            let mut vector = Vec::new();
            bytes.vector_into(&mut vector);
            locators.push(bytes.locator()?);
            let hash = rows.get(place).map_or(KeyHash([0xff; 16]), |row| sealed.hash(*row));
            let (key, owner, metadata) = (String::new(), None, Metadata::default());
            read.push_back(SourceRow { hash, key, owner, metadata, vector });
            Ok(())
        })?;
        if pass == Pass::Whole {
            let properties = sealed.read_properties(&locators, Reading::Once)?;
            for (row, said) in self.read.iter_mut().zip(properties) {
                (row.key, row.owner, row.metadata) = (said.key, said.owner, said.metadata);
            }
        }
        Ok(())
    }
}
