//! What keeps a broken file from ending the process: the crate `parquet` panics on some, and makes
//! room for as many values as a page says that it has.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use ::parquet::bloom_filter::Sbbf;
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::RowGroupMetaData;
use ::parquet::file::reader::RowGroupReader;
use ::parquet::record::reader::RowIter;
use ::parquet::schema::types::Type;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Makes calls of the crate; a panic is an error like others, and nothing of it is printed.
pub(super) fn guarded<T>(calls: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                hook(panic);
            }
        }));
    });
    GUARDED.set(true);
    // What was called is not called again: an import ends at the first error.
    let outcome = catch_unwind(AssertUnwindSafe(calls));
    GUARDED.set(false);
    outcome.unwrap_or_else(|panic| Err(unreadable(words(&*panic))))
}

/// An error of the crate, in words.
pub(super) fn told(error: ParquetError) -> String {
    match error {
        ParquetError::General(why) | ParquetError::NYI(why) | ParquetError::EOF(why) => {
            unreadable(&why)
        }
        other => unreadable(&other.to_string()),
    }
}

fn unreadable(why: &str) -> String {
    format!("not a parquet file that can be read: {why}")
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

/// A row group whose pages have not more values than there can be.
pub(super) struct Checked<'a>(pub(super) Box<dyn RowGroupReader + 'a>);

impl RowGroupReader for Checked<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.0.metadata()
    }

    fn num_columns(&self) -> usize {
        self.0.num_columns()
    }

    fn get_column_page_reader(&self, nth: usize) -> ParquetResult<Box<dyn PageReader>> {
        let left = u64::try_from(self.metadata().column(nth).num_values()).unwrap_or_default();
        Ok(Box::new(Pages { pages: self.0.get_column_page_reader(nth)?, left }))
    }

    fn get_column_bloom_filter(&self, nth: usize) -> Option<&Sbbf> {
        self.0.get_column_bloom_filter(nth)
    }

    fn get_row_iter(&self, schema: Option<Type>) -> ParquetResult<RowIter<'_>> {
        self.0.get_row_iter(schema)
    }
}

struct Pages {
    pages: Box<dyn PageReader>,
    /// Values that are not read, by the footer.
    left: u64,
}

impl Pages {
    fn check(&mut self, page: &Page) -> ParquetResult<()> {
        let values = page.num_values();
        if let Page::DictionaryPage { buf, .. } = page {
            // A value has at least a byte.
            return match values as usize > buf.len() {
                true => {
                    let why = format!("a dictionary of {values} values in {} bytes", buf.len());
                    Err(ParquetError::General(why))
                }
                false => Ok(()),
            };
        }
        let left = self.left.checked_sub(u64::from(values)).ok_or_else(|| {
            ParquetError::General(format!("a page of {values} values where {} are left", self.left))
        })?;
        self.left = left;
        Ok(())
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.map(|page| self.check(&page).map(|()| page)).transpose()
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
