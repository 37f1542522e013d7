//! How many questions a node answers per second, beside a bare hyper server that answers the
//! same bytes to anything: `wrk` asks both in turn, in one run.
//!
//! ```text
//! cargo bench --bench load -- status                        three rounds of three seconds each
//! cargo bench --bench load -- status --seconds 10 --rounds 5 --connections 64
//! ```
//!
//! Needs `wrk` (the package of that name); without it, it says so and measures nothing.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use clap::Parser;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::report::harness::Cluster;
use crate::report::harness::http::Client;
use crate::report::harness::watch::Watch;
use crate::report::{Table, Values};

/// What is asked for, and the type of the answer.
const PATHS: [(&str, &str); 3] = [
    ("/v1/status", "application/json"),
    ("/goose", "text/plain; charset=utf-8"),
    ("/", "text/plain; charset=utf-8"),
];

#[derive(Parser)]
pub(crate) struct Options {
    /// Of each question to each server.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
}

pub(crate) fn measure(options: &Options) -> Result<(), String> {
    if Command::new("wrk").arg("--version").output().is_err() {
        println!("status: wrk is missing, so nothing was measured: install the package wrk");
        return Ok(());
    }
    let ids = [1, 2, 3];
    let watch = Watch::new(std::time::Duration::from_millis(20), false);
    let mut cluster = Cluster::new(&ids, &ids, watch);
    for id in ids {
        cluster.start(id);
    }
    let goose = cluster.wait_for_agreement(&ids, 0).goose;
    cluster.watch().set_paused(true);
    let node = cluster.node(goose).settings.http;
    let columns =
        [("requests/s", 14), ("bytes", 8), ("gaggle", 16), ("bare hyper", 16), ("ratio", 10)];
    let mut table = Table::new(&columns);
    for (path, kind) in PATHS {
        let answer = Client::new(node).get(path).ok_or("the node does not answer")?;
        let size = answer.body.len();
        let bare = serve_bare(answer.body, kind).map_err(|error| error.to_string())?;
        let (mut ours, mut theirs) = (Values::default(), Values::default());
        for _ in 0..options.rounds {
            ours.add(wrk(node, path, options)?);
            theirs.add(wrk(bare, path, options)?);
        }
        let (ours, theirs) = (ours.median(), theirs.median());
        let figures = [size.to_string(), format!("{ours:.0}"), format!("{theirs:.0}")];
        let ratio = format!("{:.2}", ours / theirs);
        table.row([path.to_owned()].into_iter().chain(figures).chain([ratio]));
    }
    print!("{table}");
    Ok(())
}

/// A server on a thread and a runtime of its own, as a node's is.
fn serve_bare(body: Vec<u8>, kind: &'static str) -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let body = Bytes::from(body);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = move |_: Request<Incoming>| {
        let mut response = Response::new(Full::new(body.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        std::future::ready(Ok::<_, Infallible>(response))
    };
    let serve = async move {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let service = service_fn(answer.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    };
    std::thread::spawn(move || runtime.block_on(serve));
    Ok(address)
}

/// Requests per second, as wrk counts them.
fn wrk(address: SocketAddr, path: &str, options: &Options) -> Result<f64, String> {
    let output = Command::new("wrk")
        .args(["-t", "1", "-c", &options.connections.to_string()])
        .args(["-d", &format!("{}s", options.seconds)])
        .arg(format!("http://{address}{path}"))
        .output()
        .map_err(|error| format!("cannot start wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        return Err(format!("{address}{path} was not answered as it should be:\n{text}"));
    }
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let rate = rate.and_then(|rate| rate.trim().parse().ok());
    rate.ok_or_else(|| format!("wrk says something else than expected:\n{text}"))
}
