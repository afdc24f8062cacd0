//! Uploads of several parts across kills: an acknowledged part is there until its upload ends, a
//! completion happens whole or not at all, and never leaves both the object and the upload.

use std::collections::BTreeMap;

use crate::crash::{Died, Step};
use crate::support::fixture::Random;
use crate::support::{Bucket, Content, Response, Server};

const KEYS: usize = 4;
const PARTS: usize = 5;
const PART_BYTES_MAX: usize = 300_000;
const OPEN_MAX: usize = 3;

/// Some bytes of a content that was sent: all of a part's own, or a copied range.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    content: Content,
    from: usize,
    to: usize,
}

type Pieces = Vec<Piece>;

fn bytes(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.content.bytes()[piece.from..piece.to].to_vec()).collect()
}

/// What is known about an object that uploads make.
#[derive(Debug, Clone, Default)]
struct Slot {
    known: Option<Pieces>,
    /// What a request without an answer may have made of it.
    doubt: Option<Option<Pieces>>,
}

/// An upload that was begun, with the parts that were acknowledged.
#[derive(Debug, Clone)]
struct Open {
    key: String,
    id: String,
    parts: BTreeMap<usize, (String, Pieces)>,
    end: End,
}

/// Whether an upload was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    No,
    Completed,
    Aborted,
}

/// One client's uploads.
pub struct Uploads {
    bucket: Bucket,
    prefix: String,
    slots: BTreeMap<String, Slot>,
    open: Vec<Open>,
    /// A beginning without an answer may have left an upload that nobody knows.
    begun: bool,
    random: Random,
    /// How many were completed.
    pub completed: u64,
}

impl Uploads {
    /// The uploads of the worker of this name.
    pub fn new(worker: &str, bucket: Bucket, seed: u64) -> Self {
        let prefix = format!("uploads-{worker}-");
        let slots = (0..KEYS).map(|key| (format!("{prefix}{key}"), Slot::default())).collect();
        let random = Random::new(seed ^ 0x75);
        Self { bucket, prefix, slots, open: Vec::new(), begun: false, random, completed: 0 }
    }

    /// Turns to the server where it is now.
    pub fn meet(&mut self, server: &Server) {
        self.bucket = self.bucket.seen_at(server);
    }

    /// Does one thing.
    pub fn step(&mut self) -> Step {
        if self.open.is_empty() || (self.open.len() < OPEN_MAX && self.random.below(6) == 0) {
            return self.begin();
        }
        let place = self.random.below(self.open.len());
        match (self.open[place].parts.len(), self.random.below(20)) {
            (_, 0) => self.abort(place),
            (_, 1) => self.delete(),
            (2.., 2..8) | (1, 2) => self.complete(place),
            (_, 8..13) => self.copy_part(place),
            _ => self.put_part(place),
        }
    }

    fn key(&mut self) -> String {
        format!("{}{}", self.prefix, self.random.below(KEYS))
    }

    fn slot(&mut self, key: &str) -> &mut Slot {
        self.slots.get_mut(key).expect("a key of this worker")
    }

    fn begin(&mut self) -> Step {
        let key = self.key();
        self.begun = true;
        let response = self.bucket.post(&format!("{key}?uploads")).try_send().map_err(|_| Died)?;
        self.begun = false;
        let id = response.expect(200).field("UploadId");
        self.open.push(Open { key, id, parts: BTreeMap::new(), end: End::No });
        Ok(())
    }

    fn put_part(&mut self, place: usize) -> Step {
        let len = 1 + self.random.below(PART_BYTES_MAX);
        let content = Content { seed: self.random.next(), len };
        let (number, target) = self.part_to_send(place);
        let request = self.bucket.put(&target).body(content.bytes()).payload("UNSIGNED-PAYLOAD");
        let etag = request.try_send().map_err(|_| Died)?.expect(200).etag();
        let pieces = vec![Piece { content, from: 0, to: len }];
        self.open[place].parts.insert(number, (etag, pieces));
        Ok(())
    }

    /// Makes a part of a range of an object that an upload made, which may span its parts.
    fn copy_part(&mut self, place: usize) -> Step {
        let source = self.key();
        let Some(pieces) = self.slot(&source).known.clone() else { return self.put_part(place) };
        let size: usize = pieces.iter().map(|piece| piece.to - piece.from).sum();
        let first = self.random.below(size);
        let last = first + self.random.below(size - first);
        let (number, target) = self.part_to_send(place);
        let request = self.bucket.put(&target);
        let request = request
            .header("x-amz-copy-source", format!("/{}/{source}", self.bucket.name))
            .header("x-amz-copy-source-range", format!("bytes={first}-{last}"));
        let etag = request.try_send().map_err(|_| Died)?.expect(200).field("ETag");
        let pieces = cut(&pieces, first, last + 1);
        self.open[place].parts.insert(number, (etag, pieces));
        Ok(())
    }

    /// Chooses a part's number. What was there under it is in doubt until the answer comes.
    fn part_to_send(&mut self, place: usize) -> (usize, String) {
        let number = 1 + self.random.below(PARTS);
        let open = &mut self.open[place];
        open.parts.remove(&number);
        (number, format!("{}?partNumber={number}&uploadId={}", open.key, open.id))
    }

