//! Keys of a terminal, one by one, for the commands that fill a screen.
//!
//! The libraries for this (crossterm, termion) read keys in raw mode, in which Ctrl-C is a key like any
//! other and a line feed no longer begins a line. Two bits of the terminal and six keys are all that is
//! needed here.

use std::io::Read;
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Press {
    Up,
    Down,
    PageUp,
    PageDown,
    /// A letter or a digit.
    Letter(char),
    /// Ctrl-D.
    End,
}

/// The terminal with keys read one by one. As it was, once this is dropped.
pub(super) struct Keyboard {
    before: Termios,
}

impl Keyboard {
    /// Reads keys from standard input, if that is a terminal of this process; they arrive in `presses`.
    pub(super) fn open(presses: mpsc::Sender<Press>) -> Option<Self> {
        let input = std::io::stdin();
        let before = tcgetattr(input.as_fd()).ok()?;
        let mut single = before.clone();
        // Ctrl-C stays what it is.
        single.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(input.as_fd(), OptionalActions::Now, &single).ok()?;
        // It ends with the process: nobody can wake a thread that waits for a key.
        let reader = std::thread::Builder::new().name("keys".to_owned());
        let Ok(_) = reader.spawn(move || read(&presses)) else {
            let _ = tcsetattr(input.as_fd(), OptionalActions::Now, &before);
            return None;
        };
        Some(Self { before })
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(std::io::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}

fn read(presses: &mpsc::Sender<Press>) {
    let mut input = std::io::stdin().lock();
    let mut buffer = [0; 64];
    while let Ok(length @ 1..) = input.read(&mut buffer) {
        for press in understood(&buffer[..length]) {
            if presses.blocking_send(press).is_err() {
                return;
            }
        }
    }
}

/// What was typed. Arrows and their like are several bytes (ECMA-48), which a terminal sends together.
fn understood(mut bytes: &[u8]) -> Vec<Press> {
    let mut presses = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        let press = match (first, rest) {
            (0x1b, [b'[', b'5', b'~', ..]) => {
                bytes = &rest[3..];
                Some(Press::PageUp)
            }
            (0x1b, [b'[', b'6', b'~', ..]) => {
                bytes = &rest[3..];
                Some(Press::PageDown)
            }
            (0x1b, [b'[' | b'O', last, ..]) => {
                bytes = &rest[2..];
                match last {
                    b'A' => Some(Press::Up),
                    b'B' => Some(Press::Down),
                    _ => None,
                }
            }
            (0x04, _) => Some(Press::End),
            (letter, _) if letter.is_ascii_alphanumeric() => {
                Some(Press::Letter(char::from(*letter)))
            }
            _ => None,
        };
        presses.extend(press);
    }
    presses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_arrows_are_told_apart_and_all_else_is_nothing() {
        assert_eq!(understood(b"\x1b[A\x1bOB"), [Press::Up, Press::Down]);
        assert_eq!(understood(b"\x1b[5~\x1b[6~"), [Press::PageUp, Press::PageDown]);
        assert_eq!(understood(b"3k\x04"), [Press::Letter('3'), Press::Letter('k'), Press::End]);
        assert_eq!(understood(b"\x1b[C\x1b \n"), []);
        assert_eq!(understood(b"\x1b"), []);
    }
}
