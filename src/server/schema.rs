//! Which elements an XML body may have: S3's own, at their places, for every operation that is built.
//!
//! The parser behind the gate skips what it does not know, so `<rule>` for `<Rule>` would be a lock
//! configuration without a rule, and `<mode>` a retention to be lifted.

use super::refusal::Refusal;

/// An element and what may be in it.
#[derive(Debug)]
pub struct Element {
    /// Its name.
    pub name: &'static str,
    /// What may be in it.
    pub content: Content,
}

/// What may be in an element.
#[derive(Debug)]
pub enum Content {
    /// Text.
    Text,
    /// These elements.
    Elements(&'static [Element]),
    /// S3 knows the element, and it is not built.
    NotBuilt,
}

impl Element {
    /// The element of that name in this one.
    pub fn child(&self, name: &str) -> Result<&'static Self, Refusal> {
        match &self.content {
            Content::Elements(children) => {
                let child = children.iter().find(|child| child.name == name);
                child.ok_or_else(Refusal::malformed_xml)?.check_built()
            }
            Content::Text | Content::NotBuilt => Err(Refusal::malformed_xml()),
        }
    }

    fn check_built(&'static self) -> Result<&'static Self, Refusal> {
        match self.content {
            Content::NotBuilt => {
                Err(Refusal::not_implemented(format!("{} is not implemented", self.name)))
            }
            Content::Text | Content::Elements(_) => Ok(self),
        }
    }

    /// Whether this text may be in it.
    pub fn takes_text(&self, text: &str) -> bool {
        matches!(self.content, Content::Text) || text.trim_ascii().is_empty()
    }
}

/// The root element of an operation's body; none for operations that are not built.
pub fn root_of(operation: &str) -> Option<&'static Element> {
    ROOTS.iter().find(|(name, _)| *name == operation).map(|(_, root)| root)
}

const fn parent(name: &'static str, children: &'static [Element]) -> Element {
    Element { name, content: Content::Elements(children) }
}

const fn text(name: &'static str) -> Element {
    Element { name, content: Content::Text }
}

const fn not_built(name: &'static str) -> Element {
    Element { name, content: Content::NotBuilt }
}

const TAG: Element = parent("Tag", &[text("Key"), text("Value")]);
const TAGGING: Element = parent("Tagging", &[parent("TagSet", &[TAG])]);

const ACCESS_CONTROL: Element = parent(
    "AccessControlPolicy",
    &[
        parent("Owner", &[text("ID"), text("DisplayName")]),
        parent(
            "AccessControlList",
            &[parent(
                "Grant",
                &[
                    parent(
                        "Grantee",
                        &[text("ID"), text("DisplayName"), text("EmailAddress"), text("URI")],
                    ),
                    text("Permission"),
                ],
            )],
        ),
    ],
);

static ROOTS: &[(&str, Element)] = &[
    ("PutObjectAcl", ACCESS_CONTROL),
    ("PutBucketAcl", ACCESS_CONTROL),
    ("PutObjectTagging", TAGGING),
    ("PutBucketTagging", TAGGING),
    ("PutObjectRetention", parent("Retention", &[text("Mode"), text("RetainUntilDate")])),
    ("PutObjectLegalHold", parent("LegalHold", &[text("Status")])),
    (
        "CompleteMultipartUpload",
        parent(
            "CompleteMultipartUpload",
            &[parent(
                "Part",
                &[
                    text("PartNumber"),
                    text("ETag"),
                    text("ChecksumCRC32"),
                    text("ChecksumCRC32C"),
                    text("ChecksumCRC64NVME"),
                    text("ChecksumSHA1"),
                    text("ChecksumSHA256"),
                ],
            )],
        ),
    ),
    (
        "CreateBucket",
        parent(
            "CreateBucketConfiguration",
            &[
                text("LocationConstraint"),
                parent("Location", &[text("Name"), text("Type")]),
                parent("Bucket", &[text("DataRedundancy"), text("Type")]),
                parent("Tags", &[TAG]),
            ],
        ),
    ),
    (
        "DeleteObjects",
        parent(
            "Delete",
            &[
                text("Quiet"),
                parent(
                    "Object",
                    &[
                        text("Key"),
                        text("VersionId"),
                        text("ETag"),
                        text("LastModifiedTime"),
                        text("Size"),
                    ],
                ),
            ],
        ),
    ),
    (
        "PutBucketVersioning",
        parent(
            "VersioningConfiguration",
            // In the text of S3's reference the second one is spelt as the third.
            &[text("Status"), text("MfaDelete"), not_built("MFADelete")],
        ),
    ),
    (
        "PutObjectLockConfiguration",
        parent(
            "ObjectLockConfiguration",
            &[
                text("ObjectLockEnabled"),
                parent(
                    "Rule",
                    &[parent("DefaultRetention", &[text("Mode"), text("Days"), text("Years")])],
                ),
            ],
        ),
    ),
    (
        "PutBucketOwnershipControls",
        parent("OwnershipControls", &[parent("Rule", &[text("ObjectOwnership")])]),
    ),
    (
        "PutPublicAccessBlock",
        parent(
            "PublicAccessBlockConfiguration",
            &[
                text("BlockPublicAcls"),
                text("IgnorePublicAcls"),
                text("BlockPublicPolicy"),
                text("RestrictPublicBuckets"),
            ],
        ),
    ),
    (
        "PutBucketEncryption",
        parent(
            "ServerSideEncryptionConfiguration",
            &[parent(
                "Rule",
                &[
                    parent(
                        "ApplyServerSideEncryptionByDefault",
                        &[text("SSEAlgorithm"), text("KMSMasterKeyID")],
                    ),
                    text("BucketKeyEnabled"),
                    not_built("BlockedEncryptionTypes"),
                ],
            )],
        ),
    ),
];

#[cfg(test)]
mod tests {
    use super::{Content, Element, ROOTS, root_of};
    use crate::server::operations::{OPERATIONS, Payload};

    /// Operations that are known, take XML and are not built.
    const NOT_BUILT: [&str; 9] = [
        "RestoreObject",
        "PutBucketCors",
        "PutBucketLifecycleConfiguration",
        "PutBucketNotificationConfiguration",
        "PutBucketLogging",
        "PutBucketReplication",
        "PutBucketWebsite",
        "PutBucketRequestPayment",
        "PutBucketAccelerateConfiguration",
    ];

    #[test]
    fn every_body_that_is_understood_has_its_elements_here() {
        let takes_xml = |name: &str| {
            OPERATIONS.iter().any(|row| row.name == name && row.payload == Payload::Xml)
        };
        for row in OPERATIONS.iter().filter(|row| row.payload == Payload::Xml) {
            assert_ne!(root_of(row.name).is_some(), NOT_BUILT.contains(&row.name), "{}", row.name);
        }
        for (name, root) in ROOTS {
            assert!(takes_xml(name), "{name}");
            check(root);
        }
    }

    /// Names are told apart, and a parent has children.
    fn check(element: &Element) {
        let Content::Elements(children) = &element.content else { return };
        assert!(!children.is_empty(), "{}", element.name);
        for (place, child) in children.iter().enumerate() {
            let twin = children.iter().skip(place + 1).any(|other| other.name == child.name);
            assert!(!twin, "{} in {}", child.name, element.name);
            check(child);
        }
    }
}
