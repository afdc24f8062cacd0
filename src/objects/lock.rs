//! Retention and legal hold of versions. The engine keeps them; this decides what is asked of it.

use storage_engine::{
    Batch, Bypass, Entry, LegalHold, Lock, LockChange, Operation, Retention, SetLock, Which,
};

use super::bucket::Bucket;
use super::bucket_record::LockConfiguration;
use super::error::{ObjectError, Result};
use super::key::name_of;
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
        if let Some(retention) = retention {
            check_future(retention, self.now_ms())?;
        }
        self.change_lock(key, version, LockChange::Retention(retention), bypass).await
    }

    /// A version's retention, or [`ObjectError::NoSuchLock`].
    pub fn retention(&self, key: &str, version: Option<VersionId>) -> Result<Retention> {
        let entry = self.lockable(key, version)?;
        let lock = self.engine().lock_of(&entry);
        lock.and_then(|lock| lock.retention).ok_or(ObjectError::NoSuchLock)
    }

    /// Sets or lifts a version's legal hold.
    pub async fn set_legal_hold(
        &self,
        key: &str,
        version: Option<VersionId>,
        hold: bool,
    ) -> Result<()> {
        self.change_lock(key, version, LockChange::LegalHold(hold), Bypass::None).await
    }

    /// True when a legal hold is on; [`ObjectError::NoSuchLock`] when nobody ever set one.
    pub fn legal_hold(&self, key: &str, version: Option<VersionId>) -> Result<bool> {
        let entry = self.lockable(key, version)?;
        let lock = self.engine().lock_of(&entry);
        match lock.unwrap_or_default().legal_hold {
            LegalHold::NeverSet => Err(ObjectError::NoSuchLock),
            LegalHold::Off => Ok(false),
            LegalHold::On => Ok(true),
        }
    }

    /// The lock of a new version: what was asked for, else the bucket's default.
    pub(super) fn lock_for(&self, request: LockRequest) -> Result<Option<Lock>> {
        lock_for(self.record().lock.as_ref(), request, self.now_ms())
    }

    async fn change_lock(
        &self,
        key: &str,
        version: Option<VersionId>,
        change: LockChange,
        bypass: Bypass,
    ) -> Result<()> {
        let entry = self.lockable(key, version)?;
        let set = SetLock {
            space: self.record().objects(),
            name: name_of(key)?,
            which: Which::Sequence(entry.sequence),
            change,
            bypass,
        };
        let operations = vec![Operation::SetLock(set)];
        self.engine().commit(Batch { conditions: vec![], operations }).await?;
        Ok(())
    }

    /// Finds a version in a bucket with object lock.
    fn lockable(&self, key: &str, version: Option<VersionId>) -> Result<Entry> {
        if self.record().lock.is_none() {
            return Err(missing_configuration());
        }
        self.find(&name_of(key)?, version)
    }

    fn now_ms(&self) -> u64 {
        self.objects.shared.environment.now_ms()
    }
}

/// The lock of a version made at `now_ms` in a bucket with this configuration.
fn lock_for(
    configuration: Option<&LockConfiguration>,
    request: LockRequest,
    now_ms: u64,
) -> Result<Option<Lock>> {
    let Some(configuration) = configuration else {
        return match request {
            LockRequest { retention: None, legal_hold: None } => Ok(None),
            _ => Err(missing_configuration()),
        };
    };
    if let Some(retention) = request.retention {
        check_future(retention, now_ms)?;
    }
    let default = configuration.default.map(|default| Retention {
        mode: default.mode,
        until_ms: now_ms.saturating_add(default.period.length_ms()),
    });
    let lock = Lock {
        retention: request.retention.or(default),
        legal_hold: request.legal_hold.map(LegalHold::set).unwrap_or_default(),
    };
    Ok((lock != Lock::default()).then_some(lock))
}

fn check_future(retention: Retention, now_ms: u64) -> Result<()> {
    if retention.until_ms > now_ms {
        Ok(())
    } else {
        Err(ObjectError::argument("The retain until date must be in the future!"))
    }
}

fn missing_configuration() -> ObjectError {
    ObjectError::request("Bucket is missing Object Lock Configuration")
}

#[cfg(test)]
mod tests {
    use storage_engine::RetentionMode;

    use super::super::bucket_record::{DefaultRetention, RetentionPeriod};
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    fn asked(until_ms: u64) -> LockRequest {
        let retention = Some(Retention { mode: RetentionMode::Compliance, until_ms });
        LockRequest { retention, legal_hold: None }
    }

    #[test]
    fn a_bucket_without_lock_takes_no_lock() {
        assert_eq!(lock_for(None, LockRequest::default(), 0), Ok(None));
        let off = LockRequest { retention: None, legal_hold: Some(false) };
        for request in [asked(9), off] {
            assert_eq!(lock_for(None, request, 0), Err(missing_configuration()));
        }
    }

    #[test]
    fn the_default_applies_unless_a_retention_was_asked_for() {
        let mode = RetentionMode::Governance;
        let default = Some(DefaultRetention { mode, period: RetentionPeriod::Days(2) });
        let configuration = LockConfiguration { default };
        let lock = lock_for(Some(&configuration), LockRequest::default(), 5).unwrap().unwrap();
        assert_eq!(lock.retention, Some(Retention { mode, until_ms: 5 + 2 * DAY_MS }));
        let lock = lock_for(Some(&configuration), asked(9), 5).unwrap().unwrap();
        assert_eq!(lock.retention, asked(9).retention);
        let bare = LockConfiguration::default();
        assert_eq!(lock_for(Some(&bare), LockRequest::default(), 5), Ok(None));
        let held = LockRequest { retention: None, legal_hold: Some(true) };
        let hold = |legal_hold| Ok(Some(Lock { retention: None, legal_hold }));
        assert_eq!(lock_for(Some(&bare), held, 5), hold(LegalHold::On));
        let off = LockRequest { retention: None, legal_hold: Some(false) };
        assert_eq!(lock_for(Some(&bare), off, 5), hold(LegalHold::Off));
    }

    #[test]
    fn the_past_is_refused() {
        let bare = LockConfiguration::default();
        for now_ms in [9, 10] {
            let got = lock_for(Some(&bare), asked(9), now_ms);
            assert_eq!(got.map_err(|error| error.code()), Err("InvalidArgument"));
        }
    }
}
