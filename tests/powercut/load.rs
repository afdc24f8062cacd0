//! Clients that write until the power goes, and remember what they were told.
//!
//! Each worker owns its keys, so it knows what has to be there: what was acknowledged last, or what a
//! request without an answer may have made of it. Objects of one bucket come with a vector or without
//! one; the vector is there exactly while its object is.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::digest::base64;
use crate::support::fixture::Random;
use crate::support::vectors::{index_with, ok, pages};
use crate::support::{Bucket, Content, Response, Server};

/// Keys of each worker.
const KEYS: usize = 12;
/// And those where vectors are bound.
const BOUND_KEYS: usize = 4;
/// In the names of those.
const BOUND: &str = "bound";
const VECTOR_BUCKET: &str = "power-bound";
const INDEX: &str = "index";
const SMALL_BYTES_MAX: usize = 9_000;
/// Around the length up to which values live in the journal.
const MIDDLE_BYTES: std::ops::Range<usize> = 60_000..70_000;
const LARGE_BYTES: std::ops::Range<usize> = 200_000..1_500_000;
/// Wait after the store said that it has no room just now.
const PATIENCE: Duration = Duration::from_millis(20);

/// The server went away in the middle of a request.
struct Died;

impl From<io::Error> for Died {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Whether the store said that it has no room just now; then waits a moment.
fn is_busy(response: &Response) -> bool {
    let busy = matches!(response.status, 503 | 507);
    if busy {
        std::thread::sleep(PATIENCE);
    }
    busy
}

#[derive(Debug, Clone, Copy, Default)]
struct Object {
    /// What was acknowledged last.
    known: Option<Content>,
    /// What a request without an answer may have made of it.
    doubt: Option<Option<Content>>,
}

/// The vector that `content` comes with in the bucket of bound vectors.
fn vector_of(content: &Content) -> Option<[f32; 2]> {
    let number = content.seed % 1_000_000;
    (!number.is_multiple_of(3)).then_some([number as f32, content.len as f32])
}

/// The buckets of a run.
#[derive(Debug, Clone)]
pub struct Buckets {
    plain: Bucket,
    versioned: Bucket,
    /// Where objects may have vectors, and the index that has those.
    bound: Bucket,
    index_arn: String,
}

impl Buckets {
    /// Makes them.
    pub fn create(server: &Server) -> Self {
        let client = server.client();
        ok(&client, "CreateVectorBucket", &json!({ "vectorBucketName": VECTOR_BUCKET }));
        Self {
            plain: Bucket::create(&client, "power"),
            versioned: Bucket::create_versioned(&client, "power-versions"),
            bound: Bucket::create(&client, "power-bound"),
            index_arn: index_with(&client, VECTOR_BUCKET, INDEX, 2, "euclidean", &json!({})),
        }
    }

    fn seen_at(&self, server: &Server) -> Self {
        let seen = |bucket: &Bucket| Bucket { client: server.client(), name: bucket.name.clone() };
        Self {
            plain: seen(&self.plain),
            versioned: seen(&self.versioned),
            bound: seen(&self.bound),
            index_arn: self.index_arn.clone(),
        }
    }

    /// The bucket of a key of a worker.
    fn of(&self, key: &str) -> &Bucket {
        if key.contains(BOUND) { &self.bound } else { &self.plain }
    }

    /// The bound vectors, by their keys.
    fn vectors(&self) -> BTreeMap<String, [f32; 2]> {
        let body = json!({ "indexArn": self.index_arn, "returnData": true });
        let (rows, _) = pages(&self.bound.client, "ListVectors", &body, "vectors");
        let vector = |row: &Value| serde_json::from_value(row["data"]["float32"].clone()).unwrap();
        rows.iter().map(|row| (row["key"].as_str().unwrap().to_owned(), vector(row))).collect()
    }
}

/// One client with its memory.
#[derive(Debug)]
pub struct Worker {
    buckets: Buckets,
    random: Random,
    objects: BTreeMap<String, Object>,
    history_key: String,
    /// Versions that were acknowledged, oldest first, and the one that may be there.
    history: Vec<(String, Content)>,
    history_doubt: Option<Content>,
    /// Versions from here on were not read since they were written.
    history_read: usize,
    acknowledged: u64,
}

impl Worker {
    /// The worker of that number.
    pub fn new(number: usize, buckets: &Buckets, seed: u64) -> Self {
        let keys = (0..KEYS).map(|key| format!("worker{number}/key{key:02}"));
        let bound = (0..BOUND_KEYS).map(|key| format!("worker{number}/{BOUND}{key:02}"));
        Self {
            buckets: buckets.clone(),
            random: Random::new(seed),
            objects: keys.chain(bound).map(|key| (key, Object::default())).collect(),
            history_key: format!("worker{number}/history"),
            history: Vec::new(),
            history_doubt: None,
            history_read: 0,
            acknowledged: 0,
        }
    }

