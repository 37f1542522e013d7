//! Who may give orders: a matrix of where a request comes from and what it carries.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::api::guard::{Peer, Refusal, check};
use super::SECRET;
use crate::config::token::Token;

const LOOPBACKS: [&str; 4] = ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"];
const ELSEWHERE: [&str; 4] = ["192.0.2.7", "2001:db8::7", "172.17.0.1", "::ffff:192.0.2.7"];

fn tcp(address: &str) -> Peer {
    Peer::Tcp(address.parse().unwrap())
}

fn judged(peer: Peer, fields: &[(&str, &str)], token: bool) -> Result<(), Refusal> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let token = token.then(|| Token::new(SECRET).unwrap());
    check(peer, &headers, token.as_ref())
}

const HOST: (&str, &str) = ("host", "127.0.0.1:9000");
const ADMIN: (&str, &str) = ("gaggle-admin", "1");
const BEARER: (&str, &str) = ("authorization", "Bearer correct-horse-battery");

#[test]
fn over_the_socket_its_owner_and_root_need_nothing_else() {
    for token in [false, true] {
        assert_eq!(judged(Peer::Operator, &[], token), Ok(()));
        assert_eq!(judged(Peer::Operator, &[("host", "evil.example")], token), Ok(()));
        assert_eq!(judged(Peer::OtherUser(7), &[BEARER], token), Err(Refusal::OtherUser(7)));
    }
}

#[test]
fn over_tcp_nothing_but_the_token_counts_wherever_it_comes_from() {
    for address in LOOPBACKS.iter().chain(&ELSEWHERE) {
        for fields in [&[][..], &[HOST], &[HOST, ADMIN], &[("x-real-ip", "127.0.0.1")]] {
            for token in [false, true] {
                let verdict = judged(tcp(address), fields, token);
                assert_eq!(verdict, Err(Refusal::NoToken), "{address}, {fields:?}");
            }
        }
    }
    for address in LOOPBACKS {
        assert_eq!(judged(tcp(address), &[BEARER], true), Ok(()), "{address}");
        assert_eq!(judged(tcp(address), &[BEARER], false), Err(Refusal::NoneSet), "{address}");
        // By way of a proxy that does not say what it is.
        assert_eq!(judged(tcp(address), &[("host", "goose.example"), BEARER], true), Ok(()));
    }
    let wrong = ["Bearer wrong-horse-battery", "Bearer ", "Bearer correct-horse-batter", "Bearer"];
    for value in wrong.iter().chain(&["Basic Y29ycmVjdA==", "correct-horse-battery", ""]) {
        let verdict = judged(tcp("127.0.0.1"), &[HOST, ADMIN, ("authorization", value)], true);
        assert_eq!(verdict, Err(Refusal::WrongToken), "{value}");
    }
    let verdict = judged(tcp("127.0.0.1"), &[BEARER, BEARER], true);
    assert_eq!(verdict, Err(Refusal::WrongToken), "two of them");
}

#[test]
fn a_token_from_elsewhere_is_not_even_looked_at() {
    for address in ELSEWHERE {
        let shown = address.parse::<std::net::IpAddr>().unwrap().to_canonical();
        for value in ["Bearer correct-horse-battery", "Bearer wrong-horse-battery", "Basic x"] {
            for token in [false, true] {
                let verdict = judged(tcp(address), &[HOST, ("authorization", value)], token);
                assert_eq!(verdict, Err(Refusal::Exposed(shown)), "{value} from {address}");
            }
        }
    }
    let words = Refusal::Exposed("192.0.2.7".parse().unwrap()).to_string();
    assert!(words.contains("replace it") && words.contains("192.0.2.7"), "{words}");
}

#[test]
fn by_tls_the_token_counts_wherever_it_comes_from() {
    for address in LOOPBACKS.iter().chain(&ELSEWHERE) {
        let tls = Peer::Tls(address.parse().unwrap());
        assert_eq!(judged(tls, &[HOST], true), Err(Refusal::NoToken), "{address}");
        assert_eq!(judged(tls, &[BEARER], true), Ok(()), "{address}");
        assert_eq!(judged(tls, &[BEARER], false), Err(Refusal::NoneSet), "{address}");
        let wrong = judged(tls, &[("authorization", "Bearer wrong-horse-battery")], true);
        assert_eq!(wrong, Err(Refusal::WrongToken), "{address}");
    }
}

#[test]
fn browsers_and_proxies_are_refused_even_with_the_token_and_over_the_socket() {
    let tls = Peer::Tls("192.0.2.7".parse().unwrap());
    for peer in [tcp("127.0.0.1"), Peer::Operator, tcp("192.0.2.7"), tls] {
        for token in [false, true] {
            for more in [ADMIN, BEARER] {
                let with = |name, value| judged(peer, &[HOST, more, (name, value)], token);
                for (name, value) in [
                    ("origin", "https://evil.example"),
                    ("origin", "null"),
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-site", "same-origin"),
                ] {
                    assert_eq!(with(name, value), Err(Refusal::Browser), "{name}: {value}");
                }
                for value in ["192.0.2.7", "127.0.0.1", ""] {
                    assert_eq!(with("x-forwarded-for", value), Err(Refusal::Proxied));
                }
                assert_eq!(with("forwarded", "for=127.0.0.1"), Err(Refusal::Proxied));
            }
        }
    }
}

#[test]
fn every_refusal_names_the_way() {
    let address = "192.0.2.7".parse().unwrap();
    for refusal in [
        Refusal::Browser,
        Refusal::Proxied,
        Refusal::Exposed(address),
        Refusal::NoToken,
        Refusal::NoneSet,
        Refusal::WrongToken,
    ] {
        let words = refusal.to_string();
        assert!(words.contains("`gaggle step-down`"), "{words}");
        let way = "\"Authorization: Bearer TOKEN\" by https (--http-tls-cert) or from loopback";
        assert!(words.contains(way), "{words}");
    }
}

#[test]
fn a_token_is_long_enough_and_never_shown() {
    assert!(Token::new("short").is_err());
    assert!(Token::new("with a space inside it").is_err());
    assert!(Token::new(&"x".repeat(513)).is_err());
    let token = Token::new("  correct-horse-battery\n").unwrap();
    assert_eq!(token.reveal(), SECRET);
    assert_eq!(format!("{token:?}"), "Token(…)");
}
