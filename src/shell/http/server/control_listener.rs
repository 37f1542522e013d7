//! The control socket as the server sees it: connections, and who is at their other end.

use std::io;

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedReceiver;

use super::ServeError;
use crate::shell::control_socket::ControlSocket;
use crate::shell::control_socket::caretaker::Caretaker;
use crate::shell::http::api::guard::Peer;

/// A control socket that is served; or none, of which nothing ever comes.
pub(super) struct ControlListener {
    open: Option<Open>,
    /// Kept until the file is known to be removed.
    leaving: Option<Caretaker>,
}

struct Open {
    listener: UnixListener,
    /// The same socket, when its file has been made anew.
    renewed: UnboundedReceiver<std::os::unix::net::UnixListener>,
    caretaker: Caretaker,
}

impl ControlListener {
    /// Takes `socket` over.
    pub(super) fn new(socket: Option<ControlSocket>) -> Result<Self, ServeError> {
        let Some(socket) = socket else { return Ok(Self { open: None, leaving: None }) };
        let address = socket.path().display().to_string();
        let (caretaker, listener, renewed) =
            Caretaker::start(socket).map_err(ServeError::Thread)?;
        let listener = UnixListener::from_std(listener)
            .map_err(|source| ServeError::Listener { address, source })?;
        Ok(Self { open: Some(Open { listener, renewed, caretaker }), leaving: None })
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The next connection. Nothing is lost if it is not waited for.
    pub(super) async fn accept(&mut self) -> io::Result<(UnixStream, Peer)> {
        let Some(open) = &mut self.open else { return std::future::pending().await };
        loop {
            tokio::select! {
                Some(listener) = open.renewed.recv() => {
                    open.listener = UnixListener::from_std(listener)?;
                }
                accepted = open.listener.accept() => {
                    let (stream, _) = accepted?;
                    // One that has gone already has no more to say.
                    let Ok(credentials) = stream.peer_cred() else { continue };
                    let user = credentials.uid();
                    let operator = user == geteuid().as_raw() || user == 0;
                    let peer = if operator { Peer::Operator } else { Peer::OtherUser(user) };
                    return Ok((stream, peer));
                }
            }
        }
    }

    /// Accepts nothing more, and has the file removed.
    pub(super) fn close(&mut self) {
        if let Some(Open { mut caretaker, .. }) = self.open.take() {
            caretaker.dismiss();
            self.leaving = Some(caretaker);
        }
    }

    /// Waits until the file is removed, but not for a disk that hangs.
    pub(super) fn removed(self) {
        if let Some(caretaker) = self.leaving {
            caretaker.end();
        }
    }
}
