//! Which metadata keys of an index are searched as text, and whether all rows can be found by one.
//!
//! - A text part of a segment that an older release's analyzer made is *outdated*: it answers until
//!   upkeep has put one of this release in its place.
//! - Which parts are outdated is read off their heads when the index is opened. None becomes so
//!   afterwards, so the set only shrinks.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use storage_engine::limits::PAGE_MAX;

use super::Index;
use crate::error::{Error, Result};
use crate::member::{Member, Rows};
use crate::row::{IndexSettings, TextField};
use crate::store::{Part, SegmentId, Store, part_name, texts_prefix};
use crate::text::TextIndex;

/// Whether a field can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextState {
    /// Some rows cannot be found by it yet.
    Building,
    /// All rows can, some of them by what the analyzer of an older release made of their texts.
    Rebuilding,
    /// All rows can.
    Active,
}

/// Names of text parts that an older release's analyzer made.
#[derive(Debug, Default)]
pub(crate) struct OutdatedTexts(Mutex<HashSet<Bytes>>);

impl OutdatedTexts {
    /// Looks at the text parts of these segments. One that cannot be read is not among them: damage
    /// is an error of the query that meets it.
    pub(super) async fn of(store: &Store, segments: &[SegmentId]) -> Result<Self> {
        let mut outdated = HashSet::new();
        for segment in segments {
            for name in store.names(&texts_prefix(*segment), None, PAGE_MAX)? {
                match is_current(store, &name).await {
                    Ok(true) => {}
                    Ok(false) => drop(outdated.insert(name)),
                    Err(Error::Corrupt(_) | Error::Storage(storage_engine::Error::Corrupt(_))) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Self(Mutex::new(outdated)))
    }

    /// True when the part is one of them.
    pub(crate) fn contains(&self, name: &Bytes) -> bool {
        self.0.lock().contains(name)
    }

    /// Says that the part is none of them any more.
    pub(crate) fn remove(&self, name: &Bytes) {
        self.0.lock().remove(name);
    }
}

async fn is_current(store: &Store, name: &Bytes) -> Result<bool> {
    let Some(record) = store.record(name).await? else { return Ok(true) };
    let head = TextIndex::HEAD_BYTES.min(record.entry.size);
    TextIndex::is_head_current(&record.into_reader(0..head).collect().await?)
}

impl Index {
    /// Changes which fields can be searched as text. New ones are built in the background.
    pub async fn set_text(&self, text: Vec<TextField>) -> Result<()> {
        let _turn = self.inner.lane.lock().await;
        let mut settings = self.inner.settings.write();
        *settings = Arc::new(IndexSettings { text, ..IndexSettings::clone(&settings) });
        drop(settings);
        self.inner.shared.wake();
        Ok(())
    }

    /// Whether all rows can be found by a field.
    pub fn text_state(&self, field: &TextField) -> TextState {
        let inner = &self.inner;
        let part = Part::Text(field.part_name());
        let mut all = TextState::Active;
        for Member { rows, .. } in inner.state().members() {
            let Rows::Sealed(sealed) = rows else { continue };
            let name = part_name(sealed.id, &part);
            if matches!(inner.store.engine.current(inner.store.space, &name), Ok(Some(_))) {
                if inner.outdated_texts.contains(&name) {
                    all = TextState::Rebuilding;
                }
            } else if !matches!(sealed.is_there(), Ok(false)) {
                // What took the place of a segment that is gone was built with the field.
                return TextState::Building;
            }
        }
        all
    }
}
