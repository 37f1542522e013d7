//! How many questions a node answers per second, beside a bare hyper server that answers the
//! same bytes to anything: `wrk` asks both in turn, in one run.
//!
//! ```text
//! cargo bench --bench status                                three rounds of three seconds each
//! cargo bench --bench status -- --seconds 10 --rounds 5 --connections 64
//! ```
//!
//! Needs `wrk` (the package of that name); without it, it says so and measures nothing.

// The tests use the rest.
#[allow(dead_code)]
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use harness::Cluster;
use harness::http::Client;
use harness::watch::Watch;

const USAGE: &str = "usage: status [--seconds N] [--rounds N] [--connections N]";

/// What is asked for, and the type of the answer.
const PATHS: [(&str, &str); 3] = [
    ("/v1/status", "application/json"),
    ("/goose", "text/plain; charset=utf-8"),
    ("/", "text/plain; charset=utf-8"),
];

struct Options {
    seconds: u64,
    rounds: usize,
    connections: u64,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { seconds: 3, rounds: 3, connections: 16 };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse::<u64>().ok());
                value.filter(|value| *value > 0).ok_or(format!("{argument} needs a number"))
            };
            match argument.as_str() {
                "--seconds" => options.seconds = number()?,
                "--rounds" => options.rounds = usize::try_from(number()?).unwrap_or(1),
                "--connections" => options.connections = number()?,
                // Cargo says this to every benchmark.
                "--bench" => {}
                _ => return Err(format!("{argument} is not understood")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("status: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if Command::new("wrk").arg("--version").output().is_err() {
        println!("status: wrk is missing, so nothing was measured: install the package wrk");
        return ExitCode::SUCCESS;
    }
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("status: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), String> {
    let ids = [1, 2, 3];
    let watch = Watch::new(std::time::Duration::from_millis(20), false);
    let mut cluster = Cluster::new(&ids, &ids, watch);
    for id in ids {
        cluster.start(id);
    }
    let goose = cluster.wait_for_agreement(&ids, 0).goose;
    cluster.watch().set_paused(true);
    let node = cluster.node(goose).settings.http;
    println!(
        "{:<14}{:>8}{:>16}{:>16}{:>10}",
        "requests/s", "bytes", "gaggle", "bare hyper", "ratio"
    );
    for (path, kind) in PATHS {
        let answer = Client::new(node).get(path).ok_or("the node does not answer")?;
        let size = answer.body.len();
        let bare = serve_bare(answer.body, kind).map_err(|error| error.to_string())?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            ours.push(wrk(node, path, options)?);
            theirs.push(wrk(bare, path, options)?);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let ratio = ours / theirs;
        println!("{path:<14}{size:>8}{ours:>16.0}{theirs:>16.0}{ratio:>10.2}");
    }
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

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}
