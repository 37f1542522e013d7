//! A connection to the HTTP server: any bytes, in any pieces, over a stream in memory to the
//! real server code.
//!
//! The first byte of an input says who asks and how the rest is cut into pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::cluster::{Cluster, Subject};
use super::{Tally, Target, ensure};
use gaggle::config::token::Token;
use gaggle::node::{
    Drained, ForgetError, Paused, StepDownError, SteppedDown, VoterOrder, VotersOrdered,
};
use gaggle::shell::handle::OrderError;
use gaggle::shell::history::History;
use gaggle::shell::http::api::guard::Peer;
use gaggle::shell::http::{NodeView, Options, serve_connection};
use gaggle::shell::pulse::Pulse;
use gaggle::vocabulary::identity::NodeId;
use gaggle::vocabulary::snapshot::Snapshot;
use gaggle::vocabulary::time::HolderTime;

/// The operator's secret.
const TOKEN: &str = "honk-honk-honk-honk-honk-honk-honk";
/// One request is answered with no more than this, a page with a few members in it included.
const ANSWER_SIZE_MAX: usize = 128 * 1024;
/// The fewest bytes that can be a request.
const REQUEST_SIZE_MIN: usize = 16;
/// What lies in the stream at most, in each direction.
const STREAM_SIZE: usize = 64 * 1024;
/// Long enough for any answer; an input that takes longer has found something that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// See the module.
pub(crate) struct Connections {
    runtime: Runtime,
    node: Double,
    options: Options,
}

/// A node that only counts what it is told.
#[derive(Clone)]
struct Double {
    snapshot: Arc<Snapshot>,
    now: HolderTime,
    orders: Arc<AtomicU64>,
    history: Arc<watch::Sender<Arc<History>>>,
}

impl NodeView for Double {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    fn holder_now(&self) -> HolderTime {
        self.now
    }

    fn pulse(&self) -> Pulse {
        Pulse { last: self.now, ended: false, delay_max: Duration::ZERO }
    }

    fn history(&self) -> watch::Receiver<Arc<History>> {
        self.history.subscribe()
    }

    async fn step_down(
        &self,
        to: Option<NodeId>,
        _hold: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        self.orders.fetch_add(1, Ordering::Relaxed);
        match to {
            Some(id) if id.number() > 3 => {
                Err(OrderError::Refused(StepDownError::UnknownNominee(id)))
            }
            to => Ok(SteppedDown { term: 7, nominee: to }),
        }
    }

    async fn drain(&self, is_drained: bool) -> Result<Drained, OrderError> {
        self.orders.fetch_add(1, Ordering::Relaxed);
        Ok(Drained { is_drained, is_news: true, is_kept: true, ended: None })
    }

    async fn pause(&self, lasts: Option<Duration>) -> Result<Paused, OrderError> {
        self.orders.fetch_add(1, Ordering::Relaxed);
        Ok(Paused { term: 7, lasts, was_paused: false })
    }

    async fn change_voters(&self, _: VoterOrder) -> Result<VotersOrdered, OrderError> {
        Err(OrderError::Unavailable)
    }
    async fn forget(&self, id: NodeId) -> Result<(), OrderError> {
        self.orders.fetch_add(1, Ordering::Relaxed);
        if id.number() > 3 { Err(ForgetError::Unknown(id).into()) } else { Ok(()) }
    }

