//! Reading what rows say, for answers: keys, vectors, metadata.

use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::layout::Locator;
use crate::member::{Member, Rows};
use crate::pages::Reading;
use crate::row::{Row, Want};
use crate::sealed::Sealed;

/// A row of a member of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    /// Place of the member among those given.
    pub(crate) member: usize,
    /// The row in it.
    pub(crate) row: u32,
}

/// Reads rows; answers them in the order of `picks`. Of all members at once, what says where the rest
/// lies; then the rest.
pub(crate) fn fetch(
    members: &[&Member],
    picks: &[Pick],
    want: Want,
    reading: Reading,
) -> Result<Vec<Row>> {
    let mut found: Vec<Option<Row>> = vec![None; picks.len()];
    let mut put = |place: usize, row: Row| {
        if let Some(slot) = found.get_mut(place) {
            *slot = Some(row);
        }
    };
    let mut begun = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let own = picks.iter().enumerate().filter(|(_, pick)| pick.member == number);
        let (places, rows): (Vec<usize>, Vec<u32>) =
            own.map(|(place, pick)| (place, pick.row)).unzip();
        match &member.rows {
            _ if rows.is_empty() => {}
            Rows::Growing(chunk) => {
                for (place, row) in places.into_iter().zip(rows) {
                    put(place, growing_row(chunk, row, want)?);
                }
            }
            Rows::Sealed(sealed) => begun.push(Begun::read(sealed, places, &rows, want, reading)?),
        }
    }
    if begun.len() > 1 && reading == Reading::Again {
        begun.iter().for_each(|begun| begun.sealed.will_need_properties(&begun.locators));
    }
    for begun in begun {
        begun.finish(want, reading, &mut put)?;
    }
    let missing = || Error::Corrupt("a row that was found is not there".to_owned());
    found.into_iter().map(|row| row.ok_or_else(missing)).collect()
}

fn growing_row(chunk: &Chunk, number: u32, want: Want) -> Result<Row> {
    let row = chunk
        .row(number)
        .ok_or_else(|| Error::Corrupt("a growing row that was found is not there".to_owned()))?;
    Ok(Row {
        key: row.key.clone(),
        vector: want.data.then(|| chunk.vector(number).to_vec()),
        metadata: want.metadata.then(|| row.metadata.clone()),
    })
}

/// Rows of a sealed segment of which it is known where their properties lie.
struct Begun<'a> {
    sealed: &'a Sealed,
    /// Their places among all that are read.
    places: Vec<usize>,
    locators: Vec<Locator>,
    vectors: Vec<Option<Vec<f32>>>,
}

impl<'a> Begun<'a> {
    fn read(
        sealed: &'a Sealed,
        places: Vec<usize>,
        rows: &[u32],
        want: Want,
        reading: Reading,
    ) -> Result<Self> {
        let mut locators = vec![Locator { offset: 0, len: 0 }; rows.len()];
        let mut vectors = vec![None; rows.len()];
        sealed.read_rows(rows, reading, |place, bytes| {
            if let (Some(locator), Some(slot)) = (locators.get_mut(place), vectors.get_mut(place)) {
                *locator = bytes.locator()?;
                *slot = want.data.then(|| {
                    let mut vector = Vec::new();
                    bytes.vector_into(&mut vector);
                    vector
                });
            }
            Ok(())
        })?;
        Ok(Self { sealed, places, locators, vectors })
    }

    fn finish(self, want: Want, reading: Reading, put: &mut impl FnMut(usize, Row)) -> Result<()> {
        let said = self.sealed.read_properties(&self.locators, reading)?;
        for ((place, said), vector) in self.places.into_iter().zip(said).zip(self.vectors) {
            let metadata = want.metadata.then_some(said.metadata);
            put(place, Row { key: said.key, vector, metadata });
        }
        Ok(())
    }
}
