//! The operations of S3: which method, target and query name which, and what a request of each
//! may carry. One table; what is not in it does not get through.
//!
//! What sits behind the gate picks an operation by looking for query names it knows and falls back
//! to the plain one (`DELETE /b?versioning` deletes the bucket). So here a name that the row does
//! not list is refused, unless S3 passes over it and nothing else can have been meant: a name that
//! begins with `x-`, or in a read one that is no sub-resource.

use http::{HeaderMap, HeaderName, Method};

use super::query::{Query, is_amz};
use super::refusal::Refusal;
use super::target::TargetKind;
use crate::vectors;

/// One operation of the table.
#[derive(Debug)]
pub struct Operation {
    /// Its name in the API: `PutObject`.
    pub name: &'static str,
    /// Its method.
    pub method: &'static Method,
    /// Its kind of target.
    pub kind: TargetKind,
    /// What singles it out among those of its method and target.
    pub selector: Selector,
    /// Query names that it takes beside its selector's.
    pub parameters: &'static [&'static str],
    /// What its request carries.
    pub payload: Payload,
    /// Whether it goes on to its handler.
    pub support: Support,
}

/// What singles out an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Nothing: it is the one without a sub-resource.
    Plain,
    /// A name in the query.
    Query(&'static str),
    /// Two names in the query, both required.
    Both(&'static str, &'static str),
    /// No sub-resource, and an `x-amz-copy-source` header.
    Copied,
    /// Two names in the query and an `x-amz-copy-source` header.
    BothCopied(&'static str, &'static str),
}

/// What the request of an operation carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// Nothing of meaning.
    Nothing,
    /// An object's or part's bytes, streamed to the handler.
    Data,
    /// XML, read and checked by the gate.
    Xml,
    /// JSON, read and checked by the gate.
    Json,
}

/// What becomes of an operation behind the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// Its handler answers.
    Handled,
    /// It is known and refused with `NotImplemented`.
    Refused,
}

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");

const LISTING: &[&str] = &[
    "list-type",
    "prefix",
    "delimiter",
    "marker",
    "max-keys",
    "encoding-type",
    "continuation-token",
    "start-after",
    "fetch-owner",
];
const VERSIONS: &[&str] =
    &["prefix", "delimiter", "key-marker", "version-id-marker", "max-keys", "encoding-type"];
const UPLOADS: &[&str] =
    &["prefix", "delimiter", "key-marker", "upload-id-marker", "max-uploads", "encoding-type"];
const PARTS: &[&str] = &["max-parts", "part-number-marker", "encoding-type"];
const READING: &[&str] = &[
    "versionId",
    "partNumber",
    "response-content-type",
    "response-content-language",
    "response-expires",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
];
const BUCKETS: &[&str] = &["max-buckets", "continuation-token", "prefix", "bucket-region"];
const VERSION: &[&str] = &["versionId"];
const CONFIGURATION: &[&str] = &["id", "continuation-token"];
const NONE: &[&str] = &[];

/// A row of the table.
const fn row(
    name: &'static str,
    method: &'static Method,
    kind: TargetKind,
    selector: Selector,
    parameters: &'static [&'static str],
    payload: Payload,
) -> Operation {
    Operation { name, method, kind, selector, parameters, payload, support: Support::Handled }
}

/// A row of an operation that is known and not built.
const fn refused(
    name: &'static str,
    method: &'static Method,
    kind: TargetKind,
    selector: &'static str,
) -> Operation {
    let selector = Selector::Query(selector);
    let parameters = CONFIGURATION;
    let payload = Payload::Nothing;
    Operation { name, method, kind, selector, parameters, payload, support: Support::Refused }
}

use Payload::{Data, Json, Nothing, Xml};
use Selector::{Both, BothCopied, Copied, Plain, Query as By};
use TargetKind::{Bucket, Object, Service};

const GET: &Method = &Method::GET;
const HEAD: &Method = &Method::HEAD;
const PUT: &Method = &Method::PUT;
const POST: &Method = &Method::POST;
const DELETE: &Method = &Method::DELETE;

