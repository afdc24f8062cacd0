//! Which rows a filter leaves, member by member.

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::filter::Filter;
use crate::member::{Member, Rows};
use crate::row::IndexSettings;

/// Rows below which a growing chunk is matched row by row instead of by columns.
const COLUMNS_ROWS_MIN: u32 = 1024;

/// The living rows of each member that match; none without a filter.
pub(crate) fn matching(
    members: &[&Member],
    settings: &IndexSettings,
    filter: Option<&Filter>,
) -> Result<Option<Vec<RoaringBitmap>>> {
    let Some(filter) = filter else { return Ok(None) };
    filter.check_keys(&settings.non_filterable)?;
    let all: Result<Vec<_>> =
        members.iter().map(|member| matching_of(member, settings, filter)).collect();
    Ok(Some(all?))
}

fn matching_of(
    member: &Member,
    settings: &IndexSettings,
    filter: &Filter,
) -> Result<RoaringBitmap> {
    let matches = match &member.rows {
        Rows::Growing(chunk) if chunk.len() < COLUMNS_ROWS_MIN => {
            let says = |row: &u32| chunk.row(*row).is_some_and(|row| filter.matches(&row.metadata));
            (0..chunk.len()).filter(says).collect()
        }
        Rows::Growing(chunk) => chunk.columns(settings).matches(filter, chunk.len())?,
        Rows::Sealed(sealed) => sealed.columns()?.matches(filter, sealed.len())?,
    };
    Ok(matches - member.dead.as_ref())
}
