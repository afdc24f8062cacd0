//! kill -9 under load: what was acknowledged is there after the restart, what was deleted stays
//! deleted, and what was in flight happened whole or not at all.
//!
//! - Each worker owns its keys, so it knows what has to be there; shared keys are written with
//!   conditions only, so that each acknowledged condition can be held against the store later.
//! - `LODESTORE_CRASH_ROUNDS` sets the number of kills (20 when it is not set, thousands for the
//!   long form), `LODESTORE_CRASH_SEED` repeats a run's choices.
//! - Uploads of several parts, locked versions and vectors have models of their own.

mod graphs;
mod locks;
mod uploads;
mod vectors;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::fixture::Random;
use crate::support::signing::encode;
use crate::support::{Bucket, Content, Response, Server, Setup};

const WORKERS: usize = 6;
/// Keys of each worker in each of its buckets.
const KEYS: usize = 24;
const LARGE_BYTES_MAX: usize = 1_500_000;

/// The server is gone in the middle of a request.
struct Died;

type Step<T = ()> = Result<T, Died>;

/// How long to go on, and what decides its choices.
struct Run {
    rounds: u64,
    seed: u64,
}

impl Run {
    /// What the environment asks for.
    fn asked() -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let rounds = number("LODESTORE_CRASH_ROUNDS").unwrap_or(20);
        let seed = number("LODESTORE_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
        println!("LODESTORE_CRASH_SEED={seed}");
        Self { rounds, seed }
    }
}

/// Verifies the store of a server that has stopped.
fn check_finds_nothing(server: &Server) {
    let data = server.data();
    let check = server.setup().run(&["check", data.to_str().unwrap()]);
    let words = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success(), "{words}{}", String::from_utf8_lossy(&check.stderr));
}

/// What a worker knows about one of its plain keys.
#[derive(Debug, Clone, Default)]
struct Slot {
    /// What was acknowledged last, with its ETag.
    known: Option<(Content, String)>,
    /// What a request without an answer may have made of it.
    doubt: Option<Option<Content>>,
    /// Changed since it was last verified.
    fresh: bool,
}

/// What a worker knows about one of its versioned keys: oldest first, markers without content.
#[derive(Debug, Clone, Default)]
struct History {
    known: Vec<(String, Option<Content>)>,
    doubt: Option<VersionDoubt>,
    verified: usize,
}

#[derive(Debug, Clone)]
enum VersionDoubt {
    Added(Option<Content>),
    Removed(String),
}

/// One client with its memory.
struct Worker {
    name: String,
    plain: Bucket,
    versioned: Bucket,
    slots: BTreeMap<String, Slot>,
    histories: BTreeMap<String, History>,
    /// Lines of the ledger that were acknowledged, and the one that may be there.
    lines: Vec<String>,
    line_doubt: Option<String>,
    claims: Vec<String>,
    uploads: uploads::Uploads,
    locks: locks::Locks,
    random: Random,
    sequence: u64,
    acknowledged: u64,
}

#[test]
fn acknowledged_writes_survive_kill() {
    let Run { rounds, seed } = Run::asked();
    let mut random = Random::new(seed);
    let mut server = Setup::new()
        .env("LODESTORE_ZONE_BYTES", "4MiB")
        .env("LODESTORE_CHECKPOINT_BYTES", "2MiB")
        .env("LODESTORE_CAPACITY_BYTES", "1GiB")
        .env("LODESTORE_SMALL_PARTS", "true")
        .start();
    let plain = Bucket::create(&server.client(), "crash");
    let versioned = Bucket::create_versioned(&server.client(), "crash-versions");
    let locked = Bucket::create_locked(&server.client(), "crash-locks");
    let mut workers: Vec<Worker> = (0..WORKERS)
        .map(|number| Worker::new(number, [&plain, &versioned, &locked], random.next()))
        .collect();
    for round in 0..rounds {
        let work = Duration::from_millis(200 + u64::try_from(random.below(800)).unwrap());
        plain.seen_at(&server).store("ledger", "");
        for worker in &mut workers {
            worker.meet(&server, round);
        }
        std::thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(|| while worker.step().is_ok() {});
            }
            std::thread::sleep(work);
            server.kill();
        });
        server = server.start_again();
        for worker in &mut workers {
            worker.meet(&server, round);
            worker.verify();
        }
        verify_shared(&plain.seen_at(&server), &workers);
    }
    let sum = |count: fn(&Worker) -> u64| workers.iter().map(count).sum::<u64>();
    let acknowledged = sum(|worker| worker.acknowledged);
    let uploads = sum(|worker| worker.uploads.completed);
    let locks = sum(|worker| worker.locks.acknowledged);
    println!(
        "{acknowledged} acknowledged writes, {uploads} uploads and {locks} changes of locked \
         versions in {rounds} rounds"
    );
    assert!(acknowledged > rounds * 20, "{acknowledged} writes are no load");
    assert!(server.stop().success());
    check_finds_nothing(&server);
}