/// All operations.
#[rustfmt::skip]
pub static OPERATIONS: &[Operation] = &[
    row("GetObject", GET, Object, Plain, READING, Nothing),
    row("PutObject", PUT, Object, Plain, NONE, Data),
    row("HeadObject", HEAD, Object, Plain, READING, Nothing),
    row("DeleteObject", DELETE, Object, Plain, VERSION, Nothing),
    row("CopyObject", PUT, Object, Copied, NONE, Nothing),
    row("GetObjectAttributes", GET, Object, By("attributes"), VERSION, Nothing),
    row("GetObjectAcl", GET, Object, By("acl"), VERSION, Nothing),
    row("PutObjectAcl", PUT, Object, By("acl"), VERSION, Xml),
    row("GetObjectTagging", GET, Object, By("tagging"), VERSION, Nothing),
    row("PutObjectTagging", PUT, Object, By("tagging"), VERSION, Xml),
    row("DeleteObjectTagging", DELETE, Object, By("tagging"), VERSION, Nothing),
    row("GetObjectRetention", GET, Object, By("retention"), VERSION, Nothing),
    row("PutObjectRetention", PUT, Object, By("retention"), VERSION, Xml),
    row("GetObjectLegalHold", GET, Object, By("legal-hold"), VERSION, Nothing),
    row("PutObjectLegalHold", PUT, Object, By("legal-hold"), VERSION, Xml),
    row("CreateMultipartUpload", POST, Object, By("uploads"), NONE, Nothing),
    row("UploadPart", PUT, Object, Both("uploadId", "partNumber"), NONE, Data),
    row("UploadPartCopy", PUT, Object, BothCopied("uploadId", "partNumber"), NONE, Nothing),
    row("CompleteMultipartUpload", POST, Object, By("uploadId"), NONE, Xml),
    row("AbortMultipartUpload", DELETE, Object, By("uploadId"), NONE, Nothing),
    row("ListParts", GET, Object, By("uploadId"), PARTS, Nothing),
    row("RestoreObject", POST, Object, By("restore"), VERSION, Xml),
    refused("SelectObjectContent", POST, Object, "select"),
    refused("GetObjectTorrent", GET, Object, "torrent"),
    refused("RenameObject", PUT, Object, "renameObject"),
    refused("UpdateObjectEncryption", PUT, Object, "encryption"),

    row("ListBuckets", GET, Service, Plain, BUCKETS, Nothing),

    row("ListObjectsV2", GET, Bucket, By("list-type"), LISTING, Nothing),
    row("ListObjects", GET, Bucket, Plain, LISTING, Nothing),
    row("ListObjectVersions", GET, Bucket, By("versions"), VERSIONS, Nothing),
    row("ListMultipartUploads", GET, Bucket, By("uploads"), UPLOADS, Nothing),
    row("HeadBucket", HEAD, Bucket, Plain, NONE, Nothing),
    row("CreateBucket", PUT, Bucket, Plain, NONE, Xml),
    row("DeleteBucket", DELETE, Bucket, Plain, NONE, Nothing),
    row("DeleteObjects", POST, Bucket, By("delete"), NONE, Xml),
    row("GetBucketLocation", GET, Bucket, By("location"), NONE, Nothing),
    row("GetBucketVersioning", GET, Bucket, By("versioning"), NONE, Nothing),
    row("PutBucketVersioning", PUT, Bucket, By("versioning"), NONE, Xml),
    row("GetObjectLockConfiguration", GET, Bucket, By("object-lock"), NONE, Nothing),
    row("PutObjectLockConfiguration", PUT, Bucket, By("object-lock"), NONE, Xml),
    row("GetBucketOwnershipControls", GET, Bucket, By("ownershipControls"), NONE, Nothing),
    row("PutBucketOwnershipControls", PUT, Bucket, By("ownershipControls"), NONE, Xml),
    row("DeleteBucketOwnershipControls", DELETE, Bucket, By("ownershipControls"), NONE, Nothing),
    row("GetPublicAccessBlock", GET, Bucket, By("publicAccessBlock"), NONE, Nothing),
    row("PutPublicAccessBlock", PUT, Bucket, By("publicAccessBlock"), NONE, Xml),
    row("DeletePublicAccessBlock", DELETE, Bucket, By("publicAccessBlock"), NONE, Nothing),
    row("GetBucketAcl", GET, Bucket, By("acl"), NONE, Nothing),
    row("PutBucketAcl", PUT, Bucket, By("acl"), NONE, Xml),
    row("GetBucketTagging", GET, Bucket, By("tagging"), NONE, Nothing),
    row("PutBucketTagging", PUT, Bucket, By("tagging"), NONE, Xml),
    row("DeleteBucketTagging", DELETE, Bucket, By("tagging"), NONE, Nothing),
    row("GetBucketPolicy", GET, Bucket, By("policy"), NONE, Nothing),
    row("PutBucketPolicy", PUT, Bucket, By("policy"), NONE, Json),
    row("DeleteBucketPolicy", DELETE, Bucket, By("policy"), NONE, Nothing),
    row("GetBucketPolicyStatus", GET, Bucket, By("policyStatus"), NONE, Nothing),
    row("GetBucketCors", GET, Bucket, By("cors"), NONE, Nothing),
    row("PutBucketCors", PUT, Bucket, By("cors"), NONE, Xml),
    row("DeleteBucketCors", DELETE, Bucket, By("cors"), NONE, Nothing),
    row("GetBucketEncryption", GET, Bucket, By("encryption"), NONE, Nothing),
    row("PutBucketEncryption", PUT, Bucket, By("encryption"), NONE, Xml),
    row("DeleteBucketEncryption", DELETE, Bucket, By("encryption"), NONE, Nothing),
    row("GetBucketLifecycleConfiguration", GET, Bucket, By("lifecycle"), NONE, Nothing),
    row("PutBucketLifecycleConfiguration", PUT, Bucket, By("lifecycle"), NONE, Xml),
    row("DeleteBucketLifecycle", DELETE, Bucket, By("lifecycle"), NONE, Nothing),
    row("GetBucketNotificationConfiguration", GET, Bucket, By("notification"), NONE, Nothing),
    row("PutBucketNotificationConfiguration", PUT, Bucket, By("notification"), NONE, Xml),
    row("GetBucketLogging", GET, Bucket, By("logging"), NONE, Nothing),
    row("PutBucketLogging", PUT, Bucket, By("logging"), NONE, Xml),
    row("GetBucketReplication", GET, Bucket, By("replication"), NONE, Nothing),
    row("PutBucketReplication", PUT, Bucket, By("replication"), NONE, Xml),
    row("DeleteBucketReplication", DELETE, Bucket, By("replication"), NONE, Nothing),
    row("GetBucketWebsite", GET, Bucket, By("website"), NONE, Nothing),
    row("PutBucketWebsite", PUT, Bucket, By("website"), NONE, Xml),
    row("DeleteBucketWebsite", DELETE, Bucket, By("website"), NONE, Nothing),
    row("GetBucketRequestPayment", GET, Bucket, By("requestPayment"), NONE, Nothing),
    row("PutBucketRequestPayment", PUT, Bucket, By("requestPayment"), NONE, Xml),
    row("GetBucketAccelerateConfiguration", GET, Bucket, By("accelerate"), NONE, Nothing),
    row("PutBucketAccelerateConfiguration", PUT, Bucket, By("accelerate"), NONE, Xml),
    refused("GetBucketAnalyticsConfiguration", GET, Bucket, "analytics"),
    refused("PutBucketAnalyticsConfiguration", PUT, Bucket, "analytics"),
    refused("DeleteBucketAnalyticsConfiguration", DELETE, Bucket, "analytics"),
    refused("GetBucketInventoryConfiguration", GET, Bucket, "inventory"),
    refused("PutBucketInventoryConfiguration", PUT, Bucket, "inventory"),
    refused("DeleteBucketInventoryConfiguration", DELETE, Bucket, "inventory"),
    refused("GetBucketMetricsConfiguration", GET, Bucket, "metrics"),
    refused("PutBucketMetricsConfiguration", PUT, Bucket, "metrics"),
    refused("DeleteBucketMetricsConfiguration", DELETE, Bucket, "metrics"),
    refused("GetBucketIntelligentTieringConfiguration", GET, Bucket, "intelligent-tiering"),
    refused("PutBucketIntelligentTieringConfiguration", PUT, Bucket, "intelligent-tiering"),
    refused("DeleteBucketIntelligentTieringConfiguration", DELETE, Bucket, "intelligent-tiering"),
    refused("CreateBucketMetadataConfiguration", POST, Bucket, "metadataConfiguration"),
    refused("GetBucketMetadataConfiguration", GET, Bucket, "metadataConfiguration"),
    refused("DeleteBucketMetadataConfiguration", DELETE, Bucket, "metadataConfiguration"),
    refused("CreateBucketMetadataTableConfiguration", POST, Bucket, "metadataTable"),
    refused("GetBucketMetadataTableConfiguration", GET, Bucket, "metadataTable"),
    refused("DeleteBucketMetadataTableConfiguration", DELETE, Bucket, "metadataTable"),
    refused("UpdateBucketMetadataInventoryTableConfiguration", PUT, Bucket, "metadataInventoryTable"),
    refused("UpdateBucketMetadataJournalTableConfiguration", PUT, Bucket, "metadataJournalTable"),
    refused("GetBucketAbac", GET, Bucket, "abac"),
    refused("PutBucketAbac", PUT, Bucket, "abac"),
    refused("CreateSession", GET, Bucket, "session"),
];

