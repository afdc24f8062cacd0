//! Changes of a bucket's configuration. Reading it is [`Bucket::record`].

use storage_engine::Error as EngineError;

use super::bucket::{Bucket, NewBucket};
use super::bucket_record::{
    BucketEncryption, BucketRecord, LockConfiguration, Ownership, PublicAccessBlock, Versioning,
};
use super::error::{ObjectError, Result};
use super::limits::RETRIES_MAX;
use super::tags::{TagSet, TagTarget};
use crate::catalog::{Change, Expect, Kind};

impl Bucket {
    /// Enables or suspends versioning. A bucket with object lock cannot suspend it.
    pub async fn set_versioning(&self, versioning: Versioning) -> Result<()> {
        self.update(|record| record.set_versioning(versioning)).await
    }

    /// Sets object lock and its default retention; needs versioning. Never taken away.
    pub async fn set_lock_configuration(&self, lock: LockConfiguration) -> Result<()> {
        self.update(|record| record.set_lock(lock)).await
    }

    /// Object lock, or [`ObjectError::NoLockConfiguration`].
    pub fn lock_configuration(&self) -> Result<LockConfiguration> {
        self.record().lock.ok_or(ObjectError::NoLockConfiguration)
    }

    /// Sets or clears ownership controls.
    pub async fn set_ownership(&self, ownership: Option<Ownership>) -> Result<()> {
        self.update(|record| {
            record.ownership = ownership;
            Ok(())
        })
        .await
    }

    /// Ownership controls, or [`ObjectError::NoOwnershipControls`].
    pub fn ownership(&self) -> Result<Ownership> {
        self.record().ownership.ok_or(ObjectError::NoOwnershipControls)
    }

    /// Sets or clears the public access block.
    pub async fn set_public_access_block(&self, block: Option<PublicAccessBlock>) -> Result<()> {
        self.update(|record| {
            record.public_access_block = block;
            Ok(())
        })
        .await
    }

    /// The public access block, or [`ObjectError::NoSuchPublicAccessBlock`].
    pub fn public_access_block(&self) -> Result<PublicAccessBlock> {
        self.record().public_access_block.ok_or(ObjectError::NoSuchPublicAccessBlock)
    }

    /// Sets the default encryption; the default clears it.
    pub async fn set_encryption(&self, encryption: BucketEncryption) -> Result<()> {
        self.update(|record| {
            record.encryption = encryption;
            Ok(())
        })
        .await
    }

    /// Sets the bucket's tags; none clears them.
    pub async fn set_bucket_tags(&self, tags: Vec<(String, String)>) -> Result<()> {
        let tags = TagSet::new(TagTarget::Bucket, tags)?;
        self.update(|record| {
            record.tags = tags.tags().to_vec();
            Ok(())
        })
        .await
    }

    /// The bucket's tags, or [`ObjectError::NoSuchTagSet`].
    pub fn bucket_tags(&self) -> Result<&[(String, String)]> {
        match self.record().tags.as_slice() {
            [] => Err(ObjectError::NoSuchTagSet),
            tags => Ok(tags),
        }
    }

    /// Brings the versioning and the object lock of `new` to a bucket that was made without them.
    pub(super) async fn ensure_kept(&self, new: &NewBucket) -> Result<()> {
        self.update(|record| {
            if new.object_lock && record.lock.is_none() {
                return record.set_lock(LockConfiguration::default());
            }
            if new.versioning == Versioning::Enabled {
                record.versioning = Versioning::Enabled;
            }
            Ok(())
        })
        .await
    }

