//! The rows of a term, ascending, each with how often it has the term.
//!
//! A *posting* is the rows left out since the one before, times two, plus one when the row has the
//! term once; else the times follow. Up to 128 rows: postings, nothing else. More: how often a row
//! has the term at most, the length of a row at least; then blocks of 128 postings (the last: what
//! is left), each after: the rows left out up to its last row, its bytes, and how often at most and
//! the length at least as above, of the block. All numbers are variable ([`super::varint`]).

use storage_engine::format::Malformed;

use super::varint;

/// Postings of a block: small enough to skip finely, large enough that its head costs little.
pub(super) const BLOCK_POSTINGS: u32 = 128;
/// The row of a cursor that has no more: no index has so many rows.
pub(super) const END: u32 = u32::MAX;

const MALFORMED: Malformed = Malformed::new("postings");

/// What no posting of a term or block exceeds: the most that it can score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ceiling {
    /// How often a row has the term at most.
    pub(super) times: u32,
    /// Terms of a row at least.
    pub(super) length: u32,
}

impl Ceiling {
    /// That of rows about which nothing is known.
    const NONE: Self = Self { times: u32::MAX, length: 0 };

    fn of(postings: &[(u32, u32)], lengths: &[u16]) -> Self {
        let length = |row: u32| lengths.get(row as usize).copied().unwrap_or_default();
        Self {
            times: postings.iter().map(|&(_, times)| times).max().unwrap_or_default(),
            length: postings.iter().map(|&(row, _)| length(row)).min().unwrap_or_default().into(),
        }
    }

    fn put(self, out: &mut Vec<u8>) {
        varint::put(out, self.times.into());
        varint::put(out, self.length.into());
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let times = varint::take_u32(bytes)?;
        Some(Self { times, length: varint::take_u32(bytes)? })
    }
}

/// Appends the postings `(row, times)` of a term; `lengths` are those of all rows.
pub(super) fn put(out: &mut Vec<u8>, postings: &[(u32, u32)], lengths: &[u16]) {
    let mut next = 0;
    if postings.len() <= BLOCK_POSTINGS as usize {
        put_run(out, postings, &mut next);
        return;
    }
    Ceiling::of(postings, lengths).put(out);
    let mut run = Vec::new();
    for block in postings.chunks(BLOCK_POSTINGS as usize) {
        let last = block.last().map_or(next, |&(row, _)| row);
        varint::put(out, (last - next).into());
        run.clear();
        put_run(&mut run, block, &mut next);
        varint::put(out, run.len() as u64);
        Ceiling::of(block, lengths).put(out);
        out.extend_from_slice(&run);
    }
}

fn put_run(out: &mut Vec<u8>, postings: &[(u32, u32)], next: &mut u32) {
    for &(row, times) in postings {
        let skipped = u64::from(row - *next);
        if times == 1 {
            varint::put(out, skipped << 1 | 1);
        } else {
            varint::put(out, skipped << 1);
            varint::put(out, times.into());
        }
        *next = row + 1;
    }
}

/// Goes through the rows of a term.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    /// The row it stands at, [`END`] behind the last one.
    pub(super) row: u32,
    /// How often that row has the term.
    pub(super) times: u32,
    /// What no row of the term exceeds.
    pub(super) ceiling: Ceiling,
    /// What is left of the block.
    run: &'a [u8],
    run_left: u32,
    /// The first row that the next posting can be.
    next: u32,
    /// The last row of the block; unknown where there is only one.
    last: Option<u32>,
    /// The blocks after it.
    rest: &'a [u8],
    rest_left: u32,
}

impl<'a> Cursor<'a> {
    /// Stands at the first of `rows` rows.
    pub(super) fn new(rows: u32, mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        let blocks = rows > BLOCK_POSTINGS;
        let ceiling = if blocks { Ceiling::take(&mut bytes) } else { Some(Ceiling::NONE) };
        let (run, rest) = if blocks { (&[][..], bytes) } else { (bytes, &[][..]) };
        let (run_left, rest_left) = if blocks { (0, rows) } else { (rows, 0) };
        let ceiling = ceiling.ok_or(MALFORMED)?;
        let mut cursor =
            Self { row: 0, times: 0, ceiling, run, run_left, next: 0, last: None, rest, rest_left };
        cursor.advance()?;
        Ok(cursor)
    }

