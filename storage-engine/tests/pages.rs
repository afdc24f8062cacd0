//! Values in pages: read page by page, on simulated devices and on files, while they rot, move and go.

use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::limits::PAGE_BYTES;
use storage_engine::media::{
    Capacity, Media, MediaCounters, SECTOR_BYTES, Sector, SeededRandom, SimMedia,
};
use storage_engine::*;

use crate::device::pass_on;
use crate::reference::{Change, Plan};
use crate::subject::{Kind, Source, Subject, ZONE_BYTES, data, pages_of, read_pages, sim_options};

macro_rules! on_both {
    ($($check:ident,)*) => {
        mod simulated {
            $(#[test] fn $check() { super::$check(super::Subject::simulated(1)); })*
        }
        mod files {
            $(#[test] fn $check() { super::$check(super::Subject::files(1)); })*
        }
    };
}

on_both! {
    pages_read_back_in_any_order_and_as_a_stream,
    what_is_no_page_of_the_value_is_refused,
    a_hint_changes_nothing_that_is_read,
    only_a_value_of_one_blob_in_pages_has_a_reader,
    a_changed_page_is_found_and_named,
    changed_tags_are_found_and_named,
    a_reader_answers_while_reclaim_moves_its_blob_and_lets_go_when_it_follows,
    a_reader_of_a_version_that_went_reads_on,
    a_copy_has_a_reader_of_its_own,
}

impl Subject {
    /// Puts a value in pages and opens a reader of it.
    fn put_pages(&mut self, space: SpaceId, name: &str, content: &Arc<[u8]>) -> PageReader {
        let source = Source::Fresh(Placement::Pages);
        self.put_from(space, name, content, &source);
        self.page_reader(space, name).unwrap()
    }

    fn put_from(&mut self, space: SpaceId, name: &str, content: &Arc<[u8]>, source: &Source) {
        let content = Some(self.write(space, Arc::clone(content), source).unwrap());
        let name = Bytes::copy_from_slice(name.as_bytes());
        let put = Change::Put { space, name, keep: Keep::Null, content, lock: None };
        self.commit(Plan { conditions: vec![], changes: vec![put] }).unwrap();
    }

    fn record(&self, space: SpaceId, name: &str) -> Record {
        let name = Bytes::copy_from_slice(name.as_bytes());
        let entry = self.engine().current(space, &name).unwrap().unwrap();
        block_on(self.engine().load(space, &name, &entry)).unwrap()
    }

    fn page_reader(&self, space: SpaceId, name: &str) -> Result<PageReader> {
        block_on(self.engine().page_reader(&self.record(space, name)))
    }

    fn copies(&self, sources: &[(SpaceId, &str)]) -> Source {
        let copy = |(space, name): &(SpaceId, &str)| {
            let sequence = self.reference.newest(*space, name.as_bytes()).unwrap().sequence;
            (*space, Bytes::copy_from_slice(name.as_bytes()), sequence)
        };
        Source::Copies(sources.iter().map(copy).collect())
    }

    /// Changes a bit of the byte at `offset` on the device.
    fn flip_bit(&self, zone: ZoneId, offset: u64) {
        match &self.kind {
            Kind::Simulated(media) => media.flip_bit(zone, offset, 5).unwrap(),
            Kind::Files { options, .. } => {
                let path = options.directory.join(format!("zones/{:08x}.zone", zone.0));
                let mode = std::fs::metadata(&path).unwrap().permissions();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
                let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
                let mut byte = [0];
                file.read_exact_at(&mut byte, offset).unwrap();
                file.write_all_at(&[byte[0] ^ 1 << 5], offset).unwrap();
                std::fs::set_permissions(&path, mode).unwrap();
            }
        }
    }

    /// Lets the journal go on past two checkpoints, so that all that lies before them can be
    /// reclaimed, and reclaims until nothing is gained.
    fn reclaim(&mut self, space: SpaceId) {
        for round in 0..2 {
            self.put(space, &format!("last {round}"), Keep::Null, data(round, 300));
            self.engine().checkpoint().unwrap();
        }
        while self.freed() > 0 {}
    }

    /// Zones that go now.
    fn freed(&self) -> u64 {
        self.engine().maintain().unwrap().zones_freed
    }
}

fn pages_read_back_in_any_order_and_as_a_stream(mut subject: Subject) {
    let space = subject.space();
    let sizes = [0, 1, 4_095, 4_096, 4_097, 8_192, 65_536, 300_000];
    let mut random = SeededRandom::new(1);
    for size in sizes {
        subject.put_pages(space, &format!("of {size}"), &data(size as u64, size));
    }
    for round in 0..3 {
        for size in sizes {
            let (name, content) = (format!("of {size}"), data(size as u64, size));
            let reader = subject.page_reader(space, &name).unwrap();
            assert_eq!(
                (reader.bytes(), reader.pages() as usize),
                (size as u64, size.div_ceil(PAGE_BYTES))
            );
            let count = reader.pages();
            let mut lists: Vec<Vec<u32>> =
                vec![vec![], (0..count).collect(), (0..count).rev().collect()];
            lists.extend((0..count).map(|page| vec![page]));
            let pick = |_| random.position(count as usize) as u32;
            lists.push((0..2 * count).map(pick).collect());
            for pages in lists {
                let found = read_pages(&reader, &pages).unwrap();
                assert!(found == pages_of(&content, &pages), "{size} bytes, pages {pages:?}");
            }
            let record = subject.record(space, &name);
            for range in [0..size, size / 3..size / 2, size.saturating_sub(5_000)..size] {
                let Range { start, end } = range.clone();
                let read = block_on(record.read(start as u64..end as u64).collect()).unwrap();
                assert!(read[..] == content[range], "{size} bytes, {start}..{end}");
            }
        }
        if round == 1 {
            subject.engine().checkpoint().unwrap();
        }
        subject.restart();
    }
    subject.verify().unwrap();
    assert_eq!(subject.engine().scrub().unwrap(), []);
}

fn a_hint_changes_nothing_that_is_read(mut subject: Subject) {
    let space = subject.space();
    let content = data(3, 60_000);
    let reader = subject.put_pages(space, "k", &content);
    let pages: Vec<u32> = (0..reader.pages()).collect();
    for hint in [&pages[..], &[7, 7, 1], &[reader.pages()], &[u32::MAX, 0], &[]] {
        reader.will_need(hint);
        assert!(read_pages(&reader, &pages).unwrap() == pages_of(&content, &pages), "{hint:?}");
    }
}

fn what_is_no_page_of_the_value_is_refused(mut subject: Subject) {
    let space = subject.space();
    let reader = subject.put_pages(space, "k", &data(1, 10_000));
    let mut room = vec![0; 4 * PAGE_BYTES];
    for (pages, len) in [
        (&[3][..], PAGE_BYTES),
        (&[u32::MAX], PAGE_BYTES),
        (&[0, 1, 3], 3 * PAGE_BYTES),
        (&[0], 0),
        (&[0], PAGE_BYTES - 1),
        (&[0], 2 * PAGE_BYTES),
        (&[], 1),
    ] {
        let refused = reader.read(pages, &mut room[..len]);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{pages:?} into {len}: {refused:?}");
    }
    let none = subject.put_pages(space, "empty", &data(1, 0));
    none.read(&[], &mut []).unwrap();
    assert!(matches!(none.read(&[0], &mut room[..PAGE_BYTES]), Err(Error::Invalid(_))));
}

fn only_a_value_of_one_blob_in_pages_has_a_reader(mut subject: Subject) {
    let space = subject.space();
    let content = data(1, 9_000);
    subject.put_pages(space, "pages", &content);
    subject.put_from(space, "small", &data(2, 100), &Source::Fresh(Placement::Auto));
    subject.put_from(space, "empty", &data(2, 0), &Source::Fresh(Placement::Auto));
    subject.put_from(space, "blob", &data(2, 9_000), &Source::Fresh(Placement::Blob));
    let two = subject.copies(&[(space, "pages"), (space, "pages")]);
    let joined: Arc<[u8]> = [&content[..], &content[..]].concat().into();
    subject.put_from(space, "joined", &joined, &two);
    for name in ["small", "empty", "blob", "joined"] {
        let refused = subject.page_reader(space, name);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{name}: {refused:?}");
    }
    subject.verify().unwrap();
}

fn a_changed_page_is_found_and_named(mut subject: Subject) {
    let space = subject.space();
    let content = data(1, 40_000);
    let reader = subject.put_pages(space, "k", &content);
    let (zone, start) = place_of(&subject, &content, &reader);
    let at = start + 3 * PAGE_BYTES as u64 + 77;
    subject.flip_bit(zone, at);
    for pages in [&[3][..], &[2, 3], &[9, 0, 3, 4]] {
        let before = subject.engine().stats().corruptions;
        let mut out = vec![0xEE; pages.len() * PAGE_BYTES];
        let Err(Error::Corrupt(found)) = reader.read(pages, &mut out) else {
            panic!("pages {pages:?} were served")
        };
        assert_eq!((found.zone, found.offset), (Some(zone), at - 77), "{found:?}");
        assert!(found.expected.starts_with("page 3 of blob"), "{found:?}");
        assert!(out.iter().all(|byte| *byte == 0), "pages {pages:?} left something");
        assert_eq!(subject.engine().stats().corruptions, before + 1);
    }
    let whole: Vec<u32> = (0..10).filter(|page| *page != 3).collect();
    assert!(read_pages(&reader, &whole).unwrap() == pages_of(&content, &whole));
    let report = subject.engine().scrub().unwrap();
    assert!(report.iter().any(|corruption| corruption.zone == Some(zone)), "{report:?}");
    subject.flip_bit(zone, at);
    subject.verify().unwrap();
}

fn changed_tags_are_found_and_named(mut subject: Subject) {
    let space = subject.space();
    let content = data(1, 40_960);
    let reader = subject.put_pages(space, "k", &content);
    let (zone, start) = place_of(&subject, &content, &reader);
    let tags = start + content.len() as u64;
    subject.flip_bit(zone, tags + 40);
    let refused = subject.page_reader(space, "k");
    let Err(Error::Corrupt(found)) = refused else { panic!("{refused:?}") };
    assert_eq!((found.zone, found.offset), (Some(zone), tags));
    // Those that were read before are in memory.
    assert!(read_pages(&reader, &[0, 9]).unwrap() == pages_of(&content, &[0, 9]));
    subject.flip_bit(zone, tags + 40);
    subject.verify().unwrap();
}

/// Where the only value in pages lies: the zone and its first byte there. It is found by changing
/// bytes of the device until the first page is gone.
fn place_of(subject: &Subject, content: &[u8], reader: &PageReader) -> (ZoneId, u64) {
    let last = u32::try_from(content.len() / PAGE_BYTES).unwrap() - 1;
    for zone in 1..16 {
        for sector in 2..ZONE_BYTES / SECTOR_BYTES {
            let (zone, offset) = (ZoneId(zone), sector * SECTOR_BYTES);
            if zone.0 > zones_made(subject) {
                continue;
            }
            subject.flip_bit(zone, offset);
            let gone = read_pages(reader, &[0]).is_err();
            subject.flip_bit(zone, offset);
            if gone {
                assert!(read_pages(reader, &[last]).is_ok());
                return (zone, offset);
            }
        }
    }
    panic!("the value lies nowhere")
}

fn zones_made(subject: &Subject) -> u32 {
    let stats = subject.engine().stats();
    (stats.zone_total_bytes / ZONE_BYTES) as u32
}

fn a_reader_answers_while_reclaim_moves_its_blob_and_lets_go_when_it_follows(mut subject: Subject) {
    let space = subject.space();
    let content = data(1, 20_000);
    let dying = data(2, 30_000);
    subject.put(space, "dying", Keep::Null, Arc::clone(&dying));
    let reader = subject.put_pages(space, "k", &content);
    subject.put(space, "dying too", Keep::Null, dying);
    let pages: Vec<u32> = (0..reader.pages()).collect();
    let right = |reader: &PageReader, when: &str| {
        assert!(read_pages(reader, &pages).unwrap() == pages_of(&content, &pages), "{when}");
    };
    reader.follow().unwrap();
    right(&reader, "before it moves");
    subject.remove(space, "dying");
    subject.remove(space, "dying too");
    subject.reclaim(space);
    assert!(subject.engine().stats().reclaim_moved_bytes >= 20_000, "nothing moved");
    right(&reader, "from its old place");
    reader.follow().unwrap();
    assert!(subject.freed() > 0, "the old zone stays held");
    right(&reader, "from its new place");
    reader.follow().unwrap();
    right(&reader, "when nothing moved");
    drop(reader);
    subject.restart();
    right(&subject.page_reader(space, "k").unwrap(), "after a restart");
    assert_eq!(subject.engine().scrub().unwrap(), []);
}

fn a_reader_of_a_version_that_went_reads_on(mut subject: Subject) {
    let space = subject.space();
    let content = data(1, 60_000);
    let reader = subject.put_pages(space, "k", &content);
    let pages: Vec<u32> = (0..reader.pages()).collect();
    subject.put(space, "k", Keep::Null, data(2, 9_000));
    subject.reclaim(space);
    reader.follow().unwrap();
    assert!(read_pages(&reader, &pages).unwrap() == pages_of(&content, &pages));
    let clear = Plan { conditions: vec![], changes: vec![Change::ClearSpace(space)] };
    subject.commit(clear).unwrap();
    subject.reclaim(ROOT_SPACE);
    reader.follow().unwrap();
    assert!(read_pages(&reader, &pages).unwrap() == pages_of(&content, &pages));
    drop(reader);
    assert!(subject.freed() > 0, "its zones stay held");
}

fn a_copy_has_a_reader_of_its_own(mut subject: Subject) {
    let (from, to) = (subject.space(), subject.space());
    let content = data(1, 30_000);
    subject.put_pages(from, "k", &content);
    let copy = subject.copies(&[(from, "k")]);
    subject.put_from(to, "copy", &content, &copy);
    let clear = Plan { conditions: vec![], changes: vec![Change::ClearSpace(from)] };
    subject.commit(clear).unwrap();
    subject.reclaim(to);
    subject.restart();
    let reader = subject.page_reader(to, "copy").unwrap();
    assert!(read_pages(&reader, &[7, 0, 1]).unwrap() == pages_of(&content, &[7, 0, 1]));
}

/// A simulated device whose cache remembers all data wrong.
struct BadCache {
    media: Arc<SimMedia>,
    bad: AtomicBool,
}

impl BadCache {
    fn spoil(&self, out: &mut [u8]) {
        if self.bad.load(Ordering::Relaxed)
            && let Some(byte) = out.first_mut()
        {
            *byte ^= 1;
        }
    }
}

impl Media for BadCache {
    pass_on! {
        zone_bytes() -> u64;
        root() -> Result<Option<Vec<u8>>>;
        replace_root(epoch: Epoch, bytes: &[u8]) -> Result<()>;
        list() -> Result<Vec<ZoneId>>;
        create(epoch: Epoch, zone: ZoneId) -> Result<()>;
        write(epoch: Epoch, zone: ZoneId, offset: u64, data: &[Sector]) -> Result<()>;
        sync(epoch: Epoch, zone: ZoneId) -> Result<()>;
        read_uncached(zone: ZoneId, offset: u64, out: &mut [Sector]) -> Result<()>;
        seal(epoch: Epoch, zone: ZoneId) -> Result<()>;
        is_sealed(zone: ZoneId) -> Result<bool>;
        delete(epoch: Epoch, zone: ZoneId) -> Result<()>;
        capacity() -> Result<Capacity>;
        counters() -> MediaCounters;
        durability() -> &'static str;
    }

    fn read(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<()> {
        self.media.read(zone, offset, out)?;
        self.spoil(out);
        Ok(())
    }

    fn read_cached(&self, zone: ZoneId, offset: u64, out: &mut [u8]) -> Result<bool> {
        let cached = self.media.read_cached(zone, offset, out)?;
        self.spoil(out);
        Ok(cached)
    }
}

#[test]
fn a_page_that_only_a_cache_has_wrong_is_read_from_the_device() {
    let media = Arc::new(SimMedia::new(&sim_options(1)));
    let kind = Kind::Simulated(Arc::clone(&media));
    let bad = Arc::new(BadCache { media, bad: AtomicBool::new(false) });
    let mut subject = Subject::on(1, kind, Arc::clone(&bad) as Arc<dyn Media>);
    let space = subject.space();
    let content = data(1, 50_001);
    subject.put_pages(space, "k", &content);
    let record = subject.record(space, "k");
    bad.bad.store(true, Ordering::Relaxed);
    // The tags, too.
    let reader = block_on(subject.engine().page_reader(&record)).unwrap();
    let pages: Vec<u32> = (0..reader.pages()).rev().collect();
    assert!(read_pages(&reader, &pages).unwrap() == pages_of(&content, &pages));
    assert_eq!(subject.engine().stats().corruptions, 0);
}

#[test]
fn threads_read_right_while_the_reader_follows() {
    let mut subject = Subject::simulated(1);
    let space = subject.space();
    let content = data(1, 20_000);
    let reader = subject.put_pages(space, "k", &content);
    let (done, reader) = (AtomicBool::new(false), &reader);
    std::thread::scope(|scope| {
        for first in 0..3 {
            let (content, done) = (&content, &done);
            scope.spawn(move || {
                let pages = [first, first + 1, 0, 4];
                while !done.load(Ordering::Relaxed) {
                    let found = read_pages(reader, &pages).unwrap();
                    assert!(found == pages_of(content, &pages));
                }
            });
        }
        for round in 0..10 {
            // What moves with it fills the zones of survivors, and goes one round later.
            for name in ["dying", "moving", "dying too"] {
                subject.put(space, &format!("{name} {round}"), Keep::Null, data(round, 25_000));
            }
            subject.remove(space, &format!("dying {round}"));
            subject.remove(space, &format!("dying too {round}"));
            if round > 0 {
                subject.remove(space, &format!("moving {}", round - 1));
            }
            subject.reclaim(space);
            reader.follow().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let moved = subject.engine().stats().reclaim_moved_bytes;
    assert!(moved >= 10 * 20_000, "{moved} bytes moved");
}
