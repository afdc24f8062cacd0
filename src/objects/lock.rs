//! Retention and legal hold of versions.

use storage_engine::{Bypass, Retention};

use super::bucket::Bucket;
use super::error::Result;
use super::version_id::VersionId;

/// The lock that a writer asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockRequest {
    /// `x-amz-object-lock-mode` and `-retain-until-date`.
    pub retention: Option<Retention>,
    /// `x-amz-object-lock-legal-hold`.
    pub legal_hold: Option<bool>,
}

impl Bucket {
    /// Sets a version's retention; none clears it, where that is permitted.
    pub async fn set_retention(
        &self,
        key: &str,
        version: Option<VersionId>,
        retention: Option<Retention>,
        bypass: Bypass,
    ) -> Result<()> {
        let _ = (key, version, retention, bypass);
        todo!()
    }

    /// A version's retention, or [`super::ObjectError::NoSuchLock`].
    pub fn retention(&self, key: &str, version: Option<VersionId>) -> Result<Retention> {
        let _ = (key, version);
        todo!()
    }

    /// Sets or lifts a version's legal hold.
    pub async fn set_legal_hold(
        &self,
        key: &str,
        version: Option<VersionId>,
        hold: bool,
    ) -> Result<()> {
        let _ = (key, version, hold);
        todo!()
    }

    /// True when a legal hold is on, or [`super::ObjectError::NoSuchLock`] when none ever was.
    pub fn legal_hold(&self, key: &str, version: Option<VersionId>) -> Result<bool> {
        let _ = (key, version);
        todo!()
    }
}
