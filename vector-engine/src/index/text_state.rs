//! Which metadata keys of an index are searched as text, and whether all rows can be found by one.

use std::sync::Arc;

use super::Index;
use crate::error::Result;
use crate::member::{Member, Rows};
use crate::row::{IndexSettings, TextField};
use crate::store::{Part, part_name};

/// Whether a field can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextState {
    /// Some rows cannot be found by it yet.
    Building,
    /// All rows can.
    Active,
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
        let state = self.inner.state();
        let part = Part::Text(field.part_name());
        let built = |member: &Member| match &member.rows {
            Rows::Growing(_) => true,
            Rows::Sealed(sealed) => {
                let name = part_name(sealed.id, &part);
                let found = self.inner.store.engine.current(self.inner.store.space, &name);
                // What took the place of a segment that is gone was built with the field.
                matches!(found, Ok(Some(_))) || matches!(sealed.is_there(), Ok(false))
            }
        };
        match state.members().all(built) {
            true => TextState::Active,
            false => TextState::Building,
        }
    }
}