    /// Writes that the server said were done.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Turns to the server where it is now.
    pub fn meet(&mut self, server: &Server) {
        self.buckets = self.buckets.seen_at(server);
    }

    /// Writes until the server is gone.
    pub fn work(&mut self) {
        while self.step().is_ok() {}
    }

    fn step(&mut self) -> Result<(), Died> {
        match self.random.below(100) {
            0..30 => self.put(),
            30..40 => self.put_if_absent(),
            40..50 => self.upload(),
            50..60 => self.copy(),
            60..70 => self.delete(),
            70..80 => self.put_bound(),
            80..83 => self.delete_bound(),
            _ => self.put_version(),
        }
    }

    fn small_content(&mut self) -> Content {
        Content { seed: self.random.next(), len: self.random.below(SMALL_BYTES_MAX) }
    }

    fn content(&mut self) -> Content {
        let len = match self.random.below(10) {
            0..6 => return self.small_content(),
            6..8 => MIDDLE_BYTES.start + self.random.below(MIDDLE_BYTES.len()),
            _ => LARGE_BYTES.start + self.random.below(LARGE_BYTES.len()),
        };
        Content { seed: self.random.next(), len }
    }

    fn key(&mut self) -> String {
        format!("{}{:02}", self.history_key.replace("history", "key"), self.random.below(KEYS))
    }

    fn object(&mut self, key: &str) -> &mut Object {
        self.objects.entry(key.to_owned()).or_default()
    }

    /// Sends a write whose outcome is in doubt until the answer comes.
    fn write(
        &mut self,
        key: &str,
        outcome: Option<Content>,
        send: impl FnOnce(&Bucket) -> io::Result<Response>,
    ) -> Result<(), Died> {
        self.object(key).doubt = Some(outcome);
        let response = send(self.buckets.of(key))?;
        let object = self.object(key);
        object.doubt = None;
        match response.status {
            200 | 204 => {
                object.known = outcome;
                self.acknowledged += 1;
            }
            _ if is_busy(&response) => {}
            412 => assert!(object.known.is_some(), "{key} was absent: {response}"),
            _ => panic!("{response}"),
        }
        Ok(())
    }

    fn put(&mut self) -> Result<(), Died> {
        let (key, content) = (self.key(), self.content());
        self.write(&key, Some(content), |bucket| {
            bucket.put(&key).body(content.bytes()).payload("UNSIGNED-PAYLOAD").try_send()
        })
    }

    fn put_if_absent(&mut self) -> Result<(), Died> {
        let (key, content) = (self.key(), self.content());
        let outcome = self.object(&key).known.unwrap_or(content);
        self.write(&key, Some(outcome), |bucket| {
            let request = bucket.put(&key).header("if-none-match", "*").body(content.bytes());
            request.payload("UNSIGNED-PAYLOAD").try_send()
        })
    }

    fn upload(&mut self) -> Result<(), Died> {
        let (key, content) = (self.key(), self.content());
        let begun = self.buckets.plain.post(&format!("{key}?uploads")).try_send()?;
        if is_busy(&begun) {
            return Ok(());
        }
        let id = begun.expect(200).field("UploadId");
        let part = self.buckets.plain.put(&format!("{key}?partNumber=1&uploadId={id}"));
        let part = part.body(content.bytes()).payload("UNSIGNED-PAYLOAD").try_send()?;
        if is_busy(&part) {
            return Ok(());
        }
        let complete = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
             </CompleteMultipartUpload>",
            part.expect(200).etag()
        );
        self.write(&key, Some(content), |bucket| {
            bucket.post(&format!("{key}?uploadId={id}")).body(complete).try_send()
        })
    }

    fn copy(&mut self) -> Result<(), Died> {
        let (source, target) = (self.key(), self.key());
        let Some(content) = self.object(&source).known.filter(|_| source != target) else {
            return Ok(());
        };
        let from = format!("/{}/{source}", self.buckets.plain.name);
        self.write(&target, Some(content), |bucket| {
            bucket.put(&target).header("x-amz-copy-source", from).try_send()
        })
    }

    fn delete(&mut self) -> Result<(), Died> {
        let key = self.key();
        self.write(&key, None, |bucket| bucket.delete(&key).try_send())
    }

    fn bound_key(&mut self) -> String {
        format!(
            "{}{:02}",
            self.history_key.replace("history", BOUND),
            self.random.below(BOUND_KEYS)
        )
    }