/// Operations of all services: those of S3, then those of S3 Vectors.
pub fn count() -> usize {
    OPERATIONS.len() + vectors::OPERATIONS.len()
}

/// The name of the operation at a place among those of all services.
pub fn name_of(place: usize) -> Option<&'static str> {
    let of_vectors = || vectors::OPERATIONS.get(place.checked_sub(OPERATIONS.len())?);
    let of_s3 = OPERATIONS.get(place).map(|row| row.name);
    of_s3.or_else(|| of_vectors().map(|row| row.name))
}

/// The place of an operation of S3 Vectors among those of all services.
pub fn place_of(operation: &vectors::Operation) -> usize {
    OPERATIONS.len() + operation.id as usize
}

/// The operation that a request asks for, with its place in the table.
pub fn resolve(
    method: &Method,
    kind: TargetKind,
    query: &Query,
    headers: &HeaderMap,
) -> Result<(usize, &'static Operation), Refusal> {
    let rows = || {
        OPERATIONS.iter().enumerate().filter(|(_, row)| row.kind == kind && row.method == method)
    };
    let copies = headers.contains_key(COPY_SOURCE);
    let mut found: Option<(usize, &Operation)> = None;
    // Every sub-resource is a name in the query.
    let selectable = (!query.is_empty()).then(rows).into_iter().flatten();
    for (place, row) in selectable.filter(|(_, row)| selects(row.selector, query, copies)) {
        if let Some((_, other)) = found {
            return Err(Refusal::invalid_argument(format!(
                "Conflicting query string parameters: {} and {} are asked for at once",
                other.name, row.name
            )));
        }
        found = Some((place, row));
    }
    let plain = || {
        let selector = if copies && method == PUT && kind == Object { Copied } else { Plain };
        rows().find(|(_, row)| row.selector == selector)
    };
    let Some((place, operation)) = found.or_else(plain) else { return Err(unknown(method, kind)) };
    check_parameters(operation, query)?;
    if operation.support == Support::Refused {
        return Err(not_implemented(operation.name));
    }
    Ok((place, operation))
}

