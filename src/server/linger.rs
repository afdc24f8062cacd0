//! Takes in what a client still sends of a request that is answered already. Without it the
//! connection would be reset under the client, which then would not see why it was refused.

use std::pin::Pin;

use bytes::{Buf, Bytes};
use http::request::Parts;
use http::{HeaderValue, Response, header};
use http_body::Body;
use http_body_util::BodyExt;

use super::limits::{LINGER_BYTES_MAX, LINGER_TIME};
use super::stream::Ledger;

/// Whether the client holds its body back until it is asked for.
pub fn waits_for_continue(parts: &Parts) -> bool {
    parts
        .headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Makes an answer the last of its connection, and says so: a client that was not told would send
/// its next request into a connection that is being closed.
pub fn end_connection(answer: &mut Response<s3s::Body>) {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Drops what is left of a body, up to a size and a time. Answers whether another request can
/// follow: none can where some of this one is still to come.
pub async fn drain<B>(ledger: &Ledger<B>, waits_for_continue: bool) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    // Reading would ask for a body that nobody wants. Without a "100 Continue" before it, as there
    // is none for a body that is empty, too, the AWS CLI misreads what comes next on the connection
    // and waits for a minute.
    if waits_for_continue && ledger.received() == 0 {
        return false;
    }
    let Some(mut body) = ledger.take_leftover() else { return true };
    if body.is_end_stream() {
        return true;
    }
    let drained = async {
        let mut left = LINGER_BYTES_MAX;
        while let Some(frame) = Pin::new(&mut body).frame().await {
            let Ok(frame) = frame else { return false };
            let len = frame.data_ref().map_or(0, Buf::remaining) as u64;
            match left.checked_sub(len) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    };
    tokio::time::timeout(LINGER_TIME, drained).await.unwrap_or(false)
}
