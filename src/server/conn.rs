//! Connections: accepted up to a limit, each with its deadlines, and drained when the server stops.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::deadline::Deadline;
use super::front::Front;
use super::limits::{
    ACCEPT_PAUSE, CONNECTION_WINDOW_BYTES, FIRST_REQUEST_TIMEOUT, HEAD_BYTES_MAX, HEAD_TIMEOUT,
    HEADERS_MAX, PING_INTERVAL, READ_BYTES_MAX, STALLED_PEER_TIMEOUT, STREAM_WINDOW_BYTES,
    STREAMS_MAX,
};
use super::outgoing::Outgoing;
use super::repoll::Repoll;

/// Serves `listener` until `shutdown`, then lets requests that have begun end within `drain`.
pub async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    connections_max: usize,
    drain: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        // Without a place further connections wait in the kernel's backlog.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut shutdown => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = run(stream, peer, Arc::clone(&front), graceful.watcher());
                tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    front.readiness.set_draining();
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "connections cut off at the drain's deadline");
    }
    tasks.shutdown().await;
}

fn http(deadline: Deadline) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(deadline)
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(READ_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

async fn run(stream: TcpStream, peer: SocketAddr, front: Arc<Front>, watcher: Watcher) {
    if let Err(error) = tune(&stream) {
        tracing::debug!(%error, %peer, "cannot tune a connection");
    }
    let metrics = Arc::clone(&front.metrics);
    let _open = metrics.connection();
    let asked = Arc::new(AtomicBool::new(false));
    let outgoing = Outgoing::default();
    let answer_window = front.answer_window;
    let service = {
        let (asked, outgoing) = (Arc::clone(&asked), outgoing.clone());
        service_fn(move |request: hyper::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let (front, outgoing) = (Arc::clone(&front), outgoing.clone());
            async move { Ok::<_, Infallible>(front.answer(request, peer.ip(), &outgoing).await) }
        })
    };
    let deadline = Deadline::new();
    let http = http(deadline.clone());
    let connection = http.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = pin!(watcher.watch(connection));
    let connection = Repoll::new(connection);
    tokio::select! {
        result = connection => {
            if let Err(error) = result {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        }
        () = watch(&asked, &deadline) => tracing::debug!(%peer, "a connection asked for nothing"),
        () = outgoing.stalled(answer_window) => {
            tracing::debug!(%peer, "a connection took nothing of its answers");
        }
    }
}

/// Ends when a connection has asked for nothing in the time it has. The deadlines of HTTP begin
/// only when its version is known.
async fn watch(asked: &AtomicBool, deadline: &Deadline) {
    tokio::time::sleep(FIRST_REQUEST_TIMEOUT).await;
    if asked.load(Ordering::Relaxed) {
        deadline.watch(HEAD_TIMEOUT).await;
    }
}

// No head's deadline passes before the watch over them begins.
const _: () = assert!(HEAD_TIMEOUT.as_secs() > FIRST_REQUEST_TIMEOUT.as_secs());

fn tune(stream: &TcpStream) -> std::io::Result<()> {
    // Else a small answer waits for the peer's delayed acknowledgement of its head.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PING_INTERVAL))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(STALLED_PEER_TIMEOUT))?;
    Ok(())
}
