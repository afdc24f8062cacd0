//! A device in memory that loses, tears and corrupts on demand, and replays it all from a seed.
//!
//! - It keeps the contract of [`Media`] until it is told to break it.
//! - Every operation is counted, so that a test can crash or fail at operation 1, 2, 3, … until a
//!   run completes.
//! - An operation that fails may have happened, in part or whole: that is what a failure means.

mod device;
mod environment;
mod random;

use std::io;

use parking_lot::Mutex;

use self::device::{Device, Fate, View, ZoneState, tear};
use super::{Capacity, Media, MediaCounters, SECTOR_BYTES, Sector, sector_bytes, sector_bytes_mut};
use crate::error::{Error, Result};
use crate::id::{Epoch, ZoneId};
use crate::media::file::ROOT_BYTES_MAX;

pub use self::device::Survival;
pub use self::environment::SimEnvironment;
pub use self::random::SeededRandom;

/// What a caller does to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// [`Media::replace_root`].
    ReplaceRoot,
    /// [`Media::create`].
    Create,
    /// [`Media::write`].
    Write,
    /// [`Media::sync`].
    Sync,
    /// [`Media::seal`].
    Seal,
    /// [`Media::delete`].
    Delete,
    /// [`Media::root`], [`Media::read`], [`Media::read_cached`], [`Media::read_uncached`].
    Read,
}

/// Which operations a fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// One kind.
    Only(Operation),
    /// All that change the device.
    AnyChange,
    /// All.
    Any,
}

/// What the simulator does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails, once.
    Fail(Target),
    /// The operation and every later one like it fails.
    FailOn(Target),
    /// A write is acknowledged, synced and seen by cached reads, and never reaches the device.
    LoseWrite,
    /// A write is acknowledged and only some of its pieces reach the device.
    TearWrite,
    /// A write is acknowledged and lands at another place.
    MisdirectWrite,
    /// A sync is acknowledged and does nothing.
    SkipSync,
}

/// Whether crash points are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// None.
    None,
    /// One before the first change and one after each.
    EveryChange,
}

/// Options of [`SimMedia::new`].
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Size of a zone.
    pub zone_bytes: u64,
    /// What zones may take together.
    pub capacity_bytes: u64,
    /// Whether crash points are kept.
    pub history: History,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            zone_bytes: 256 * 1024,
            capacity_bytes: 64 * 1024 * 1024,
            history: History::None,
        }
    }
}

/// A moment at which a crash is possible.
#[derive(Debug, Clone)]
pub struct CrashPoint {
    /// Changes that were complete.
    pub changes: u64,
    device: Device,
}

/// The simulated device.
#[derive(Debug)]
pub struct SimMedia {
    zone_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    device: Device,
    random: SeededRandom,
    history: History,
    points: Vec<CrashPoint>,
    armed: Vec<Armed>,
    powered: bool,
    changes: u64,
    reads: u64,
    counters: MediaCounters,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    /// Operations of its target until it strikes; 1 is the next.
    left: u64,
}

impl SimMedia {
    /// A fresh device.
    pub fn new(options: &SimOptions) -> Self {
        let device = Device::new(options.zone_bytes, options.capacity_bytes);
        Self::with_device(device, options.seed, options.history)
    }

    /// The device as it is after a loss of power at `point`.
    pub fn after_crash(point: &CrashPoint, survival: Survival) -> Self {
        let mut device = point.device.clone();
        device.crash(survival);
        Self::with_device(device, point.changes, History::None)
    }

    /// Loses power: this device answers nothing any more, the returned one is what is left.
    pub fn crash(&self, survival: Survival) -> Self {
        let (mut device, seed) = self.power_off();
        device.crash(survival);
        Self::with_device(device, seed, History::None)
    }

    /// Ends the process and starts it again: nothing written is lost.
    pub fn restart(&self) -> Self {
        let (mut device, seed) = self.power_off();
        device.restart(&mut SeededRandom::new(seed));
        Self::with_device(device, seed, History::None)
    }

    /// A copy of the device as a process that is killed now would leave it; this one goes on.
    pub fn fork(&self) -> Self {
        let mut device = self.state.lock().device.clone();
        device.restart(&mut SeededRandom::new(0));
        Self::with_device(device, 1, History::None)
    }

