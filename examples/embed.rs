//! A service of your own with a Goose inside: three replicas of a small counter over TCP, of
//! which only one counts.
//!
//! ```text
//! cargo run --example embed
//! ```
//!
//! Each replica listens for clients and embeds a node. A client may ask any of them; a Duck
//! answers with the Goose it knows. Counting goes through [`gaggle::Leadership::run`], so it
//! ends before the lease does; the answer carries the term. All three live in this one process,
//! which is what a test of such a service would do.
//!
//! ```text
//! replica 2: 1 in term 1
//! replica 0: ask node 139637976843170
//! ```

use std::error::Error;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gaggle::{Config, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// One replica: a node, and what it counts.
struct Replica {
    node: Node,
    count: AtomicU64,
}

impl Replica {
    /// Counts, or says who does. A look at the leadership is made for every request; none of them
    /// steps anybody down.
    async fn answer(&self) -> String {
        if let Some(leadership) = self.node.leadership() {
            let counted = leadership.run(async { self.count.fetch_add(1, Ordering::Relaxed) + 1 });
            return match counted.await {
                Ok(count) => format!("{count} in term {}", leadership.term()),
                Err(lost) => format!("{lost}: ask again"),
            };
        }
        match self.node.status().goose {
            Some(goose) => format!("ask node {}", goose.id),
            None => "nobody leads just now: ask again".to_owned(),
        }
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((mut client, _)) = listener.accept().await {
            let replica = Arc::clone(&self);
            tokio::spawn(async move {
                // A client that has gone needs no answer.
                let _ = client.write_all(replica.answer().await.as_bytes()).await;
            });
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sockets = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0"));
    let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
    let voters = sockets.iter().map(|socket| Ok(socket.local_addr()?.to_string()));
    let voters = voters.collect::<Result<Vec<_>, std::io::Error>>()?;
    let folder = tempfile::tempdir()?;
    let (mut replicas, mut addresses) = (Vec::new(), Vec::new());
    for (number, socket) in sockets.into_iter().enumerate() {
        let state = folder.path().join(number.to_string());
        let config = Config::on_socket(socket)?.voters(&voters).state_dir(state);
        let node = Node::start(config).await?;
        let replica = Arc::new(Replica { node, count: 0.into() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(listener.local_addr()?);
        tokio::spawn(Arc::clone(&replica).serve(listener));
        replicas.push(replica);
    }

    let mut events = replicas[0].node.events();
    let mut term = 0;
    for _ in 0..2 {
        // An event comes once; what came before is in the status.
        while replicas[0].node.status().goose.is_none_or(|goose| goose.term <= term) {
            events.next().await.ok_or("the node has ended")?;
        }
        for (number, address) in addresses.iter().enumerate() {
            println!("replica {number}: {}", ask(*address).await?);
        }
        if let Some(goose) = replicas.iter().find(|replica| replica.node.is_goose()) {
            term = loop {
                match goose.node.step_down().await {
                    // The others have only just started.
                    Err(gaggle::Error::NoStandby) => sleep(Duration::from_millis(10)).await,
                    outcome => break outcome?,
                }
            };
            println!("-- the Goose of term {term} steps down");
        }
    }
    for replica in &replicas {
        replica.node.shutdown().await?;
    }
    Ok(())
}

/// A client: asks again until somebody leads.
async fn ask(address: std::net::SocketAddr) -> Result<String, std::io::Error> {
    loop {
        let mut answer = String::new();
        TcpStream::connect(address).await?.read_to_string(&mut answer).await?;
        if !answer.ends_with("ask again") {
            return Ok(answer);
        }
        sleep(Duration::from_millis(10)).await;
    }
}
