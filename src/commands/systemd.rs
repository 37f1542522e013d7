//! What systemd is told of a node: that it is ready, how it stands, that it is alive, and that
//! it is going. One datagram each, to the socket that systemd names; a protocol so small that a
//! crate for it would be longer than this.
//!
//! Signs of life have a ticker of their own, for what is told besides must not put them off; and
//! one is only sent while the driver has a pulse. They run on the runtime that drives the node,
//! so that one which is blocked sends none either.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::one_line;
use crate::shell::handle::Handle;

/// The way to systemd, if it started this process and wants to know.
#[derive(Clone, Debug)]
pub(super) struct Systemd {
    socket: Option<Arc<UnixDatagram>>,
}

impl Systemd {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. From here
    /// on signs of life are sent for as long as the node's driver comes round, its end included.
    pub(super) fn of_environment(handle: &Handle) -> Self {
        let socket = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| {
            let socket = connected(&name);
            if let Err(error) = &socket {
                tracing::warn!("systemd cannot be told anything at {}: {error}", one_line(&name));
            }
            socket.ok().map(Arc::new)
        });
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let limit = number("WATCHDOG_USEC").filter(|_| ours).map(Duration::from_micros);
        let systemd = Self { socket };
        if let Some(limit) = limit.filter(|_| systemd.socket.is_some()) {
            // One may be lost, or late by as much, and nothing is amiss.
            let interval = (limit / 3).max(Duration::from_millis(1));
            tokio::spawn(systemd.clone().live(handle.clone(), interval));
        }
        systemd
    }

    async fn live(self, handle: Handle, interval: Duration) {
        let mut ticker = tokio::time::interval(interval);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticker.tick().await;
            if handle.pulse().is_felt(handle.holder_now()) {
                self.say("WATCHDOG=1");
            }
        }
    }

    fn say(&self, text: &str) {
        if let Some(socket) = &self.socket {
            // A manager that does not listen must not stop a node.
            let _ = socket.send(text.as_bytes());
        }
    }

    /// The node is going.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=handing over and saying goodbye");
    }

    /// Says that the node is ready, and then how it stands. Never returns.
    pub(super) async fn keep_informed(&self, handle: &Handle) {
        if self.socket.is_none() {
            return std::future::pending().await;
        }
        self.say("READY=1");
        let mut history = handle.history();
        loop {
            self.say(&format!("STATUS={}", standing(handle)));
            if history.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

fn standing(handle: &Handle) -> String {
    let snapshot = handle.snapshot();
    match (snapshot.lease_at(handle.holder_now()), &snapshot.goose) {
        (Some(lease), _) => format!("Goose of term {}", lease.term),
        (None, Some(known)) => {
            let goose = &known.goose;
            format!("Duck; node {} is the Goose of term {}", goose.process.id, goose.term)
        }
        (None, None) => "Duck; no Goose is known".to_owned(),
    }
}

/// `name` is a path, or with an `@` in front a name in the kernel.
fn connected(name: &str) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            socket.connect_addr(&address)?;
        }
        _ => socket.connect(name)?,
    }
    Ok(socket)
}
