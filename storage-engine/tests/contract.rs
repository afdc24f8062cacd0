//! What [`Media`] promises, asked of every implementation.

use std::io::ErrorKind;
use std::sync::Arc;

use storage_engine::media::{
    Durability, FileMedia, FileMediaOptions, Media, OverlayMedia, ROOT_BYTES_MAX, SECTOR_BYTES,
    Sector, SimMedia, SimOptions,
};
use storage_engine::{Epoch, Error, Missing, ZoneId};

const ZONE_BYTES: u64 = 64 * 1024;
const ZONES: u64 = 8;
const EPOCH: Epoch = Epoch(1);

/// A device that can be closed and opened again.
trait Device {
    fn media(&self) -> &dyn Media;
    fn reopen(&mut self);
}

struct Simulated(SimMedia);

impl Simulated {
    fn new() -> Self {
        let capacity_bytes = ZONES * ZONE_BYTES;
        let options =
            SimOptions { zone_bytes: ZONE_BYTES, capacity_bytes, ..SimOptions::default() };
        Self(SimMedia::new(&options))
    }
}

impl Device for Simulated {
    fn media(&self) -> &dyn Media {
        &self.0
    }

    fn reopen(&mut self) {
        self.0 = self.0.restart();
    }
}

struct Files {
    media: Option<FileMedia>,
    options: FileMediaOptions,
    _folder: tempfile::TempDir,
}

impl Files {
    fn new(durability: Durability) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = FileMediaOptions {
            zone_bytes: ZONE_BYTES,
            durability,
            capacity_bytes: Some(ZONES * ZONE_BYTES),
            ..FileMediaOptions::new(folder.path())
        };
        let media = Some(FileMedia::open(&options).unwrap());
        Self { media, options, _folder: folder }
    }
}

impl Device for Files {
    fn media(&self) -> &dyn Media {
        self.media.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.media = None;
        self.media = Some(FileMedia::open(&self.options).unwrap());
    }
}

/// Over a simulated device. It forgets when it is dropped, so it is never opened again.
struct Overlaid(OverlayMedia);

impl Overlaid {
    fn new() -> Self {
        Self(OverlayMedia::new(Arc::new(Simulated::new().0)))
    }
}

impl Device for Overlaid {
    fn media(&self) -> &dyn Media {
        &self.0
    }

    fn reopen(&mut self) {}
}

