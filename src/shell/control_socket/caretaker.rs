//! Looks after the file of a control socket, on a thread of its own: a disk that hangs then
//! holds up nobody else.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{ControlSocket, Obstacle, plain};

/// Between two looks whether the file is still there.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// At the end the file's removal is waited for so long.
const REMOVAL_PATIENCE: Duration = Duration::from_millis(500);

/// The thread's other end. Dropping it has the file removed.
#[derive(Debug)]
pub(crate) struct Caretaker {
    /// Its end is the word to go.
    stop: Option<Sender<()>>,
    removed: Receiver<()>,
}

impl Caretaker {
    /// Takes care of `socket` from here on: the listener, and those that follow if the file has
    /// to be made anew.
    ///
    /// # Errors
    /// If there can be no thread. The file is removed then.
    pub(crate) fn start(
        socket: ControlSocket,
    ) -> io::Result<(Self, UnixListener, UnboundedReceiver<UnixListener>)> {
        let listener = socket.listener.try_clone()?;
        let (stop, stopped) = channel();
        let (gone, removed) = channel();
        // One at a time is made, and only while somebody receives them.
        let (renewals, renewed) = unbounded_channel();
        let work = move || {
            look_after(socket, &stopped, &renewals);
            // Whoever waited may have given up.
            let _ = gone.send(());
        };
        std::thread::Builder::new()
            .name("gaggle-control".to_owned())
            .stack_size(128 * 1024)
            .spawn(work)?;
        Ok((Self { stop: Some(stop), removed }, listener, renewed))
    }

    /// Has the file removed.
    pub(crate) fn dismiss(&mut self) {
        self.stop = None;
    }

    /// Has the file removed, and waits for that, but not for a disk that hangs.
    pub(crate) fn end(mut self) {
        self.dismiss();
        let _ = self.removed.recv_timeout(REMOVAL_PATIENCE);
    }
}

fn look_after(
    mut socket: ControlSocket,
    stopped: &Receiver<()>,
    renewals: &UnboundedSender<UnixListener>,
) {
    let mut said = false;
    while stopped.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if socket.is_in_place() {
            continue;
        }
        let path = plain(&socket.path);
        let again = socket.restore().and_then(|()| {
            socket.listener.try_clone().map_err(|error| Obstacle::refused(&socket.path, error))
        });
        match again {
            Ok(listener) => {
                tracing::warn!("{path} was removed by somebody else: it is made anew, for orders");
                said = false;
                if renewals.send(listener).is_err() {
                    break;
                }
            }
            // Once, and not at every attempt.
            Err(obstacle) if !said => {
                tracing::warn!(
                    "{path} was removed by somebody else, so no orders come: {obstacle}"
                );
                said = true;
            }
            Err(_) => {}
        }
    }
    // Its file goes with it.
    drop(socket);
}