/// Holds what all workers wrote to shared keys against the store.
fn verify_shared(plain: &Bucket, workers: &[Worker]) {
    let ledger = String::from_utf8(plain.content("ledger")).unwrap();
    let lines: Vec<&str> = ledger.lines().collect();
    for worker in workers {
        for line in &worker.lines {
            let times = lines.iter().filter(|found| *found == line).count();
            assert_eq!(times, 1, "{line} was acknowledged and is there {times} times:\n{ledger}");
        }
        for claim in &worker.claims {
            assert_eq!(plain.content(claim), worker.name.as_bytes(), "{claim} has another owner");
        }
    }
    let attempted = |line: &str| {
        workers.iter().any(|worker| {
            worker.lines.iter().any(|known| known == line)
                || worker.line_doubt.as_deref() == Some(line)
        })
    };
    let stray: Vec<&&str> = lines.iter().filter(|line| !attempted(line)).collect();
    assert!(stray.is_empty(), "nobody wrote {stray:?}");
}

impl Bucket {
    /// The same bucket on a server that moved.
    fn seen_at(&self, server: &Server) -> Self {
        Self { client: server.client(), name: self.name.clone() }
    }
}

impl Worker {
    fn new(number: usize, buckets: [&Bucket; 3], seed: u64) -> Self {
        let [plain, versioned, locked] = buckets;
        let name = format!("worker{number}");
        let keys =
            |kind: &'static str| (0..KEYS).map(move |key| format!("worker{number}/{kind}{key:02}"));
        Self {
            plain: plain.clone(),
            versioned: versioned.clone(),
            slots: keys("plain").map(|key| (key, Slot::default())).collect(),
            histories: keys("versions").map(|key| (key, History::default())).collect(),
            lines: Vec::new(),
            line_doubt: None,
            claims: Vec::new(),
            uploads: uploads::Uploads::new(&name, plain.clone(), seed),
            locks: locks::Locks::new(&name, locked.clone(), seed),
            random: Random::new(seed),
            sequence: 0,
            acknowledged: 0,
            name,
        }
    }

    /// Turns to the server where it is now.
    fn meet(&mut self, server: &Server, round: u64) {
        self.plain = self.plain.seen_at(server);
        self.versioned = self.versioned.seen_at(server);
        self.uploads.meet(server);
        self.locks.meet(server);
        if self.line_doubt.as_ref().is_none_or(|line| !line.contains(&format!("round{round}-"))) {
            self.line_doubt = None;
            self.lines.retain(|line| line.contains(&format!("round{round}-")));
        }
        // The upper half of a sequence number is its round.
        self.sequence = self.sequence.max(round << 32);
        self.claims.drain(..self.claims.len().saturating_sub(50));
    }

    fn content(&mut self, large: bool) -> Content {
        self.sequence += 1;
        let len = match (large, self.random.below(4)) {
            (true, _) => 100_000 + self.random.below(LARGE_BYTES_MAX - 100_000),
            (false, 0) => self.random.below(100),
            (false, 1) => 65_000 + self.random.below(1_000),
            (false, _) => self.random.below(8_000),
        };
        Content { seed: self.random.next(), len }
    }

    fn key(&mut self) -> String {
        let number = self.random.below(KEYS);
        self.slots.keys().nth(number).expect("a key").clone()
    }

    fn version_key(&mut self) -> String {
        let number = self.random.below(KEYS);
        self.histories.keys().nth(number).expect("a key").clone()
    }

