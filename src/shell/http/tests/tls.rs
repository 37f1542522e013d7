//! HTTP over TLS: who is believed, who is answered, and for how long a handshake may take.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::super::client::events::Listener;
use super::super::client::{Answer, Client, ClientError, NodeUrl, Question, ask};
use super::*;
use crate::config::http_tls::HttpTls;

const LIMIT: Duration = Duration::from_secs(10);

/// An authority, whose certificate lies in `ca.pem` of a folder.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// A certificate for these names, until that year, and what is unwise about it.
    fn certified(&self, names: &[&str], until: i32) -> (HttpTls, Vec<String>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        self.signed(&params)
    }

    fn signed(&self, params: &CertificateParams) -> (HttpTls, Vec<String>) {
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        let (cert, file) = (self.folder.path().join("cert"), self.folder.path().join("key"));
        std::fs::write(&cert, own.pem()).unwrap();
        std::fs::write(&file, key.serialize_pem()).unwrap();
        HttpTls::read(&cert, &file).unwrap()
    }

    fn client(&self) -> Client {
        Client::trusting(Some(&self.folder.path().join("ca.pem"))).unwrap()
    }
}

fn secured(tls: &HttpTls) -> Options {
    Options { tls: Some(tls.clone()), ..options() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn url(server: &ServerThread) -> NodeUrl {
    NodeUrl::at(server.address().unwrap(), true)
}

fn asked(client: &Client, node: &NodeUrl) -> Result<Answer, ClientError> {
    runtime().block_on(client.ask(node, Question::Get("/goose"), LIMIT))
}

/// Why `client` does not believe `node`.
fn doubt(client: &Client, node: &NodeUrl) -> String {
    asked(client, node).unwrap_err().to_string()
}

fn connected(server: &ServerThread) -> TcpStream {
    let stream = TcpStream::connect(server.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

#[test]
fn a_node_is_asked_ordered_and_followed_over_tls() {
    let authority = Authority::new();
    let (tls, warnings) = authority.certified(&["localhost", "127.0.0.1"], 2999);
    assert_eq!(warnings.len(), 1, "the key is open to others: {warnings:?}");
    let double = Double::new(goose(), 5_000);
    let server = served(&double, secured(&tls));
    let client = authority.client();
    assert_eq!(asked(&client, &url(&server)).unwrap().body, "Goose\n");
    let by_name = format!("https://localhost:{}", server.address().unwrap().port());
    assert_eq!(asked(&client, &by_name.parse().unwrap()).unwrap().body, "Goose\n");
    let token = Token::new(SECRET).unwrap();
    let order = |token| Question::Order {
        method: Method::POST,
        path: "/v1/leave",
        body: String::new(),
        token,
    };
    let node = url(&server);
    let answer = runtime().block_on(client.ask(&node, order(Some(&token)), LIMIT)).unwrap();
    assert_eq!((answer.status.as_u16(), double.orders().len()), (200, 1));
    let answer = runtime().block_on(client.ask(&node, order(None), LIMIT)).unwrap();
    assert_eq!((answer.status.as_u16(), double.orders().len()), (403, 1));
    let first = runtime().block_on(async {
        let mut stream = Listener::open(&client, &node, "/v1/events", None).await.unwrap();
        stream.next().await.unwrap().unwrap()
    });
    assert_eq!(first.name, "status");
}

#[test]
fn whoever_is_not_believed_is_told_from_the_others() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (tls, _) = authority.certified(&["localhost", "10.0.0.9"], 2999);
    let server = served(&Double::new(duck(), 5_000), secured(&tls));
    let node = url(&server);
    let words = doubt(&other.client(), &node);
    let file = other.folder.path().join("ca.pem");
    let names = format!("its certificate is of no authority that {} names", file.display());
    assert!(words.starts_with(&format!("{node}: {names}")) && words.contains("--ca"), "{words}");
    let words = doubt(&Client::default(), &node);
    assert!(words.contains("of no authority that this machine names"), "{words}");
    let words = doubt(&authority.client(), &node);
    let names = "its certificate is not for 127.0.0.1, but for localhost, 10.0.0.9: ";
    assert!(words.starts_with(&format!("{node}: {names}")), "{words}");
    let (old, warnings) = authority.certified(&["127.0.0.1"], 2020);
    assert!(warnings[0].contains("has expired: clients refuse it"), "{warnings:?}");
    assert_eq!(old.expires(), Some(1_577_836_800), "the first of January 2020");
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let days = Duration::from_secs(9 * 24 * 60 * 60 + 60);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + days;
    let (_, warnings) = authority.signed(&params);
    assert!(warnings[0].contains(" expires in 9 days: renew it"), "{warnings:?}");
    params.not_before = params.not_after;
    params.not_after = rcgen::date_time_ymd(2999, 1, 1);
    let (_, warnings) = authority.signed(&params);
    assert!(warnings[0].contains(" is not valid yet: "), "{warnings:?}");
    tls.replace(&old);
    let words = doubt(&authority.client(), &node);
    assert!(
        words.contains("its certificate has expired ") && words.contains(" days ago"),
        "{words}"
    );
    // What is put in its place is used from the next connection on.
    tls.replace(&authority.certified(&["127.0.0.1"], 2999).0);
    assert_eq!(asked(&authority.client(), &node).unwrap().body, "Duck\n");
}

#[test]
fn whoever_speaks_the_other_of_the_two_is_told_so() {
    let authority = Authority::new();
    let (tls, _) = authority.certified(&["127.0.0.1"], 2999);
    let server = served(&Double::new(duck(), 5_000), secured(&tls));
    let plain = NodeUrl::from(server.address().unwrap());
    let answer = runtime().block_on(ask(&plain, Question::Get("/"), LIMIT)).unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.problem_kind().as_deref(), Some("tls-needed"));
    assert!(answer.complaint().contains("by https://"), "{}", answer.complaint());
    let mut stream = connected(&server);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    let server = served(&Double::new(duck(), 5_000), options());
    let words = doubt(&authority.client(), &url(&server));
    assert!(words.ends_with("no TLS is spoken there: ask by http:// in the place of https://"));
}

#[test]
fn a_handshake_that_does_not_go_on_ends_in_time_and_locks_nobody_out() {
    let authority = Authority::new();
    let (tls, _) = authority.certified(&["127.0.0.1"], 2999);
    let patience = Duration::from_millis(200);
    let limits = Options { header_timeout: patience, ..secured(&tls) };
    let server = served(&Double::new(duck(), 5_000), limits);
    // The beginning of a handshake, and nothing at all.
    for begun in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b""] {
        let mut stream = connected(&server);
        stream.write_all(begun).unwrap();
        let before = Instant::now();
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut rest);
        assert!(before.elapsed() < LIMIT / 2 && rest.is_empty(), "{:?}", before.elapsed());
    }
    // Nobody waits for the time to be over: the oldest make room.
    let limits = Options { connections_max: 4, header_timeout: LIMIT * 10, ..secured(&tls) };
    let server = served(&Double::new(duck(), 5_000), limits);
    let idle: Vec<_> = (0..20).map(|_| connected(&server)).collect();
    for mut stream in &idle {
        // Those that made room already take nothing.
        let _ = stream.write_all(b"\x16\x03\x01");
    }
    assert_eq!(asked(&authority.client(), &url(&server)).unwrap().body, "Duck\n");
}

#[test]
fn what_is_no_pair_is_refused_by_name() {
    let authority = Authority::new();
    authority.certified(&["127.0.0.1"], 2999);
    let path = |name: &str| authority.folder.path().join(name);
    let refused = |cert: &Path, key: &Path| HttpTls::read(cert, key).unwrap_err().to_string();
    let (cert, key) = (path("cert"), path("key"));
    let words = refused(&path("none"), &key);
    assert!(words.starts_with("--http-tls-cert: ") && words.contains("cannot be read"), "{words}");
    assert!(refused(&key, &key).contains("holds no certificate"));
    assert!(refused(&cert, &cert).contains("holds no private key"));
    std::fs::write(path("other"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let words = refused(&cert, &path("other"));
    assert!(words.contains("are of no use together") && !words.contains("BEGIN"), "{words}");
    let words = Client::trusting(Some(&key)).unwrap_err().to_string();
    assert!(words.starts_with("--ca: ") && words.contains("no certificate"), "{words}");
}
