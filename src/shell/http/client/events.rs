//! The client's end of `/v1/events`: one event after the other, from a node that may be gone
//! at any moment.

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use super::{Client, ClientError, NodeUrl};

/// The longest line that is taken in; a node with a thousand members stays far below.
const LINE_SIZE_MAX: usize = 1024 * 1024;

/// One event as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its name.
    pub name: String,
    /// The index after which to come back.
    pub id: Option<u64>,
    /// Its data: JSON.
    pub data: String,
}

/// An open stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct Listener {
    node: NodeUrl,
    body: Incoming,
    buffer: Vec<u8>,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Listener {
    /// Opens the stream at `path`; after `last`, if that is known.
    ///
    /// # Errors
    /// If nobody listens there, or what answers does not stream.
    pub async fn open(
        client: &Client,
        node: &NodeUrl,
        path: &str,
        last: Option<u64>,
    ) -> Result<Self, ClientError> {
        let garbled = |error: &dyn std::fmt::Display| ClientError::Garbled {
            node: node.clone(),
            reason: error.to_string(),
        };
        let (stream, peer) = client.connect(node).await?;
        let mut request = Request::builder().uri(path).header(HOST, peer.to_string());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| garbled(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| garbled(&error))?;
        let connection = tokio::spawn(async move {
            // Its errors come out of the body as well.
            let _ = connection.await;
        });
        let response = sender.send_request(request).await.map_err(|error| garbled(&error))?;
        if response.status() != StatusCode::OK {
            return Err(garbled(&format!("the answer was {}", response.status())));
        }
        Ok(Self { node: node.clone(), body: response.into_body(), buffer: Vec::new(), connection })
    }

    /// The next event; none when the stream has ended.
    ///
    /// # Errors
    /// If the connection broke, or what came is no event.
    pub async fn next(&mut self) -> Result<Option<Received>, ClientError> {
        let mut event = Received::default();
        loop {
            let Some(line) = self.line().await? else { return Ok(None) };
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut event.name),
                "id" => event.id = value.parse().ok(),
                "data" => value.clone_into(&mut event.data),
                "" if line.is_empty() && !event.data.is_empty() => return Ok(Some(event)),
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> Result<Option<String>, ClientError> {
        let garbled = |reason: String| ClientError::Garbled { node: self.node.clone(), reason };
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.buffer.len() > LINE_SIZE_MAX {
                return Err(garbled("a line of it has no end".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(garbled(error.to_string())),
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.buffer.extend_from_slice(bytes);
                    }
                }
            }
        }
    }
}
