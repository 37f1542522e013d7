//! What a person does to the cluster by single keys, where standard input is a terminal.

use std::io::Read;
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The node above the chosen one.
    Up,
    /// The node below it.
    Down,
    /// This node.
    Node(u16),
    /// Kill it, with SIGKILL.
    Kill,
    /// Tell it to end, with SIGTERM.
    End,
    /// Freeze it, with SIGSTOP; or let it go on.
    Freeze,
    /// Cut it off from the others; or mend that.
    Cut,
    /// Start it, if it does not run.
    Start,
    /// End all.
    Quit,
}

/// What the keys are, for the screen.
pub(super) const HELP: &str =
    "↑↓ choose  k kill -9  t SIGTERM  f freeze  c cut off  s start again  q end all";

/// The terminal with keys read one by one. As it was, once this is dropped.
pub(super) struct Keyboard {
    before: Termios,
}

impl Keyboard {
    /// Reads keys from standard input, if that is a terminal of this process; they arrive in `keys`.
    pub(super) fn open(keys: mpsc::Sender<Key>) -> Option<Self> {
        let input = std::io::stdin();
        let before = tcgetattr(input.as_fd()).ok()?;
        let mut single = before.clone();
        // Ctrl-C stays what it is.
        single.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(input.as_fd(), OptionalActions::Now, &single).ok()?;
        // It ends with the process: nobody can wake a thread that waits for a key.
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || read(&keys)).ok()?;
        Some(Self { before })
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(std::io::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}

fn read(keys: &mpsc::Sender<Key>) {
    let mut input = std::io::stdin().lock();
    let mut buffer = [0; 64];
    while let Ok(length @ 1..) = input.read(&mut buffer) {
        for key in understood(&buffer[..length]) {
            if keys.blocking_send(key).is_err() {
                return;
            }
        }
    }
}

/// What was typed. Arrows are three bytes (ECMA-48), which a terminal sends together.
fn understood(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        let key = match first {
            0x1b => {
                let (key, used) = match rest {
                    [b'[' | b'O', b'A', ..] => (Some(Key::Up), 2),
                    [b'[' | b'O', b'B', ..] => (Some(Key::Down), 2),
                    [b'[' | b'O', _, ..] => (None, 2),
                    _ => (None, 0),
                };
                bytes = &rest[used..];
                key
            }
            digit @ b'1'..=b'9' => Some(Key::Node(u16::from(digit - b'0'))),
            b'k' => Some(Key::Kill),
            b't' => Some(Key::End),
            b'f' => Some(Key::Freeze),
            b'c' => Some(Key::Cut),
            b's' | b'r' => Some(Key::Start),
            b'q' | 0x04 => Some(Key::Quit),
            _ => None,
        };
        keys.extend(key);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_arrows_are_told_apart_and_all_else_is_nothing() {
        assert_eq!(understood(b"\x1b[A\x1bOB"), [Key::Up, Key::Down]);
        assert_eq!(understood(b"3kq"), [Key::Node(3), Key::Kill, Key::Quit]);
        assert_eq!(understood(b"\x1b[C\x1b0xyz\n"), []);
        assert_eq!(understood(b"\x1b"), []);
    }
}