/// Whether a row's sub-resource is asked for. The plain rows are what is left when none is.
fn selects(selector: Selector, query: &Query, copies: bool) -> bool {
    match selector {
        Plain | Copied => false,
        By(name) => query.has(name),
        Both(name, _) => query.has(name) && !copies,
        BothCopied(name, _) => query.has(name) && copies,
    }
}

fn check_parameters(operation: &Operation, query: &Query) -> Result<(), Refusal> {
    if let Both(_, second) | BothCopied(_, second) = operation.selector
        && !query.has(second)
    {
        return Err(Refusal::invalid_argument(format!("{second} is required")));
    }
    if operation.selector == By("list-type") && query.get("list-type") != Some("2") {
        return Err(Refusal::invalid_argument("Invalid List Type specified in Request")
            .with("ArgumentName", "list-type"));
    }
    for (name, value) in query.iter() {
        let known = match operation.selector {
            Plain | Copied => false,
            By(selector) => name == selector,
            Both(first, second) | BothCopied(first, second) => name == first || name == second,
        };
        if !known && !operation.parameters.contains(&name) && !is_ignored(operation, name, value) {
            return Err(not_implemented(name));
        }
    }
    Ok(())
}

/// Whether S3 passes over a name in the query, which then is its user's own.
fn is_ignored(operation: &Operation, name: &str, value: &str) -> bool {
    if name == "x-id" {
        // SDKs name the operation they mean; newer ones may mean one that is not known here.
        return value == operation.name;
    }
    let reads = matches!(*operation.method, Method::GET | Method::HEAD);
    !is_amz(name) && (name.starts_with("x-") || (reads && !is_subresource(name)))
}

