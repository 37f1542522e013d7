//! The health check of a node: runs a command or asks a URL again and again, and tells the node what
//! comes of it.
//!
//! ```text
//!  not known ── 1 passes ──▶ healthy ── N fail in a row ──▶ not healthy
//!                               ▲                              │
//!                               └────── M pass in a row ───────┘
//! ```
//!
//! One check at a time: the next begins an interval after the last began, or at its end if that is
//! later. Assumption: this process runs. While it is frozen it checks nothing, and its lease runs out.

use std::error::Error;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::handle::Handle;
use super::spawned::{Spawned, Voice};
use crate::config::health::{HealthCheck, HttpUrl, Probe};
use crate::vocabulary::health::Complainant;

/// Checks for as long as the node lives. Never returns.
pub async fn keep(check: HealthCheck, handle: Handle) {
    let mut judge = Judge::new(&check);
    loop {
        let began = Instant::now();
        let outcome = match timeout(check.limit, probe(&check.probe, &handle)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("it took longer than {:?}", check.limit)),
        };
        let complaint = |reason| format!("the health check failed: {reason}");
        if let Some(verdict) = judge.hear(outcome) {
            handle.set_health(Complainant::Check, verdict.err().map(complaint));
        }
        sleep_until(began + check.interval).await;
    }
}

/// What the outcomes so far come to.
#[derive(Debug)]
struct Judge {
    failures: u32,
    successes: u32,
    /// None: nothing has passed yet.
    is_healthy: Option<bool>,
    /// So many in a row say otherwise.
    against: u32,
}

impl Judge {
    fn new(check: &HealthCheck) -> Self {
        let HealthCheck { failures, successes, .. } = *check;
        Self { failures, successes, is_healthy: None, against: 0 }
    }

    /// One more outcome. Returns what the node is to be told, if it is to be told anything.
    fn hear(&mut self, outcome: Result<(), String>) -> Option<Result<(), String>> {
        let needed = match (self.is_healthy, &outcome) {
            // Until one has passed the node is not healthy, and the last failure says why.
            (None, Err(_)) => return Some(outcome),
            (Some(true), Ok(())) => {
                self.against = 0;
                return None;
            }
            (Some(false), Err(_)) => {
                self.against = 0;
                return Some(outcome);
            }
            (None, Ok(())) => 1,
            (Some(true), Err(_)) => self.failures,
            (Some(false), Ok(())) => self.successes,
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.is_healthy = Some(outcome.is_ok());
        Some(outcome)
    }
}

/// Checks once; the error says what is wrong.
async fn probe(probe: &Probe, handle: &Handle) -> Result<(), String> {
    match probe {
        Probe::Command(words) => command(words, handle).await,
        Probe::Http(url) => ask(url).await,
    }
}

async fn command(words: &[String], handle: &Handle) -> Result<(), String> {
    let snapshot = handle.snapshot();
    let role = if handle.is_goose() { "goose" } else { "duck" };
    let variables = [
        ("GAGGLE_NODE_ID", snapshot.process.id.to_string()),
        ("GAGGLE_CLUSTER", snapshot.cluster.to_string()),
        ("GAGGLE_ROLE", role.to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let started = Spawned::start(words, variables, Voice::Kept);
    let mut running = started.map_err(|error| format!("it cannot be started: {error}"))?;
    let status = running.wait().await.map_err(|error| format!("it got lost: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(match running.complaint() {
        said if said.is_empty() => ended(status),
        said => format!("{}: {said}", ended(status)),
    })
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

async fn ask(url: &HttpUrl) -> Result<(), String> {
    let HttpUrl { host, port, target } = url;
    let place =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let stream = TcpStream::connect((host.as_str(), *port)).await;
    let stream = stream.map_err(|error| format!("{place} cannot be reached: {error}"))?;
    ask_over(stream, &place, target).await
}

/// Asks for `target` whoever is at the other end, which is called `place`.
async fn ask_over(stream: TcpStream, place: &str, target: &str) -> Result<(), String> {
    let broken = |error: &dyn std::fmt::Display| format!("{place} does not speak HTTP: {error}");
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
    let request = Request::get(target)
        .header(HOST, place)
        .header(USER_AGENT, concat!("gaggle/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // Its errors come out of the request as well.
        _ = connection => answer.await,
    };
    let answer = answer.map_err(|error| match error.source() {
        // That the request was cancelled is what follows from the reason below it.
        Some(reason) if error.is_canceled() => broken(&reason),
        _ => broken(&error),
    });
    match answer?.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("http://{place}{target} answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_speaks_before_it_is_asked_is_said_to_be_no_http() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (other, _) = listener.accept().await.unwrap();
        other.writable().await.unwrap();
        other.try_write(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        stream.readable().await.unwrap();
        let outcome = ask_over(stream, "127.0.0.1:22", "/").await;
        let reason = outcome.unwrap_err();
        assert!(reason.starts_with("127.0.0.1:22 does not speak HTTP: "), "{reason}");
        assert!(!reason.contains("cancel"), "nobody has cancelled anything: {reason}");
    }

    fn judge(failures: u32, successes: u32) -> Judge {
        let limit = Duration::from_secs(1);
        let probe = Probe::Command(vec!["true".to_owned()]);
        Judge::new(&HealthCheck { probe, interval: limit, limit, failures, successes })
    }

    #[test]
    fn a_few_in_a_row_change_the_verdict_and_the_first_success_makes_it() {
        let failed = |reason: &str| Err(reason.to_owned());
        let mut judge = judge(3, 2);
        assert_eq!(judge.hear(failed("a")), Some(failed("a")));
        assert_eq!(judge.hear(failed("b")), Some(failed("b")), "why it has never been healthy");
        assert_eq!(judge.hear(Ok(())), Some(Ok(())));
        assert_eq!(judge.hear(failed("a")), None);
        assert_eq!(judge.hear(failed("a")), None);
        assert_eq!(judge.hear(Ok(())), None, "from the start again");
        assert_eq!(judge.hear(failed("a")), None);
        assert_eq!(judge.hear(failed("b")), None);
        assert_eq!(judge.hear(failed("c")), Some(failed("c")));
        assert_eq!(judge.hear(Ok(())), None);
        assert_eq!(judge.hear(failed("d")), Some(failed("d")));
        assert_eq!(judge.hear(Ok(())), None);
        assert_eq!(judge.hear(Ok(())), Some(Ok(())));
        assert_eq!(judge.hear(Ok(())), None);
    }
}