/// Runs each check on a fresh device of every kind.
macro_rules! contract {
    ($($check:ident,)*) => {
        mod simulated {
            $(#[test] fn $check() { super::$check(&mut super::Simulated::new()); })*
        }
        mod overlaid {
            $(#[test] fn $check() { super::$check(&mut super::Overlaid::new()); })*
        }
        mod files {
            use storage_engine::media::Durability;
            $(#[test] fn $check() { super::$check(&mut super::Files::new(Durability::Sync)); })*
        }
        mod files_in_device {
            use storage_engine::media::Durability;
            $(#[test] fn $check() { super::$check(&mut super::Files::new(Durability::Device)); })*
        }
        mod files_in_memory {
            use storage_engine::media::Durability;
            $(#[test] fn $check() { super::$check(&mut super::Files::new(Durability::None)); })*
        }
    };
}

contract! {
    a_fresh_device_is_empty,
    zones_are_made_once_and_listed_in_order,
    what_was_written_is_read_in_every_way,
    writes_outside_a_zone_or_its_sectors_are_refused,
    reads_past_the_end_are_errors,
    an_absent_zone_is_not_found,
    a_sealed_zone_takes_no_writes,
    a_zone_made_of_a_sealed_ones_room_is_open,
    a_deleted_zone_is_gone_and_its_room_is_free,
    a_full_device_says_so,
    the_root_object_is_replaced_whole,
    a_root_object_has_a_limit,
    a_lower_epoch_is_fenced_in_every_change,
    an_epoch_outlives_its_owner,
    counters_count,
    zones_outlive_their_opener,
    a_zone_is_written_by_many_threads,
}

fn sector(byte: u8) -> Sector {
    Sector([byte; SECTOR_BYTES as usize])
}

fn is_not_found(error: &Error, zone: ZoneId) -> bool {
    matches!(error, Error::NotFound(Missing::Zone(missing)) if *missing == zone)
}

fn io_kind(error: &Error) -> Option<ErrorKind> {
    match error {
        Error::Io { source, .. } => Some(source.kind()),
        _ => None,
    }
}

fn a_fresh_device_is_empty(device: &mut dyn Device) {
    let media = device.media();
    assert_eq!(media.zone_bytes(), ZONE_BYTES);
    assert_eq!(media.root().unwrap(), None);
    assert_eq!(media.list().unwrap(), []);
    let capacity = media.capacity().unwrap();
    assert_eq!(capacity.total_bytes, ZONES * ZONE_BYTES);
    assert_eq!(capacity.free_bytes, ZONES * ZONE_BYTES);
}

fn zones_are_made_once_and_listed_in_order(device: &mut dyn Device) {
    let media = device.media();
    for id in [3, 1, u32::MAX, 2] {
        media.create(EPOCH, ZoneId(id)).unwrap();
    }
    let error = media.create(EPOCH, ZoneId(2)).unwrap_err();
    assert_eq!(io_kind(&error), Some(ErrorKind::AlreadyExists));
    assert_eq!(media.list().unwrap(), [1, 2, 3, u32::MAX].map(ZoneId));
}

fn what_was_written_is_read_in_every_way(device: &mut dyn Device) {
    let media = device.media();
    let zone = ZoneId(1);
    // A hint about what is not there is none.
    media.will_need(zone, 0, ZONE_BYTES);
    media.create(EPOCH, zone).unwrap();
    media.write(EPOCH, zone, SECTOR_BYTES, &[sector(1), sector(2)]).unwrap();
    // Before and after the sync, and after the same place was written again.
    for third in [2, 3] {
        media.will_need(zone, SECTOR_BYTES, 2 * SECTOR_BYTES);
        let mut out = [0; 5000];
        media.read(zone, SECTOR_BYTES, &mut out).unwrap();
        assert_eq!((&out[..4096], out[4999]), (&[1; 4096][..], third));
        let mut out = [0; 10];
        media.read(zone, 2 * SECTOR_BYTES - 5, &mut out).unwrap();
        assert_eq!(out, [1, 1, 1, 1, 1, third, third, third, third, third]);
        let mut out = [0; 5000];
        if media.read_cached(zone, SECTOR_BYTES, &mut out).unwrap() {
            assert_eq!((&out[..4096], out[4999]), (&[1; 4096][..], third));
        }
        media.sync(EPOCH, zone).unwrap();
        let mut out = [sector(9); 2];
        media.read_uncached(zone, SECTOR_BYTES, &mut out).unwrap();
        assert_eq!((out[0].0, out[1].0), ([1; 4096], [third; 4096]));
        media.write(EPOCH, zone, 2 * SECTOR_BYTES, &[sector(3)]).unwrap();
    }
}

fn writes_outside_a_zone_or_its_sectors_are_refused(device: &mut dyn Device) {
    let media = device.media();
    let zone = ZoneId(1);
    media.create(EPOCH, zone).unwrap();
    let last = ZONE_BYTES - SECTOR_BYTES;
    media.write(EPOCH, zone, last, &[sector(1)]).unwrap();
    for offset in [1, 512, ZONE_BYTES, u64::MAX - 4095] {
        let error = media.write(EPOCH, zone, offset, &[sector(1)]).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "offset {offset}: {error}");
    }
    assert!(media.write(EPOCH, zone, last, &[sector(1); 2]).is_err());
}

fn reads_past_the_end_are_errors(device: &mut dyn Device) {
    let media = device.media();
    let zone = ZoneId(1);
    media.create(EPOCH, zone).unwrap();
    let mut out = [0; 10];
    media.read(zone, ZONE_BYTES - 10, &mut out).unwrap();
    for offset in [ZONE_BYTES - 9, ZONE_BYTES, u64::MAX - 3] {
        assert!(media.read(zone, offset, &mut out).is_err(), "{offset}");
        assert!(media.read_cached(zone, offset, &mut out).is_err(), "{offset}");
    }
    let mut out = [sector(0)];
    media.read_uncached(zone, ZONE_BYTES - SECTOR_BYTES, &mut out).unwrap();
    assert!(media.read_uncached(zone, ZONE_BYTES, &mut out).is_err());
    assert!(media.read_uncached(zone, 512, &mut out).is_err());
}

fn an_absent_zone_is_not_found(device: &mut dyn Device) {
    let media = device.media();
    let zone = ZoneId(5);
    let answers = [
        media.write(EPOCH, zone, 0, &[sector(1)]),
        media.sync(EPOCH, zone),
        media.seal(EPOCH, zone),
        media.delete(EPOCH, zone),
        media.read(zone, 0, &mut [0]),
        media.read_cached(zone, 0, &mut [0]).map(drop),
        media.read_uncached(zone, 0, &mut [sector(0)]),
        media.is_sealed(zone).map(drop),
    ];
    for (nth, answer) in answers.into_iter().enumerate() {
        let error = answer.unwrap_err();
        assert!(is_not_found(&error, zone), "answer {nth}: {error}");
    }
}

fn a_sealed_zone_takes_no_writes(device: &mut dyn Device) {
    let zone = ZoneId(1);
    let media = device.media();
    media.create(EPOCH, zone).unwrap();
    media.write(EPOCH, zone, 0, &[sector(1)]).unwrap();
    media.create(EPOCH, ZoneId(2)).unwrap();
    assert!(!media.is_sealed(zone).unwrap());
    media.seal(EPOCH, zone).unwrap();
    media.seal(EPOCH, zone).unwrap();
    for _ in 0..2 {
        let media = device.media();
        let sealed = [1, 2].map(|id| media.is_sealed(ZoneId(id)).unwrap());
        assert_eq!(sealed, [true, false]);
        assert!(media.write(EPOCH, zone, SECTOR_BYTES, &[sector(2)]).is_err());
        media.write(EPOCH, ZoneId(2), 0, &[sector(2)]).unwrap();
        let mut out = [sector(0)];
        media.read_uncached(zone, 0, &mut out).unwrap();
        assert_eq!(out[0].0, [1; 4096]);
        device.reopen();
    }
}

fn a_zone_made_of_a_sealed_ones_room_is_open(device: &mut dyn Device) {
    for life in 1..=4 {
        let media = device.media();
        let zone = ZoneId(life);
        media.create(EPOCH, zone).unwrap();
        assert!(!media.is_sealed(zone).unwrap());
        device.reopen();
        let media = device.media();
        assert!(!media.is_sealed(zone).unwrap());
        media.write(EPOCH, zone, 0, &[sector(2)]).unwrap();
        media.sync(EPOCH, zone).unwrap();
        media.seal(EPOCH, zone).unwrap();
        if life % 2 == 0 {
            device.reopen();
        }
        device.media().delete(EPOCH, zone).unwrap();
    }
}

fn a_deleted_zone_is_gone_and_its_room_is_free(device: &mut dyn Device) {
    let zone = ZoneId(1);
    let media = device.media();
    media.create(EPOCH, zone).unwrap();
    assert_eq!(media.capacity().unwrap().free_bytes, (ZONES - 1) * ZONE_BYTES);
    media.delete(EPOCH, zone).unwrap();
    assert_eq!(media.capacity().unwrap().free_bytes, ZONES * ZONE_BYTES);
    assert!(is_not_found(&media.read(zone, 0, &mut [0]).unwrap_err(), zone));
    assert!(is_not_found(&media.delete(EPOCH, zone).unwrap_err(), zone));
    device.reopen();
    assert_eq!(device.media().list().unwrap(), []);
}

fn a_full_device_says_so(device: &mut dyn Device) {
    let media = device.media();
    for id in 0..u32::try_from(ZONES).unwrap() {
        media.create(EPOCH, ZoneId(id)).unwrap();
    }
    assert_eq!(media.capacity().unwrap().free_bytes, 0);
    let error = media.create(EPOCH, ZoneId(99)).unwrap_err();
    assert_eq!(io_kind(&error), Some(ErrorKind::StorageFull));
    // What exists is still served, and the room of a deleted zone can be had.
    media.write(EPOCH, ZoneId(0), 0, &[sector(1)]).unwrap();
    media.replace_root(EPOCH, b"full").unwrap();
    media.delete(EPOCH, ZoneId(3)).unwrap();
    media.create(EPOCH, ZoneId(99)).unwrap();
}

fn the_root_object_is_replaced_whole(device: &mut dyn Device) {
    for (epoch, bytes) in [(1, vec![1; 5000]), (1, vec![]), (2, vec![2; 17])] {
        device.media().replace_root(Epoch(epoch), &bytes).unwrap();
        assert_eq!(device.media().root().unwrap().as_ref(), Some(&bytes));
        device.reopen();
        assert_eq!(device.media().root().unwrap().as_ref(), Some(&bytes));
    }
}

fn a_root_object_has_a_limit(device: &mut dyn Device) {
    let media = device.media();
    media.replace_root(EPOCH, b"small").unwrap();
    let error = media.replace_root(EPOCH, &vec![0; ROOT_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)));
    assert_eq!(media.root().unwrap().as_deref(), Some(&b"small"[..]));
}

fn a_lower_epoch_is_fenced_in_every_change(device: &mut dyn Device) {
    let media = device.media();
    let zone = ZoneId(1);
    media.create(Epoch(4), zone).unwrap();
    media.replace_root(Epoch(5), b"five").unwrap();
    let answers = [
        media.replace_root(Epoch(4), b"four"),
        media.create(Epoch(4), ZoneId(2)),
        media.write(Epoch(4), zone, 0, &[sector(1)]),
        media.sync(Epoch(4), zone),
        media.seal(Epoch(4), zone),
        media.delete(Epoch(4), zone),
    ];
    for (nth, answer) in answers.into_iter().enumerate() {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Fenced { found: 5, held: 4 }), "answer {nth}: {error}");
    }
    assert_eq!(media.root().unwrap().as_deref(), Some(&b"five"[..]));
    assert_eq!(media.list().unwrap(), [zone]);
    media.write(Epoch(5), zone, 0, &[sector(1)]).unwrap();
}

fn an_epoch_outlives_its_owner(device: &mut dyn Device) {
    device.media().replace_root(Epoch(5), b"five").unwrap();
    device.reopen();
    let error = device.media().create(Epoch(4), ZoneId(1)).unwrap_err();
    assert!(matches!(error, Error::Fenced { found: 5, held: 4 }));
    device.media().create(Epoch(5), ZoneId(1)).unwrap();
}

fn counters_count(device: &mut dyn Device) {
    let media = device.media();
    let zone = ZoneId(1);
    media.create(EPOCH, zone).unwrap();
    media.write(EPOCH, zone, 0, &[sector(1), sector(2)]).unwrap();
    media.sync(EPOCH, zone).unwrap();
    media.read(zone, 0, &mut [0; 100]).unwrap();
    let counters = media.counters();
    assert_eq!((counters.written_bytes, counters.syncs, counters.read_bytes), (8192, 1, 100));
}

fn zones_outlive_their_opener(device: &mut dyn Device) {
    let media = device.media();
    for id in 1..=3 {
        media.create(EPOCH, ZoneId(id)).unwrap();
        media.write(EPOCH, ZoneId(id), 0, &[sector(id as u8)]).unwrap();
    }
    media.sync(EPOCH, ZoneId(1)).unwrap();
    media.seal(EPOCH, ZoneId(2)).unwrap();
    device.reopen();
    let media = device.media();
    assert_eq!(media.list().unwrap(), [1, 2, 3].map(ZoneId));
    for id in 1..=3 {
        let mut out = [0; 4096];
        media.read(ZoneId(id), 0, &mut out).unwrap();
        assert_eq!(out, [id as u8; 4096]);
    }
    media.write(EPOCH, ZoneId(1), SECTOR_BYTES, &[sector(9)]).unwrap();
}

fn a_zone_is_written_by_many_threads(device: &mut dyn Device) {
    let media = device.media();
    let zone = ZoneId(1);
    media.create(EPOCH, zone).unwrap();
    std::thread::scope(|scope| {
        for nth in 0..8u8 {
            scope.spawn(move || {
                media.write(EPOCH, zone, u64::from(nth) * SECTOR_BYTES, &[sector(nth)]).unwrap();
                media.sync(EPOCH, zone).unwrap();
            });
        }
    });
    let mut out = [0; 8 * 4096];
    media.read(zone, 0, &mut out).unwrap();
    assert!(out.chunks(4096).zip(0u8..).all(|(piece, nth)| piece == [nth; 4096]));
}

#[test]
fn what_lies_under_an_overlay_stays_as_it_is() {
    let below = Arc::new(Simulated::new().0);
    let zones = [1, 2, 3].map(ZoneId);
    below.replace_root(EPOCH, b"below").unwrap();
    for (zone, byte) in zones.into_iter().zip(1..) {
        below.create(EPOCH, zone).unwrap();
        below.write(EPOCH, zone, 0, &[sector(byte), sector(byte)]).unwrap();
    }
    below.seal(EPOCH, zones[2]).unwrap();
    let before = below.counters();
    let above = OverlayMedia::new(Arc::clone(&below) as Arc<dyn Media>);
    above.replace_root(Epoch(2), b"above").unwrap();
    above.write(Epoch(2), zones[0], SECTOR_BYTES, &[sector(9)]).unwrap();
    above.seal(Epoch(2), zones[0]).unwrap();
    above.delete(Epoch(2), zones[1]).unwrap();
    above.create(Epoch(2), ZoneId(4)).unwrap();
    assert!(above.write(Epoch(2), zones[2], 0, &[sector(9)]).is_err(), "it was sealed below");
    let mut out = [0; 4];
    above.read(zones[0], SECTOR_BYTES - 2, &mut out).unwrap();
    assert_eq!((out, above.root().unwrap()), ([1, 1, 9, 9], Some(b"above".to_vec())));
    assert_eq!(above.list().unwrap(), [1, 3, 4].map(ZoneId));
    below.read(zones[0], SECTOR_BYTES - 2, &mut out).unwrap();
    assert_eq!((out, below.root().unwrap()), ([1; 4], Some(b"below".to_vec())));
    assert_eq!(below.list().unwrap(), zones);
    assert!(!below.is_sealed(zones[0]).unwrap());
    let after = below.counters();
    assert_eq!((before.written_bytes, before.syncs), (after.written_bytes, after.syncs));
}

#[test]
fn a_medium_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Arc<dyn Media>>();
}
