//! Who may give orders.
//!
//! An operator is whoever the file system lets open the node's control socket, or whoever holds
//! the admin token. Coming from loopback proves nothing: a reverse proxy on the machine, a
//! browser, and a port that a container hands on come from there too, on behalf of anybody.
//!
//! The token counts by TLS, or over loopback. From elsewhere it came in the clear, and whoever could
//! read along has it now; so it is refused without being looked at.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, FORWARDED, HeaderMap, ORIGIN};

use crate::config::token::Token;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// From this address, over TCP, in the clear.
    Tcp(IpAddr),
    /// From this address, by TLS.
    Tls(IpAddr),
    /// Over the control socket, from the node's own user or from root.
    Operator,
    /// Over the control socket, from the user of this number.
    OtherUser(u32),
}

/// Why an order was not taken, and how it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A web page asks.
    #[error(
        "the request comes from a browser (it has an Origin or a Sec-Fetch-Site header): orders \
         are not taken from web pages. {WAY}"
    )]
    Browser,
    /// A proxy asks, and says so.
    #[error(
        "the request was handed on by a proxy (it has a Forwarded or an X-Forwarded-For header): \
         orders are not taken from one. {WAY}"
    )]
    Proxied,
    /// In the clear from another address than loopback, with a token.
    #[error(
        "a token came in the clear from {0}, which is not loopback: it was not looked at, and if \
         it is this node's, replace it, for others may have read it. {WAY}"
    )]
    Exposed(IpAddr),
    /// Over TCP without a token.
    #[error("orders are not taken over TCP without the node's admin token. {WAY}")]
    NoToken,
    /// The node has no token that could be the right one.
    #[error(
        "this node was started without --admin-token-file, so no token is the right one. {WAY}"
    )]
    NoneSet,
    /// The bearer token is not the admin token.
    #[error("the bearer token is not this node's admin token. {WAY}")]
    WrongToken,
    /// Over the socket, from a user who should not have been able to open it.
    #[error(
        "user {0} opened the node's socket, but only the node's own user and root give orders \
         there: type the command as one of them"
    )]
    OtherUser(u32),
}

/// How orders are given.
const WAY: &str = "Type the command on the node's own machine, as the node's user or as root \
                   (`gaggle step-down`: it finds the node's socket), or send \"Authorization: \
                   Bearer TOKEN\" by https (--http-tls-cert) or from loopback";

/// Whether `peer`, sending `headers`, is an operator.
///
/// # Errors
/// The first reason why not.
pub fn check(peer: Peer, headers: &HeaderMap, token: Option<&Token>) -> Result<(), Refusal> {
    if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err(Refusal::Browser);
    }
    if headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for") {
        return Err(Refusal::Proxied);
    }
    let exposed = match peer {
        Peer::Operator => return Ok(()),
        Peer::OtherUser(user) => return Err(Refusal::OtherUser(user)),
        Peer::Tls(_) => None,
        Peer::Tcp(address) => Some(address.to_canonical()).filter(|it| !it.is_loopback()),
    };
    match (headers.contains_key(AUTHORIZATION), exposed, token) {
        (false, ..) => Err(Refusal::NoToken),
        (true, Some(address), _) => Err(Refusal::Exposed(address)),
        (true, None, None) => Err(Refusal::NoneSet),
        (true, None, Some(token)) if bearer(headers).is_some_and(|it| token.matches(it)) => Ok(()),
        (true, None, Some(_)) => Err(Refusal::WrongToken),
    }
}

/// The credentials of a single `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, rest) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}
