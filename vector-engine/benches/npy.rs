//! Arrays as numpy writes them: rows of numbers, little-endian.

use std::path::Path;

/// An array of rows.
pub(crate) struct Array {
    pub(crate) width: usize,
    bytes: Vec<u8>,
    item_bytes: usize,
    header_bytes: usize,
}

impl Array {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let bad = || format!("{}: no array of rows", path.display());
        let header_len = u16::from_le_bytes(
            bytes.get(8..10).and_then(|two| two.try_into().ok()).ok_or_else(bad)?,
        );
        let header_bytes = 10 + usize::from(header_len);
        let header =
            bytes.get(10..header_bytes).and_then(|header| std::str::from_utf8(header).ok());
        let header = header.ok_or_else(bad)?;
        let shape = header.split("'shape': (").nth(1).and_then(|rest| rest.split(')').next());
        let numbers = shape.ok_or_else(bad)?.split(',').filter_map(|n| n.trim().parse().ok());
        let width = numbers.collect::<Vec<usize>>().get(1).copied().unwrap_or(1);
        let item_bytes = match header {
            _ if header.contains("<f4") || header.contains("<i4") => 4,
            _ if header.contains("<i8") => 8,
            _ if header.contains("|b1") || header.contains("|u1") || header.contains("|i1") => 1,
            _ => return Err(bad()),
        };
        Ok(Self { width, bytes, item_bytes, header_bytes })
    }

    pub(crate) fn rows(&self) -> usize {
        (self.bytes.len() - self.header_bytes) / (self.width * self.item_bytes)
    }

    fn items(&self, row: usize) -> impl Iterator<Item = &[u8]> {
        let start = self.header_bytes + row * self.width * self.item_bytes;
        self.bytes[start..start + self.width * self.item_bytes].chunks(self.item_bytes)
    }

    /// A row of `f32`.
    pub(crate) fn floats(&self, row: usize) -> Vec<f32> {
        self.items(row).map(|item| f32::from_le_bytes(item.try_into().unwrap_or([0; 4]))).collect()
    }

    /// A row of whole numbers.
    pub(crate) fn whole(&self, row: usize) -> Vec<i64> {
        let whole = |item: &[u8]| match item.len() {
            1 => i64::from(item[0]),
            4 => i64::from(i32::from_le_bytes(item.try_into().unwrap_or_default())),
            _ => i64::from_le_bytes(item.try_into().unwrap_or_default()),
        };
        self.items(row).map(whole).collect()
    }
}