    fn slot(&mut self, key: &str) -> &mut Slot {
        self.slots.get_mut(key).expect("a key of this worker")
    }

    fn step(&mut self) -> Step {
        match self.random.below(100) {
            0..18 => self.put(false),
            18..24 => self.put(true),
            24..38 => self.uploads.step(),
            38..44 => self.locks.step(),
            44..52 => self.copy(),
            52..60 => self.delete(),
            60..63 => self.delete_many(),
            63..71 => self.put_conditionally(),
            71..81 => self.put_version(),
            81..85 => self.hide_version(),
            85..89 => self.remove_version(),
            89..93 => self.append_line(),
            93..95 => self.claim(),
            _ => self.read(),
        }
    }

    /// Sends, with the outcome in doubt until the answer comes.
    fn write(
        &mut self,
        key: &str,
        outcome: Option<Content>,
        send: impl FnOnce(&Bucket) -> std::io::Result<Response>,
    ) -> Step<Response> {
        self.slot(key).doubt = Some(outcome);
        let response = send(&self.plain).map_err(|_| Died)?;
        let slot = self.slot(key);
        slot.doubt = None;
        if matches!(response.status, 200 | 204) {
            slot.known = outcome.map(|content| (content, etag_of(&response)));
            slot.fresh = true;
            self.acknowledged += 1;
        }
        Ok(response)
    }

    fn put(&mut self, large: bool) -> Step {
        let (key, content) = (self.key(), self.content(large));
        let response = self.write(&key, Some(content), |bucket| {
            let request = bucket.put(&key).body(content.bytes());
            if large { request.payload("UNSIGNED-PAYLOAD").try_send() } else { request.try_send() }
        })?;
        response.expect(200);
        Ok(())
    }

    fn put_conditionally(&mut self) -> Step {
        let (key, content) = (self.key(), self.content(false));
        let known = self.slot(&key).known.clone();
        let (name, value) = match (&known, self.random.below(2)) {
            (Some((_, etag)), 0) => ("if-match", etag.clone()),
            _ => ("if-none-match", "*".to_owned()),
        };
        let holds = known.is_none() || name == "if-match";
        let outcome = if holds { Some(content) } else { known.map(|(content, _)| content) };
        self.slot(&key).doubt = Some(outcome);
        let request = self.plain.put(&key).header(name, value).body(content.bytes());
        let response = request.try_send().map_err(|_| Died)?;
        let slot = self.slot(&key);
        slot.doubt = None;
        if holds {
            let etag = response.expect(200).etag();
            *slot = Slot { known: Some((content, etag)), doubt: None, fresh: true };
            self.acknowledged += 1;
        } else {
            response.refused(412, "PreconditionFailed");
        }
        Ok(())
    }

    fn copy(&mut self) -> Step {
        let (source, target) = (self.key(), self.key());
        let Some((content, _)) = self.slot(&source).known.clone() else { return Ok(()) };
        if source == target {
            return Ok(());
        }
        let from = format!("/{}/{source}", self.plain.name);
        let response = self.write(&target, Some(content), |bucket| {
            bucket.put(&target).header("x-amz-copy-source", from).try_send()
        })?;
        response.expect(200);
        Ok(())
    }

    fn delete(&mut self) -> Step {
        let key = self.key();
        self.write(&key, None, |bucket| bucket.delete(&key).try_send())?.expect(204);
        Ok(())
    }

    fn delete_many(&mut self) -> Step {
        let keys: Vec<String> = (0..3).map(|_| self.key()).collect();
        let objects: String =
            keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
        for key in &keys {
            self.slot(key).doubt = Some(None);
        }
        let request = self.plain.post("?delete").body(format!("<Delete>{objects}</Delete>"));
        let response = request.content_md5().try_send().map_err(|_| Died)?.expect(200);
        assert!(response.xml().all("Error").is_empty(), "{response}");
        for key in &keys {
            *self.slot(key) = Slot { fresh: true, ..Slot::default() };
        }
        self.acknowledged += 1;
        Ok(())
    }

