//! Who may give orders.
//!
//! An operator is whoever holds the admin token, or a person at the node's own machine. A
//! request from loopback is *not* proof of the latter: a web page in a browser on the same
//! machine, a rebound DNS name or a reverse proxy come from there too. Each of them gives
//! itself away by a header that a command line does not send, and none can add
//! `Gaggle-Admin: 1` to a cross-site request without asking first.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hyper::header::{AUTHORIZATION, FORWARDED, HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;

/// The header of an operator on the same machine.
pub const ADMIN_HEADER: &str = "gaggle-admin";

/// The admin token: a secret, never shown.
#[derive(Clone)]
pub struct Token(String);

/// Why a text is no admin token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an admin token is one line of 16 to 512 visible ASCII characters")]
pub struct TokenError;

impl Token {
    /// The token `text`, without the white space around it.
    ///
    /// # Errors
    /// [`TokenError`] if it is too short, too long, or cannot stand in a header.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let sound = (16..=512).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        if sound { Ok(Self(text.to_owned())) } else { Err(TokenError) }
    }

    /// The secret itself, for a client's header.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on the lengths only.
    fn matches(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differences = own.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b));
        own.len() == given.len() && differences == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A web page asks.
    #[error("the request has an Origin header: orders are not taken from web pages")]
    CrossSite,
    /// A proxy asks.
    #[error("the request was forwarded by a proxy: orders from this machine must come directly")]
    Proxied,
    /// A name that somebody pointed at this machine.
    #[error("the Host header must be an IP address or localhost for an order from this machine")]
    Host,
    /// The bearer token is not the admin token.
    #[error("the bearer token is not this node's admin token")]
    Token,
    /// From this machine, without the header.
    #[error("send the header \"Gaggle-Admin: 1\" with an order from this machine")]
    Header,
    /// From elsewhere, without a token.
    #[error("orders are taken from the node's own machine, or with the admin token")]
    Remote,
}

/// Whether `peer`, sending `headers` to `authority` (of an absolute request target), is an
/// operator.
///
/// # Errors
/// The first reason why not.
pub fn check(
    peer: IpAddr,
    authority: Option<&Authority>,
    headers: &HeaderMap,
    token: Option<&Token>,
) -> Result<(), Refusal> {
    let local = peer.to_canonical().is_loopback();
    if local {
        refuse_strangers(authority, headers)?;
    }
    if let (Some(token), Some(given)) = (token, bearer(headers)) {
        return if token.matches(given) { Ok(()) } else { Err(Refusal::Token) };
    }
    if !local {
        return Err(Refusal::Remote);
    }
    let mut values = headers.get_all(ADMIN_HEADER).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value == "1" => Ok(()),
        _ => Err(Refusal::Header),
    }
}

/// What comes from loopback and is still no operator.
fn refuse_strangers(authority: Option<&Authority>, headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(ORIGIN) {
        return Err(Refusal::CrossSite);
    }
    if headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for") {
        return Err(Refusal::Proxied);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| Refusal::Host)?,
        _ => return Err(Refusal::Host),
    };
    if !is_plain_host(host) || !authority.is_none_or(|name| is_plain_host(name.as_str())) {
        return Err(Refusal::Host);
    }
    Ok(())
}

/// An IP address or `localhost`, with or without a port.
fn is_plain_host(host: &str) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return true;
    }
    if let Some(six) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return six.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "1"));
    name.eq_ignore_ascii_case("localhost") && port.parse::<u16>().is_ok()
}

/// The credentials of a single `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}
