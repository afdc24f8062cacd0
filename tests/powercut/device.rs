//! A storage device in memory with the file system on it, and a power switch.
//!
//! - What is written to a file is volatile until that file is synced. A power cut keeps any subset of
//!   its volatile 4 KiB sectors, and may tear one at 512 bytes; size and mode each old or new.
//! - A change of names becomes durable when a directory that it touches is synced. A power cut keeps
//!   any of the others, in order where they are about the same name. A rename is one change.
//! - A sync of a file does not make its name durable, and a sync of a directory not its own.
//!
//! That is the least that POSIX promises; file systems with a journal keep more.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::support::fixture::Random;

/// The number of the top directory.
pub const ROOT: u64 = 1;
/// What a device can write at once.
pub const SECTOR_BYTES: u64 = 4096;
/// What a power cut in the middle of a write can leave old.
const TEAR_BYTES: usize = 512;

type Sector = Box<[u8; SECTOR_BYTES as usize]>;
type Sectors = BTreeMap<u64, Sector>;
/// A name in a directory.
type Place = (u64, OsString);
type Names = BTreeMap<Place, u64>;
/// The nodes that some names now have; it happens whole or not at all.
type NameChange = Vec<(Place, Option<u64>)>;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such name or node.
    Missing,
    /// The name is taken.
    Exists,
    /// The directory holds names.
    NotEmpty,
    /// There is no room.
    Full,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It holds names.
    Directory,
    /// It holds bytes.
    File,
}

/// What a sync covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// Bytes and size.
    Data,
    /// The mode too.
    All,
}

/// What a power cut leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// None of it.
    Nothing,
    /// Some of it, all or nothing.
    Chance,
}

/// Facts of a node that are not its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Length in bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u16,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    facts: Facts,
    durable_facts: Facts,
    /// Written since the last sync.
    volatile: Sectors,
    durable: Sectors,
}

/// The device.
#[derive(Debug)]
pub struct Device {
    capacity_bytes: u64,
    nodes: BTreeMap<u64, Node>,
    next: u64,
    names: Names,
    durable_names: Names,
    /// Changes of names that are not durable, oldest first.
    name_changes: Vec<NameChange>,
    lost_sectors: u64,
}

