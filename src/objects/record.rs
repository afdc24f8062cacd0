//! How an object's metadata is kept: [`ObjectMeta`] as fields.

use bytes::Bytes;

use super::binding::Binding;
use super::checksum::Checksum;
use super::fields::{FieldReader, FieldWriter, Malformed, pair_of, put_varint, text_of};
use super::meta::{ContentHeaders, Encryption, ObjectMeta, PartMeta, StorageClass};
use super::tags::TagSet;
use crate::checksum::{Algorithm, Coverage};

/// Tags of fields. A number never changes meaning. Those from 32 on belong to uploads.
const CONTENT_TYPE: u8 = 1;
const CACHE_CONTROL: u8 = 2;
const CONTENT_DISPOSITION: u8 = 3;
const CONTENT_ENCODING: u8 = 4;
const CONTENT_LANGUAGE: u8 = 5;
const EXPIRES: u8 = 6;
const WEBSITE_REDIRECT: u8 = 7;
/// A pair; once for each.
const USER_METADATA: u8 = 8;
/// A pair; once for each.
const TAG: u8 = 9;
/// The code; missing: standard.
const STORAGE_CLASS: u8 = 10;
/// Algorithm code, coverage code, part count, digest.
const CHECKSUM: u8 = 11;
/// Digest length; then for each part its number, its size, its digest.
const PARTS: u8 = 12;
/// Owner of 16 bytes, space, bucket's length, bucket, index's length, index, key.
const BINDING: u8 = 13;

impl ObjectMeta {
    /// As it is kept.
    pub(super) fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// Adds its fields to a record.
    pub(super) fn write(&self, writer: &mut FieldWriter) {
        let headers = &self.headers;
        writer.text(CONTENT_TYPE, headers.content_type.as_ref());
        writer.text(CACHE_CONTROL, headers.cache_control.as_ref());
        writer.text(CONTENT_DISPOSITION, headers.content_disposition.as_ref());
        writer.text(CONTENT_ENCODING, headers.content_encoding.as_ref());
        writer.text(CONTENT_LANGUAGE, headers.content_language.as_ref());
        writer.text(EXPIRES, headers.expires.as_ref());
        writer.text(WEBSITE_REDIRECT, headers.website_redirect.as_ref());
        for (name, value) in &self.user_metadata {
            writer.pair(USER_METADATA, name, value);
        }
        for (name, value) in self.tags.tags() {
            writer.pair(TAG, name, value);
        }
        if self.storage_class != StorageClass::Standard {
            writer.field(STORAGE_CLASS, &[self.storage_class.code()]);
        }
        // Every object is sealed by the store's own key: the only kind there is has no field.
        let Encryption::Aes256 = self.encryption;
        if let Some(checksum) = &self.checksum {
            writer.field(CHECKSUM, &checksum_field(checksum));
        }
        if !self.parts.is_empty() {
            writer.field(PARTS, &parts_field(&self.parts));
        }
        if let Some(binding) = &self.binding {
            writer.field(BINDING, &binding.field());
        }
    }

    /// From [`ObjectMeta::encode`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut meta = Self::default();
        let mut reader = FieldReader::record(bytes)?;
        while let Some((tag, field)) = reader.next_field()? {
            meta.take(tag, field)?;
        }
        Ok(meta)
    }

    /// Takes one field.
    pub(super) fn take(&mut self, tag: u8, field: &[u8]) -> Result<(), Malformed> {
        match tag {
            USER_METADATA => self.user_metadata.push(pair_of(field)?),
            TAG => {
                let (name, value) = pair_of(field)?;
                self.tags.push_kept(name, value);
            }
            STORAGE_CLASS => {
                let mut reader = FieldReader::inside(field);
                let class = StorageClass::from_code(reader.byte()?);
                self.storage_class = class.ok_or(Malformed("unknown storage class"))?;
                reader.end()?;
            }
            CHECKSUM => self.checksum = Some(checksum_of(field)?),
            PARTS => self.parts = parts_of(field)?,
            BINDING => self.binding = Some(Binding::of_field(field)?),
            _ => *header_slot(&mut self.headers, tag)? = Some(text_of(field)?),
        }
        Ok(())
    }
}

fn header_slot(headers: &mut ContentHeaders, tag: u8) -> Result<&mut Option<String>, Malformed> {
    Ok(match tag {
        CONTENT_TYPE => &mut headers.content_type,
        CACHE_CONTROL => &mut headers.cache_control,
        CONTENT_DISPOSITION => &mut headers.content_disposition,
        CONTENT_ENCODING => &mut headers.content_encoding,
        CONTENT_LANGUAGE => &mut headers.content_language,
        EXPIRES => &mut headers.expires,
        WEBSITE_REDIRECT => &mut headers.website_redirect,
        _ => return Err(Malformed("unknown field")),
    })
}

/// A coverage for storage.
pub(super) fn coverage_code(coverage: Coverage) -> u8 {
    match coverage {
        Coverage::FullObject => 0,
        Coverage::Composite => 1,
    }
}

/// From [`coverage_code`].
pub(super) fn coverage_of(code: u8) -> Result<Coverage, Malformed> {
    match code {
        0 => Ok(Coverage::FullObject),
        1 => Ok(Coverage::Composite),
        _ => Err(Malformed("unknown coverage")),
    }
}

