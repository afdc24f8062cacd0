//! Locked versions across kills: a lock that was acknowledged holds, a version that it protects is
//! never lost, and one that was released can go.

use crate::crash::{Died, Step};
use crate::lock::days_ahead;
use crate::support::fixture::Random;
use crate::support::{Bucket, Server};

const KEYS: usize = 3;
/// Each is read after each kill.
const VERSIONS_MAX: usize = 24;
/// Those stay until the end.
const RETAINED_MAX: usize = 6;

/// The lock of a version: a hold that was never set is none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lock {
    hold: Option<bool>,
    /// Until when it is retained, to the second.
    until: Option<String>,
}

/// So many days from now, to the second.
fn until(days: i64) -> String {
    days_ahead(days)[..19].to_owned()
}

impl Lock {
    fn protects(&self) -> bool {
        self.hold == Some(true) || self.until.is_some()
    }
}

#[derive(Debug, Clone)]
struct Version {
    key: String,
    id: String,
    body: String,
    lock: Lock,
    /// For how many days it was last asked to be retained.
    days: i64,
    /// What a request without an answer may have made of it; none: removed.
    doubt: Option<Option<Lock>>,
}

/// One client's locked versions.
pub struct Locks {
    bucket: Bucket,
    prefix: String,
    versions: Vec<Version>,
    /// The body and the lock of a version that may have been made.
    made: Option<(String, String, Lock)>,
    random: Random,
    /// How many changes were acknowledged.
    pub acknowledged: u64,
}

impl Locks {
    /// The locked versions of the worker of this name.
    pub fn new(worker: &str, bucket: Bucket, seed: u64) -> Self {
        let prefix = format!("{worker}-locked");
        let random = Random::new(seed ^ 0x6c);
        Self { bucket, prefix, versions: Vec::new(), made: None, random, acknowledged: 0 }
    }

    /// Turns to the server where it is now.
    pub fn meet(&mut self, server: &Server) {
        self.bucket = self.bucket.seen_at(server);
    }

    /// Does one thing.
    pub fn step(&mut self) -> Step {
        let kind = self.random.below(8);
        if self.versions.is_empty() || (kind < 2 && self.versions.len() < VERSIONS_MAX) {
            return self.put();
        }
        let place = self.random.below(self.versions.len());
        match kind {
            2..4 => self.hold(place),
            4 if self.may_retain() => self.retain(place),
            _ => self.remove(place),
        }
    }

    fn may_retain(&self) -> bool {
        let retained = self.versions.iter().filter(|version| version.lock.until.is_some());
        retained.count() < RETAINED_MAX
    }

    fn put(&mut self) -> Step {
        let key = format!("{}{}", self.prefix, self.random.below(KEYS));
        let body = format!("{:x}", self.random.next());
        let lock = match self.random.below(5) {
            0 => Lock { hold: Some(true), until: None },
            1 if self.may_retain() => Lock { hold: None, until: Some(until(1)) },
            _ => Lock { hold: None, until: None },
        };
        let mut request = self.bucket.put(&key).body(body.clone()).content_md5();
        if lock.hold == Some(true) {
            request = request.header("x-amz-object-lock-legal-hold", "ON");
        }
        if let Some(until) = &lock.until {
            request = request
                .header("x-amz-object-lock-mode", "COMPLIANCE")
                .header("x-amz-object-lock-retain-until-date", format!("{until}Z"));
        }
        self.made = Some((key.clone(), body.clone(), lock.clone()));
        let id = request.try_send().map_err(|_| Died)?.expect(200).version_id();
        self.made = None;
        self.versions.push(Version { key, id, body, lock, days: 1, doubt: None });
        self.acknowledged += 1;
        Ok(())
    }

    fn hold(&mut self, place: usize) -> Step {
        let hold = self.versions[place].lock.hold != Some(true);
        let status = if hold { "ON" } else { "OFF" };
        let body = format!("<LegalHold><Status>{status}</Status></LegalHold>");
        let lock = Lock { hold: Some(hold), ..self.versions[place].lock.clone() };
        self.set(place, "legal-hold", body, lock)
    }

    /// Retains a version for longer than before.
    fn retain(&mut self, place: usize) -> Step {
        self.versions[place].days += 1;
        let until = until(self.versions[place].days);
        let body = format!(
            "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{until}Z</RetainUntilDate>\
             </Retention>"
        );
        let lock = Lock { until: Some(until), ..self.versions[place].lock.clone() };
        self.set(place, "retention", body, lock)
    }

