//! Conditions of clients: what a read may answer, and what a write asks of the sequencer.

use storage_engine::{Entry, Test};

use super::error::ObjectError;
use super::etag::ETag;

/// What `If-Match` and `If-None-Match` compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtagPattern {
    /// `*`: any object.
    Any,
    /// This tag.
    Tag(ETag),
    /// A text that is no tag of any object here.
    Foreign,
}

impl EtagPattern {
    /// From one element of the header.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "*" => Self::Any,
            tag => ETag::parse(tag).map_or(Self::Foreign, Self::Tag),
        }
    }

    /// True when `etag` is meant.
    pub fn matches(self, etag: ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Tag(tag) => tag == etag,
            Self::Foreign => false,
        }
    }
}

/// Conditions of a write on the current version of its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteConditions {
    /// `If-Match`.
    pub if_match: Option<EtagPattern>,
    /// `If-None-Match`.
    pub if_none_match: Option<EtagPattern>,
}

/// Conditions of a delete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeleteConditions {
    /// `If-Match`, or `ETag` of a key in `DeleteObjects`.
    pub if_match: Option<EtagPattern>,
    /// `x-amz-if-match-size`.
    pub size: Option<u64>,
    /// `x-amz-if-match-last-modified-time`, ms since 1970; compared in whole seconds.
    pub last_modified_ms: Option<u64>,
}

/// Conditions of a read or of a copy's source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`; empty: not given.
    pub if_match: Vec<EtagPattern>,
    /// `If-None-Match`; empty: not given.
    pub if_none_match: Vec<EtagPattern>,
    /// `If-Modified-Since`, ms since 1970.
    pub if_modified_since_ms: Option<u64>,
    /// `If-Unmodified-Since`, ms since 1970.
    pub if_unmodified_since_ms: Option<u64>,
}

/// What conditions say about a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadVerdict {
    /// Answer it.
    Proceed,
    /// 304.
    NotModified,
    /// 412: the condition that failed.
    Failed(&'static str),
}

impl ReadConditions {
    /// Decides in the order of RFC 9110 §13.2.2, which is S3's too: a tag condition makes its date
    /// condition void.
    pub fn evaluate(&self, etag: ETag, last_modified_ms: u64) -> ReadVerdict {
        let modified_s = last_modified_ms / 1000;
        if !self.if_match.is_empty() {
            if !self.if_match.iter().any(|pattern| pattern.matches(etag)) {
                return ReadVerdict::Failed("If-Match");
            }
        } else if self.if_unmodified_since_ms.is_some_and(|since| modified_s > since / 1000) {
            return ReadVerdict::Failed("If-Unmodified-Since");
        }
        if !self.if_none_match.is_empty() {
            if self.if_none_match.iter().any(|pattern| pattern.matches(etag)) {
                return ReadVerdict::NotModified;
            }
        } else if self.if_modified_since_ms.is_some_and(|since| modified_s <= since / 1000) {
            return ReadVerdict::NotModified;
        }
        ReadVerdict::Proceed
    }
}
