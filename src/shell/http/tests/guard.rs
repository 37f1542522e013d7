//! Who may give orders: a matrix of where a request comes from and what it carries.

use std::net::IpAddr;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::admin::{Refusal, Token, check};

const HERE: &str = "127.0.0.1";
const ELSEWHERE: &str = "192.0.2.7";
const SECRET: &str = "correct-horse-battery";

fn judged(peer: &str, fields: &[(&str, &str)], token: bool) -> Result<(), Refusal> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let token = token.then(|| Token::new(SECRET).unwrap());
    check(peer.parse::<IpAddr>().unwrap(), None, &headers, token.as_ref())
}

const HOST: (&str, &str) = ("host", "127.0.0.1:9000");
const ADMIN: (&str, &str) = ("gaggle-admin", "1");
const BEARER: (&str, &str) = ("authorization", "Bearer correct-horse-battery");

#[test]
fn from_the_same_machine_the_header_is_enough_and_needed() {
    assert_eq!(judged(HERE, &[HOST, ADMIN], false), Ok(()));
    assert_eq!(judged("::1", &[HOST, ADMIN], false), Ok(()));
    assert_eq!(judged("::ffff:127.0.0.1", &[HOST, ADMIN], false), Ok(()));
    assert_eq!(judged(HERE, &[HOST, ADMIN], true), Ok(()), "a token does not take it away");
    assert_eq!(judged(HERE, &[HOST], false), Err(Refusal::Header));
    assert_eq!(judged(HERE, &[HOST, ("gaggle-admin", "0")], false), Err(Refusal::Header));
    assert_eq!(judged(HERE, &[HOST, ADMIN, ADMIN], false), Err(Refusal::Header));
}

#[test]
fn web_pages_and_proxies_on_the_same_machine_are_refused() {
    for token in [false, true] {
        for admin in [ADMIN, BEARER] {
            let with = |name, value| judged(HERE, &[HOST, admin, (name, value)], token);
            assert_eq!(with("origin", "https://evil.example"), Err(Refusal::CrossSite));
            assert_eq!(with("origin", "null"), Err(Refusal::CrossSite));
            assert_eq!(with("forwarded", "for=192.0.2.7"), Err(Refusal::Proxied));
            assert_eq!(with("x-forwarded-for", "192.0.2.7"), Err(Refusal::Proxied));
        }
    }
}

#[test]
fn on_the_same_machine_only_addresses_and_localhost_are_hosts() {
    let sound = ["127.0.0.1", "127.0.0.1:9000", "[::1]", "[::1]:9000", "localhost"];
    for host in sound.iter().chain(&["LOCALHOST:9000", "10.0.0.1:1"]) {
        assert_eq!(judged(HERE, &[("host", host), ADMIN], false), Ok(()), "{host}");
    }
    let forged = ["evil.example", "evil.example:9000", "localhost.evil.example", "", "::1"];
    for host in forged.iter().chain(&["127.0.0.1.evil.example", "localhost:x", "127.0.0.1@evil"]) {
        let verdict = judged(HERE, &[("host", host), ADMIN], false);
        assert_eq!(verdict, Err(Refusal::Host), "{host}");
    }
    assert_eq!(judged(HERE, &[ADMIN], false), Err(Refusal::Host), "none");
    assert_eq!(judged(HERE, &[HOST, HOST, ADMIN], false), Err(Refusal::Host), "two");
    let target = "evil.example:9000".parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("127.0.0.1"));
    headers.insert("gaggle-admin", HeaderValue::from_static("1"));
    let verdict = check(HERE.parse().unwrap(), Some(&target), &headers, None);
    assert_eq!(verdict, Err(Refusal::Host), "in the target");
}

#[test]
fn from_elsewhere_only_the_token_counts() {
    assert_eq!(judged(ELSEWHERE, &[HOST, ADMIN], false), Err(Refusal::Remote));
    assert_eq!(judged(ELSEWHERE, &[HOST, ADMIN], true), Err(Refusal::Remote));
    assert_eq!(judged(ELSEWHERE, &[HOST, BEARER], false), Err(Refusal::Remote));
    assert_eq!(judged(ELSEWHERE, &[HOST, BEARER], true), Ok(()));
    assert_eq!(judged(ELSEWHERE, &[("host", "goose.example"), BEARER], true), Ok(()));
    assert_eq!(judged(HERE, &[HOST, BEARER], true), Ok(()));
    for wrong in ["Bearer wrong-horse-battery", "Bearer ", "Bearer correct-horse-batter"] {
        for peer in [HERE, ELSEWHERE] {
            let fields = [HOST, ADMIN, ("authorization", wrong)];
            assert_eq!(judged(peer, &fields, true), Err(Refusal::Token), "{wrong} from {peer}");
        }
    }
    assert_eq!(
        judged(ELSEWHERE, &[("authorization", "Basic Y29ycmVjdA==")], true),
        Err(Refusal::Remote)
    );
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
