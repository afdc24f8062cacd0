//! The document of `ListObjectVersions`. s3s writes all delete markers before all versions; S3 writes
//! both by key and newest first, and clients take that order for the history of a key.

use std::io::Write;

use bytes::Bytes;
use s3s::dto::{CommonPrefix, DeleteMarkerEntry, ListObjectVersionsOutput, ObjectVersion};
use s3s::xml::{SerResult, SerializeContent, Serializer};
use s3s::{S3Error, S3Result};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// One version or marker.
#[derive(Debug)]
pub(super) enum Row {
    Version(ObjectVersion),
    Marker(DeleteMarkerEntry),
}

/// A page of versions as it is written.
#[derive(Debug)]
pub(super) struct VersionsDocument {
    /// What was asked for and where the next page begins; its lists are empty.
    pub(super) head: ListObjectVersionsOutput,
    /// By key, newest first.
    pub(super) rows: Vec<Row>,
    /// In order.
    pub(super) prefixes: Vec<CommonPrefix>,
}

impl VersionsDocument {
    /// The whole document.
    pub(super) fn write(&self) -> S3Result<Bytes> {
        let mut document = Vec::with_capacity(512 * (1 + self.rows.len()));
        let mut serializer = Serializer::new(&mut document);
        serializer
            .decl()
            .and_then(|()| serializer.content_with_ns("ListVersionsResult", NAMESPACE, self))
            .map_err(S3Error::internal_error)?;
        Ok(Bytes::from(document))
    }
}

impl SerializeContent for VersionsDocument {
    fn serialize_content<W: Write>(&self, serializer: &mut Serializer<W>) -> SerResult {
        self.head.serialize_content(serializer)?;
        for row in &self.rows {
            match row {
                Row::Version(version) => serializer.content("Version", version)?,
                Row::Marker(marker) => serializer.content("DeleteMarker", marker)?,
            }
        }
        serializer.flattened_list("CommonPrefixes", &self.prefixes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_their_order_and_are_escaped() {
        let version =
            |key: &str| Row::Version(ObjectVersion { key: Some(key.into()), ..Default::default() });
        let marker = Row::Marker(DeleteMarkerEntry { key: Some("b".into()), ..Default::default() });
        let document = VersionsDocument {
            head: ListObjectVersionsOutput { name: Some("a&b".into()), ..Default::default() },
            rows: vec![version("a<"), marker, version("c")],
            prefixes: vec![CommonPrefix { prefix: Some("d/".into()) }],
        };
        let expected = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListVersionsResult xmlns=\"{NAMESPACE}\">\
             <Name>a&amp;b</Name><Version><Key>a&lt;</Key></Version>\
             <DeleteMarker><Key>b</Key></DeleteMarker><Version><Key>c</Key></Version>\
             <CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListVersionsResult>"
        );
        assert_eq!(document.write().unwrap(), expected);
    }
}
