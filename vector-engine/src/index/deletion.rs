//! Deleting every row that matches a filter.
//!
//! - It is refused as a whole, before anything is removed, while a row that matches has an owner.
//! - What fits one write is removed at one moment. More goes in several; from the first on it is not
//!   refused any more: a row that then gets an owner counts as put after the deletion, and stays.

use std::sync::Arc;

use bytes::Bytes;

use super::Index;
use super::lane::belongs;
use crate::error::{Error, Result};
use crate::fetch::{Pick, fetch};
use crate::filter::Filter;
use crate::limits::WRITE_ROWS_MAX;
use crate::listing::{self, List, ListPage};
use crate::matching::matching;
use crate::member::Member;
use crate::pages::Reading;
use crate::row::{IndexSettings, Want};
use crate::state::State;

/// How often rows are looked for anew because one of them got an owner meanwhile. It takes a writer
/// each time who binds just such a row in a moment.
const LOST_MAX: u32 = 100;

/// What happens to rows that match and have an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owned {
    Refuse,
    PassOver,
}

impl Index {
    /// Deletes every row that matches; answers how many. [`Error::Conflict`] says that nothing was
    /// removed, any other error that some may have been.
    pub async fn delete_matching(&self, filter: Filter) -> Result<u64> {
        let (mut deleted, mut lost) = (0, 0);
        let mut after = None;
        loop {
            let owned = if deleted == 0 { Owned::Refuse } else { Owned::PassOver };
            let (asked, from) = (filter.clone(), after.clone());
            let page = move |state: &Arc<State>, settings: &IndexSettings| {
                page(state, settings, &asked, from.clone(), owned)
            };
            let ListPage { rows, next } = self.read(page).await?;
            let keys: Vec<String> = rows.into_iter().map(|row| row.key).collect();
            let count = keys.len() as u64;
            match self.delete_unless_empty(keys).await {
                Ok(()) => deleted += count,
                Err(Error::Conflict(_)) if deleted > 0 => {
                    lost += 1;
                    match lost < LOST_MAX {
                        true => continue,
                        false => return Err(Error::Busy),
                    }
                }
                Err(error) => return Err(error),
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(deleted),
            }
        }
    }

    async fn delete_unless_empty(&self, keys: Vec<String>) -> Result<()> {
        match keys.is_empty() {
            true => Ok(()),
            false => self.delete(keys).await,
        }
    }
}

/// The matching rows of one write, in the order of hashes.
fn page(
    state: &State,
    settings: &IndexSettings,
    filter: &Filter,
    after: Option<Bytes>,
    owned: Owned,
) -> Result<ListPage> {
    let members: Vec<&Member> = state.members().collect();
    let mut matches = matching(&members, settings, Some(filter))?.unwrap_or_default();
    for (number, (member, matching)) in members.iter().zip(&mut matches).enumerate() {
        let with_owner = member.owned_of(matching);
        match (owned, with_owner.min()) {
            (Owned::Refuse, Some(row)) => {
                let rows = fetch(
                    &members,
                    &[Pick { member: number, row }],
                    Want::default(),
                    Reading::Once,
                )?;
                return Err(belongs(rows.first().map_or("", |row| &row.key)));
            }
            _ => *matching -= with_owner,
        }
    }
    let list = List {
        after,
        limit: WRITE_ROWS_MAX,
        page_bytes: usize::MAX,
        parts: None,
        want: Want::default(),
        filter: None,
    };
    listing::page(&members, Some(&matches), &list)
}