impl Device {
    /// An empty device.
    pub fn new(capacity_bytes: u64) -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::new(Kind::Directory, 0o700))]);
        Self {
            capacity_bytes,
            nodes,
            next: ROOT + 1,
            names: Names::new(),
            durable_names: Names::new(),
            name_changes: Vec::new(),
            lost_sectors: 0,
        }
    }

    /// Takes the power away.
    pub fn cut_power(&mut self, survival: Survival, random: &mut Random) {
        let survival_percent = match survival {
            Survival::Nothing => 0,
            Survival::Chance => *random.pick(&[0, 10, 50, 90, 100]),
        };
        let lives = |random: &mut Random| random.below(100) < survival_percent;
        let mut lost: Vec<Place> = Vec::new();
        for change in std::mem::take(&mut self.name_changes) {
            let follows_lost = change.iter().any(|(place, _)| lost.contains(place));
            if !follows_lost && lives(random) {
                apply(&mut self.durable_names, change);
            } else {
                lost.extend(change.into_iter().map(|(place, _)| place));
            }
        }
        self.forget_unreachable();
        for node in self.nodes.values_mut() {
            for (number, sector) in std::mem::take(&mut node.volatile) {
                if lives(random) {
                    node.keep_sector(number, &sector, random);
                } else {
                    self.lost_sectors += 1;
                }
            }
            if lives(random) {
                node.durable_facts.size = node.facts.size;
            }
            if lives(random) {
                node.durable_facts.mode = node.facts.mode;
            }
            node.facts = node.durable_facts;
        }
    }

    /// Sectors that power cuts have taken so far.
    pub fn lost_sectors(&self) -> u64 {
        self.lost_sectors
    }

    /// All room and what is left of it, in bytes.
    pub fn room_bytes(&self) -> (u64, u64) {
        let taken: u64 = self.nodes.values().map(|node| node.facts.size).sum();
        (self.capacity_bytes, self.capacity_bytes.saturating_sub(taken))
    }

    /// What a node is, and its facts.
    pub fn node(&self, id: u64) -> Result<(Kind, Facts), Refusal> {
        self.nodes.get(&id).map(|node| (node.kind, node.facts)).ok_or(Refusal::Missing)
    }

    /// The node under a name.
    pub fn find(&self, directory: u64, name: &OsStr) -> Result<u64, Refusal> {
        let place = (directory, name.to_owned());
        self.names.get(&place).copied().ok_or(Refusal::Missing)
    }

    /// The names in a directory.
    pub fn names(&self, directory: u64) -> impl Iterator<Item = (&OsStr, u64)> {
        let from = (directory, OsString::new());
        let held = self.names.range(from..).take_while(move |((held, _), _)| *held == directory);
        held.map(|((_, name), id)| (name.as_os_str(), *id))
    }

    /// Makes a node under a new name.
    pub fn make(
        &mut self,
        directory: u64,
        name: &OsStr,
        kind: Kind,
        mode: u16,
    ) -> Result<u64, Refusal> {
        let place = (directory, name.to_owned());
        if self.names.contains_key(&place) {
            return Err(Refusal::Exists);
        }
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, Node::new(kind, mode));
        self.change_names(vec![(place, Some(id))]);
        Ok(id)
    }

    /// Takes a name away. Its node stays for those who have it open.
    pub fn remove(&mut self, directory: u64, name: &OsStr) -> Result<(), Refusal> {
        let id = self.find(directory, name)?;
        if self.names(id).next().is_some() {
            return Err(Refusal::NotEmpty);
        }
        self.change_names(vec![((directory, name.to_owned()), None)]);
        Ok(())
    }

    /// Gives a node another name, atomically.
    pub fn rename(
        &mut self,
        (directory, name): (u64, &OsStr),
        (new_directory, new_name): (u64, &OsStr),
        replace: Replace,
    ) -> Result<(), Refusal> {
        let id = self.find(directory, name)?;
        if replace == Replace::Never && self.find(new_directory, new_name).is_ok() {
            return Err(Refusal::Exists);
        }
        self.change_names(vec![
            ((directory, name.to_owned()), None),
            ((new_directory, new_name.to_owned()), Some(id)),
        ]);
        Ok(())
    }

    /// Makes every change of names in this directory durable, with those that they build on.
    pub fn sync_names(&mut self, directory: u64) {
        let mut needed: Vec<Place> = Vec::new();
        let mut durable: Vec<NameChange> = Vec::new();
        let mut waiting: Vec<NameChange> = Vec::new();
        for change in std::mem::take(&mut self.name_changes).into_iter().rev() {
            let touches =
                |(place, _): &(Place, Option<u64>)| place.0 == directory || needed.contains(place);
            if change.iter().any(touches) {
                needed.extend(change.iter().map(|(place, _)| place.clone()));
                durable.push(change);
            } else {
                waiting.push(change);
            }
        }
        for change in durable.into_iter().rev() {
            apply(&mut self.durable_names, change);
        }
        self.name_changes.extend(waiting.into_iter().rev());
    }

    /// Sets permission bits.
    pub fn set_mode(&mut self, id: u64, mode: u16) -> Result<(), Refusal> {
        self.file(id)?.facts.mode = mode;
        Ok(())
    }

    /// Shortens a file, or makes it longer with zeros.
    pub fn set_size(&mut self, id: u64, size: u64) -> Result<(), Refusal> {
        let (_, free_bytes) = self.room_bytes();
        let node = self.file(id)?;
        if size.saturating_sub(node.facts.size) > free_bytes {
            return Err(Refusal::Full);
        }
        if size < node.facts.size {
            node.write_zeros(size, node.facts.size);
        }
        node.facts.size = size;
        Ok(())
    }

    /// Bytes of a file, fewer at its end.
    pub fn read(&self, id: u64, offset: u64, len: u64) -> Result<Vec<u8>, Refusal> {
        let node = self.nodes.get(&id).ok_or(Refusal::Missing)?;
        let end = node.facts.size.min(offset.saturating_add(len));
        let mut bytes = Vec::new();
        for (number, within) in pieces(offset, end) {
            match node.sector(number) {
                Some(sector) => bytes.extend_from_slice(&sector[within]),
                None => bytes.resize(bytes.len() + within.len(), 0),
            }
        }
        Ok(bytes)
    }

    /// Writes, for as long as the power stays.
    pub fn write(&mut self, id: u64, offset: u64, data: &[u8]) -> Result<(), Refusal> {
        let end = offset + data.len() as u64;
        let size = self.node(id)?.1.size;
        if end > size {
            self.set_size(id, end)?;
        }
        let node = self.file(id)?;
        let mut rest = data;
        for (number, within) in pieces(offset, end) {
            let (piece, behind) = rest.split_at(within.len());
            node.volatile_sector(number)[within].copy_from_slice(piece);
            rest = behind;
        }
        Ok(())
    }

    /// Makes a file durable; its name is another matter.
    pub fn sync(&mut self, id: u64, coverage: Coverage) -> Result<(), Refusal> {
        let node = self.file(id)?;
        let volatile = std::mem::take(&mut node.volatile);
        node.durable.extend(volatile);
        node.durable_facts.size = node.facts.size;
        if coverage == Coverage::All {
            node.durable_facts.mode = node.facts.mode;
        }
        Ok(())
    }

    fn file(&mut self, id: u64) -> Result<&mut Node, Refusal> {
        self.nodes.get_mut(&id).ok_or(Refusal::Missing)
    }

    /// Goes back to the durable names; what is under none of them is gone.
    fn forget_unreachable(&mut self) {
        let mut reachable = Names::new();
        let mut directories = vec![ROOT];
        while let Some(directory) = directories.pop() {
            let from = (directory, OsString::new());
            let held = self.durable_names.range(from..).take_while(|((d, _), _)| *d == directory);
            for (place, id) in held {
                reachable.insert(place.clone(), *id);
                directories.push(*id);
            }
        }
        self.nodes.retain(|id, _| *id == ROOT || reachable.values().any(|named| named == id));
        self.durable_names.clone_from(&reachable);
        self.names = reachable;
    }

    fn change_names(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.name_changes.push(change);
    }
}

