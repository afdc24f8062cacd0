//! The rows of an index that have an owner, for whoever keeps the owners.

use crate::error::Result;
use crate::index::Index;
use crate::layout::Locator;
use crate::member::{Member, Rows};
use crate::pages::Reading;
use crate::row::Owner;
use crate::sealed::Sealed;

/// Rows read at once: their pages are one batch.
const RUN_ROWS: usize = 256;

impl Index {
    /// How many rows have an owner.
    pub fn owned_rows(&self) -> u64 {
        let owned = |member: &Member| match &member.rows {
            Rows::Growing(chunk) => {
                let living = chunk.living(&member.dead);
                living.filter(|row| member.is_owned(*row)).count() as u64
            }
            Rows::Sealed(sealed) => sealed.resident.owned.difference_len(&member.dead),
        };
        self.inner.state().members().map(owned).sum()
    }

    /// Shows the key and the owner of every row that has one, as of one moment. Blocks, and keeps no
    /// more than some pages in memory.
    pub fn for_each_owned<E: From<crate::Error>>(
        &self,
        mut each: impl FnMut(String, Owner) -> Result<(), E>,
    ) -> Result<(), E> {
        let state = self.inner.state();
        for Member { rows, dead } in state.members() {
            match rows {
                Rows::Growing(chunk) => {
                    for row in chunk.living(dead).filter_map(|row| chunk.row(row)) {
                        if let Some(owner) = row.owner {
                            each(row.key.clone(), owner)?;
                        }
                    }
                }
                Rows::Sealed(sealed) => {
                    let owned = &sealed.resident.owned - dead.as_ref();
                    let mut rows = owned.iter();
                    loop {
                        let run: Vec<u32> = rows.by_ref().take(RUN_ROWS).collect();
                        if run.is_empty() {
                            break;
                        }
                        for (key, owner) in owners(sealed, &run)? {
                            each(key, owner)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn owners(sealed: &Sealed, rows: &[u32]) -> Result<Vec<(String, Owner)>> {
    let mut locators: Vec<Locator> = Vec::with_capacity(rows.len());
    sealed.read_rows(rows, Reading::Once, |_, row| {
        locators.push(row.locator()?);
        Ok(())
    })?;
    let said = sealed.read_properties(&locators, Reading::Once)?;
    Ok(said.into_iter().filter_map(|said| Some((said.key, said.owner?))).collect())
}
