//! What many event-stream readers cost a node while nothing happens: the processor's time and
//! the memory of a Goose with and without them. Then the Goose steps down, and every reader
//! must have heard of it.
//!
//! ```text
//! cargo bench --bench load -- readers                        1000 readers, 10 seconds each way
//! cargo bench --bench load -- readers --readers 1500 --seconds 60
//! ```
//!
//! The readers are sockets of this process, so their own cost is not the node's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Parser;

use crate::report::Table;
use crate::report::harness::watch::Watch;
use crate::report::harness::{Cluster, PATIENCE};
use crate::report::usage::{processor_seconds, resident_kib};

#[derive(Parser)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    readers: u64,
    /// Without readers, and with them.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let ids = [1, 2, 3];
    let mut cluster = Cluster::new(&ids, &ids, Watch::new(Duration::from_millis(250), false));
    for id in ids {
        cluster.start(id);
    }
    let first = cluster.wait_for_agreement(&ids, 0);
    cluster.watch().set_paused(true);
    let before = idle(&cluster, first.goose, options.seconds)?;
    let node = cluster.node(first.goose).settings.http;
    let began = Instant::now();
    let mut readers = Vec::new();
    for number in 1..=options.readers {
        let reader = open(node).map_err(|error| format!("reader {number}: {error}"))?;
        readers.push(reader);
    }
    let opened = began.elapsed();
    let with = idle(&cluster, first.goose, options.seconds)?;
    let mut table = Table::new(&[("", 18), ("% of a core", 12), ("memory, KiB", 14)]);
    let with_readers = format!("{} readers", options.readers);
    for (name, (share, memory)) in [("no reader", before), (&with_readers, with)] {
        table.row([name.to_owned(), format!("{share:.2}"), memory.to_string()]);
    }
    print!("{table}");
    let each = (with.1 - before.1).max(0.0) / options.readers as f64;
    println!("{each:.1} KiB for each reader; all were opened within {opened:.1?}");

    let began = Instant::now();
    cluster.order(first.goose, "/v1/step-down").ok_or("the Goose does not answer")?;
    for (number, reader) in readers.iter_mut().enumerate() {
        until(reader, "event: role").map_err(|error| format!("reader {number}: {error}"))?;
    }
    println!(
        "every reader had heard of a step-down {:.1?} after it was asked for",
        began.elapsed()
    );
    Ok(())
}

/// A reader that has had its first event.
fn open(node: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(node)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    until(&mut stream, "event: status")?;
    Ok(stream)
}

/// Reads until `words` have come.
fn until(stream: &mut TcpStream, words: &str) -> std::io::Result<()> {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(words) {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        seen.extend_from_slice(&piece[..count]);
    }
    Ok(())
}

/// The node's share of a core over `seconds`, in percent, and its resident memory in KiB.
fn idle(cluster: &Cluster, id: u64, seconds: u64) -> Result<(f64, f64), String> {
    let used = || processor_seconds(cluster, id).ok_or("the node's threads cannot be read");
    let (before, began) = (used()?, Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let share = (used()? - before) / began.elapsed().as_secs_f64() * 100.0;
    Ok((share, resident_kib(cluster, id).ok_or("the node's memory cannot be read")?))
}
