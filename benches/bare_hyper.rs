//! What a GET costs with nothing behind it: a hyper server that answers any GET with the same bytes,
//! and any other method with an empty answer. `lodestore bench` against this is the ceiling that the
//! store is compared with.
//!
//! `cargo run --release --example bare_hyper -- ADDRESS BYTES [THREADS]`

use std::convert::Infallible;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lodestore::config::parse_bytes;
use tokio::net::TcpListener;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(bytes)) = (words.next(), words.next()) else {
        anyhow::bail!("usage: bare_hyper ADDRESS BYTES [THREADS]");
    };
    let len = usize::try_from(parse_bytes(&bytes)?)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = words.next() {
        builder.worker_threads(threads.parse()?);
    }
    builder.enable_all().build()?.block_on(serve(&address, Bytes::from(vec![0xA5; len])))
}

async fn serve(address: &str, body: Bytes) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, body.clone()));
            // A client that goes away is no event here.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_get = request.method() == Method::GET;
    let mut incoming = request.into_body();
    while let Some(Ok(_)) = incoming.frame().await {}
    let body = if is_get { body } else { Bytes::new() };
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(ETAG, HeaderValue::from_static("\"0\""));
    Ok(response)
}
