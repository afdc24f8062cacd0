//! What can go wrong in the vector service, as its clients hear it: a kind with its status, a
//! message, and for a request that is not valid the fields at fault.

use http::StatusCode;
use serde::Serialize;
use storage_engine::{Error as EngineError, Missing};

/// Result of an operation of the vector service.
pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Kinds of failures, by the names that clients know them by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request breaks a rule.
    Validation,
    /// The body is not what the operation takes.
    Serialization,
    /// No operation has this method and path.
    UnknownOperation,
    /// The path is an operation's, the method is not.
    WrongMethod,
    /// The body is larger than any.
    TooLarge,
    /// The caller may not.
    AccessDenied,
    /// The request is not signed.
    Unsigned,
    /// The signature has no form that can be verified.
    IncompleteSignature,
    /// The signature is not the caller's.
    InvalidSignature,
    /// Nobody has this key.
    UnknownKey,
    /// What is named is not there.
    NotFound,
    /// The state forbids it.
    Conflict,
    /// More than the store takes.
    QuotaExceeded,
    /// The body did not come in time.
    RequestTimeout,
    /// Too much at once.
    TooManyRequests,
    /// Not now.
    Unavailable,
    /// A failure of ours.
    Internal,
}

impl Kind {
    /// What `x-amzn-ErrorType` says.
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    const fn row(self) -> (u16, &'static str) {
        match self {
            Self::Validation => (400, "ValidationException"),
            Self::Serialization => (400, "SerializationException"),
            Self::UnknownOperation => (404, "UnknownOperationException"),
            Self::WrongMethod => (405, "UnknownOperationException"),
            Self::TooLarge => (413, "RequestEntityTooLargeException"),
            Self::AccessDenied => (403, "AccessDeniedException"),
            Self::Unsigned => (403, "MissingAuthenticationTokenException"),
            Self::IncompleteSignature => (403, "IncompleteSignatureException"),
            Self::InvalidSignature => (403, "InvalidSignatureException"),
            Self::UnknownKey => (403, "UnrecognizedClientException"),
            Self::NotFound => (404, "NotFoundException"),
            Self::Conflict => (409, "ConflictException"),
            Self::QuotaExceeded => (402, "ServiceQuotaExceededException"),
            Self::RequestTimeout => (408, "RequestTimeoutException"),
            Self::TooManyRequests => (429, "TooManyRequestsException"),
            Self::Unavailable => (503, "ServiceUnavailableException"),
            Self::Internal => (500, "InternalServerException"),
        }
    }
}

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// Where it is in the request.
    pub path: String,
    /// What it breaks.
    pub message: String,
}

/// A failed operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: Kind,
    /// What was wrong, for the client.
    pub message: String,
    /// The fields at fault; empty: none is named.
    pub fields: Vec<FieldFault>,
}

impl Failure {
    /// One without fields.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), fields: Vec::new() }
    }

    /// A rule that the request breaks, without a field.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(Kind::Validation, message)
    }

    /// A rule that one field breaks.
    pub fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let field = FieldFault { path: path.into(), message: message.clone() };
        Self { kind: Kind::Validation, message, fields: vec![field] }
    }

    /// With another message than its field's.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// No such bucket.
    pub fn no_bucket() -> Self {
        Self::new(Kind::NotFound, "The specified vector bucket could not be found")
    }

    /// No such index, or no bucket for it: AWS tells neither from the other.
    pub fn no_index() -> Self {
        Self::new(Kind::NotFound, "The specified index could not be found")
    }

    /// What depends on each other kept changing.
    pub fn contended() -> Self {
        Self::new(Kind::Conflict, "A conflicting operation is in progress. Try again.")
    }

    /// The caller may try again.
    pub fn unavailable() -> Self {
        Self::new(Kind::Unavailable, "Currently unable to handle the request")
    }

    /// Nothing that the client could do about it.
    pub fn internal() -> Self {
        Self::new(Kind::Internal, "We encountered an internal error. Please try again.")
    }

    /// The body of the answer.
    pub fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            message: &'a str,
            #[serde(skip_serializing_if = "<[FieldFault]>::is_empty")]
            field_list: &'a [FieldFault],
        }
        let body = Body { message: &self.message, field_list: &self.fields };
        // Strings alone always serialize.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl From<EngineError> for Failure {
    /// Logged here, where it is handled: no caller can do more than answer it.
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Busy(_) | EngineError::Stopped { .. } | EngineError::Fenced { .. } => {
                tracing::warn!(%error, "the store cannot take a request of the vector service");
                Self::unavailable()
            }
            EngineError::Condition { .. } => Self::contended(),
            // Every space here is an index's.
            EngineError::NotFound(Missing::Space(_)) => Self::no_index(),
            error => {
                tracing::error!(%error, "a request of the vector service failed");
                Self::internal()
            }
        }
    }
}

impl From<vector_engine::Error> for Failure {
    fn from(error: vector_engine::Error) -> Self {
        match error {
            vector_engine::Error::Invalid(why) => Self::validation(why),
            vector_engine::Error::NotFound => Self::no_index(),
            vector_engine::Error::Conflict(why) => Self::new(Kind::Conflict, why),
            vector_engine::Error::Storage(error) => error.into(),
            vector_engine::Error::Busy | vector_engine::Error::Stopped => Self::unavailable(),
            error => {
                tracing::error!(%error, "a vector index cannot be served");
                Self::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Kind};

    #[test]
    fn a_failure_tells_its_fields_when_it_has_any() {
        let plain = Failure::no_index();
        assert_eq!(
            plain.body(),
            br#"{"message":"The specified index could not be found"}"#.to_vec()
        );
        let fielded = Failure::field("vectors[0]", "it is \"wrong\"").saying("whole");
        assert_eq!(
            String::from_utf8(fielded.body()).unwrap(),
            r#"{"message":"whole","fieldList":[{"path":"vectors[0]","message":"it is \"wrong\""}]}"#
        );
    }

    #[test]
    fn statuses_are_those_of_the_model() {
        for (kind, status) in [
            (Kind::Validation, 400),
            (Kind::QuotaExceeded, 402),
            (Kind::AccessDenied, 403),
            (Kind::NotFound, 404),
            (Kind::RequestTimeout, 408),
            (Kind::Conflict, 409),
            (Kind::TooManyRequests, 429),
            (Kind::Internal, 500),
            (Kind::Unavailable, 503),
        ] {
            assert_eq!(kind.status().as_u16(), status, "{}", kind.name());
        }
    }
}
