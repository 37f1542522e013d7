//! What one node of three bears: a flood of datagrams, questions over HTTP, readers of its events.
//!
//! ```text
//! cargo bench --bench load                                all three, as they are
//! cargo bench --bench load -- flood --seconds 5           see [`flood`]
//! cargo bench --bench load -- status --connections 64     see [`status`]
//! cargo bench --bench load -- readers --readers 1500      see [`readers`]
//! ```

#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "../report/mod.rs"]
mod report;

mod flood;
mod readers;
mod status;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    load: Option<Load>,
}

#[derive(Parser)]
enum Load {
    Flood(flood::Options),
    Status(status::Options),
    Readers(readers::Options),
}

fn main() -> ExitCode {
    let Options { load } = report::arguments();
    let loads = match load {
        Some(load) => vec![load],
        None => ["flood", "status", "readers"].map(|name| Load::parse_from(["load", name])).into(),
    };
    report::verdict(loads.iter().flat_map(|load| match load {
        Load::Flood(options) => flood::measure(options),
        Load::Status(options) => status::measure(options).err().into_iter().collect(),
        Load::Readers(options) => readers::measure(options).err().into_iter().collect(),
    }))
}