    fn set(&mut self, place: usize, what: &str, body: String, lock: Lock) -> Step {
        let version = &mut self.versions[place];
        version.doubt = Some(Some(lock.clone()));
        let target = format!("{}?{what}&versionId={}", version.key, version.id);
        let request = self.bucket.put(&target).body(body).content_md5();
        request.try_send().map_err(|_| Died)?.expect(200);
        version.doubt = None;
        version.lock = lock;
        self.acknowledged += 1;
        Ok(())
    }

    fn remove(&mut self, place: usize) -> Step {
        let version = &mut self.versions[place];
        let request = self.bucket.delete(&format!("{}?versionId={}", version.key, version.id));
        if version.lock.protects() {
            request.try_send().map_err(|_| Died)?.refused(403, "AccessDenied");
            return Ok(());
        }
        version.doubt = Some(None);
        request.try_send().map_err(|_| Died)?.expect(204);
        self.versions.remove(place);
        self.acknowledged += 1;
        Ok(())
    }

    /// Holds all versions and their locks against the store.
    pub fn verify(&mut self) {
        let mut listed = self.list();
        let mut kept = Vec::new();
        for mut version in std::mem::take(&mut self.versions) {
            let place = listed.iter().position(|(_, id)| *id == version.id);
            let Some(place) = place else {
                assert_eq!(version.doubt, Some(None), "{version:?} is lost");
                continue;
            };
            listed.remove(place);
            let doubt = version.doubt.take().flatten();
            let found = self.read(&version);
            let may_be = found == version.lock || Some(&found) == doubt.as_ref();
            assert!(may_be, "{version:?} or {doubt:?} is found with {found:?}");
            version.lock = found;
            kept.push(version);
        }
        assert!(listed.len() <= usize::from(self.made.is_some()), "nobody wrote {listed:?}");
        if let (Some((key, id)), Some((made_key, body, lock))) = (listed.pop(), self.made.take()) {
            let version = Version { key, id, body, lock, days: 1, doubt: None };
            assert_eq!(version.key, made_key);
            assert_eq!(self.read(&version), version.lock, "made without its lock: {version:?}");
            kept.push(version);
        }
        self.versions = kept;
        self.try_to_remove_one();
    }

    fn list(&self) -> Vec<(String, String)> {
        let mut listed = Vec::new();
        let mut from = String::new();
        loop {
            let target = format!("?versions&prefix={}{from}", self.prefix);
            let xml = self.bucket.get(&target).send().expect(200).xml();
            let (keys, ids) = (xml.column("Version", "Key"), xml.column("Version", "VersionId"));
            listed.extend(keys.into_iter().zip(ids));
            if xml.text("IsTruncated") != "true" {
                return listed;
            }
            let (key, id) = (xml.text("NextKeyMarker"), xml.text("NextVersionIdMarker"));
            from = format!("&key-marker={key}&version-id-marker={id}");
        }
    }

    /// The lock that the store tells of a version, with its content checked.
    fn read(&self, version: &Version) -> Lock {
        let target = format!("{}?versionId={}", version.key, version.id);
        let response = self.bucket.get(&target).send().expect(200);
        assert_eq!(response.text(), version.body, "{version:?}");
        let until = response.header("x-amz-object-lock-retain-until-date");
        let until = until.map(|until| until[..19].to_owned());
        let told = self.bucket.get(&format!("{target}&legal-hold")).send();
        let hold = match told.status {
            404 => {
                told.refused(404, "NoSuchObjectLockConfiguration");
                None
            }
            _ => Some(told.expect(200).field("Status") == "ON"),
        };
        // With a retention a hold that was never set reads as one that was lifted.
        let unset = until.is_some() && hold == Some(false) && version.lock.hold.is_none();
        Lock { hold: if unset { None } else { hold }, until }
    }

    fn try_to_remove_one(&mut self) {
        let locked: Vec<&Version> =
            self.versions.iter().filter(|version| version.lock.protects()).collect();
        if locked.is_empty() {
            return;
        }
        let version = locked[self.random.below(locked.len())];
        let target = format!("{}?versionId={}", version.key, version.id);
        self.bucket.delete(&target).send().refused(403, "AccessDenied");
    }
}