    fn read(&mut self) -> Step {
        let key = self.key();
        let response = self.plain.get(&key).try_send().map_err(|_| Died)?;
        match &self.slot(&key).known {
            Some((content, _)) => {
                assert!(response.expect(200).body == content.bytes(), "{key} reads different");
            }
            None => drop(response.refused(404, "NoSuchKey")),
        }
        Ok(())
    }

    fn version_write(
        &mut self,
        key: &str,
        doubt: VersionDoubt,
        send: impl FnOnce(&Bucket) -> std::io::Result<Response>,
    ) -> Step<Response> {
        let history = self.histories.get_mut(key).expect("a key of this worker");
        history.doubt = Some(doubt);
        let response = send(&self.versioned).map_err(|_| Died)?;
        history.doubt = None;
        self.acknowledged += 1;
        Ok(response)
    }

    fn history(&mut self, key: &str) -> &mut History {
        self.histories.get_mut(key).expect("a key of this worker")
    }

    fn put_version(&mut self) -> Step {
        let (key, content) = (self.version_key(), self.content(false));
        let doubt = VersionDoubt::Added(Some(content));
        let response = self.version_write(&key, doubt, |bucket| {
            bucket.put(&key).body(content.bytes()).try_send()
        })?;
        let id = response.expect(200).version_id();
        self.history(&key).known.push((id, Some(content)));
        Ok(())
    }

    fn hide_version(&mut self) -> Step {
        let key = self.version_key();
        let doubt = VersionDoubt::Added(None);
        let response = self.version_write(&key, doubt, |bucket| bucket.delete(&key).try_send())?;
        let id = response.expect(204).with("x-amz-delete-marker", "true").version_id();
        self.history(&key).known.push((id, None));
        Ok(())
    }

    fn remove_version(&mut self) -> Step {
        let key = self.version_key();
        let count = self.history(&key).known.len();
        if count == 0 {
            return Ok(());
        }
        let place = self.random.below(count);
        let id = self.history(&key).known[place].0.clone();
        let target = format!("{key}?versionId={id}");
        let doubt = VersionDoubt::Removed(id);
        let response =
            self.version_write(&key, doubt, |bucket| bucket.delete(&target).try_send())?;
        response.expect(204);
        let history = self.history(&key);
        history.known.remove(place);
        history.verified = history.verified.min(place);
        Ok(())
    }