    /// Goes to the next row.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<(), Malformed> {
        if self.run_left == 0 {
            self.finish_block()?;
            if self.rest_left == 0 {
                self.row = END;
                return Ok(());
            }
            self.open_block()?;
        }
        self.run_left -= 1;
        let word = varint::take(&mut self.run).ok_or(MALFORMED)?;
        self.times = match word & 1 {
            1 => 1,
            _ => varint::take_u32(&mut self.run).ok_or(MALFORMED)?,
        };
        let skipped = u32::try_from(word >> 1).map_err(|_| MALFORMED)?;
        self.row = self.next.checked_add(skipped).filter(|&row| row < END).ok_or(MALFORMED)?;
        self.next = self.row + 1;
        Ok(())
    }

    /// Goes to the first row that is not before `row`, past whole blocks without reading them.
    pub(super) fn advance_to(&mut self, row: u32) -> Result<(), Malformed> {
        if self.row >= row {
            return Ok(());
        }
        while self.last.is_some_and(|last| last < row) {
            self.next = self.last.map_or(self.next, |last| last + 1);
            self.last = None;
            self.run = &[];
            self.run_left = 0;
            if self.rest_left == 0 {
                self.row = END;
                return Ok(());
            }
            self.open_block()?;
        }
        while self.row < row {
            self.advance()?;
        }
        Ok(())
    }

    /// Errs unless the block was what its head said.
    fn finish_block(&mut self) -> Result<(), Malformed> {
        let as_said = self.last.take().is_none_or(|last| last == self.row);
        if as_said && self.run.is_empty() { Ok(()) } else { Err(MALFORMED) }
    }

    fn open_block(&mut self) -> Result<(), Malformed> {
        let mut take = || {
            let skipped = varint::take_u32(&mut self.rest)?;
            let bytes = usize::try_from(varint::take(&mut self.rest)?).ok()?;
            Ceiling::take(&mut self.rest)?;
            let (run, rest) = self.rest.split_at_checked(bytes)?;
            self.rest = rest;
            self.run = run;
            self.next.checked_add(skipped).filter(|&last| last < END)
        };
        self.last = Some(take().ok_or(MALFORMED)?);
        self.run_left = self.rest_left.min(BLOCK_POSTINGS);
        self.rest_left -= self.run_left;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: u32) -> (Vec<(u32, u32)>, Vec<u16>) {
        let postings: Vec<_> = (0..rows).map(|n| (n * n % 7 + n * 9 + 3, n % 5 + 1)).collect();
        let lengths = vec![9; postings.last().map_or(0, |&(row, _)| row as usize + 1)];
        (postings, lengths)
    }

    #[test]
    fn rows_are_read_back_one_by_one() {
        for rows in [1, 2, 127, 128, 129, 256, 257, 1000] {
            let (postings, lengths) = sample(rows);
            let mut bytes = Vec::new();
            put(&mut bytes, &postings, &lengths);
            let mut cursor = Cursor::new(rows, &bytes).unwrap();
            for &(row, times) in &postings {
                assert_eq!((cursor.row, cursor.times), (row, times));
                cursor.advance().unwrap();
            }
            assert_eq!(cursor.row, END);
            cursor.advance().unwrap();
            assert_eq!(cursor.row, END);
        }
    }

    #[test]
    fn a_cursor_goes_to_the_first_row_not_before_the_one_asked_for() {
        for rows in [1, 128, 129, 1000] {
            let (postings, lengths) = sample(rows);
            let mut bytes = Vec::new();
            put(&mut bytes, &postings, &lengths);
            let rows_end = lengths.len() as u32;
            for step in [1, 5, 100, 1151, 4000] {
                let mut cursor = Cursor::new(rows, &bytes).unwrap();
                for target in (0..rows_end + 2 * step).step_by(step as usize) {
                    cursor.advance_to(target).unwrap();
                    let expected = postings.iter().find(|&&(row, _)| row >= target);
                    assert_eq!(cursor.row, expected.map_or(END, |&(row, _)| row));
                    if let Some(&(_, times)) = expected {
                        assert_eq!(cursor.times, times);
                    }
                }
            }
        }
    }

    #[test]
    fn cut_off_postings_are_malformed() {
        for rows in [3, 300] {
            let (postings, lengths) = sample(rows);
            let mut bytes = Vec::new();
            put(&mut bytes, &postings, &lengths);
            for len in 0..bytes.len() {
                let read = Cursor::new(rows, &bytes[..len]).and_then(|mut cursor| {
                    while cursor.row < END {
                        cursor.advance()?;
                    }
                    Ok(())
                });
                assert_eq!(read, Err(MALFORMED), "{rows} rows, {len} bytes");
            }
        }
    }
}
