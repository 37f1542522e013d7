//! What a program hears and sends on: errors without flags, values that travel, and a log that says
//! whose it is.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle::testing::FakeGoose;
use gaggle::{Config, Event, Node, Standing, StartError, State, Status};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(start_paused = true)]
async fn what_people_send_on_arrives_as_it_was() {
    let fake = FakeGoose::new();
    let node = fake.node();
    let mut events = node.events();
    fake.grant();
    let status = node.status();
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.contains("\"role\":\"goose\"") && text.contains("\"term\":1"), "{text}");
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    let standing = node.watch().borrow().clone();
    let text = serde_json::to_string(&standing).unwrap();
    assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), standing);
    for _ in 0..2 {
        let event = events.next().await.unwrap();
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
    }
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn all_that_is_logged_names_its_node_and_no_flag() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let within = tracing::subscriber::set_default(subscriber);
    // A voter that forgets is warned of.
    let config = Config::new("127.0.0.1:0").id(7).name("gander").voters(["7"]);
    let node = Node::start(config.state(State::ephemeral())).await.unwrap();
    let lines = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap().lines().count();
    let logged = async {
        while lines() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, logged).await.unwrap();
    timeout(PATIENCE, node.shutdown()).await.unwrap().unwrap();
    drop(within);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for line in text.lines() {
        assert!(line.contains("gaggle{node=\"gander\" id=7}"), "{line}");
    }
    assert!(text.contains("Config::state(State::ephemeral())"), "{text}");
    assert!(!text.contains("--"), "{text}");
}

#[tokio::test]
async fn a_start_that_fails_says_why_in_types_of_its_own() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = Config::new(&address).state(State::ephemeral());
    let StartError::Bind(failure) = Node::start(config).await.unwrap_err() else { panic!() };
    assert_eq!(failure.io_kind(), Some(std::io::ErrorKind::AddrInUse));
    let folder = tempfile::tempdir().unwrap();
    let state = || Config::new("127.0.0.1:0").state_dir(folder.path());
    let node = Node::start(state()).await.unwrap();
    let StartError::State(failure) = Node::start(state()).await.unwrap_err() else { panic!() };
    let text = failure.to_string();
    assert!(text.contains("Config::state_dir") && !text.contains("--"), "{text}");
    assert_eq!(failure.io_kind(), None, "{text}");
    drop(node);
    std::fs::write(folder.path().join("file"), "").unwrap();
    let config = Config::new("127.0.0.1:0").state_dir(folder.path().join("file"));
    let StartError::State(failure) = Node::start(config).await.unwrap_err() else { panic!() };
    assert!(failure.io_kind().is_some(), "{failure}");
}

#[tokio::test]
async fn a_program_that_is_not_prepared_to_be_a_keeper_is_told_so() {
    let config = Config::new("127.0.0.1:0").keeper(true);
    let StartError::Keeper(failure) = Node::start(config).await.unwrap_err() else { panic!() };
    assert!(failure.to_string().contains("gaggle::keeper::run_if_asked()"), "{failure}");
}
