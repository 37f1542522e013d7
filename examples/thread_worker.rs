//! Work on a plain thread, in a program that is not async: it ends before the lease does, because it
//! looks before every step.
//!
//! ```text
//! cargo run --example thread_worker [-- STEPS]      (default: 20)
//! ```
//!
//! The node lives on a runtime of its own in the background. The worker waits until the node is Goose,
//! begins a piece of [`gaggle::Work`], and asks [`gaggle::Work::check`] before each step whether the step
//! may begin. Another thread orders the node to step down meanwhile: the order waits until the worker
//! has dropped its work, and the lease is renewed until then.
//!
//! ```text
//! worker: 7 steps in term 1, and then: the node was told to step down
//! ```

use std::error::Error;
use std::thread;
use std::time::Duration;

use gaggle::testing::Cluster;
use gaggle::{Leadership, Node};
use tokio::runtime::Runtime;

/// The longest that a step takes.
const STEP: Duration = Duration::from_millis(10);

fn main() -> Result<(), Box<dyn Error>> {
    let steps: u64 = std::env::args().nth(1).map_or(Ok(20), |text| text.parse())?;
    // Threads of its own, so that a busy main thread never keeps the node from running.
    let runtime = Runtime::new()?;
    // Three nodes, so that somebody can take over. A program of your own starts one: `Node::start`.
    let cluster = runtime.block_on(Cluster::start(3))?;
    let workers: Vec<_> = cluster
        .nodes()
        .into_iter()
        .map(|node| {
            let handle = runtime.handle().clone();
            thread::spawn(move || work(&node, &handle, steps))
        })
        .collect();

    // Somebody steps down while it works.
    thread::sleep(STEP * 8);
    let goose = runtime.block_on(cluster.goose());
    if let Some(node) = cluster.node(goose) {
        match runtime.block_on(node.step_down()) {
            Ok(term) => println!("-- term {term} is handed over"),
            Err(error) => println!("-- {error}"),
        }
    }
    // The first that has done all its steps is enough.
    while !workers.iter().any(thread::JoinHandle::is_finished) {
        thread::sleep(STEP);
    }
    for node in cluster.nodes() {
        runtime.block_on(node.shutdown())?;
    }
    for worker in workers {
        worker.join().map_err(|_| "a worker failed")?;
    }
    Ok(())
}

/// Works whenever this node is Goose, until all steps are done or the node ends.
fn work(node: &Node, runtime: &tokio::runtime::Handle, steps: u64) {
    let mut left = steps;
    while left > 0 {
        let Ok(campaign) = runtime.block_on(node.until_goose()) else { return };
        let before = left;
        let outcome = under(&campaign, runtime, &mut left);
        let (done, term) = (before - left, campaign.term());
        match outcome {
            Ok(()) => println!("worker: {done} steps in term {term}, and all are done"),
            Err(lost) => println!("worker: {done} steps in term {term}, and then: {}", lost.reason),
        }
    }
}

/// Takes steps while this leadership lasts.
fn under(
    leadership: &Leadership,
    runtime: &tokio::runtime::Handle,
    left: &mut u64,
) -> Result<(), gaggle::LeadershipLost> {
    let work = runtime.block_on(leadership.begin())?;
    while *left > 0 {
        // With the term in hand, so that whoever receives its effect refuses an older one.
        work.check(STEP)?;
        step(work.term());
        *left -= 1;
    }
    Ok(())
}

fn step(_term: u64) {
    thread::sleep(STEP / 2);
}