    fn with_device(device: Device, seed: u64, history: History) -> Self {
        let mut state = State {
            device,
            random: SeededRandom::new(seed),
            history,
            points: Vec::new(),
            armed: Vec::new(),
            powered: true,
            changes: 0,
            reads: 0,
            counters: MediaCounters::default(),
        };
        state.keep_point();
        Self { zone_bytes: state.device.zone_bytes, state: Mutex::new(state) }
    }

    fn power_off(&self) -> (Device, u64) {
        let mut state = self.state.lock();
        state.powered = false;
        (state.device.clone(), state.random.next_u64())
    }

    /// Arms a fault for the `nth` operation from now that it can strike; 1 is the next.
    pub fn arm(&self, nth: u64, fault: Fault) {
        self.state.lock().armed.push(Armed { fault, left: nth.max(1) });
    }

    /// Disarms every fault.
    pub fn heal(&self) {
        self.state.lock().armed.clear();
    }

    /// True when a fault that was armed has not struck yet.
    pub fn has_armed(&self) -> bool {
        self.state.lock().armed.iter().any(|armed| armed.left > 0)
    }

    /// Changes begun since this device was made: create, write, sync, seal, delete, replace root.
    pub fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// Reads begun since this device was made.
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// Takes the crash points that were kept so far.
    pub fn take_crash_points(&self) -> Vec<CrashPoint> {
        std::mem::take(&mut self.state.lock().points)
    }

    /// Begins to keep crash points, or ends it.
    pub fn set_history(&self, history: History) {
        let mut state = self.state.lock();
        state.history = history;
        state.keep_point();
    }

    /// Gives the device more room or less.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.state.lock().device.capacity_bytes = capacity_bytes;
    }

    /// Changes one bit on the device, 0 to 7 of the byte at `offset`.
    pub fn flip_bit(&self, zone: ZoneId, offset: u64, bit: u8) -> Result<()> {
        self.overwrite(zone, offset, |bytes| {
            if let Some(byte) = bytes.first_mut() {
                *byte ^= 1 << (bit & 7);
            }
        })
    }

    /// Changes bytes on the device from `offset` to the end of its sector, behind every cache.
    pub fn overwrite(
        &self,
        zone: ZoneId,
        offset: u64,
        change: impl FnOnce(&mut [u8]),
    ) -> Result<()> {
        self.state.lock().device.zone_mut(zone)?.alter(offset, change);
        Ok(())
    }

    /// Replaces the root object behind everybody's back.
    pub fn overwrite_root(&self, bytes: &[u8]) {
        self.state.lock().device.root = Some(bytes.into());
    }

    fn check_range(&self, zone: ZoneId, offset: u64, len: usize) -> Result<()> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.zone_bytes) {
            return Err(Error::Invalid(format!("{len} bytes at {offset} end outside zone {zone}")));
        }
        Ok(())
    }

    fn read_view(&self, view: View, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()> {
        self.check_range(zone, offset, out.len())?;
        let mut state = self.state.lock();
        state.begin(Operation::Read)?;
        state.device.zone(zone)?.read(view, offset, out);
        state.counters.read_bytes += out.len() as u64;
        Ok(())
    }

    /// Runs one change, with the fault that strikes it.
    fn change<T>(
        &self,
        operation: Operation,
        epoch: Epoch,
        act: impl FnOnce(&mut State, Option<Fault>) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.state.lock();
        let struck = state.begin(operation);
        let found = state.device.epoch;
        if found.0 > epoch.0 {
            return Err(Error::Fenced { found: found.0, held: epoch.0 });
        }
        let done = match struck {
            Ok(fault) => act(&mut state, fault),
            Err(error) if !state.powered => return Err(error),
            Err(error) => {
                // It failed; what it did before that is up to chance.
                if state.random.percent(50) {
                    drop(act(&mut state, Some(Fault::Fail(Target::Only(operation)))));
                }
                Err(error)
            }
        };
        state.keep_point();
        done
    }
}

