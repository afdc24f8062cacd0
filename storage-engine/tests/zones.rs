//! Zones of the smallest size, and smaller ones.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;
use storage_engine::limits::{INLINE_BYTES_MAX, ZONE_BYTES_MAX, ZONE_BYTES_MIN};
use storage_engine::media::{Media, SimEnvironment, SimMedia, SimOptions};
use storage_engine::*;

use crate::subject::{data, master, open_on};

fn open(media: &Arc<SimMedia>) -> Result<Engine> {
    let environment = Arc::new(SimEnvironment::new(1));
    Engine::open(environment, Arc::clone(media) as Arc<dyn Media>, master(), Options::default())
}

fn media_of(zone_bytes: u64, capacity_bytes: u64) -> Arc<SimMedia> {
    Arc::new(SimMedia::new(&SimOptions { zone_bytes, capacity_bytes, ..SimOptions::default() }))
}

/// Puts `len` bytes under a name in the root space.
fn put(engine: &Engine, name: Bytes, len: usize) -> Result<()> {
    let value = block_on(async {
        let mut writer = engine.writer(ROOT_SPACE, Placement::Auto, None)?;
        writer.write(Bytes::copy_from_slice(&data(len as u64, len))).await?;
        writer.finish().await
    })?;
    let meta = Bytes::from(vec![b'm'; 8_000]);
    let content = Content::Value { value, meta, stamp: Stamp::default(), label: 0 };
    let (space, keep) = (ROOT_SPACE, Keep::Null);
    let put = Operation::Put(Put { space, name, keep, content, lock: None });
    block_on(engine.commit(Batch { conditions: vec![], operations: vec![put] })).map(drop)
}

fn create_spaces(engine: &Engine, count: usize) -> Vec<SpaceId> {
    let spaces: Vec<SpaceId> = (0..count).map(|_| engine.reserve_space()).collect();
    for part in spaces.chunks(100) {
        let operations = part.iter().map(|space| Operation::CreateSpace(*space)).collect();
        block_on(engine.commit(Batch { conditions: vec![], operations })).unwrap();
    }
    spaces
}

#[test]
fn zones_of_a_size_that_cannot_work_are_refused_before_anything_is_written() {
    let sizes = [0, 4096, 16 << 10, ZONE_BYTES_MIN - 4096, ZONE_BYTES_MIN + 1, ZONE_BYTES_MAX * 2];
    for zone_bytes in sizes {
        let media = media_of(zone_bytes, 1 << 40);
        let refused = open(&media);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{zone_bytes}");
        assert_eq!(media.changes(), 0);
    }
}

#[test]
fn a_new_store_without_room_for_a_write_is_refused_before_anything_is_written() {
    let zone_bytes = 1 << 20;
    for zones in [0, 1, 6, 7] {
        let media = media_of(zone_bytes, zones * zone_bytes);
        let refused = open(&media).unwrap_err().to_string();
        assert!(refused.contains("more room, or smaller zones"), "{zones} zones: {refused}");
        assert_eq!(media.changes(), 0);
    }
    let media = media_of(zone_bytes, 8 * zone_bytes);
    let engine = open(&media).unwrap();
    for len in [1, 100_000] {
        put(&engine, Bytes::from(format!("{len}")), len).unwrap();
    }
}

#[test]
fn the_smallest_zones_take_the_largest_small_values() {
    let media = media_of(ZONE_BYTES_MIN, 64 << 20);
    let engine = open(&media).unwrap();
    let lens = [1, 28_000, 29_000, 57_000, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1];
    let name = |len: usize| Bytes::from(format!("{len}{}", "n".repeat(1_000)));
    for len in lens {
        put(&engine, name(len), len).unwrap_or_else(|error| panic!("{len} bytes: {error}"));
    }
    drop(engine);
    let engine = open(&Arc::new(media.restart())).unwrap();
    for len in lens {
        let entry = engine.current(ROOT_SPACE, &name(len)).unwrap().unwrap();
        let read = block_on(async {
            engine.load(ROOT_SPACE, &name(len), &entry).await?.read(0..u64::MAX).collect().await
        });
        assert!(read.unwrap() == *data(len as u64, len), "{len} bytes");
    }
}

#[test]
fn a_checkpoint_of_many_spaces_fits_the_smallest_zones() {
    let media = media_of(ZONE_BYTES_MIN, 64 << 20);
    let engine = open(&media).unwrap();
    let spaces = create_spaces(&engine, 3_000);
    assert!(engine.checkpoint().unwrap());
    drop(engine);
    let environment = Arc::new(SimEnvironment::new(1));
    let engine = open_on(&environment, Arc::new(media.restart())).unwrap();
    assert_eq!(engine.stats().recovery_records, 0);
    assert!(spaces.iter().all(|space| engine.is_empty(*space).unwrap()));
}
