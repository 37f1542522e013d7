//! Three real processes and everything that can be done to them over HTTP, by a hostile crowd
//! and by those who pretend to be operators. In all of it the Goose stays, and its term with it.

mod guard;
mod http;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::watch::{Leadership, Watch};
use crate::harness::{Cluster, PATIENCE};

/// Often enough to see a lease that is claimed twice, seldom enough for a busy machine.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

/// Three nodes that all vote, started and agreed. `arguments` are added to those of node 3.
fn cluster(arguments: &[&str]) -> (Cluster, Leadership) {
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, Watch::new(SAMPLE_INTERVAL, true));
    cluster.give(3, arguments);
    cluster.start_highest_first();
    let leadership = cluster.wait_for_agreement(&ids, 0);
    (cluster, leadership)
}

/// Fails unless all nodes still know `first` and no other term was ever seen.
fn assert_undisturbed(cluster: &Cluster, first: Leadership) {
    let last = cluster.wait_for_agreement(&cluster.running(), 0);
    assert_eq!(last, first, "the Goose has changed\n{}", cluster.logs());
    cluster.assert_one_goose_at_a_time();
}

/// A connection to a node's HTTP port.
fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `bytes` and reads until the other side closes.
fn exchanged(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connected(address);
    // Whoever is refused early may be closed on before it has sent everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status code of an answer, 0 if there is none.
fn code(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0)
}
