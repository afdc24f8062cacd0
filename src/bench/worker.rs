//! One worker: a connection and the operations it makes on it, one after the other.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use http::Method;

use super::options::{Operation, PayloadHash};
use super::payload::Payload;
use super::plan::Plan;
use super::recorder::{Done, Verb};
use crate::http_client::{
    Answer, Ask, Body, Client, Failure, Hash, Keep, Refusal, element, encode_value,
};

/// A worker of a load.
pub(super) struct Worker {
    plan: Arc<Plan>,
    client: Client,
    choice: Choice,
    /// `mixed`: objects this worker put and may delete.
    own: VecDeque<u64>,
    /// `list`: whether the entries of a page were counted already.
    counted: bool,
}

impl Worker {
    pub(super) fn new(plan: Arc<Plan>, number: u64) -> Result<Self, Failure> {
        let client = Client::new(Arc::clone(&plan.target))?;
        Ok(Self { plan, client, choice: Choice::new(number), own: VecDeque::new(), counted: false })
    }

    pub(super) async fn connect(&mut self) -> Result<(), Failure> {
        self.client.connect().await.map(drop)
    }

    /// Makes the bucket when it is missing.
    pub(super) async fn make_bucket(&mut self) -> Result<(), Failure> {
        let plan = Arc::clone(&self.plan);
        match self.send(Method::HEAD, &plan.bucket_path, Body::Empty).await {
            Err(Failure::Status(404, _)) => {}
            other => return other.map(drop),
        }
        let body = match plan.target.region.as_str() {
            "us-east-1" => Body::Empty,
            region => Body::Document(format!(
                "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
                 </CreateBucketConfiguration>"
            )),
        };
        match self.send(Method::PUT, &plan.bucket_path, body).await {
            // Someone else made it meanwhile.
            Err(Failure::Status(409, Refusal { code, .. }))
                if code == "BucketAlreadyOwnedByYou" =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Does the `turn`-th operation of a load.
    pub(super) async fn step(
        &mut self,
        operation: Operation,
        turn: u64,
    ) -> (Verb, Result<Done, Failure>) {
        let plan = Arc::clone(&self.plan);
        let object = self.choice.below(plan.keys);
        match operation {
            Operation::Put => (Verb::Put, self.put(plan.put_index(turn)).await),
            Operation::Get => (Verb::Get, self.get(object).await),
            Operation::Head => (Verb::Head, self.head(object).await),
            Operation::List => (Verb::List, self.list(object % plan.page_starts()).await),
            Operation::Delete => (Verb::Delete, self.delete(turn).await),
            Operation::Multipart => (Verb::Multipart, self.upload(plan.put_index(turn)).await),
            Operation::Mixed => self.mixed(object, turn).await,
        }
    }

    async fn mixed(&mut self, object: u64, turn: u64) -> (Verb, Result<Done, Failure>) {
        let keys = self.plan.keys;
        let share = self.choice.below(100);
        match share {
            0..45 => (Verb::Get, self.get(object).await),
            45..75 => (Verb::Head, self.head(object).await),
            90.. if let Some(own) = self.own.pop_front() => (Verb::Delete, self.delete(own).await),
            _ => {
                let index = keys + turn;
                self.own.push_back(index);
                (Verb::Put, self.put(index).await)
            }
        }
    }

    async fn put(&mut self, index: u64) -> Result<Done, Failure> {
        let plan = Arc::clone(&self.plan);
        let payload = plan.objects.get(index).ok_or_else(no_payload)?;
        let path = plan.object_path(index);
        self.send(Method::PUT, &path, body_of(&plan, payload)).await?;
        Ok(Done { bytes: plan.size, entries: None })
    }

    async fn get(&mut self, index: u64) -> Result<Done, Failure> {
        let path = self.plan.object_path(index);
        let answer = self.send(Method::GET, &path, Body::Empty).await?;
        if answer.body_bytes != self.plan.size {
            let why = format!("{} bytes for an object of {}", answer.body_bytes, self.plan.size);
            return Err(Failure::Wrong(why));
        }
        Ok(Done { bytes: answer.body_bytes, entries: None })
    }

    async fn head(&mut self, index: u64) -> Result<Done, Failure> {
        let path = self.plan.object_path(index);
        self.send(Method::HEAD, &path, Body::Empty).await?;
        Ok(Done { bytes: 0, entries: None })
    }

    async fn delete(&mut self, index: u64) -> Result<Done, Failure> {
        let path = self.plan.object_path(index);
        self.send(Method::DELETE, &path, Body::Empty).await?;
        Ok(Done { bytes: 0, entries: None })
    }

    async fn list(&mut self, index: u64) -> Result<Done, Failure> {
        let plan = Arc::clone(&self.plan);
        let query = plan.list_query(index);
        let keep = if self.counted { Keep::Length } else { Keep::Text };
        let (path, method) = (plan.bucket_path.as_str(), Method::GET);
        let ask = Ask { method, path, query: &query, body: Body::Empty, keep };
        let answer = self.client.ask(&ask).await?;
        let entries = match (self.counted, element(&answer.text(), "KeyCount")) {
            (true, _) => None,
            (false, Some(count)) => count.parse().ok(),
            (false, None) => return Err(Failure::Wrong("no KeyCount in a listing".into())),
        };
        self.counted = true;
        Ok(Done { bytes: answer.body_bytes, entries })
    }

    async fn upload(&mut self, index: u64) -> Result<Done, Failure> {
        let plan = Arc::clone(&self.plan);
        let path = plan.object_path(index);
        let begin = self.post(&path, "uploads=", Body::Empty).await?;
        let begin = begin.text();
        let upload_id = element(&begin, "UploadId")
            .ok_or_else(|| Failure::Wrong("no UploadId for a new upload".to_owned()))?;
        let upload_id = encode_value(upload_id);
        let parts = plan.parts.as_ref().ok_or_else(no_payload)?;
        let mut document = String::from("<CompleteMultipartUpload>");
        for number in 1..=parts.count {
            let payloads = if number == parts.count { &parts.last } else { &parts.whole };
            let payload = payloads.get(index + number).ok_or_else(no_payload)?;
            let query = format!("partNumber={number}&uploadId={upload_id}");
            let (body, keep) = (body_of(&plan, payload), Keep::Length);
            let ask = Ask { method: Method::PUT, path: &path, query: &query, body, keep };
            let etag = self.client.ask(&ask).await?.etag;
            let etag = etag.ok_or_else(|| Failure::Wrong("no ETag for a part".to_owned()))?;
            let _ = write!(
                document,
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            );
        }
        document.push_str("</CompleteMultipartUpload>");
        let query = format!("uploadId={upload_id}");
        let end = self.post(&path, &query, Body::Document(document)).await?;
        // A completion can fail after its status was sent.
        if let Some(code) = element(&end.text(), "Code") {
            return Err(Failure::Status(
                200,
                Refusal { code: code.to_owned(), ..Refusal::default() },
            ));
        }
        Ok(Done { bytes: plan.size, entries: None })
    }

    async fn post(&mut self, path: &str, query: &str, body: Body<'_>) -> Result<Answer, Failure> {
        let ask = Ask { method: Method::POST, path, query, body, keep: Keep::Text };
        self.client.ask(&ask).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Body<'_>,
    ) -> Result<Answer, Failure> {
        let ask = Ask { method, path, query: "", body, keep: Keep::Length };
        self.client.ask(&ask).await
    }
}

fn body_of<'a>(plan: &Plan, payload: &'a Payload) -> Body<'a> {
    let hash = match plan.payload_hash {
        PayloadHash::Unsigned => Hash::Unsigned,
        PayloadHash::Sha256 => Hash::Sha256(&payload.sha256),
    };
    Body::Bytes(payload.bytes.clone(), hash)
}

fn no_payload() -> Failure {
    Failure::Wrong("no body was prepared for this operation".to_owned())
}

/// A cheap sequence of choices, different for each worker (xorshift64*).
struct Choice(u64);

impl Choice {
    fn new(number: u64) -> Self {
        Self((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// A number below `limit`; the bias is far below what a benchmark could see.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D);
        let scaled = (u128::from(number) * u128::from(limit)) >> 64;
        u64::try_from(scaled).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_cover_what_there_is() {
        let mut choice = Choice::new(0);
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[choice.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert_ne!(Choice::new(1).below(1 << 40), Choice::new(2).below(1 << 40));
    }
}
