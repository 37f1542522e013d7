//! Why a node gave no answer.

use std::time::Duration;

use super::node_url::NodeUrl;
#[cfg(feature = "tls")]
use super::tls::TlsFault;

/// Why there is no answer. Whether an order arrived is unknown unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The name means no address; nothing was sent.
    #[error("{node}: the host name cannot be looked up: {source}")]
    Lookup {
        /// Whom we asked.
        node: NodeUrl,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// Nobody accepts connections there; nothing was sent.
    #[error(
        "nobody listens at {node} ({source}): is the node running? Start one with `gaggle run`, \
         or name another with --node"
    )]
    Unreachable {
        /// Whom we asked.
        node: NodeUrl,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The socket is another user's; nothing was sent.
    #[error(
        "{node} is another user's: type the command as the user as whom the node runs, or as root"
    )]
    NotPermitted {
        /// Whom we asked.
        node: NodeUrl,
    },
    /// The token would have gone over a network for all to read; nothing was sent.
    #[error(
        "the token is not sent to {node}, where it would go over the network in the clear: ask by \
         https:// if the node serves that, or type the command on that machine, where it needs no \
         token, for example by ssh"
    )]
    Exposed {
        /// Whom we asked.
        node: NodeUrl,
    },
    /// TLS was not agreed upon; nothing was asked.
    #[cfg(feature = "tls")]
    #[error("{node}: {fault}")]
    Tls {
        /// Whom we asked.
        node: NodeUrl,
        /// Why.
        fault: TlsFault,
    },
    /// It took too long.
    #[error("{node} did not answer within {limit:?}")]
    TimedOut {
        /// Whom we asked.
        node: NodeUrl,
        /// The time limit.
        limit: Duration,
    },
    /// Something else than an HTTP answer came.
    #[error("{node} did not answer as a node does ({reason}): is it the node's HTTP address?")]
    Garbled {
        /// Whom we asked.
        node: NodeUrl,
        /// What was wrong.
        reason: String,
    },
}

impl ClientError {
    /// Whether the time limit was the reason.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// Whether what was asked for cannot be done in this way.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Exposed { .. })
    }
}
