//! Reading what rows say, for answers: keys, vectors, metadata.

use crate::error::{Error, Result};
use crate::layout::Locator;
use crate::member::{Member, Rows};
use crate::metadata::Metadata;
use crate::pages::Reading;
use crate::row::{Row, Want};

/// A row of a member of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    /// Place of the member among those given.
    pub(crate) member: usize,
    /// The row in it.
    pub(crate) row: u32,
}

/// Reads rows; answers them in the order of `picks`. One batch a member for vectors, one for the rest.
pub(crate) fn fetch(
    members: &[&Member],
    picks: &[Pick],
    want: Want,
    reading: Reading,
) -> Result<Vec<Row>> {
    let mut found: Vec<Option<Row>> = vec![None; picks.len()];
    for (number, member) in members.iter().enumerate() {
        let own: Vec<(usize, u32)> = picks
            .iter()
            .enumerate()
            .filter(|(_, pick)| pick.member == number)
            .map(|(place, pick)| (place, pick.row))
            .collect();
        if own.is_empty() {
            continue;
        }
        let rows = fetch_member(member, &own, want, reading)?;
        for ((place, _), row) in own.iter().zip(rows) {
            if let Some(slot) = found.get_mut(*place) {
                *slot = Some(row);
            }
        }
    }
    let missing = || Error::Corrupt("a row that was found is not there".to_owned());
    found.into_iter().map(|row| row.ok_or_else(missing)).collect()
}

fn fetch_member(
    member: &Member,
    own: &[(usize, u32)],
    want: Want,
    reading: Reading,
) -> Result<Vec<Row>> {
    match &member.rows {
        Rows::Growing(chunk) => own
            .iter()
            .map(|(_, number)| {
                let row = chunk.row(*number).ok_or_else(|| {
                    Error::Corrupt("a growing row that was found is not there".to_owned())
                })?;
                Ok(Row {
                    key: row.key.clone(),
                    vector: want.data.then(|| chunk.vector(*number).to_vec()),
                    metadata: want.metadata.then(|| row.metadata.clone()),
                })
            })
            .collect(),
        Rows::Sealed(sealed) => {
            let rows: Vec<u32> = own.iter().map(|(_, row)| *row).collect();
            let nowhere = Locator { offset: 0, len: 0 };
            let mut read: Vec<(Locator, Option<Vec<f32>>)> = vec![(nowhere, None); rows.len()];
            sealed.read_rows(&rows, reading, |place, bytes| {
                if let Some(slot) = read.get_mut(place) {
                    slot.0 = bytes.locator()?;
                    slot.1 = want.data.then(|| {
                        let mut vector = Vec::new();
                        bytes.vector_into(&mut vector);
                        vector
                    });
                }
                Ok(())
            })?;
            let locators: Vec<Locator> = read.iter().map(|(locator, _)| *locator).collect();
            let properties = sealed.read_properties(&locators, reading)?;
            let row = |(said, (_, vector)): (crate::properties::Properties, _)| Row {
                key: said.key,
                vector,
                metadata: want.metadata.then(|| Metadata::clone(&said.metadata)),
            };
            Ok(properties.into_iter().zip(read).map(row).collect())
        }
    }
}
