//! The limits and manners of the server.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

#[cfg(feature = "tls")]
use crate::config::http_tls::HttpTls;
use crate::config::token::Token;
use crate::shell::reloader::Reloader;

/// The limits and manners of the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most this many connections at once. One more drops the oldest idle one, or is
    /// itself dropped if none is idle.
    pub connections_max: usize,
    /// At most so many long polls and event streams at once: the other connections stay free
    /// for health checks.
    pub readers_max: usize,
    /// An event stream that has nothing to say says so this often. A reader that takes nothing
    /// for twice as long is dropped.
    pub heartbeat: Duration,
    /// A request's head must arrive within this, and before it a TLS handshake; an idle connection is closed after it.
    pub header_timeout: Duration,
    /// A request's body must arrive within this.
    pub body_timeout: Duration,
    /// An order to the node must be carried out within this.
    pub order_timeout: Duration,
    /// After this a connection takes no further request and is closed once it is idle.
    pub connection_age_max: Duration,
    /// After a refusal, what its sender goes on sending is thrown away for so long at most, so
    /// that the reason is not lost to a reset.
    pub linger: Duration,
    /// On the way out, answers under way get so long to be written.
    pub farewell: Duration,
    /// A voter counts as reachable if its last answer is no older than this.
    pub reachable_within: Duration,
    /// The secret that makes a request by TLS, or over TCP from loopback, an operator's.
    pub admin_token: Option<Token>,
    /// With which certificate and key TLS is spoken over TCP, if it is.
    #[cfg(feature = "tls")]
    pub tls: Option<HttpTls>,
    /// By whom the settings are read again when that is ordered, if there is anybody.
    pub reloader: Option<Reloader>,
    /// Lines of the process's log that were dropped, as whoever writes it counts them.
    pub log_lines_dropped: Arc<AtomicU64>,
}

impl Options {
    /// When the certificate ends with which TLS is spoken, in seconds since 1970, if it is.
    pub(super) fn certificate_expires(&self) -> Option<u64> {
        #[cfg(feature = "tls")]
        return self.tls.as_ref()?.expires();
        #[cfg(not(feature = "tls"))]
        None
    }

    /// The limits for a node whose standby polls come every `standby_interval`.
    pub fn new(standby_interval: Duration) -> Self {
        Self {
            // Half of the usual limit of 1024 open files.
            connections_max: 512,
            readers_max: 384,
            // Shorter than proxies' patience, which often is 30 s.
            heartbeat: Duration::from_secs(15),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            order_timeout: Duration::from_secs(10),
            connection_age_max: Duration::from_secs(60),
            linger: Duration::from_millis(500),
            farewell: Duration::from_millis(500),
            // One or two lost polls are no news; five are.
            reachable_within: standby_interval * 5,
            admin_token: None,
            #[cfg(feature = "tls")]
            tls: None,
            reloader: None,
            log_lines_dropped: Arc::default(),
        }
    }
}
