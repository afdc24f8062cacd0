//! The body of a request on its way to the handler: de-framed, measured, hashed and timed.
//!
//! - The last piece is held back until all that the gate checks was found right, so who has got as
//!   many bytes as were promised has got verified bytes.
//! - A sender that makes no progress is cut off; a handler that is slow to take is not counted
//!   against it.
//! - When the stream is dropped, what is left of the body goes back to the connection's side, which
//!   may drain it so that the client gets to read its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http_body::Body;
use parking_lot::Mutex;
use s3s::stream::{ByteStream, RemainingLength};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, Sleep, sleep};

use super::body::BodyError;
use super::chunked::Deframer;
use super::limits::{BODY_WINDOW, BODY_WINDOW_BYTES_MIN};

/// How a body is made plain and checked.
#[derive(Debug)]
pub enum Check {
    /// In frames.
    Framed(Box<Deframer>),
    /// As it is.
    Plain {
        /// Its length, when promised.
        len: Option<u64>,
        /// Its hash, when promised, and the one being computed.
        sha256: Option<(Sha256, [u8; 32])>,
    },
}

impl Check {
    /// For a plain body.
    pub fn plain(len: Option<u64>, sha256: Option<[u8; 32]>) -> Self {
        Self::Plain { len, sha256: sha256.map(|promised| (Sha256::new(), promised)) }
    }
}

/// What the connection's side keeps of a body it gave away.
#[derive(Debug)]
pub struct Ledger<B> {
    received: AtomicU64,
    leftover: Mutex<Option<B>>,
}

impl<B> Default for Ledger<B> {
    fn default() -> Self {
        Self { received: AtomicU64::new(0), leftover: Mutex::new(None) }
    }
}

impl<B> Ledger<B> {
    /// Bytes that came on the wire.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The body, when it was given back before its end.
    pub fn take_leftover(&self) -> Option<B> {
        self.leftover.lock().take()
    }
}

/// A request's body as its handler sees it.
pub struct BodyStream<B> {
    /// None once it ended or failed.
    source: Option<B>,
    check: Check,
    /// Came and not yet gone through the check.
    input: Bytes,
    /// Went through, and waits for what comes after it to be right.
    held: Option<Bytes>,
    handed_on: u64,
    ended: bool,
    patience: Patience,
    ledger: Arc<Ledger<B>>,
}

impl<B> BodyStream<B> {
    /// The stream of `source`, checked by `check`.
    pub fn new(source: B, check: Check, ledger: Arc<Ledger<B>>) -> Self {
        Self {
            source: Some(source),
            check,
            input: Bytes::new(),
            held: None,
            handed_on: 0,
            ended: false,
            patience: Patience::new(BODY_WINDOW),
            ledger,
        }
    }

    /// Sets how it is checked; call before its first byte is taken.
    pub fn set_check(&mut self, check: Check) {
        self.check = check;
    }

    /// Sets the time in which it must make progress; call before its first byte is taken.
    pub fn set_window(&mut self, window: Duration) {
        self.patience = Patience::new(window);
    }

    /// What was checked and came to a clean end or not.
    fn finish(&mut self) -> Result<(), BodyError> {
        match &mut self.check {
            Check::Framed(deframer) => deframer.finish(),
            Check::Plain { len, sha256 } => {
                if len.is_some_and(|len| len != self.handed_on) {
                    return Err(incomplete());
                }
                let Some((hash, promised)) = sha256.take() else { return Ok(()) };
                let equal: bool = hash.finalize().as_slice().ct_eq(&promised).into();
                if equal { Ok(()) } else { Err(wrong_sha256()) }
            }
        }
    }

    /// The next piece in what has come already.
    fn next_piece(&mut self) -> Result<Option<Bytes>, BodyError> {
        match &mut self.check {
            Check::Framed(deframer) => deframer.next(&mut self.input),
            Check::Plain { len, sha256 } => {
                if self.input.is_empty() {
                    return Ok(None);
                }
                let piece = std::mem::take(&mut self.input);
                if let Some((hash, _)) = sha256 {
                    hash.update(&piece);
                }
                if len.is_some_and(|len| self.handed_on + piece.len() as u64 > len) {
                    return Err(incomplete());
                }
                Ok(Some(piece))
            }
        }
    }
}

