//! Spaces that were made ahead: what fills a space in one batch needs it to be there.
//!
//! - Each is named in the root space from the batch that makes it to the one that uses it up, so that
//!   one that is left over, by a crash or a request that was given up, is found and dropped.
//! - What is left over by an earlier process is dropped before the first is made: no other is in use
//!   then.

use std::ops::Bound;

use bytes::Bytes;
use storage_engine::limits::PAGE_MAX;
use storage_engine::{Batch, Engine, Operation, ROOT_SPACE, Scan, ScanItem, SpaceId};

use super::error::Result;
use super::registry::{put_empty, remove};

/// What their names in the root space begin with; the space's number follows, big endian.
const PREFIX: &[u8] = b"vector-spare/";

/// Makes spares.
pub(super) struct Spares {
    engine: Engine,
    /// Set when there are no more of an earlier process.
    swept: tokio::sync::OnceCell<()>,
}

impl Spares {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine, swept: tokio::sync::OnceCell::new() }
    }

    /// An empty space, until [`Spares::use_up`] is committed or it is given back.
    pub(super) async fn take(&self) -> Result<SpaceId> {
        self.swept.get_or_try_init(|| self.sweep()).await?;
        let space = self.engine.reserve_space();
        let operations = vec![Operation::CreateSpace(space), put_empty(ROOT_SPACE, name_of(space))];
        self.engine.commit(Batch { conditions: Vec::new(), operations }).await?;
        Ok(space)
    }

    /// What makes a spare what it is filled with, in the batch that fills it.
    pub(super) fn use_up(space: SpaceId) -> Operation {
        remove(ROOT_SPACE, name_of(space))
    }

    /// Drops a spare that was not used up. One that cannot be dropped now is when the next process
    /// looks.
    pub(super) async fn give_back(&self, space: SpaceId) {
        if let Err(error) = self.drop(space).await {
            tracing::warn!(%space, %error, "an empty space is left over");
        }
    }

    async fn drop(&self, space: SpaceId) -> storage_engine::Result<()> {
        let operations = vec![Operation::DropSpace(space), Self::use_up(space)];
        self.engine.commit(Batch { conditions: Vec::new(), operations }).await?;
        Ok(())
    }

    async fn sweep(&self) -> Result<()> {
        let scan = Scan {
            prefix: Bytes::from_static(PREFIX),
            delimiter: Bytes::new(),
            from: Bound::Unbounded,
            limit: PAGE_MAX,
        };
        for item in self.engine.scan(ROOT_SPACE, &scan)?.items {
            let (ScanItem::Version { name, .. } | ScanItem::Prefix(name)) = item;
            if let Some(space) = space_of(&name) {
                self.give_back(space).await;
            }
        }
        Ok(())
    }
}

fn name_of(space: SpaceId) -> Bytes {
    [PREFIX, &space.0.to_be_bytes()].concat().into()
}

fn space_of(name: &[u8]) -> Option<SpaceId> {
    let number = name.strip_prefix(PREFIX)?.try_into().ok()?;
    Some(SpaceId(u32::from_be_bytes(number)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use storage_engine::media::{SimEnvironment, SimMedia, SimOptions, Survival};
    use storage_engine::{Missing, Options, PlainMasterKey};

    use super::{Batch, Engine, ROOT_SPACE, SpaceId, Spares, name_of, space_of};

    fn opened(media: SimMedia) -> (Arc<SimMedia>, Engine, Spares) {
        let media = Arc::new(media);
        let device = Arc::<SimMedia>::clone(&media);
        let key = Arc::new(PlainMasterKey::new([7; 32]));
        let environment = Arc::new(SimEnvironment::new(1));
        let engine = Engine::open(environment, device, key, Options::default()).unwrap();
        (media, engine.clone(), Spares::new(engine))
    }

    #[tokio::test]
    async fn a_spare_is_used_up_given_back_or_found_by_the_next_process() {
        let options = SimOptions { zone_bytes: 4 << 20, ..SimOptions::default() };
        let (media, engine, spares) = opened(SimMedia::new(&options));
        let [used, returned, lost] = [
            spares.take().await.unwrap(),
            spares.take().await.unwrap(),
            spares.take().await.unwrap(),
        ];
        let operations = vec![Spares::use_up(used)];
        engine.commit(Batch { conditions: Vec::new(), operations }).await.unwrap();
        spares.give_back(returned).await;
        let there = |engine: &Engine| {
            [used, returned, lost].map(|space| {
                let named = engine.current(ROOT_SPACE, &name_of(space)).unwrap().is_some();
                match engine.is_empty(space) {
                    Ok(empty) => (empty, named),
                    Err(storage_engine::Error::NotFound(Missing::Space(_))) => (false, named),
                    Err(error) => panic!("{error}"),
                }
            })
        };
        assert_eq!(there(&engine), [(true, false), (false, false), (true, true)]);
        let (_media, engine, spares) = opened(media.crash(Survival::Nothing));
        assert_eq!(there(&engine), [(true, false), (false, false), (true, true)]);
        let next = spares.take().await.unwrap();
        assert!(next > lost);
        assert_eq!(there(&engine), [(true, false), (false, false), (false, false)]);
    }

    #[test]
    fn a_space_is_found_in_its_name_and_in_no_other() {
        assert_eq!(space_of(&name_of(SpaceId(7))), Some(SpaceId(7)));
        for name in [&b"vector-spare/"[..], b"vector-spare/12345", b"vector-index/\0\0\0\x07"] {
            assert_eq!(space_of(name), None);
        }
    }
}
