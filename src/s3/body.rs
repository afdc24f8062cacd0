//! Bodies between s3s and the objects: no copy, exact lengths, errors that keep their meaning.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, DynByteStream, RemainingLength};
use s3s::{Body, StdError};

/// A value of which all bytes are at hand.
pub(super) fn whole(bytes: Bytes) -> StreamingBlob {
    StreamingBlob::from(Body::from(bytes))
}

/// A value that is read while it is sent. An error in it aborts the connection, because the status
/// and the length are already sent.
pub(super) fn pieces<S, E>(stream: S, len: u64) -> Body
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let stream = stream.map(|piece| piece.map_err(|error| Box::new(error) as StdError)).boxed();
    let pieces: DynByteStream = Box::pin(Pieces { stream: Mutex::new(stream), remaining: len });
    Body::from(pieces)
}

/// A stream with the number of bytes still to come. The mutex is never locked, it only makes the
/// stream shareable as s3s demands.
struct Pieces {
    stream: Mutex<BoxStream<'static, Result<Bytes, StdError>>>,
    remaining: u64,
}

impl Stream for Pieces {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        let piece = std::task::ready!(stream.poll_next_unpin(context));
        if let Some(Ok(bytes)) = &piece {
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(piece)
    }
}

impl ByteStream for Pieces {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.remaining)
            .map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn the_length_is_exact_to_the_end() {
        let parts = [Ok::<_, io::Error>(Bytes::from_static(b"abc")), Ok(Bytes::from_static(b"de"))];
        let mut blob = pieces(futures::stream::iter(parts), 5);
        assert_eq!(blob.remaining_length().exact(), Some(5));
        assert_eq!(blob.next().await.unwrap().unwrap(), "abc");
        assert_eq!(blob.remaining_length().exact(), Some(2));
        assert_eq!(blob.next().await.unwrap().unwrap(), "de");
        assert_eq!(blob.remaining_length().exact(), Some(0));
        assert!(blob.next().await.is_none());
        assert_eq!(whole(Bytes::from_static(b"xyz")).remaining_length().exact(), Some(3));
    }

    #[tokio::test]
    async fn an_error_ends_the_stream_as_an_error() {
        let parts = [Err::<Bytes, _>(io::Error::other("gone"))];
        let mut blob = pieces(futures::stream::iter(parts), 5);
        assert_eq!(blob.next().await.unwrap().unwrap_err().to_string(), "gone");
    }
}