/// Whether a new name may take the place of an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It may.
    Allowed,
    /// It must be free.
    Never,
}

impl Node {
    fn new(kind: Kind, mode: u16) -> Self {
        let facts = Facts { size: 0, mode };
        let (volatile, durable) = (Sectors::new(), Sectors::new());
        Self { kind, facts, durable_facts: facts, volatile, durable }
    }

    fn sector(&self, number: u64) -> Option<&Sector> {
        self.volatile.get(&number).or_else(|| self.durable.get(&number))
    }

    fn volatile_sector(&mut self, number: u64) -> &mut [u8; SECTOR_BYTES as usize] {
        let durable = &self.durable;
        let before = || durable.get(&number).cloned().unwrap_or_else(blank);
        self.volatile.entry(number).or_insert_with(before)
    }

    fn write_zeros(&mut self, from: u64, to: u64) {
        for (number, within) in pieces(from, to) {
            if self.sector(number).is_some() {
                self.volatile_sector(number)[within].fill(0);
            }
        }
    }

    /// A sector that made it to the device before the power went, or half of it did.
    fn keep_sector(&mut self, number: u64, sector: &Sector, random: &mut Random) {
        let kept = self.durable.entry(number).or_insert_with(blank);
        let torn = random.below(16) == 0;
        for (to, from) in kept.chunks_mut(TEAR_BYTES).zip(sector.chunks(TEAR_BYTES)) {
            if !torn || random.below(2) == 0 {
                to.copy_from_slice(from);
            }
        }
    }
}

fn blank() -> Sector {
    Box::new([0; SECTOR_BYTES as usize])
}

fn apply(names: &mut Names, change: NameChange) {
    for (place, id) in change {
        match id {
            Some(id) => names.insert(place, id),
            None => names.remove(&place),
        };
    }
}