    /// Puts an object with its vector or without one.
    fn put_bound(&mut self) -> Result<(), Died> {
        let (key, content) = (self.bound_key(), self.small_content());
        self.write(&key, Some(content), |bucket| {
            let mut request = bucket.put(&key).body(content.bytes());
            if let Some(vector) = vector_of(&content) {
                let bytes: Vec<u8> =
                    vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                request = request
                    .header("x-lodestore-vector-index", format!("{VECTOR_BUCKET}/{INDEX}"))
                    .header("x-lodestore-vector-data", base64(&bytes));
            }
            request.payload("UNSIGNED-PAYLOAD").try_send()
        })
    }

    fn delete_bound(&mut self) -> Result<(), Died> {
        let key = self.bound_key();
        self.write(&key, None, |bucket| bucket.delete(&key).try_send())
    }

    fn put_version(&mut self) -> Result<(), Died> {
        // Versions are never removed here: large ones would fill the device.
        let content = self.small_content();
        self.history_doubt = Some(content);
        let request = self.buckets.versioned.put(&self.history_key).body(content.bytes());
        let response = request.payload("UNSIGNED-PAYLOAD").try_send()?;
        self.history_doubt = None;
        if is_busy(&response) {
            return Ok(());
        }
        self.history.push((response.expect(200).version_id(), content));
        self.acknowledged += 1;
        Ok(())
    }

    /// Holds all that this worker knows against the store, and learns what became of what was in
    /// doubt: from then on it has to stay. Says what is lost.
    pub fn verify(&mut self) -> Vec<String> {
        let mut losses = self.verify_objects();
        losses.extend(self.verify_bound());
        losses.extend(self.verify_history());
        losses
    }

    fn verify_objects(&mut self) -> Vec<String> {
        let mut losses = Vec::new();
        for (key, object) in &mut self.objects {
            let response = self.buckets.of(key).get(key).send();
            let is = |content: &Option<Content>| match content {
                Some(content) => response.status == 200 && response.body == content.bytes(),
                None => response.status == 404 && response.field("Code") == "NoSuchKey",
            };
            let mut outcomes = [Some(object.known), object.doubt].into_iter().flatten();
            match outcomes.find(is) {
                Some(found) => *object = Object { known: found, doubt: None },
                None => losses.push(format!(
                    "{key}: expected {:?}, or else {:?}, found {} with {} bytes",
                    object.known,
                    object.doubt,
                    response.status,
                    response.body.len()
                )),
            }
        }
        losses
    }

    /// The vectors are those of the objects that are there.
    fn verify_bound(&self) -> Option<String> {
        let mut found = self.buckets.vectors();
        found.retain(|key, _| self.objects.contains_key(key));
        let bound = self.objects.iter().filter(|(key, _)| key.contains(BOUND));
        let bound = bound.filter_map(|(key, object)| Some((key.clone(), object.known?)));
        let expected: BTreeMap<String, [f32; 2]> =
            bound.filter_map(|(key, content)| Some((key, vector_of(&content)?))).collect();
        (found != expected)
            .then(|| format!("bound vectors: expected {expected:?}, found {found:?}"))
    }

    fn verify_history(&mut self) -> Vec<String> {
        let key = &self.history_key;
        let mut listed = match self.list_history() {
            Ok(listed) => listed,
            Err(why) => return vec![format!("{key}: {why}")],
        };
        if let Some(content) = self.history_doubt.take()
            && listed.len() > self.history.len()
            && let Some(id) = listed.pop()
        {
            self.history.push((id.clone(), content));
            listed.push(id);
        }
        let known: Vec<&String> = self.history.iter().map(|(id, _)| id).collect();
        if listed.iter().collect::<Vec<_>>() != known {
            return vec![format!("{key}: {} versions known, {} there", known.len(), listed.len())];
        }
        let mut losses = Vec::new();
        for (id, content) in &self.history[self.history_read..] {
            let response = self.buckets.versioned.get(&format!("{key}?versionId={id}")).send();
            if response.status != 200 || response.body != content.bytes() {
                losses.push(format!("{key} {id}: expected {content:?}, found {}", response.status));
            }
        }
        self.history_read = self.history.len();
        losses
    }

    /// The version ids, oldest first.
    fn list_history(&self) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        let mut from = String::new();
        loop {
            let target = format!("?versions&prefix={}{from}", self.history_key);
            let response = self.buckets.versioned.get(&target).send();
            if response.status != 200 {
                return Err(format!("no listing of versions: {response}"));
            }
            let xml = response.xml();
            ids.extend(xml.column("Version", "VersionId"));
            if xml.text("IsTruncated") != "true" {
                ids.reverse();
                return Ok(ids);
            }
            let (key, id) = (xml.text("NextKeyMarker"), xml.text("NextVersionIdMarker"));
            from = format!("&key-marker={key}&version-id-marker={id}");
        }
    }
}
