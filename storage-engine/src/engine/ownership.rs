//! Who owns the device: the root object is read, or made, and its epoch raised.

use crate::cipher::{MasterKey, SpaceKey, space_context};
use crate::environment::Environment;
use crate::error::{Corruption, Error, Result};
use crate::format::Root;
use crate::id::{EPOCH_MAX, Epoch, ROOT_SPACE};
use crate::journal::replay::read_header;
use crate::media::Media;
use crate::zone::{FIRST_ZONES, ZONE_IDS_STEP, zone_ids_end};

/// Reads or makes the root object and raises the epoch: from here on every earlier owner is fenced.
pub(crate) fn take_ownership(
    environment: &dyn Environment,
    media: &dyn Media,
    master: &dyn MasterKey,
) -> Result<Root> {
    let root = match media.root()? {
        Some(bytes) => {
            let held = read_root(&bytes)?;
            // The key is tried before anything is changed.
            SpaceKey::open(master, &held.key, &space_context(&held.store, ROOT_SPACE))?;
            let epoch = next_epoch(held.epoch)?;
            let zone_ids_end = zone_ids_end(held.zone_ids_end)?;
            Root { epoch, zone_ids_end, ..held }
        }
        None => {
            refuse_orphans(media)?;
            check_room(media)?;
            let mut store = [0; 16];
            environment.fill_random(&mut store);
            let context = space_context(&store, ROOT_SPACE);
            let (_, key) = SpaceKey::create(environment, master, &context)?;
            Root {
                partitions: 1,
                epoch: Epoch(1),
                store,
                created_ms: environment.now_ms(),
                zone_ids_end: 1 + ZONE_IDS_STEP,
                key,
            }
        }
    };
    media.replace_root(root.epoch, &root.encode())?;
    Ok(root)
}

fn next_epoch(held: Epoch) -> Result<Epoch> {
    if held >= EPOCH_MAX {
        let reason = "the store was opened as often as it can be: copy it to a new one".to_owned();
        return Err(Error::Stopped { reason });
    }
    Ok(Epoch(held.0 + 1))
}

/// Errs when a new store could never take a write. An old one opens in any room, so that what is in
/// it can be read and removed.
fn check_room(media: &dyn Media) -> Result<()> {
    let needed_bytes = FIRST_ZONES * media.zone_bytes();
    let room_bytes = media.capacity()?.total_bytes;
    if room_bytes >= needed_bytes {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a store needs room for {FIRST_ZONES} zones of {} bytes, {needed_bytes} in all, and the \
         device has {room_bytes}: give it more room, or smaller zones",
        media.zone_bytes()
    )))
}

/// Errs when zones are in use: they belong to a store whose root object is gone.
fn refuse_orphans(media: &dyn Media) -> Result<()> {
    for zone in media.list()? {
        if read_header(media, zone)?.is_some() {
            return Err(Error::Corrupt(Corruption {
                zone: None,
                offset: 0,
                what: "root object",
                expected: format!("one, as zone {zone} is in use"),
                found: "none".to_owned(),
            }));
        }
    }
    Ok(())
}

/// Verifies and reads a root object.
pub(crate) fn read_root(bytes: &[u8]) -> Result<Root> {
    Root::decode(bytes).map_err(|malformed| {
        Error::Corrupt(Corruption {
            zone: None,
            offset: 0,
            what: "root object",
            expected: "a valid root".to_owned(),
            found: format!("bad {}", malformed.what),
        })
    })
}