    async fn leave(&self) -> Result<(), OrderError> {
        self.orders.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Connections {
    /// A server around a Goose. None if the machine grants no runtime.
    pub(crate) fn new() -> Option<Self> {
        let cluster = Cluster::new(Subject::Goose, false)?;
        let seen = cluster.subject().snapshot();
        let mut history = History::new(seen.process, seen.address, seen.started);
        history.index = seen.index;
        let node = Double {
            snapshot: Arc::new(cluster.subject().snapshot()),
            now: cluster.now().holder,
            orders: Arc::default(),
            history: Arc::new(watch::Sender::new(Arc::new(history))),
        };
        let mut options = Options::new(Duration::from_millis(200));
        // Whoever waits or reads events is answered late or never, by design: here at once.
        options.readers_max = 0;
        options.admin_token = Some(Token::new(TOKEN).ok()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
        Some(Self { runtime, node, options })
    }

    fn converse(&self, peer: Peer, pieces: usize, request: &[u8]) -> Option<Vec<u8>> {
        let (ours, theirs) = duplex(STREAM_SIZE);
        let server = serve_connection(theirs, peer, self.node.clone(), self.options.clone());
        let client = async move {
            let (mut read, mut write) = tokio::io::split(ours);
            let say = async move {
                for piece in request.chunks(request.len().div_ceil(pieces).max(1)) {
                    // A server that has closed has answered already.
                    if write.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = write.shutdown().await;
            };
            let listen = async move {
                let mut answer = Vec::new();
                let _ = read.read_to_end(&mut answer).await;
                answer
            };
            tokio::join!(say, listen).1
        };
        let both = async { tokio::join!(server, client).1 };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, both).await.ok() })
    }
}

impl Target for Connections {
    fn take(&mut self, input: &[u8], tally: &mut Tally) -> Result<(), String> {
        tally.unit();
        let (flags, request) = input.split_first().unwrap_or((&0, &[]));
        let (operator, here) = (flags & 1 > 0, flags & 8 > 0);
        let peer = match (operator, here) {
            (true, _) => Peer::Operator,
            (false, true) => Peer::Tcp([127, 0, 0, 1].into()),
            (false, false) => Peer::Tcp([10, 0, 0, 9].into()),
        };
        let pieces = [1, 2, 3, 7][usize::from(flags >> 1 & 3)];
        let before = self.node.orders.load(Ordering::Relaxed);
        let answer = self.converse(peer, pieces, request);
        let answer = answer.ok_or("the connection hangs")?;
        let obeyed = self.node.orders.load(Ordering::Relaxed) - before;

        let knows = request.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        let may = operator || here && knows;
        ensure(obeyed == 0 || may, || "a stranger's order was obeyed".to_owned())?;
        if obeyed > 0 {
            tally.passed("4 order given");
        }
        let requests = request.len() / REQUEST_SIZE_MIN + 1;
        let size = answer.len();
        ensure(size <= requests * ANSWER_SIZE_MAX, || format!("{size} bytes for {requests}"))?;
        if answer.is_empty() {
            tally.met("nothing", 0);
            return Ok(());
        }
        tally.passed("1 answered");
        let status = status(&answer).ok_or_else(|| {
            format!("no answer of HTTP: {:?}", String::from_utf8_lossy(&answer[..size.min(80)]))
        })?;
        tally.met("status", u64::from(status));
        tally.met("orders", obeyed.min(2));
        let known =
            [200, 204, 400, 403, 404, 405, 408, 409, 413, 414, 431, 503, 505, 100, 417, 501];
        ensure(known.contains(&status), || format!("an answer of {status}"))?;
        if status != 400 && status != 431 && status != 414 {
            tally.passed("2 understood");
        }
        if status < 300 {
            tally.passed("3 granted");
        }
        Ok(())
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let order = format!(
            "\x08POST /v1/step-down HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: 24\r\n\r\n{{\"to\":\"2\",\"hold_ms\":1000}}"
        );
        let texts: &[&str] = &[
            "\x01GET / HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nAccept: text/html\r\n\r\n",
            "\x01GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\nGET /goose HTTP/1.1\r\nHost: a\r\n\r\n",
            "\x03HEAD /readyz?goose HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "\x05OPTIONS /v1/members HTTP/1.0\r\n\r\n",
            "\x01POST /v1/step-down HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
            "\x01POST /v1/leave HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\n{}\r\n0\r\n\r\n",
            "\x07PUT /v1/voters HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
             Content-Length: 9\r\n\r\n",
            "\x00POST /v1/step-down HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n",
            &order,
        ];
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"\r\n",
            b"\r\n\r\n",
            b"GET ",
            b"POST ",
            b"HEAD ",
            b"OPTIONS ",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"/goose",
            b"/duck",
            b"/livez",
            b"/readyz?goose",
            b"/v1/status",
            b"/v1/goose",
            b"/v1/members",
            b"/v1/voters",
            b"/v1/step-down",
            b"/v1/forget",
            b"/v1/drain",
            b"/v1/pause",
            b"/v1/leave",
            b"/",
            b"Host: localhost\r\n",
            b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: close\r\n",
            b"Upgrade: h2c\r\n",
            b"Authorization: Bearer ",
            b"Origin: null\r\n",
            b"X-Forwarded-For: 127.0.0.1\r\n",
            b"/v1/history",
            b"/v1/events",
            b"/metrics",
            b"Last-Event-ID: ",
            b"?index=1&wait=1ms",
            b"Accept: text/html;q=0\r\n",
            b"{\"to\":",
            b"\"hold_ms\":",
            b"18446744073709551616",
            b"1e400",
            b"ffffffffffffffff\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"%00",
            b"..",
            b"http://a:1/goose",
            b"*",
            b"Sec-Fetch-Site: cross-site\r\n",
        ]
    }

    fn size_max(&self) -> usize {
        1500
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok()
}