/// The algorithm with a code.
pub(super) fn algorithm_of(code: u8) -> Result<Algorithm, Malformed> {
    Algorithm::from_code(code).ok_or(Malformed("unknown checksum algorithm"))
}

fn checksum_field(checksum: &Checksum) -> Vec<u8> {
    let mut field = vec![checksum.algorithm.code(), coverage_code(checksum.coverage)];
    put_varint(&mut field, u64::from(checksum.parts));
    field.extend_from_slice(&checksum.digest);
    field
}

fn checksum_of(field: &[u8]) -> Result<Checksum, Malformed> {
    let mut reader = FieldReader::inside(field);
    let algorithm = algorithm_of(reader.byte()?)?;
    let coverage = coverage_of(reader.byte()?)?;
    let parts = reader.small()?;
    let digest = reader.rest().to_vec();
    if digest.len() != algorithm.digest_bytes() {
        return Err(Malformed("digest has a wrong length"));
    }
    Ok(Checksum { algorithm, coverage, digest, parts })
}

fn parts_field(parts: &[PartMeta]) -> Vec<u8> {
    let digest_len = parts.first().map_or(0, |part| part.digest.len());
    let mut field = Vec::with_capacity(parts.len() * (digest_len + 8) + 1);
    put_varint(&mut field, digest_len as u64);
    for part in parts {
        put_varint(&mut field, u64::from(part.number));
        put_varint(&mut field, part.size);
        let mut digest = part.digest.clone();
        digest.resize(digest_len, 0);
        field.extend_from_slice(&digest);
    }
    field
}

fn parts_of(field: &[u8]) -> Result<Vec<PartMeta>, Malformed> {
    let mut reader = FieldReader::inside(field);
    let digest_len = usize::from(reader.small()?);
    let mut parts = Vec::new();
    while !reader.rest().is_empty() {
        parts.push(PartMeta {
            number: reader.small()?,
            size: reader.varint()?,
            digest: reader.bytes(digest_len)?.to_vec(),
        });
    }
    Ok(parts)
}

impl TagSet {
    /// Adds a tag that was checked before it was kept.
    fn push_kept(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding {
        Binding {
            owner: vector_engine::Owner([0xab; 16]),
            space: 300,
            bucket: "b".into(),
            index: "i".into(),
            key: "k".into(),
        }
    }

    fn full() -> ObjectMeta {
        let text = |text: &str| Some(text.to_owned());
        ObjectMeta {
            headers: ContentHeaders {
                content_type: text("text/plain; charset=utf-8"),
                cache_control: text("no-store"),
                content_disposition: text("attachment; filename=\"ä\""),
                content_encoding: text("gzip"),
                content_language: text("de"),
                expires: text("Wed, 21 Oct 2026 07:28:00 GMT"),
                website_redirect: text("/elsewhere"),
            },
            user_metadata: vec![("a".into(), "1".into()), ("b".into(), String::new())],
            tags: TagSet(vec![("k".into(), "v".into()), ("empty".into(), String::new())]),
            storage_class: StorageClass::StandardIa,
            encryption: Encryption::Aes256,
            checksum: Some(Checksum {
                algorithm: Algorithm::Sha256,
                coverage: Coverage::Composite,
                digest: vec![7; 32],
                parts: 2,
            }),
            parts: vec![
                PartMeta { number: 1, size: 5 << 20, digest: vec![1; 32] },
                PartMeta { number: 10_000, size: 3, digest: vec![2; 32] },
            ],
            binding: Some(binding()),
        }
    }

    #[test]
    fn metadata_comes_back() {
        for meta in [ObjectMeta::default(), full()] {
            assert_eq!(ObjectMeta::decode(&meta.encode()), Ok(meta));
        }
    }

    #[test]
    fn the_form_does_not_change() {
        let meta = ObjectMeta {
            user_metadata: vec![("n".into(), "v".into())],
            storage_class: StorageClass::GlacierIr,
            checksum: Some(Checksum::full(Algorithm::Crc32, vec![1, 2, 3, 4])),
            parts: vec![PartMeta { number: 3, size: 300, digest: vec![9; 4] }],
            binding: Some(binding()),
            ..ObjectMeta::default()
        };
        let owner = "ab".repeat(16);
        let kept = ["01", "0803016e76", "0a0105", "0b0701000001020304", "0c080403ac0209090909"];
        let bound = ["0d17", &owner, "ac0201620169", "6b"].concat();
        let kept = [kept.concat(), bound];
        assert_eq!(hex::encode(meta.encode()), kept.concat());
    }

    #[test]
    fn no_cut_and_no_flip_panics() {
        let bytes = full().encode();
        for cut in 0..bytes.len() {
            let _ = ObjectMeta::decode(&bytes[..cut]);
        }
        let mut flipped = bytes.to_vec();
        for at in 0..flipped.len() {
            for bit in 0..8 {
                flipped[at] ^= 1 << bit;
                let _ = ObjectMeta::decode(&flipped);
                flipped[at] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn the_largest_record_fits_the_engine() {
        let part = |number| PartMeta { number, size: 5 << 30, digest: vec![0xff; 32] };
        let meta = ObjectMeta {
            user_metadata: vec![("x".repeat(1024), "y".repeat(1024))],
            parts: (1..=10_000).map(part).collect(),
            ..full()
        };
        assert!(meta.encode().len() < storage_engine::limits::META_BYTES_MAX / 2);
    }
}
