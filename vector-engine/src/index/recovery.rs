//! How an index is opened: its segments, with what is dead in them, and the writes behind them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use roaring::RoaringBitmap;
use storage_engine::limits::PAGE_MAX;
use storage_engine::{Batch, Condition, Test};

use super::texts::OutdatedTexts;
use super::{Index, IndexInner, Lane};
use crate::delta::Delta;
use crate::engine::Shared;
use crate::error::{Error, Result};
use crate::key_hash::HashSecret;
use crate::manifest::Manifest;
use crate::member::{Member, Rows};
use crate::row::IndexSettings;
use crate::sealed::Sealed;
use crate::state::State;
use crate::store::{DeltaNumber, Store, dead_name, delta_name, manifest_name, number_of};

impl Index {
    /// Opens the index in `store`: segments, then the writes behind them.
    pub(crate) async fn open(
        shared: &Arc<Shared>,
        store: Store,
        settings: IndexSettings,
    ) -> Result<Self> {
        let manifest = load_manifest(shared, &store).await?;
        let mut state = State::default();
        let mut dead_saved = HashMap::new();
        for id in &manifest.segments {
            let sealed = Sealed::open(&store, &shared.caches, &settings, *id).await?;
            let mut member = Member::new(Rows::Sealed(sealed.into()));
            if let Some(bytes) = store.value(&dead_name(*id)).await? {
                let dead = RoaringBitmap::deserialize_from(&bytes[..])
                    .map_err(|_| Error::Corrupt(format!("segment {}: no dead rows", id.0)))?;
                if dead.max().is_some_and(|last| last >= member.len()) {
                    return Err(Error::Corrupt(format!("segment {}: dead rows of another", id.0)));
                }
                dead_saved.insert(*id, dead.len());
                member.dead = Arc::new(dead);
            }
            state.sealed.push(member);
        }
        let last_delta = replay(&store, &settings, &manifest, &mut state).await?;
        let outdated_texts = OutdatedTexts::of(&store, &manifest.segments).await?;
        let secret = manifest.secret;
        let lane = Lane { manifest, last_delta, frozen_delta: DeltaNumber::default(), dead_saved };
        let inner = IndexInner {
            store,
            shared: Arc::clone(shared),
            settings: RwLock::new(Arc::new(settings)),
            secret,
            state: RwLock::new(Arc::new(state)),
            queue: Mutex::new(VecDeque::new()),
            lane: tokio::sync::Mutex::new(lane),
            sealing: Mutex::default(),
            merging: Mutex::default(),
            outdated_texts,
            settled: tokio::sync::Notify::new(),
            gone: AtomicBool::new(false),
            written_at: Mutex::new(shared.environment.monotonic()),
            is_warm: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

async fn load_manifest(shared: &Shared, store: &Store) -> Result<Manifest> {
    let name = manifest_name();
    if let Some(bytes) = store.value(&name).await? {
        return Manifest::decode(&bytes);
    }
    let mut secret = [0; 16];
    shared.environment.fill_random(&mut secret);
    let manifest = Manifest::new(HashSecret(secret));
    let value = store.seal(manifest.encode().into()).await?;
    let condition = Condition { space: store.space, name: name.clone(), test: Test::Absent };
    let batch = Batch { conditions: vec![condition], operations: vec![store.put(name, value)] };
    store.engine.commit(batch).await?;
    Ok(manifest)
}

/// Applies the writes behind the watermark; answers the last of all.
async fn replay(
    store: &Store,
    settings: &IndexSettings,
    manifest: &Manifest,
    state: &mut State,
) -> Result<DeltaNumber> {
    let mut last = manifest.watermark;
    let mut after = Some(delta_name(manifest.watermark));
    loop {
        let names = store.names(b"d", after.take(), PAGE_MAX)?;
        let Some(end) = names.last().cloned() else { return Ok(last) };
        for name in names {
            let number = number_of(&name)
                .ok_or_else(|| Error::Corrupt("a delta without a number".to_owned()))?;
            let Some(bytes) = store.value(&name).await? else { continue };
            state.apply(settings, &manifest.secret, Delta::decode(&bytes, settings.dimension)?)?;
            last = DeltaNumber(number);
        }
        after = Some(end);
    }
}