    fn complete(&mut self, place: usize) -> Step {
        let open = &mut self.open[place];
        open.end = End::Completed;
        let (key, target) = (open.key.clone(), format!("{}?uploadId={}", open.key, open.id));
        let mut list = String::new();
        let mut pieces = Vec::new();
        for (number, (etag, part)) in &open.parts {
            list.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ));
            pieces.extend(part.iter().cloned());
        }
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        self.change(&key, Some(pieces), |bucket| bucket.post(&target).body(body).try_send())?
            .expect(200);
        self.open.remove(place);
        self.completed += 1;
        Ok(())
    }

    fn abort(&mut self, place: usize) -> Step {
        let open = &mut self.open[place];
        open.end = End::Aborted;
        let target = format!("{}?uploadId={}", open.key, open.id);
        self.bucket.delete(&target).try_send().map_err(|_| Died)?.expect(204);
        self.open.remove(place);
        Ok(())
    }

    fn delete(&mut self) -> Step {
        let key = self.key();
        self.change(&key, None, |bucket| bucket.delete(&key).try_send())?.expect(204);
        Ok(())
    }

    /// Sends what changes an object, with the outcome in doubt until the answer comes.
    fn change(
        &mut self,
        key: &str,
        outcome: Option<Pieces>,
        send: impl FnOnce(&Bucket) -> std::io::Result<Response>,
    ) -> Step<Response> {
        self.slot(key).doubt = Some(outcome.clone());
        let response = send(&self.bucket).map_err(|_| Died)?;
        *self.slot(key) = Slot { known: outcome, doubt: None };
        Ok(response)
    }

    /// Holds objects and uploads against the store, and learns what became of what was in doubt.
    pub fn verify(&mut self) {
        let xml = self.bucket.get(&format!("?uploads&prefix={}", self.prefix)).send().expect(200);
        let mut listed = xml.xml().column("Upload", "UploadId");
        for open in &mut self.open {
            let place = listed.iter().position(|id| *id == open.id);
            let was_listed = place.map(|place| listed.remove(place)).is_some();
            let slot = self.slots.get(&open.key).expect("a key of this worker");
            match (open.end, was_listed) {
                (End::No, true) => {}
                (End::No, false) => panic!("the upload of {} is lost", open.key),
                (End::Aborted, _) => {}
                (End::Completed, was_listed) => {
                    let response = self.bucket.get(&open.key).send();
                    let made = slot.doubt.clone().flatten().expect("what a completion makes");
                    let happened = response.status == 200 && response.body == bytes(&made);
                    assert!(
                        happened != was_listed,
                        "completing {} made the object: {happened}, left the upload: {was_listed}",
                        open.key
                    );
                }
            }
            open.end = if was_listed { End::No } else { End::Completed };
        }
        self.open.retain(|open| open.end == End::No);
        assert!(listed.len() <= usize::from(self.begun), "uploads nobody began: {listed:?}");
        self.begun = false;
        self.abort_stray(&listed);
        self.verify_parts();
        self.verify_objects();
    }

    /// Ends an upload of which the key is not known.
    fn abort_stray(&self, ids: &[String]) {
        for id in ids {
            let ended = self.slots.keys().any(|key| {
                self.bucket.delete(&format!("{key}?uploadId={id}")).send().status == 204
            });
            assert!(ended, "{id} is listed and belongs to no key");
        }
    }

    fn verify_parts(&self) {
        for open in &self.open {
            let target = format!("{}?uploadId={}", open.key, open.id);
            let xml = self.bucket.get(&target).send().expect(200).xml();
            let numbers = xml.column("Part", "PartNumber");
            for (number, (etag, pieces)) in &open.parts {
                let place = numbers.iter().position(|found| *found == number.to_string());
                let place = place.unwrap_or_else(|| panic!("part {number} of {target} is lost"));
                assert_eq!(xml.column("Part", "ETag")[place], *etag, "part {number} of {target}");
                let size = bytes(pieces).len().to_string();
                assert_eq!(xml.column("Part", "Size")[place], size, "part {number} of {target}");
            }
        }
    }

    fn verify_objects(&mut self) {
        for (key, slot) in &mut self.slots {
            let response = self.bucket.get(key).send();
            let is = |pieces: &Option<Pieces>| match pieces {
                Some(pieces) => response.status == 200 && response.body == bytes(pieces),
                None => response.status == 404,
            };
            let candidates = [Some(slot.known.clone()), slot.doubt.take()];
            let found = candidates.into_iter().flatten().find(is);
            slot.known = found.unwrap_or_else(|| {
                panic!("{key} is neither what was acknowledged nor in doubt: {response}")
            });
        }
    }
}

/// The bytes from `first` to before `end` of what `pieces` make.
fn cut(pieces: &[Piece], first: usize, end: usize) -> Pieces {
    let mut cut = Vec::new();
    let mut start = 0;
    for piece in pieces {
        let len = piece.to - piece.from;
        let (from, to) = (first.clamp(start, start + len), end.clamp(start, start + len));
        if from < to {
            let shift = piece.from;
            let (from, to) = (shift + from - start, shift + to - start);
            cut.push(Piece { content: piece.content, from, to });
        }
        start += len;
    }
    cut
}
