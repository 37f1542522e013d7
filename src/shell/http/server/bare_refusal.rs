//! hyper answers what it cannot parse by itself, with a bare status. This stream holds such
//! an answer back, so that the connection can say the same with a reason in it.
//!
//! How one is told apart: hyper's own refusals are the only answers that have a 4xx status
//! and `content-length: 0`, because every problem of ours has a body. hyper flattens its
//! output for a stream that does not write vectors, and a refusal is the last thing that it
//! writes, so it is always the tail of one buffer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that holds a bare refusal back.
#[derive(Debug)]
pub(super) struct Stream<S> {
    inner: S,
    refusal: Option<StatusCode>,
}

impl<S> Stream<S> {
    /// Around `inner`.
    pub(super) fn new(inner: S) -> Self {
        Self { inner, refusal: None }
    }

    /// The stream itself, and the status of the refusal that was held back.
    pub(super) fn into_parts(self) -> (S, Option<StatusCode>) {
        (self.inner, self.refusal)
    }
}

/// Where in `bytes` a bare refusal starts, and its status.
fn bare_refusal(bytes: &[u8]) -> Option<(usize, StatusCode)> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let start = bytes.windows(10).rposition(|window| window == b"HTTP/1.1 4")?;
    let (_, head) = bytes.split_at_checked(start)?;
    // Nothing after the head: the blank line at the end is its first.
    let blank = head.windows(4).position(|window| window == b"\r\n\r\n")?;
    let empty = head.windows(21).any(|window| window == b"\r\ncontent-length: 0\r\n");
    let status = StatusCode::from_bytes(head.get(9..12)?).ok()?;
    (empty && blank + 4 == head.len()).then_some((start, status))
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match bare_refusal(bytes) {
            Some((0, status)) => {
                self.refusal = Some(status);
                Poll::Ready(Ok(bytes.len()))
            }
            // What comes before it is an ordinary answer; the refusal is offered again.
            Some((start, _)) => Pin::new(&mut self.inner).poll_write(context, &bytes[..start]),
            None => Pin::new(&mut self.inner).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_refusal_at_the_end_is_held_back() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                    content-length: 0\r\n\r\n";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        assert_eq!(bare_refusal(bare.as_bytes()), Some((0, status)));
        let before = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nDuck\n";
        let both = format!("{before}{bare}");
        assert_eq!(bare_refusal(both.as_bytes()), Some((before.len(), status)));
        let others = [
            before,
            "HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\n\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "",
        ];
        for other in others {
            assert_eq!(bare_refusal(other.as_bytes()), None, "{other}");
        }
    }
}