/// Whether a name in the query singles out some operation.
fn is_subresource(name: &str) -> bool {
    OPERATIONS.iter().any(|row| match row.selector {
        Plain | Copied => false,
        By(selector) => name == selector,
        Both(first, second) | BothCopied(first, second) => name == first || name == second,
    })
}

fn unknown(method: &Method, kind: TargetKind) -> Refusal {
    let resource = match kind {
        Service => "SERVICE",
        Bucket => "BUCKET",
        Object => "OBJECT",
    };
    if method == POST && kind == Bucket {
        return not_implemented("POST Object");
    }
    Refusal::new(
        http::StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    )
    .with("Method", method.as_str())
    .with("ResourceType", resource)
}

fn not_implemented(what: &str) -> Refusal {
    Refusal::not_implemented(format!(
        "A header or query you provided implies functionality that is not implemented: {what}"
    ))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::{OPERATIONS, Selector, resolve};
    use crate::server::query::Query;
    use crate::server::target::TargetKind;

    /// The name of the operation, or the code of the refusal.
    fn name(request: &str) -> &'static str {
        let (method, rest) = request.split_once(' ').unwrap();
        let (copies, rest) = match rest.strip_prefix("copy ") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let kind = match path {
            "/" => TargetKind::Service,
            "/b" => TargetKind::Bucket,
            _ => TargetKind::Object,
        };
        let mut headers = HeaderMap::new();
        if copies {
            headers.insert("x-amz-copy-source", HeaderValue::from_static("/b/k"));
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        match resolve(&method, kind, &Query::parse(query).unwrap(), &headers) {
            Ok((place, operation)) => {
                assert_eq!(OPERATIONS[place].name, operation.name);
                operation.name
            }
            Err(refusal) => refusal.code,
        }
    }

    #[test]
    fn requests_find_their_operations() {
        for (request, expected) in [
            ("GET /", "ListBuckets"),
            ("GET /?x-id=ListBuckets&max-buckets=3", "ListBuckets"),
            ("GET /b", "ListObjects"),
            ("GET /b?list-type=2&prefix=a&delimiter=%2F&encoding-type=url", "ListObjectsV2"),
            ("GET /b?uploads&max-uploads=3", "ListMultipartUploads"),
            ("PUT /b", "CreateBucket"),
            ("DELETE /b", "DeleteBucket"),
            ("POST /b?delete", "DeleteObjects"),
            ("GET /b/k?versionId=1&response-content-type=a", "GetObject"),
            ("HEAD /b/k?partNumber=1", "HeadObject"),
            ("GET /b/k?x-id=GetObject", "GetObject"),
            ("GET /b/k?x-user=1&v=2", "GetObject"),
            ("HEAD /b/k?prefix=a&unknown", "HeadObject"),
            ("GET /b?unknown=1", "ListObjects"),
            ("GET /b?acl&unknown=1", "GetBucketAcl"),
            ("PUT /b/k?x-user=1", "PutObject"),
            ("DELETE /b?x-user", "DeleteBucket"),
            ("PUT /b/k", "PutObject"),
            ("PUT copy /b/k", "CopyObject"),
            ("PUT /b/k?uploadId=u&partNumber=1", "UploadPart"),
            ("PUT copy /b/k?uploadId=u&partNumber=1", "UploadPartCopy"),
            ("PUT copy /b/k?tagging", "PutObjectTagging"),
            ("POST /b/k?uploads", "CreateMultipartUpload"),
            ("POST /b/k?uploadId=u", "CompleteMultipartUpload"),
            ("DELETE /b/k?uploadId=u", "AbortMultipartUpload"),
            ("GET /b/k?uploadId=u&max-parts=1", "ListParts"),
        ] {
            assert_eq!(name(request), expected, "{request}");
        }
    }

    #[test]
    fn what_would_fall_through_to_a_plain_operation_is_refused() {
        for request in [
            "DELETE /b?metadataConfiguration",
            "DELETE /b?versioning",
            "DELETE /b?acl",
            "DELETE /b/k?acl",
            "DELETE /b/k?retention",
            "PUT /b/k?renameObject",
            "PUT /b/k?torrent",
            "PUT /b/k?append",
            "PUT /b/k?attributes",
            "PUT /b/k?partNumber=1",
            "PUT /b/k?versionId=1",
            "PUT /b/k?x-id=RenameObject",
            "PUT copy /b/k?versionId=1",
            "PUT /b?abac",
            "PUT /b?uploads",
            "DELETE /b?unknown=1",
            "POST /b?delete&unknown",
            "PUT /b/k?x-amz-acl=private",
            "GET /b/k?X-Amz-Unknown=1",
            "GET /b/k?uploads",
            "GET /b/k?versions",
            "HEAD /b/k?acl",
            "GET /b?metadataJournalTable",
            "GET /b?restore",
            "GET /?x-id=ListDirectoryBuckets",
            "GET /b/k?torrent",
            "POST /b/k?select&select-type=2",
            "POST /b",
        ] {
            assert_eq!(name(request), "NotImplemented", "{request}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for (request, code) in [
            ("PUT /b/k?uploadId=u", "InvalidArgument"),
            ("PUT copy /b/k?uploadId=u", "InvalidArgument"),
            ("GET /b?acl&tagging", "InvalidArgument"),
            ("GET /b?list-type=2&uploads", "InvalidArgument"),
            ("GET /b?list-type=3", "InvalidArgument"),
            ("POST /b/k?uploads&uploadId=u", "InvalidArgument"),
            ("PUT /", "MethodNotAllowed"),
            ("POST /b/k", "MethodNotAllowed"),
            ("PATCH /b/k", "MethodNotAllowed"),
        ] {
            assert_eq!(name(request), code, "{request}");
        }
    }

    #[test]
    fn rows_are_told_apart() {
        for (place, row) in OPERATIONS.iter().enumerate() {
            for other in &OPERATIONS[place + 1..] {
                assert_ne!(row.name, other.name);
                assert_eq!(super::name_of(place), Some(row.name));
                let same = (row.method, row.kind, row.selector)
                    == (other.method, other.kind, other.selector);
                assert!(!same, "{} and {}", row.name, other.name);
            }
            assert!(row.selector != Selector::Query("x-id"));
        }
        // The names label metrics, whatever the service.
        for row in super::vectors::OPERATIONS {
            assert_eq!(super::name_of(super::place_of(row)), Some(row.name));
            assert!(OPERATIONS.iter().all(|other| other.name != row.name), "{}", row.name);
        }
        assert_eq!(super::name_of(super::count()), None);
    }
}