    /// Changes the record as it is now. A change that changes nothing writes nothing.
    pub(super) async fn update(
        &self,
        change: impl Fn(&mut BucketRecord) -> Result<()> + Send,
    ) -> Result<()> {
        for _ in 0..RETRIES_MAX {
            let now = self.again()?;
            let mut record = now.record().clone();
            change(&mut record)?;
            if record == *now.record() {
                return Ok(());
            }
            let change = Change {
                kind: Kind::Bucket,
                name: record.name.clone(),
                expect: Expect::Sequence(now.state.sequence),
                bytes: Some(record.encode()?),
                conditions: vec![],
                operations: vec![],
            };
            match self.objects.shared.catalog.change(change).await {
                Ok(_) => return Ok(()),
                Err(EngineError::Condition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ObjectError::OperationAborted)
    }
}

impl BucketRecord {
    fn set_versioning(&mut self, versioning: Versioning) -> Result<()> {
        match versioning {
            Versioning::Unversioned => {
                Err(ObjectError::argument("A bucket that had versioning can only suspend it."))
            }
            Versioning::Suspended if self.lock.is_some() => Err(ObjectError::InvalidBucketState(
                "An Object Lock configuration is present on this bucket, so the versioning state \
                 cannot be changed.",
            )),
            versioning => {
                self.versioning = versioning;
                Ok(())
            }
        }
    }

    fn set_lock(&mut self, lock: LockConfiguration) -> Result<()> {
        if let Some(default) = lock.default {
            default.period.check()?;
        }
        if self.versioning != Versioning::Enabled {
            return Err(ObjectError::InvalidBucketState(
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
            ));
        }
        self.lock = Some(lock);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use storage_engine::RetentionMode;

    use super::super::bucket_record::{DefaultRetention, RetentionPeriod};
    use super::*;

    fn record(versioning: Versioning, lock: Option<LockConfiguration>) -> BucketRecord {
        BucketRecord {
            format: BucketRecord::FORMAT,
            name: "bucket".into(),
            owner: "root".into(),
            created_ms: 1,
            region: String::new(),
            versioning,
            lock,
            ownership: None,
            public_access_block: Some(PublicAccessBlock::ALL),
            tags: vec![],
            encryption: BucketEncryption::default(),
            bound: false,
            objects: 1,
            uploads: 2,
        }
    }

    #[test]
    fn records_come_back() {
        let default =
            DefaultRetention { mode: RetentionMode::Compliance, period: RetentionPeriod::Years(7) };
        let lock = LockConfiguration { default: Some(default) };
        for record in
            [record(Versioning::Unversioned, None), record(Versioning::Enabled, Some(lock))]
        {
            let bytes = record.encode().unwrap();
            assert_eq!(serde_json::from_slice::<BucketRecord>(&bytes).unwrap(), record);
        }
    }

    #[test]
    fn versioning_follows_the_lock() {
        let mut locked = record(Versioning::Enabled, Some(LockConfiguration::default()));
        let refused = locked.set_versioning(Versioning::Suspended).unwrap_err();
        assert_eq!((refused.code(), refused.status()), ("InvalidBucketState", 409));
        assert!(locked.set_versioning(Versioning::Enabled).is_ok());
        let mut plain = record(Versioning::Unversioned, None);
        assert!(plain.set_versioning(Versioning::Suspended).is_ok());
        assert!(plain.set_versioning(Versioning::Unversioned).is_err());
    }

    #[test]
    fn lock_needs_versioning_and_a_sane_period() {
        let of = |period| LockConfiguration {
            default: Some(DefaultRetention { mode: RetentionMode::Governance, period }),
        };
        for versioning in [Versioning::Unversioned, Versioning::Suspended] {
            let refused = record(versioning, None).set_lock(LockConfiguration::default());
            assert_eq!(refused.map_err(|error| error.code()), Err("InvalidBucketState"));
        }
        let mut enabled = record(Versioning::Enabled, None);
        for period in [
            RetentionPeriod::Days(0),
            RetentionPeriod::Years(0),
            RetentionPeriod::Days(36_501),
            RetentionPeriod::Years(101),
        ] {
            let refused = enabled.set_lock(of(period)).map_err(|error| error.code());
            assert_eq!(refused, Err("InvalidArgument"));
        }
        assert!(enabled.set_lock(of(RetentionPeriod::Days(36_500))).is_ok());
        assert!(enabled.lock.is_some());
    }
}