impl<B> BodyStream<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Whether it is known that no byte comes.
    pub fn is_empty(&self) -> bool {
        self.source.as_ref().is_none_or(Body::is_end_stream)
    }

    fn poll_checked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            if let Some(piece) = self.next_piece()? {
                self.handed_on += piece.len() as u64;
                if let Some(held) = self.held.replace(piece) {
                    return Poll::Ready(Some(Ok(held)));
                }
                continue;
            }
            let Some(source) = &mut self.source else {
                return Poll::Ready(self.held.take().map(Ok));
            };
            match Pin::new(source).poll_frame(cx) {
                Poll::Pending => {
                    ready!(self.patience.poll_exhausted(cx));
                    return Poll::Ready(Some(Err(timed_out())));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // HTTP's own trailers mean nothing to S3.
                    if let Ok(data) = frame.into_data() {
                        self.ledger.received.fetch_add(data.len() as u64, Ordering::Relaxed);
                        self.patience.progress(data.len() as u64);
                        self.input = data;
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    self.source = None;
                    return Poll::Ready(Some(Err(incomplete())));
                }
                Poll::Ready(None) => {
                    self.source = None;
                    self.finish()?;
                }
            }
        }
    }
}

impl<B> Stream for BodyStream<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Item = Result<Bytes, s3s::StdError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let item = ready!(this.poll_checked(cx));
        if !matches!(item, Some(Ok(_))) {
            this.ended = true;
            this.held = None;
        }
        Poll::Ready(item.map(|piece| piece.map_err(Into::into)))
    }
}

impl<B> ByteStream for BodyStream<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    fn remaining_length(&self) -> RemainingLength {
        let held = self.held.as_ref().map_or(0, |held| held.len() as u64);
        let left = match &self.check {
            Check::Framed(deframer) => Some(deframer.remaining()),
            Check::Plain { len, .. } => len.map(|len| len.saturating_sub(self.handed_on)),
        };
        match left.and_then(|left| usize::try_from(left + held).ok()) {
            // Nothing left is said only at the end: who is told so earlier would not wait for the
            // trailer to be verified.
            Some(0) if !self.ended => RemainingLength::unknown(),
            Some(left) => RemainingLength::new_exact(left),
            None => RemainingLength::unknown(),
        }
    }
}

impl<B> Drop for BodyStream<B> {
    fn drop(&mut self) {
        if let Some(source) = self.source.take() {
            *self.ledger.leftover.lock() = Some(source);
        }
    }
}

impl<B> std::fmt::Debug for BodyStream<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyStream")
            .field("check", &self.check)
            .field("handed_on", &self.handed_on)
            .finish_non_exhaustive()
    }
}

/// Waits for a sender as long as it makes progress.
#[derive(Debug)]
struct Patience {
    window: Duration,
    /// Made when first needed; most small bodies never wait.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    window_bytes: u64,
}

impl Patience {
    fn new(window: Duration) -> Self {
        Self { window, timer: None, waiting: false, window_bytes: 0 }
    }

    fn progress(&mut self, bytes: u64) {
        self.window_bytes += bytes;
        if self.window_bytes >= BODY_WINDOW_BYTES_MIN {
            self.waiting = false;
        }
    }

    fn poll_exhausted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.window)));
        if !self.waiting {
            self.waiting = true;
            self.window_bytes = 0;
            timer.as_mut().reset(Instant::now() + self.window);
        }
        timer.as_mut().poll(cx)
    }
}

fn incomplete() -> BodyError {
    BodyError {
        code: "IncompleteBody",
        status: 400,
        message: "You did not provide the number of bytes specified by the Content-Length HTTP \
                  header"
            .into(),
    }
}

fn wrong_sha256() -> BodyError {
    BodyError {
        code: "XAmzContentSHA256Mismatch",
        status: 400,
        message: "The provided 'x-amz-content-sha256' header does not match what was computed."
            .into(),
    }
}

fn timed_out() -> BodyError {
    BodyError {
        code: "RequestTimeout",
        status: 400,
        message: "Your socket connection to the server was not read from or written to within \
                  the timeout period."
            .into(),
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