impl State {
    /// Counts an operation and lets an armed fault strike it: a failure as an error, any other
    /// for the operation to carry out.
    fn begin(&mut self, operation: Operation) -> Result<Option<Fault>> {
        let failure = |why| Err(Error::io("use the simulated device", io::Error::other(why)));
        if !self.powered {
            return failure("power is off");
        }
        match operation {
            Operation::Read => self.reads += 1,
            _ => self.changes += 1,
        }
        let mut struck = None;
        self.armed.retain_mut(|armed| {
            if !armed.fault.strikes(operation) {
                return true;
            }
            armed.left = armed.left.saturating_sub(1);
            if armed.left == 0 {
                struck = Some(armed.fault);
            }
            armed.left > 0 || matches!(armed.fault, Fault::FailOn(_))
        });
        match struck {
            Some(Fault::Fail(_) | Fault::FailOn(_)) => failure("simulated failure"),
            other => Ok(other),
        }
    }

    fn keep_point(&mut self) {
        if self.history == History::EveryChange {
            let (changes, device) = (self.changes, self.device.clone());
            self.points.push(CrashPoint { changes, device });
        }
    }

    fn check_writable(&self, zone: ZoneId) -> Result<()> {
        match self.device.zone(zone)?.state {
            ZoneState::Open => Ok(()),
            ZoneState::Sealed => Err(Error::Invalid(format!("zone {zone} is sealed"))),
            ZoneState::Failed => {
                let why = format!("an earlier sync of zone {zone} failed");
                Err(Error::io("use a zone", io::Error::other(why)))
            }
        }
    }

    fn write(
        &mut self,
        fault: Option<Fault>,
        zone: ZoneId,
        offset: u64,
        data: &[Sector],
    ) -> Result<()> {
        match fault {
            Some(Fault::Fail(_)) => {
                let done = self.random.position(data.len() + 1);
                let (whole, rest) = data.split_at(done);
                let torn = self.torn(
                    zone,
                    offset + done as u64 * SECTOR_BYTES,
                    &rest[..rest.len().min(1)],
                )?;
                let zone = self.device.zone_mut(zone)?;
                zone.write(offset, whole, Fate::Kept);
                zone.write(offset + done as u64 * SECTOR_BYTES, &torn, Fate::Kept);
            }
            Some(Fault::TearWrite) => {
                let torn = self.torn(zone, offset, data)?;
                self.device.zone_mut(zone)?.write(offset, &torn, Fate::Kept);
            }
            Some(Fault::LoseWrite) => {
                self.device.zone_mut(zone)?.write(offset, data, Fate::Lost);
            }
            Some(Fault::MisdirectWrite) => {
                let zones = self.device.list();
                let target = zones.get(self.random.position(zones.len())).copied().unwrap_or(zone);
                let places =
                    (self.device.zone_bytes / SECTOR_BYTES).saturating_sub(data.len() as u64);
                let place = self.random.below(places + 1) * SECTOR_BYTES;
                self.device.zone_mut(target)?.land(place, data);
            }
            _ => self.device.zone_mut(zone)?.write(offset, data, Fate::Kept),
        }
        Ok(())
    }

    /// What is at a place when only some pieces of `data` got there.
    fn torn(&mut self, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<Vec<Sector>> {
        let mut torn = vec![Sector::ZERO; data.len()];
        self.device.zone(zone)?.read(View::Device, offset, sector_bytes_mut(&mut torn));
        for (old, new) in torn.iter_mut().zip(data) {
            tear(old, new, &mut self.random);
        }
        Ok(torn)
    }
}

impl Fault {
    fn strikes(self, operation: Operation) -> bool {
        match self {
            Self::Fail(target) | Self::FailOn(target) => match target {
                Target::Only(only) => only == operation,
                Target::AnyChange => operation != Operation::Read,
                Target::Any => true,
            },
            Self::LoseWrite | Self::TearWrite | Self::MisdirectWrite => {
                operation == Operation::Write
            }
            Self::SkipSync => operation == Operation::Sync,
        }
    }
}

impl Media for SimMedia {
    fn zone_bytes(&self) -> u64 {
        self.zone_bytes
    }

    fn root(&self) -> Result<Option<Vec<u8>>> {
        let mut state = self.state.lock();
        state.begin(Operation::Read)?;
        Ok(state.device.root.as_ref().map(|bytes| bytes.to_vec()))
    }

