//! A runner of jobs that works on exactly one of its replicas, and hands over in good order when it is
//! told to end.
//!
//! ```text
//! cargo run --example job_runner [-- JOBS]      (default: 5; Ctrl-C ends it at any time)
//! ```
//!
//! Jobs are done one after the other within [`gaggle::Leadership::run`], so the one under way is dropped
//! in time if the lease is lost. On SIGTERM or Ctrl-C the runner begins no further job, lets the one under
//! way end, and then leaves: whoever takes over does so at once. For a cluster, give each replica the
//! `voters` of all; as it stands, the runner is a cluster of its own.
//!
//! ```text
//! term 1: job 1 is done
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use gaggle::{Config, Node, State};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::sleep;

/// A job takes so long.
const JOB: Duration = Duration::from_millis(50);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let jobs: u64 = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let config = Config::new("127.0.0.1:0").state(State::dir(folder.path()));
    let node = Node::start(config).await?;

    let end = Arc::new(Notify::new());
    let mut terminated = signal(SignalKind::terminate())?;
    let runner = tokio::spawn(run(node.clone(), Arc::clone(&end), jobs));
    tokio::pin!(runner);
    tokio::select! {
        // All jobs are done, or the node has ended: nothing to wait for.
        outcome = &mut runner => outcome?,
        _ = tokio::signal::ctrl_c() => end.notify_one(),
        _ = terminated.recv() => end.notify_one(),
        ended = node.ended() => return Err(ended.err().map_or("the node has left".into(), Into::into)),
    }
    // If a job is under way it may end, for as long as `Config::drain_timeout` says.
    node.shutdown().await?;
    Ok(())
}

/// Does jobs while this node is Goose, until all are done or it is told to end.
async fn run(node: Node, end: Arc<Notify>, jobs: u64) {
    let mut done = 0;
    while done < jobs {
        let campaign = tokio::select! {
            campaign = node.until_goose() => campaign,
            () = end.notified() => return,
        };
        let Ok(campaign) = campaign else { return };
        while done < jobs {
            // A job of its own each time: what is lost is the one under way, and the next term begins
            // it again. `job` hands the term along, so that its receiver refuses an older one.
            match campaign.run(job(campaign.term(), done + 1)).await {
                Ok(()) => done += 1,
                Err(lost) => {
                    eprintln!("{lost}");
                    break;
                }
            }
        }
    }
}

async fn job(term: u64, number: u64) {
    sleep(JOB).await;
    println!("term {term}: job {number} is done");
}
