//! A web service of three replicas, of which the Goose answers and the Ducks redirect to it.
//!
//! ```text
//! cargo run --example axum_redirect
//! ```
//!
//! What a service of your own needs of this is [`service`]: a handler looks at the leadership with
//! [`gaggle::Node::leadership`], which steps nobody down, and answers within [`gaggle::Leadership::run`].
//! Each node tells the others where its service is by a tag. The rest starts three of them in this one
//! process and asks each, also after the Goose has stepped down.
//!
//! ```text
//! replica 0: 307 Temporary Redirect, to http://127.0.0.1:40123/count
//! replica 2: 200 OK, counted 1 in term 1
//! ```

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use gaggle::{Config, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The tag by which a node says where its service is.
const SERVICE: &str = "service";

/// What every request is given.
struct Replica {
    node: Node,
    count: AtomicU64,
}

/// The service of one replica.
fn service(node: Node) -> Router {
    let replica = Arc::new(Replica { node, count: AtomicU64::new(0) });
    Router::new().route("/count", get(count)).with_state(replica)
}

/// Counts on the Goose, and leads to it elsewhere.
async fn count(State(replica): State<Arc<Replica>>, uri: Uri) -> Response {
    let Some(leadership) = replica.node.leadership() else { return elsewhere(&replica.node, &uri) };
    let counted = leadership.run(async { replica.count.fetch_add(1, Ordering::Relaxed) + 1 });
    match counted.await {
        Ok(count) => format!("counted {count} in term {}", leadership.term()).into_response(),
        // In the middle of it: the client is to ask again.
        Err(lost) => (StatusCode::SERVICE_UNAVAILABLE, lost.to_string()).into_response(),
    }
}

/// A redirect to the Goose's service, by the tag of its member.
fn elsewhere(node: &Node, uri: &Uri) -> Response {
    let goose = node.status().goose;
    let goose = goose.and_then(|goose| node.members().into_iter().find(|it| it.id == goose.id));
    match goose.as_ref().and_then(|member| member.tags.get(SERVICE)) {
        Some(address) => Redirect::temporary(&format!("http://{address}{uri}")).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "nobody leads just now").into_response(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sockets = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0"));
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    let voters = sockets.iter().map(|socket| Ok(socket.local_addr()?.to_string()));
    let voters = voters.collect::<Result<Vec<_>, std::io::Error>>()?;
    let folder = tempfile::tempdir()?;
    let (mut nodes, mut addresses) = (Vec::new(), Vec::new());
    for (number, socket) in sockets.into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let config = Config::on_socket(socket)?
            .voters(&voters)
            .tag(SERVICE, address.to_string())
            .state_dir(folder.path().join(number.to_string()));
        let node = Node::start(config).await?;
        let serving = axum::serve(listener, service(node.clone()));
        tokio::spawn(async move { serving.await });
        nodes.push(node);
        addresses.push(address);
    }

    for round in 0..2 {
        for (number, address) in addresses.iter().enumerate() {
            println!("replica {number}: {}", ask(*address).await?);
        }
        let goose = nodes.iter().find(|node| node.is_goose());
        if let Some(goose) = goose.filter(|_| round == 0) {
            // The others may need a moment until they could take over.
            while goose.step_down().await == Err(gaggle::Error::NoStandby) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            println!("-- the Goose steps down");
        }
    }
    for node in &nodes {
        node.shutdown().await?;
    }
    Ok(())
}

/// A client: asks again until somebody leads and is known; the status, and what else matters.
async fn ask(address: SocketAddr) -> Result<String, Box<dyn Error>> {
    loop {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /count HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let status = answer.lines().next().and_then(|line| line.split_once(' '));
        let status = status.map(|(_, status)| status).unwrap_or_default();
        let location = answer.lines().find_map(|line| line.strip_prefix("location: "));
        match location {
            Some(location) => return Ok(format!("{status}, to {location}")),
            None if status.starts_with("503") => tokio::time::sleep(Duration::from_millis(5)).await,
            None => return Ok(format!("{status}, {}", answer.lines().last().unwrap_or_default())),
        }
    }
}
