//! A program that embeds a node with a keeper, written as people write one who do not think of
//! threads: those of the runtime are there before the first line of `main`.
//!
//! `embedded_keeper LISTEN VOTERS FOLDER` says `goose TERM` whenever it is Goose.

use std::error::Error;
use std::future::pending;
use std::time::Duration;

use gaggle::{Config, Node};

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> Result<(), Box<dyn Error>> {
    gaggle::keeper::run_if_asked();
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("embedded_keeper LISTEN VOTERS FOLDER");
    let (listen, voters, folder) = (next()?, next()?, next()?);
    let config = Config::new(listen)
        .voters(voters.split(','))
        .state_dir(folder)
        // A test sees that nobody has waited for it.
        .lease(Duration::from_secs(10))
        .keeper(true);
    let node = Node::start(config).await?;
    loop {
        let campaign = node.until_goose().await?;
        println!("goose {}", campaign.term());
        if let Err(lost) = campaign.run(pending::<()>()).await {
            eprintln!("{lost}");
        }
    }
}
