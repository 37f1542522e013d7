//! Host names where addresses may stand, and an HTTP address that is published elsewhere.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::http::Client;
use crate::harness::process::{GAGGLE, free_port};
use crate::harness::watch::Status;
use crate::harness::{PATIENCE, poll_until};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a node with `words`, whose log and state are in a folder of its name.
fn start(folder: &Path, name: &str, words: &[&str]) -> Running {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let log = File::create(folder.join("log")).unwrap();
    let child = Command::new(GAGGLE)
        .arg("run")
        .args(words)
        .arg("--state-dir")
        .arg(folder.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    Running(child.unwrap())
}

fn logs(folder: &Path) -> String {
    let log = |name: &str| std::fs::read_to_string(folder.join(name).join("log")).ok();
    ["1", "2", "3"].iter().filter_map(|name| log(name)).collect::<Vec<_>>().join("\n----\n")
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Waits until each of these agrees on a Goose.
fn agreed(folder: &Path, https: &[u16]) {
    let known = |port: &u16| {
        let answer = Client::new(loopback(*port)).get("/v1/status")?;
        Status::parse(&answer)?.leadership()
    };
    let agreed = poll_until(PATIENCE, || {
        let known: Option<Vec<_>> = https.iter().map(known).collect();
        let known = known?;
        known.iter().all(|leadership| *leadership == known[0]).then_some(())
    });
    assert!(agreed.is_some(), "{}", logs(folder));
}

#[test]
fn a_cluster_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port(), free_port()];
    let https = [free_port(), free_port(), free_port()];
    // With ids, looked up by the running node; and without, so that the ids come from the look-up.
    let with_ids: Vec<String> =
        (1..=3).zip(ports).map(|(id, port)| format!("{id}=localhost:{port}")).collect();
    let without: Vec<String> = ports.iter().map(|port| format!("localhost:{port}")).collect();
    for (case, voters) in [("ids", with_ids.join(",")), ("addresses", without.join(","))] {
        let folder = folder.path().join(case);
        let mut nodes = Vec::new();
        for place in 0..3 {
            let id = (place + 1).to_string();
            let (listen, http) = (&without[place], format!("localhost:{}", https[place]));
            let mut words = vec![listen.as_str(), "--http", &http, "--voters", &voters];
            if case == "ids" {
                words.extend(["--id", &id]);
            }
            nodes.push(start(&folder, &id, &words));
        }
        agreed(&folder, &https);
    }
}

#[test]
fn a_name_that_leads_nowhere_is_named() {
    let mut command = Command::new(GAGGLE);
    command.args(["run", "goose.invalid:8000", "--ephemeral"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let start = "the address to listen on: goose.invalid:8000 cannot be looked up: ";
    let end = "Correct the name, or write an IP address like 10.0.0.1:8000";
    assert!(text.contains(start) && text.trim_end().ends_with(end), "{text}");
    assert_eq!(output.status.code(), Some(2), "{text}");
}

/// Behind mapped ports others are told the outer one.
#[test]
fn http_that_is_published_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (address, http) = (loopback(free_port()), loopback(free_port()));
    let (address, inner) = (address.to_string(), http.to_string());
    let outer = "203.0.113.7:19000";
    let words = [&address, "--http", &inner, "--advertise-http", outer].map(|word: &str| word);
    let _node = start(folder.path(), "1", &words);
    let told = poll_until(PATIENCE, || {
        let page = Client::new(http).get("/v1/members")?;
        let page = String::from_utf8_lossy(&page.body).into_owned();
        page.contains(outer).then_some(page)
    });
    let page = told.unwrap_or_else(|| panic!("{}", logs(folder.path())));
    assert!(!page.contains(&inner), "{page}");
}

/// An id that was made of an address goes with it: what was a voter would no more be one.
#[test]
fn a_voter_whose_address_changed_is_told_how_to_stay_one() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (loopback(free_port()), loopback(free_port()));
    let http = loopback(free_port());
    let id = |address: SocketAddr| 0x7f00_0001_u64 << 16 | u64::from(address.port());
    let node = start(folder.path(), "1", &[&first.to_string(), "--http", &http.to_string()]);
    agreed(folder.path(), &[http.port()]);
    drop(node);
    let mut node = start(folder.path(), "1", &[&second.to_string(), "--http", &http.to_string()]);
    let ended = poll_until(PATIENCE, || node.0.try_wait().unwrap());
    let log = logs(folder.path());
    assert_eq!(ended.and_then(|status| status.code()), Some(2), "{log}");
    let (was, now) = (id(first), id(second));
    let expected = format!(
        "the record on disk belongs to node {was}, whose id was made of the address {first}, but \
         this node's id is made of {second}, so it is node {now} and not that voter: if the \
         machine got another address, keep its id with --id {was}, and write {was}={second} in \
         place of {first} wherever --voters names it; if this is another node, give it its own \
         --state-dir"
    );
    assert!(log.contains(&expected), "{log}");
    // That is the way out.
    let words = [&second.to_string(), "--http", &http.to_string(), "--id", &was.to_string()];
    let _node = start(folder.path(), "1", &words.map(|word: &str| word));
    agreed(folder.path(), &[http.port()]);
}

/// In the default place for state the new id has a folder of its own, beside that of the old one.
#[test]
fn a_voter_that_left_its_folder_under_another_address_is_spoken_of() {
    let folder = tempfile::tempdir().unwrap();
    let gone = SocketAddr::from(([10, 255, 255, 1], 8000));
    let voter = (0x0aff_ff01_u64 << 16 | 8000).to_string();
    let (address, http) = (loopback(free_port()), loopback(free_port()));
    std::fs::create_dir_all(folder.path().join("1").join(&voter)).unwrap();
    let words = [&address.to_string(), "--http", &http.to_string(), "--voters", &voter];
    let _node = start(folder.path(), "1", &words.map(|word: &str| word));
    let expected = format!(
        "is the folder of voter {voter}, whose id was made of {gone}, and this machine has that \
         address no more: if it got another one, keep the voter's id with --id {voter}, and write \
         {voter}={address} in place of {gone} wherever --voters names it"
    );
    let said = || logs(folder.path()).contains(&expected).then_some(());
    assert!(poll_until(PATIENCE, said).is_some(), "{}", logs(folder.path()));
}
