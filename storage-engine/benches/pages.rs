//! How fast single pages of a large value are read from the page cache, on one thread.
//!
//! `cargo run --release -p storage-engine --example pages -- DIRECTORY [MIB]` writes a value of MIB
//! (1024) in pages, reads all of it once, then random pages in batches, and says what a page takes
//! of the thread's processor time, and of that the device read and the cipher, each measured alone.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use futures::executor::block_on;
use rustix::time::{ClockId, clock_gettime};
use storage_engine::format::{ZONE_DATA_OFFSET, ZoneClass, ZoneHeader};
use storage_engine::limits::PAGE_BYTES;
use storage_engine::media::{FileMedia, FileMediaOptions, Media, SeededRandom};
use storage_engine::{
    Batch, Content, Engine, Environment, Keep, Operation, Options, PageReader, Placement,
    PlainMasterKey, Put, Stamp, SystemEnvironment, ZoneId,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PIECE_BYTES: usize = 1024 * 1024;
/// Each figure is the best of so many rounds of so long.
const ROUNDS: usize = 5;
const ROUND_S: f64 = 0.5;
const PAGE: u64 = PAGE_BYTES as u64;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (directory, mib) = match words.as_slice() {
        [directory] => (PathBuf::from(directory), 1024),
        [directory, mib] => (PathBuf::from(directory), mib.parse()?),
        _ => return Err("usage: pages DIRECTORY [MIB]".into()),
    };
    let store = directory.join("pages-bench");
    std::fs::create_dir_all(&store)?;
    let measured = measure(store.clone(), mib);
    std::fs::remove_dir_all(&store)?;
    measured
}

fn measure(store: PathBuf, mib: usize) -> Outcome<()> {
    let environment = Arc::new(SystemEnvironment::new(None));
    let media = Arc::new(FileMedia::open(&FileMediaOptions::new(store))?);
    let engine = Engine::open(
        Arc::clone(&environment) as Arc<dyn Environment>,
        Arc::clone(&media) as Arc<dyn Media>,
        Arc::new(PlainMasterKey::new([9; 32])),
        Options { background: false, ..Options::default() },
    )?;
    let began = environment.monotonic();
    let reader = block_on(fill(&engine, mib))?;
    let wrote = (environment.monotonic() - began).as_secs_f64();
    println!("wrote {mib} MiB in pages: {:.0} MiB/s", mib as f64 / wrote);
    let all: Vec<u32> = (0..reader.pages()).collect();
    let mut room = vec![0; 256 * PAGE_BYTES];
    let began = environment.monotonic();
    for pages in all.chunks(256) {
        reader.read(pages, &mut room[..pages.len() * PAGE_BYTES])?;
    }
    let took = (environment.monotonic() - began).as_secs_f64();
    println!("first read, in order, 256 pages at a time: {:.0} MiB/s", mib as f64 / took);
    let mut random = SeededRandom::new(7);
    let mut pages = vec![0; 1 << 16];
    pages.fill_with(|| random.position(all.len()) as u32);
    for batch in [1, 8, 64] {
        let mut batches = pages.chunks_exact(batch).cycle();
        let room = &mut room[..batch * PAGE_BYTES];
        let page_us = best_us(batch, &mut || {
            let batch = batches.next().ok_or("no batch")?;
            Ok(reader.read(batch, room)?)
        })?;
        println!("batches of {batch:>2}: {page_us:.2} µs a page, {:.0} pages/s", 1e6 / page_us);
    }
    let places = random_places(media.as_ref(), &mut random)?;
    let mut page = [0; PAGE_BYTES];
    for (zone, offset) in &places {
        media.read(*zone, *offset, &mut page)?;
    }
    let mut next = places.iter().cycle();
    let read_us = best_us(1, &mut || {
        let (zone, offset) = next.next().ok_or("no place")?;
        if !media.read_cached(*zone, *offset, &mut page)? {
            media.read(*zone, *offset, &mut page)?;
        }
        Ok(())
    })?;
    println!("of it the medium, alone: {read_us:.2} µs");
    println!("of it the cipher, alone: {:.2} µs", open_us()?);
    println!(
        "and a look at where the blob lies: {:.3} µs",
        best_us(1, &mut || { Ok(reader.follow()?) })?
    );
    Ok(())
}

async fn fill(engine: &Engine, mib: usize) -> Outcome<PageReader> {
    let space = engine.reserve_space();
    let make = Batch { operations: vec![Operation::CreateSpace(space)], ..Batch::default() };
    engine.commit(make).await?;
    let len = (mib * PIECE_BYTES) as u64;
    let mut writer = engine.writer(space, Placement::Pages, Some(len))?;
    let mut piece = vec![0; PIECE_BYTES];
    SeededRandom::new(3).fill(&mut piece);
    let piece = Bytes::from(piece);
    for _ in 0..mib {
        writer.write(piece.clone()).await?;
    }
    let value = writer.finish().await?;
    let (meta, stamp, label) = (Bytes::new(), Stamp::default(), 0);
    let content = Content::Value { value, meta, stamp, label };
    let name = Bytes::from_static(b"pages");
    let put = Put { space, name: name.clone(), keep: Keep::Null, content, lock: None };
    engine.commit(Batch { operations: vec![Operation::Put(put)], ..Batch::default() }).await?;
    let entry = engine.current(space, &name)?.ok_or("it was put")?;
    let record = engine.load(space, &name, &entry).await?;
    Ok(engine.page_reader(&record).await?)
}

/// Sectors of data zones, at random.
fn random_places(media: &FileMedia, random: &mut SeededRandom) -> Outcome<Vec<(ZoneId, u64)>> {
    let mut zones = Vec::new();
    for zone in media.list()? {
        let mut header = [0; 128];
        media.read(zone, 0, &mut header)?;
        if ZoneHeader::decode(&header).is_ok_and(|header| header.class == ZoneClass::Data) {
            zones.push(zone);
        }
    }
    // The last one is not full, and what was never written is in no cache.
    zones.pop();
    let sectors = (media.zone_bytes() - ZONE_DATA_OFFSET) / PAGE;
    let place = |_| {
        let offset = ZONE_DATA_OFFSET + random.below(sectors) * PAGE;
        (zones[random.position(zones.len())], offset)
    };
    Ok((0..1 << 16).map(place).collect())
}

/// What it takes to copy a sealed page and open it, without the copy.
fn open_us() -> Outcome<f64> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[5; 32])?);
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let mut sealed = [0; PAGE_BYTES];
    let aad = [2; 18];
    let tag = key.seal_in_place_separate_tag(nonce(), Aad::from(aad), &mut sealed)?;
    let mut page = [0; PAGE_BYTES];
    let copied_us = best_us(1, &mut || {
        page.copy_from_slice(std::hint::black_box(&sealed));
        std::hint::black_box(&mut page);
        Ok(())
    })?;
    let opened_us = best_us(1, &mut || {
        page.copy_from_slice(std::hint::black_box(&sealed));
        key.open_in_place_separate_tag(nonce(), Aad::from(aad), tag.as_ref(), &mut page)?;
        Ok(())
    })?;
    Ok(opened_us - copied_us)
}

/// What one of the `count` things that `work` does takes of this thread's processor time, in
/// microseconds.
fn best_us(count: usize, work: &mut dyn FnMut() -> Outcome<()>) -> Outcome<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = processor_s();
        let mut done = 0;
        let mut took = 0.0;
        while took < ROUND_S {
            for _ in 0..64 {
                work()?;
            }
            done += 64 * count;
            took = processor_s() - began;
        }
        best = best.min(took * 1e6 / done as f64);
    }
    Ok(best)
}

fn processor_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
