//! Who may give orders to a running node: asked over real sockets, as web pages, proxies, other
//! users and operators ask. And what `leave` does, over HTTP and by command.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{PATIENCE, assert_undisturbed, cluster, code, exchanged};
use crate::harness::process::GAGGLE;
use crate::harness::{Cluster, http};

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

fn gaggle(words: &[&str]) -> Output {
    Command::new(GAGGLE).args(words).env_clear().stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn nothing_over_tcp_but_the_token_makes_an_operator() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let file = file.display().to_string();
    // Node 3 has a token, the others have none.
    let (mut cluster, first) = cluster(&["--admin-token-file", &file]);
    let refused = [
        ("Host: @host", "without the node's admin token"),
        ("Host: @host\nGaggle-Admin: 1", "without the node's admin token"),
        ("Host: @host\nX-Real-IP: 127.0.0.1", "without the node's admin token"),
        ("Host: @host\nOrigin: http://pond.example", "Origin"),
        ("Host: @host\nSec-Fetch-Site: same-origin", "Sec-Fetch-Site"),
        ("Host: @host\nForwarded: for=10.0.0.9", "proxy"),
        ("Host: @host\nX-Forwarded-For: 127.0.0.1", "proxy"),
        ("Host: pond.example", "without the node's admin token"),
        ("Host: @host\nAuthorization: Bearer honk-honk-honk-honk-nonk", "token"),
    ];
    for id in [1, 3] {
        for (headers, reason) in refused {
            let answer = order(&cluster, id, headers);
            assert_eq!(code(&answer), 403, "{headers}: {answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
            assert!(answer.contains(reason), "{headers}: {answer}");
            assert!(answer.contains("gaggle step-down"), "the way: {answer}");
        }
    }
    // The token does not turn a web page or a proxy that says so into an operator.
    let bearer = format!("Host: @host\nAuthorization: Bearer {TOKEN}");
    for stranger in ["Origin: http://pond.example", "X-Forwarded-For: 10.0.0.9"] {
        assert_eq!(code(&order(&cluster, 3, &format!("{bearer}\n{stranger}"))), 403);
    }
    assert_eq!(code(&order(&cluster, 1, &bearer)), 403, "it has no token");
    assert_undisturbed(&cluster, first);

    // Those who may: over the socket, with the token, and by command. The last one is alone.
    let done = http::order(&cluster.node(1).socket(), "/v1/leave", "", PATIENCE).unwrap();
    assert_eq!(done.code, 200, "{}", String::from_utf8_lossy(&done.body));
    assert_eq!(cluster.wait_for_end(1).code(), Some(0), "{}", cluster.logs());
    let done = order(&cluster, 3, &bearer);
    assert!((200..300).contains(&code(&done)), "{done}");
    assert_eq!(cluster.wait_for_end(3).code(), Some(0), "{}", cluster.logs());
    // The address leads to the socket of the node that answers there.
    let left = gaggle(&["leave", "--node", &cluster.node(2).settings.http.to_string()]);
    assert_eq!(left.status.code(), Some(0), "{}", said(&left));
    assert_eq!(cluster.wait_for_end(2).code(), Some(0), "{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
    for id in [1, 2, 3] {
        assert!(!cluster.node(id).socket().exists(), "node {id} took its socket along");
    }
}

#[test]
fn another_user_cannot_open_the_socket_and_gives_no_orders_if_it_can() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: only root can be another user");
    }
    let (cluster, first) = cluster(&[]);
    let socket = cluster.node(1).socket();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(cluster.folder(), 0o755);
    let socket = socket.display().to_string();
    // Where that user may read it.
    let program = cluster.folder().join("gaggle");
    std::fs::copy(GAGGLE, &program).unwrap();
    let as_nobody = || {
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(["step-down", "--node", &socket])
            .env_clear()
            .output()
    };
    let Ok(refused) = as_nobody() else {
        return println!("skipped: setpriv cannot be started");
    };
    if said(&refused).starts_with("setpriv: ") {
        return println!("skipped: {}", said(&refused));
    }
    let words = format!(
        "gaggle: {socket} is another user's: type the command as the user as whom the node runs, \
         or as root\n"
    );
    assert_eq!((said(&refused), refused.status.code()), (words, Some(1)));
    // Somebody opens the file to all: they can ask, but not order.
    mode(Path::new(&socket), 0o666);
    let refused = as_nobody().unwrap();
    assert!(said(&refused).contains("user 65534 opened the node's socket"), "{}", said(&refused));
    assert_eq!(refused.status.code(), Some(1));
    assert_undisturbed(&cluster, first);
}