    fn replace_root(&self, epoch: Epoch, bytes: &[u8]) -> Result<()> {
        if bytes.len() > ROOT_BYTES_MAX {
            return Err(Error::Invalid(format!("a root object of {} bytes", bytes.len())));
        }
        self.change(Operation::ReplaceRoot, epoch, |state, _| {
            state.device.epoch = epoch;
            state.device.root = Some(bytes.into());
            Ok(())
        })
    }

    fn list(&self) -> Result<Vec<ZoneId>> {
        Ok(self.state.lock().device.list())
    }

    fn create(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        self.change(Operation::Create, epoch, |state, _| {
            if state.device.contains(zone) {
                return Err(Error::io("create a zone", io::ErrorKind::AlreadyExists.into()));
            }
            let taken_bytes = (state.device.zone_count() + 1) * state.device.zone_bytes;
            if taken_bytes > state.device.capacity_bytes {
                return Err(Error::io("create a zone", io::ErrorKind::StorageFull.into()));
            }
            state.device.create(zone, &mut state.random);
            Ok(())
        })
    }

    fn write(&self, epoch: Epoch, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<()> {
        let len = sector_bytes(data).len();
        self.check_range(zone, offset, len)?;
        if !offset.is_multiple_of(SECTOR_BYTES) {
            return Err(Error::Invalid(format!("a write at offset {offset}")));
        }
        self.change(Operation::Write, epoch, |state, fault| {
            state.check_writable(zone)?;
            state.counters.written_bytes += len as u64;
            state.write(fault, zone, offset, data)
        })
    }

    fn sync(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        let synced = self.change(Operation::Sync, epoch, |state, fault| {
            state.check_writable(zone)?;
            match fault {
                // What it made durable before it failed shows after a crash: all stays pending.
                Some(Fault::Fail(_)) => return Ok(()),
                Some(Fault::SkipSync) => {}
                _ => state.device.zone_mut(zone)?.settle(),
            }
            state.counters.syncs += 1;
            Ok(())
        });
        if let Err(Error::Io { .. }) = &synced
            && let Ok(zone) = self.state.lock().device.zone_mut(zone)
            && zone.state == ZoneState::Open
        {
            zone.state = ZoneState::Failed;
        }
        synced
    }

    fn read(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()> {
        self.read_view(View::Cached, zone, offset, out)
    }

    fn read_cached(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<bool> {
        self.read_view(View::Cached, zone, offset, out)?;
        // Half of the time, so that both ways are taken.
        Ok(self.state.lock().reads.is_multiple_of(2))
    }

    fn read_uncached(&self, zone: ZoneId, offset: u64, out: &mut [Sector]) -> Result<()> {
        if !offset.is_multiple_of(SECTOR_BYTES) {
            return Err(Error::Invalid(format!("an uncached read at offset {offset}")));
        }
        self.read_view(View::Device, zone, offset, sector_bytes_mut(out))
    }

    fn seal(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        self.change(Operation::Seal, epoch, |state, _| {
            let zone = state.device.zone_mut(zone)?;
            if zone.state == ZoneState::Open {
                zone.settle();
                zone.state = ZoneState::Sealed;
            }
            Ok(())
        })
    }

    fn is_sealed(&self, zone: ZoneId) -> Result<bool> {
        Ok(self.state.lock().device.zone(zone)?.state == ZoneState::Sealed)
    }

    fn delete(&self, epoch: Epoch, zone: ZoneId) -> Result<()> {
        let deleted = self.change(Operation::Delete, epoch, |state, fault| match fault {
            Some(Fault::Fail(_)) => Ok(()),
            _ => state.device.delete(zone),
        });
        if let Err(Error::Io { .. }) = &deleted {
            self.state.lock().device.waver(zone);
        }
        deleted
    }

    fn capacity(&self) -> Result<Capacity> {
        let state = self.state.lock();
        let total_bytes = state.device.capacity_bytes;
        let taken_bytes = state.device.zone_count() * state.device.zone_bytes;
        let free_bytes = total_bytes.saturating_sub(taken_bytes);
        let free_bytes = free_bytes - free_bytes % state.device.zone_bytes;
        Ok(Capacity { total_bytes, free_bytes })
    }

    fn counters(&self) -> MediaCounters {
        self.state.lock().counters
    }

    fn durability(&self) -> &'static str {
        "simulated"
    }
}

#[cfg(test)]
mod tests;
