//! A column's values, row by row, with nulls and lists put together from their levels.
//!
//! A level of repetition of 0 begins a row. A level of definition says how much of a value is there:
//! from the outside to the inside the list, its items, the item.

use std::fs::File;
use std::sync::Arc;

use super::footer::Chunk;
use super::page::{Page, Pages};
use super::schema::{Leaf, Shape};
use super::values::Datum;

/// A part of what a row has in a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// There is no value or no list.
    Null,
    /// The list has no items.
    Empty,
    /// The list has an item that is null.
    NullItem,
    /// The value, or an item of the list.
    Value(Datum),
}

/// Rows of a chunk.
pub(super) struct ChunkRows {
    pages: Pages,
    shape: Shape,
    page: Option<Page>,
    /// Levels that were read ahead.
    ahead: Option<Levels>,
}

/// Levels of a value that is not read yet.
#[derive(Debug, Clone, Copy)]
struct Levels {
    repetition: u32,
    definition: u32,
}

impl ChunkRows {
    /// Reads them where they lie.
    pub(super) fn new(file: Arc<File>, chunk: Chunk, leaf: Leaf) -> Self {
        let pages = Pages::new(file, chunk, leaf);
        Self { pages, shape: leaf.shape, page: None, ahead: None }
    }

    /// Hands out the parts of the next row.
    pub(super) fn read(
        &mut self,
        mut take: impl FnMut(Entry) -> Result<(), String>,
    ) -> Result<(), String> {
        let first = self.next_levels()?.ok_or("it ends before the other columns")?;
        if first.repetition > 0 {
            return Err("it goes on with a list that has not begun".to_owned());
        }
        let entry = self.entry(first.definition)?;
        let is_list = matches!(entry, Entry::NullItem | Entry::Value(_));
        take(entry)?;
        if let Shape::One { .. } = self.shape {
            return Ok(());
        }
        while let Some(levels) = self.next_levels()? {
            if levels.repetition == 0 {
                self.ahead = Some(levels);
                break;
            }
            match self.entry(levels.definition)? {
                entry @ (Entry::NullItem | Entry::Value(_)) if is_list => take(entry)?,
                _ => return Err("it goes on with a list that is not there".to_owned()),
            }
        }
        Ok(())
    }

    /// Insists that there are no more rows.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.next_levels()? {
            None => Ok(()),
            Some(_) => Err("it goes on behind the other columns".to_owned()),
        }
    }

    fn next_levels(&mut self) -> Result<Option<Levels>, String> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        loop {
            if let Some(page) = self.page.as_mut().filter(|page| page.left > 0) {
                page.left -= 1;
                let levels = Levels {
                    repetition: page.repetition.next()?,
                    definition: page.definition.next()?,
                };
                return Ok(Some(levels));
            }
            // Its bytes go before those of the next one come.
            self.page = None;
            self.page = self.pages.next()?;
            if self.page.is_none() {
                return Ok(None);
            }
        }
    }

    fn entry(&mut self, definition: u32) -> Result<Entry, String> {
        let max = self.shape.definition_max();
        if definition == max {
            let page = self.page.as_mut().ok_or("it has no page")?;
            return page.values.next().map(Entry::Value);
        }
        let empty = match self.shape {
            Shape::One { .. } => max,
            Shape::List { nullable, .. } => u32::from(nullable),
        };
        match definition {
            level if level < empty => Ok(Entry::Null),
            level if level == empty => Ok(Entry::Empty),
            level if level < max => Ok(Entry::NullItem),
            level => Err(format!("a level of {level}; at most {max}")),
        }
    }
}
