//! Everything that has bytes: messages and the datagrams around them, records on disk, and the seal
//! of a key. What is true of a message of each kind stands beside it, exhaustively, so that a new
//! kind does not compile until all of it is said.
//!
//! Nothing here decides anything. Bytes that come from outside are hostile data: they are bounded,
//! decoded or refused, and never a panic.

pub mod codec;
pub mod datagram;
mod kind;
pub mod message;
pub mod record;
pub mod seal;
