//! Host names where a node must have an address before it starts: the one that it listens on, the
//! ones that it publishes, and that of a voter whose id is made from it.
//!
//! They are looked up once, while settings are judged. Seeds, and voters that were given with an
//! id, are not: whoever runs the node looks them up again and again.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::error::Fault;

/// A name is waited for so long in all: at the start of a machine, or of a container, names may
/// come a moment later than the program.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause after a look-up that found nothing.
const PAUSE: Duration = Duration::from_millis(250);

/// How names are looked up: the addresses behind a host name with a port, or why there are none.
#[derive(Clone, Copy, Debug)]
pub struct LookUp(pub fn(&str) -> Result<Vec<SocketAddr>, String>);

/// As the operating system does.
impl Default for LookUp {
    fn default() -> Self {
        Self(patiently)
    }
}

impl LookUp {
    /// The address behind a name that stands in the setting of this key: of several an IPv4 one,
    /// which most networks have.
    pub(super) fn address(self, key: &'static str, name: &str) -> Result<SocketAddr, Fault> {
        let unknown = |reason| Fault::UnknownHost { key, name: name.to_owned(), reason };
        let addresses = (self.0)(name).map_err(unknown)?;
        let four = addresses.iter().find(|address| address.is_ipv4());
        let found = four.or(addresses.first()).copied();
        found.ok_or_else(|| unknown("it has no address".to_owned()))
    }
}

fn patiently(name: &str) -> Result<Vec<SocketAddr>, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match once(name, left) {
            Err(_) if deadline.saturating_duration_since(Instant::now()) > PAUSE => {
                thread::sleep(PAUSE);
            }
            found => return found,
        }
    }
}

/// The resolver may hang for longer than anybody waits, so a thread of its own asks it.
fn once(name: &str, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    let (answer, answers) = channel();
    let text = name.to_owned();
    let ask = move || {
        let found = text.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        // Nobody may be waiting any more.
        let _ = answer.send(found.map_err(|error| error.to_string()));
    };
    let thread = thread::Builder::new().name("gaggle-names".to_owned()).spawn(ask);
    thread.map_err(|error| error.to_string())?;
    match answers.recv_timeout(limit) {
        Ok(found) => found,
        Err(RecvTimeoutError::Timeout) => Err(format!("no answer within {PATIENCE:?}")),
        Err(RecvTimeoutError::Disconnected) => Err("the look-up has failed".to_owned()),
    }
}

/// Whether this is a host name with a port, and no address. Whether the name exists is found out
/// when it is looked up.
pub(super) fn is_name(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // Digits and dots alone are a mistyped address, not a name.
    let named = host.chars().any(|c| !c.is_ascii_digit() && c != '.');
    let sound = host.len() <= 253 && host.chars().all(legal) && named;
    sound && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_preferred() {
        let both =
            LookUp(|_| Ok(vec!["[::1]:8000".parse().unwrap(), "127.0.0.1:8000".parse().unwrap()]));
        assert_eq!(both.address("listen", "localhost:8000").unwrap().to_string(), "127.0.0.1:8000");
        let six = LookUp(|_| Ok(vec!["[::1]:8000".parse().unwrap()]));
        assert_eq!(six.address("listen", "localhost:8000").unwrap().to_string(), "[::1]:8000");
        assert!(LookUp(|_| Ok(Vec::new())).address("listen", "localhost:8000").is_err());
    }
}