/// The sectors between two offsets, each with the part of it that lies between them.
fn pieces(from: u64, to: u64) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let mut at = from;
    std::iter::from_fn(move || {
        if at >= to {
            return None;
        }
        let (number, start) = (at / SECTOR_BYTES, at % SECTOR_BYTES);
        let end = SECTOR_BYTES.min(start + (to - at));
        at += end - start;
        Some((number, start as usize..end as usize))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> (Device, u64) {
        let mut device = Device::new(1 << 30);
        let file = device.make(ROOT, OsStr::new("file"), Kind::File, 0o600).unwrap();
        device.sync_names(ROOT);
        (device, file)
    }

    /// What seeds make of a device that `prepare` made; equal outcomes once.
    fn outcomes<T: Ord>(prepare: impl Fn() -> Device, look: impl Fn(&Device) -> T) -> Vec<T> {
        let cut = |seed| {
            let mut device = prepare();
            device.cut_power(Survival::Chance, &mut Random::new(seed));
            look(&device)
        };
        let found: std::collections::BTreeSet<T> = (0..400).map(cut).collect();
        found.into_iter().collect()
    }

    #[test]
    fn synced_bytes_survive_and_others_may_not() {
        let prepare = || {
            let (mut device, file) = device();
            device.write(file, 0, &[1; 8192]).unwrap();
            device.sync(file, Coverage::Data).unwrap();
            device.write(file, 4096, &[2; 4096]).unwrap();
            device
        };
        let found = outcomes(prepare, |device| {
            let bytes = device.read(2, 0, 9000).unwrap();
            assert_eq!(bytes[..4096], [1; 4096], "what was synced is lost");
            assert_eq!(bytes.len(), 8192);
            (bytes.contains(&2), bytes[4096..].contains(&1))
        });
        assert_eq!(found, [(false, true), (true, false), (true, true)], "lost, kept and torn");
    }

    #[test]
    fn a_synced_file_under_an_unsynced_name_may_be_gone() {
        let prepare = || {
            let (mut device, _) = device();
            let fresh = device.make(ROOT, OsStr::new("fresh"), Kind::File, 0o600).unwrap();
            device.sync(fresh, Coverage::All).unwrap();
            device
        };
        let found = outcomes(prepare, |device| device.find(ROOT, OsStr::new("fresh")).is_ok());
        assert_eq!(found, [false, true]);
    }

    fn names(device: &Device) -> String {
        let names = device.names(ROOT).map(|(name, _)| name.to_string_lossy().into_owned());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn changes_of_one_name_survive_in_their_order_and_a_rename_whole() {
        let prepare = || {
            let (mut device, _) = device();
            let [first, second, third] = ["file", "second", "third"].map(OsStr::new);
            device.rename((ROOT, first), (ROOT, second), Replace::Never).unwrap();
            device.rename((ROOT, second), (ROOT, third), Replace::Never).unwrap();
            device
        };
        assert_eq!(outcomes(prepare, names), ["file", "second", "third"]);
    }

    #[test]
    fn a_synced_directory_brings_what_its_names_build_on() {
        let prepare = || {
            let (mut device, _) = device();
            let folder = device.make(ROOT, OsStr::new("folder"), Kind::Directory, 0o700).unwrap();
            device.sync_names(ROOT);
            let (file, other) = (OsStr::new("file"), OsStr::new("other"));
            device.rename((ROOT, file), (ROOT, other), Replace::Never).unwrap();
            device.make(ROOT, file, Kind::File, 0o600).unwrap();
            device.rename((ROOT, other), (folder, other), Replace::Never).unwrap();
            device.sync_names(folder);
            assert_eq!(device.find(folder, other), Ok(2));
            device
        };
        assert_eq!(outcomes(prepare, names), ["file folder", "folder"]);
    }

    #[test]
    fn what_lies_in_a_lost_directory_is_lost() {
        let prepare = || {
            let (mut device, _) = device();
            let folder = device.make(ROOT, OsStr::new("folder"), Kind::Directory, 0o700).unwrap();
            let file = device.make(folder, OsStr::new("inner"), Kind::File, 0o600).unwrap();
            device.sync(file, Coverage::All).unwrap();
            device.sync_names(folder);
            device
        };
        let found = outcomes(prepare, |device| (names(device), device.nodes.len()));
        assert_eq!(found, [("file".to_owned(), 2), ("file folder".to_owned(), 4)]);
    }

    #[test]
    fn a_file_that_was_cut_short_reads_zeros_when_it_grows() {
        let (mut device, file) = device();
        device.write(file, 0, &[1; 6000]).unwrap();
        device.sync(file, Coverage::All).unwrap();
        device.set_size(file, 10).unwrap();
        device.set_size(file, 6000).unwrap();
        let bytes = device.read(file, 0, 6000).unwrap();
        assert_eq!((bytes[..10].to_vec(), bytes[10..].to_vec()), (vec![1; 10], vec![0; 5990]));
    }
}
