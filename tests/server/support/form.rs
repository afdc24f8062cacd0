//! Browser forms: a POST policy, its signature, and the multipart body around them.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>

use super::client::Client;
use super::digest::base64;
use super::http::Response;
use super::signing::{Signer, timestamp};

const BOUNDARY: &str = "----form-boundary-4711";

/// A form under construction.
#[derive(Debug, Clone)]
#[must_use = "a form does nothing before it is sent"]
pub struct Form {
    client: Client,
    bucket: String,
    conditions: Vec<String>,
    fields: Vec<(String, String)>,
    expiration: String,
    wrong_signature: bool,
}

impl Form {
    /// A form for a bucket whose policy fixes the bucket, the key and each field that is added.
    pub fn new(client: &Client, bucket: &str, key: &str) -> Self {
        let form = Self {
            client: client.clone(),
            bucket: bucket.to_owned(),
            conditions: vec![format!("{{\"bucket\":\"{bucket}\"}}")],
            fields: Vec::new(),
            expiration: "2099-01-01T00:00:00.000Z".to_owned(),
            wrong_signature: false,
        };
        form.condition("[\"starts-with\",\"$key\",\"\"]").free_field("key", key)
    }

    /// Adds a condition in JSON.
    pub fn condition(mut self, json: &str) -> Self {
        self.conditions.push(json.to_owned());
        self
    }

    /// Adds a field and the condition that allows it.
    pub fn field(self, name: &str, value: &str) -> Self {
        self.condition(&format!("{{\"{name}\":\"{value}\"}}")).free_field(name, value)
    }

    /// Adds a field that no condition allows.
    pub fn free_field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets when the policy ends.
    pub fn expiration(mut self, when: &str) -> Self {
        self.expiration = when.to_owned();
        self
    }

    /// Breaks the signature.
    pub fn wrong_signature(mut self) -> Self {
        self.wrong_signature = true;
        self
    }

    /// Posts the form with a file.
    #[track_caller]
    pub fn send(self, file: &[u8]) -> Response {
        let timestamp = timestamp(0);
        let signer = Signer::new(&self.client.secret_key, &timestamp, "us-east-1", "s3");
        let credential = format!("{}/{}", self.client.access_key, signer.scope);
        let form = self
            .field("x-amz-algorithm", "AWS4-HMAC-SHA256")
            .field("x-amz-credential", &credential)
            .field("x-amz-date", &timestamp);
        let policy = base64(
            format!(
                "{{\"expiration\":\"{}\",\"conditions\":[{}]}}",
                form.expiration,
                form.conditions.join(",")
            )
            .as_bytes(),
        );
        let signed = if form.wrong_signature { "other" } else { policy.as_str() };
        let signature = signer.sign(signed);
        let form = form.free_field("policy", &policy).free_field("x-amz-signature", &signature);
        form.client
            .request("POST", &format!("/{}", form.bucket))
            .anonymous()
            .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
            .body(body(&form.fields, file))
            .send()
    }
}

/// A form's body: its fields, then the file.
pub fn body(fields: &[(String, String)], file: &[u8]) -> Vec<u8> {
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    body.push_str(&format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"photo.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n"
    ));
    let mut body = body.into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// The `Content-Type` of [`body`].
pub fn content_type() -> String {
    format!("multipart/form-data; boundary={BOUNDARY}")
}
