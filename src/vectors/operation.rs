//! The operations of S3 Vectors, and one of ours: which method and path name which, and how much of a
//! body each takes.

use http::Method;

use super::error::{Failure, Kind};

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Its place in [`OPERATIONS`].
    pub id: Id,
    /// Its name in the API.
    pub name: &'static str,
    /// What policies call it.
    pub action: &'static str,
}

macro_rules! operations {
    ($($id:ident),* $(,)?) => {
        /// Which operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "named as documented: by Amazon S3 Vectors, `ForkIndex` by us")]
        pub enum Id { $($id,)* }

        /// All operations, in the order of [`Id`].
        pub static OPERATIONS: &[Operation] = &[$(Operation {
            id: Id::$id,
            name: stringify!($id),
            action: concat!("s3vectors:", stringify!($id)),
        },)*];
    };
}

operations! {
    CreateVectorBucket,
    GetVectorBucket,
    ListVectorBuckets,
    DeleteVectorBucket,
    PutVectorBucketPolicy,
    GetVectorBucketPolicy,
    DeleteVectorBucketPolicy,
    PutVectorBucketDefaultIndexMode,
    CreateIndex,
    GetIndex,
    ListIndexes,
    DeleteIndex,
    UpdateIndexMode,
    UpdateMetadataConfiguration,
    PutVectors,
    GetVectors,
    ListVectors,
    DeleteVectors,
    QueryVectors,
    TagResource,
    UntagResource,
    ListTagsForResource,
    ForkIndex,
}

/// Where the tags of a resource are: an encoded ARN follows.
pub(super) const TAGS_PATH: &str = "/tags/";

/// A body of any operation but `PutVectors`. The largest, 500 keys with each byte escaped, takes
/// 3 MiB.
const SMALL_BODY_BYTES_MAX: usize = 4 << 20;

impl Operation {
    /// The one of that id.
    pub fn of(id: Id) -> &'static Self {
        // The table is made with the enum, place by place.
        OPERATIONS.get(id as usize).unwrap_or(&OPERATIONS[0])
    }

    /// Bytes of its body at most, where those of `PutVectors` are `put_bytes_max`.
    pub fn body_bytes_max(&self, put_bytes_max: usize) -> usize {
        match self.id {
            Id::PutVectors => put_bytes_max,
            _ => put_bytes_max.min(SMALL_BODY_BYTES_MAX),
        }
    }

    /// Whether its path is that of a resource's tags.
    fn is_of_tags(&self) -> bool {
        matches!(self.id, Id::TagResource | Id::UntagResource | Id::ListTagsForResource)
    }

    /// The operation of a path that can be no bucket of S3: for requests that do not say whom they
    /// are for.
    pub fn named_by(path: &str) -> Option<&'static Self> {
        let name = path.strip_prefix('/')?;
        OPERATIONS.iter().find(|row| row.name == name && !row.is_of_tags())
    }

    /// The operation that a request asks for.
    pub fn resolve(method: &Method, path: &str) -> Result<&'static Self, Failure> {
        if let Some(arn) = path.strip_prefix(TAGS_PATH)
            && !arn.is_empty()
        {
            return match *method {
                Method::POST => Ok(Self::of(Id::TagResource)),
                Method::DELETE => Ok(Self::of(Id::UntagResource)),
                Method::GET => Ok(Self::of(Id::ListTagsForResource)),
                _ => Err(wrong_method(method)),
            };
        }
        match Self::named_by(path) {
            Some(operation) if method == Method::POST => Ok(operation),
            Some(_) => Err(wrong_method(method)),
            None => Err(Failure::new(Kind::UnknownOperation, "no operation is at this path")),
        }
    }
}

fn wrong_method(method: &Method) -> Failure {
    let message = format!("{} is not a method of this operation", method.as_str());
    Failure::new(Kind::WrongMethod, message)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Id, OPERATIONS, Operation};

    #[test]
    fn the_table_is_in_the_order_of_the_ids() {
        assert_eq!(OPERATIONS.len(), 22 + 1);
        for (place, row) in OPERATIONS.iter().enumerate() {
            assert_eq!(row.id as usize, place);
            assert_eq!(Operation::of(row.id), row);
        }
    }

    #[test]
    fn requests_find_their_operations() {
        for (method, path, found) in [
            ("POST", "/CreateIndex", Ok(Id::CreateIndex)),
            ("POST", "/QueryVectors", Ok(Id::QueryVectors)),
            ("POST", "/ForkIndex", Ok(Id::ForkIndex)),
            ("GET", "/tags/arn%3Aaws", Ok(Id::ListTagsForResource)),
            ("POST", "/tags/arn:aws:x/y", Ok(Id::TagResource)),
            ("DELETE", "/tags/arn", Ok(Id::UntagResource)),
            ("PUT", "/tags/arn", Err(405)),
            ("GET", "/tags/", Err(404)),
            ("GET", "/CreateIndex", Err(405)),
            ("POST", "/createindex", Err(404)),
            ("POST", "/CreateIndex/", Err(404)),
            ("POST", "/TagResource", Err(404)),
            ("POST", "/", Err(404)),
            ("POST", "CreateIndex", Err(404)),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let operation = Operation::resolve(&method, path);
            let status = |failure: super::Failure| failure.kind.status().as_u16();
            assert_eq!(operation.map(|row| row.id).map_err(status), found, "{method} {path}");
        }
    }
}