    /// Adds a line to the shared ledger by compare and swap.
    fn append_line(&mut self) -> Step {
        let read = self.plain.get("ledger").try_send().map_err(|_| Died)?.expect(200);
        self.sequence += 1;
        let line = format!("round{}-{}-{}", self.sequence >> 32, self.name, self.sequence);
        let body = format!("{}{line}\n", read.text());
        self.line_doubt = Some(line.clone());
        let request = self.plain.put("ledger").header("if-match", read.etag()).body(body);
        let response = request.try_send().map_err(|_| Died)?;
        self.line_doubt = None;
        if response.status == 200 {
            self.lines.push(line);
            self.acknowledged += 1;
        } else {
            response
                .refused_as(&[(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")]);
        }
        Ok(())
    }

    /// Tries to be the first at a shared name.
    fn claim(&mut self) -> Step {
        self.sequence += 1;
        let claim = format!("claims/{}-{}", self.sequence >> 32, self.random.below(8));
        let request = self.plain.put(&claim).header("if-none-match", "*").body(self.name.clone());
        let response = request.try_send().map_err(|_| Died)?;
        if response.status == 200 {
            self.claims.push(claim);
            self.acknowledged += 1;
        } else {
            response
                .refused_as(&[(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")]);
        }
        Ok(())
    }

    /// Holds all this worker knows against the store, and learns what became of what was in doubt.
    fn verify(&mut self) {
        self.verify_plain();
        self.verify_listing();
        self.verify_versions();
        self.uploads.verify();
        self.locks.verify();
    }

    fn verify_plain(&mut self) {
        for (key, slot) in &mut self.slots {
            if !slot.fresh && slot.doubt.is_none() && self.random.below(4) > 0 {
                continue;
            }
            let response = self.plain.get(key).send();
            let etag = response.etag();
            let is = |content: Option<Content>| match content {
                Some(content) => response.status == 200 && response.body == content.bytes(),
                None => response.status == 404,
            };
            let known = slot.known.as_ref().map(|(content, _)| *content);
            let found =
                [Some(known), slot.doubt].into_iter().flatten().find(|content| is(*content));
            let Some(found) = found else {
                panic!(
                    "{key}: acknowledged {known:?}, in doubt {:?}, found {} with {} bytes",
                    slot.doubt,
                    response.status,
                    response.body.len()
                );
            };
            *slot = Slot { known: found.map(|content| (content, etag)), doubt: None, fresh: false };
        }
    }

    fn verify_listing(&self) {
        let target = format!("?list-type=2&prefix={}", encode(format!("{}/", self.name)));
        let xml = self.plain.get(&target).send().expect(200).xml();
        let listed: Vec<(String, String)> =
            xml.column("Contents", "Key").into_iter().zip(xml.column("Contents", "Size")).collect();
        let known: Vec<(String, String)> = self
            .slots
            .iter()
            .filter_map(|(key, slot)| {
                let (content, _) = slot.known.as_ref()?;
                Some((key.clone(), content.len.to_string()))
            })
            .collect();
        assert_eq!(listed, known, "the listing and the objects differ");
    }

    fn verify_versions(&mut self) {
        let mut listed = self.list_versions();
        for (key, history) in &mut self.histories {
            let found = listed.remove(key).unwrap_or_default();
            if found != Ids::of(&history.known) {
                match history.doubt.take() {
                    Some(VersionDoubt::Added(Some(content))) => {
                        let id = found.versions.last().cloned().unwrap_or_default();
                        history.known.push((id, Some(content)));
                    }
                    Some(VersionDoubt::Added(None)) => {
                        let id = found.markers.last().cloned().unwrap_or_default();
                        history.known.push((id, None));
                    }
                    Some(VersionDoubt::Removed(id)) => {
                        history.known.retain(|(known, _)| *known != id);
                        history.verified = 0;
                    }
                    None => {}
                }
            }
            assert_eq!(found, Ids::of(&history.known), "versions of {key}");
            history.doubt = None;
            for (id, content) in &history.known[history.verified.min(history.known.len())..] {
                let response = self.versioned.get(&format!("{key}?versionId={id}")).send();
                match content {
                    Some(content) => {
                        assert!(response.expect(200).body == content.bytes(), "{key} {id} changed");
                    }
                    None => drop(response.refused(405, "MethodNotAllowed")),
                }
            }
            history.verified = history.known.len();
        }
        assert!(listed.is_empty(), "nobody wrote {:?}", listed.keys());
    }

    /// What is listed of this worker's versions, by key.
    fn list_versions(&self) -> BTreeMap<String, Ids> {
        let mut listed: BTreeMap<String, Ids> = BTreeMap::new();
        let prefix = encode(format!("{}/", self.name));
        let mut from = String::new();
        loop {
            let target = format!("?versions&prefix={prefix}{from}");
            let xml = self.versioned.get(&target).send().expect(200).xml();
            for version in xml.all("Version") {
                let ids = listed.entry(version.text("Key")).or_default();
                ids.versions.insert(0, version.text("VersionId"));
            }
            for marker in xml.all("DeleteMarker") {
                let ids = listed.entry(marker.text("Key")).or_default();
                ids.markers.insert(0, marker.text("VersionId"));
            }
            if xml.text("IsTruncated") != "true" {
                return listed;
            }
            let (key, id) = (xml.text("NextKeyMarker"), xml.text("NextVersionIdMarker"));
            from = format!("&key-marker={}&version-id-marker={}", encode(key), encode(id));
        }
    }
}

/// Ids of a key's versions and of its markers, each oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ids {
    versions: Vec<String>,
    markers: Vec<String>,
}

impl Ids {
    fn of(known: &[(String, Option<Content>)]) -> Self {
        let ids = |is_marker: bool| {
            let of_kind = known.iter().filter(move |(_, content)| content.is_none() == is_marker);
            of_kind.map(|(id, _)| id.clone()).collect()
        };
        Self { versions: ids(false), markers: ids(true) }
    }
}

/// The ETag of a write, wherever the operation tells it.
fn etag_of(response: &Response) -> String {
    if response.etag().is_empty() && !response.body.is_empty() {
        response.field("ETag")
    } else {
        response.etag()
    }
}
