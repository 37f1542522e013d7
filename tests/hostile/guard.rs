//! Who may give orders to a running node: asked over real sockets, as web pages, proxies and
//! operators ask. And what `leave` does, over HTTP and by command.

use std::process::{Command, Stdio};

use super::harness::Cluster;
use super::harness::process::GAGGLE;
use super::{assert_undisturbed, cluster, code, exchanged};

const TOKEN: &str = "honk-honk-honk-honk-honk";

/// An order to leave with these headers, one a line.
fn order(cluster: &Cluster, id: u64, headers: &str) -> String {
    let host = cluster.node(id).settings.http;
    let headers = headers.replace("@host", &host.to_string()).replace('\n', "\r\n");
    let request = format!(
        "POST /v1/leave HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n\r\n"
    );
    exchanged(host, request.as_bytes())
}

#[test]
fn web_pages_proxies_and_forged_hosts_are_no_operators() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    // Node 3 has a token, the others have none.
    let (mut cluster, first) = cluster(&["--admin-token-file", &file.display().to_string()]);
    let refused = [
        ("Host: @host", "\"Gaggle-Admin: 1\""),
        ("Host: @host\nGaggle-Admin: yes", "\"Gaggle-Admin: 1\""),
        ("Host: @host\nGaggle-Admin: 1\nOrigin: http://pond.example", "Origin"),
        ("Host: @host\nGaggle-Admin: 1\nOrigin: null", "Origin"),
        ("Host: @host\nGaggle-Admin: 1\nForwarded: for=10.0.0.9", "proxy"),
        ("Host: @host\nGaggle-Admin: 1\nX-Forwarded-For: 10.0.0.9", "proxy"),
        ("Host: pond.example\nGaggle-Admin: 1", "Host"),
        ("Host: localhost.pond.example\nGaggle-Admin: 1", "Host"),
        ("Host: @host\nAuthorization: Bearer honk-honk-honk-honk-nonk", ""),
    ];
    for id in [1, 3] {
        for (headers, reason) in refused {
            let answer = order(&cluster, id, headers);
            assert_eq!(code(&answer), 403, "{headers}: {answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
            let said = answer.replace("\\\"", "\"");
            assert!(said.contains(reason), "{headers}: {answer}");
        }
    }
    // The token does not turn a web page or a proxy into an operator.
    let bearer = format!("Host: @host\nAuthorization: Bearer {TOKEN}");
    for stranger in ["Origin: http://pond.example", "X-Forwarded-For: 10.0.0.9"] {
        assert_eq!(code(&order(&cluster, 3, &format!("{bearer}\n{stranger}"))), 403);
    }
    assert_eq!(code(&order(&cluster, 1, &bearer)), 403, "it has no token");
    assert_undisturbed(&cluster, first);

    // Those who may: over HTTP, and by command. The last one is alone by then.
    let done = order(&cluster, 1, "Host: @host\nGaggle-Admin: 1");
    assert!((200..300).contains(&code(&done)), "{done}");
    assert_eq!(cluster.wait_for_end(1).code(), Some(0), "{}", cluster.logs());
    let done = order(&cluster, 3, &bearer);
    assert!((200..300).contains(&code(&done)), "{done}");
    assert_eq!(cluster.wait_for_end(3).code(), Some(0), "{}", cluster.logs());
    let node = format!("http://{}", cluster.node(2).settings.http);
    let left = Command::new(GAGGLE)
        .args(["leave", "--node", &node])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(left.code(), Some(0));
    assert_eq!(cluster.wait_for_end(2).code(), Some(0), "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}
