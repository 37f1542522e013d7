//! The commands as a script sees them: exit codes, what goes to which output, and that a
//! refused configuration is refused before anything happens.
#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use gaggle::node::{StepDownError, SteppedDown};
use gaggle::shell::handle::OrderError;
use gaggle::shell::http::{NodeView, Options, ServerThread, spawn_thread};
use gaggle::vocabulary::configuration::ClusterName;
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::snapshot::{Counters, Lease, Phase, Snapshot};
use gaggle::vocabulary::time::HolderTime;

/// A node that is what it is told to be.
#[derive(Clone)]
struct Double(Arc<Snapshot>);

impl NodeView for Double {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0)
    }
    fn holder_now(&self) -> HolderTime {
        HolderTime(1_000_000_000)
    }
    async fn step_down(
        &self,
        to: Option<NodeId>,
        _: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        let lease = self.0.lease.ok_or(StepDownError::NotGoose)?;
        Ok(SteppedDown { term: lease.term, nominee: to })
    }
    async fn leave(&self) -> Result<(), OrderError> {
        Err(OrderError::Unavailable)
    }
}

fn served(goose: bool) -> ServerThread {
    let lease = Lease {
        term: 7,
        deadline: HolderTime(1_400_000_000),
        duration: Duration::from_millis(600),
        since: HolderTime(0),
    };
    let snapshot = Snapshot {
        cluster: ClusterName::new("gaggle").unwrap(),
        process: Process { id: NodeId::new(3).unwrap(), boot: Boot { start: 1, nonce: 2 } },
        address: "127.0.0.1:8002".parse().unwrap(),
        http: None,
        index: 1,
        phase: Phase::Serving,
        lease: goose.then_some(lease),
        term: 7,
        goose: None,
        voters: None,
        members: Arc::new(Vec::new()),
        counters: Counters::default(),
        started: HolderTime(0),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options::new(Duration::from_millis(200));
    spawn_thread(listener, Double(Arc::new(snapshot)), options).unwrap()
}

/// Runs `gaggle` with `arguments` and nothing of this process's environment.
fn gaggle(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gaggle")).args(arguments).env_clear().output().unwrap()
}

fn asking(server: &ServerThread, arguments: &[&str]) -> Output {
    let node = format!("http://{}", server.address());
    gaggle(&[arguments, &["--node", node.as_str()]].concat())
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_exit_code_says_whether_the_node_is_the_goose() {
    let goose = asking(&served(true), &["status", "--is-goose"]);
    assert_eq!((code(&goose), text(&goose.stdout), text(&goose.stderr)), (0, "".into(), "".into()));
    let duck = asking(&served(false), &["status", "--is-goose"]);
    assert_eq!((code(&duck), text(&duck.stdout), text(&duck.stderr)), (4, "".into(), "".into()));
}

#[test]
fn answers_go_to_standard_output_without_colours() {
    let server = served(true);
    let table = asking(&server, &["goose"]);
    assert_eq!(code(&table), 0);
    let expected =
        "NODE  ADDRESS         HTTP  TERM  EXPIRES\n3     127.0.0.1:8002  -     7     400 ms\n";
    assert_eq!(text(&table.stdout), expected);
    let json = asking(&server, &["goose", "-o", "json"]);
    assert!(text(&json.stdout).starts_with(r#"{"id":3,"addr":"127.0.0.1:8002","#));
    let stepped = asking(&server, &["step-down", "--to", "2"]);
    assert_eq!(text(&stepped.stdout), "term 7 has ended; node 2 was asked to take over\n");
}

#[test]
fn failures_have_their_codes_and_one_line_on_standard_error() {
    let server = served(false);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_node = format!("http://{}", silent.local_addr().unwrap());
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let cases = [
        (asking(&server, &["goose"]), 3, "knows no Goose"),
        (asking(&server, &["step-down"]), 4, "not the Goose"),
        (asking(&server, &["leave"]), 1, "not taking orders"),
        (gaggle(&["status", "--node", &nobody]), 1, "`gaggle run`"),
        (gaggle(&["status", "--timeout", "50ms", "--node", &silent_node]), 5, "within 50ms"),
    ];
    for (output, expected, part) in cases {
        let line = text(&output.stderr);
        assert_eq!(code(&output), expected, "{line}");
        assert!(line.starts_with("gaggle: ") && line.contains(part), "{line}");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn refused_settings_exit_with_2_and_open_nothing() {
    let cases: [(&[&str], &str); 5] = [
        (&["run", "0.0.0.0:8000"], "--advertise"),
        (&["run", "--lease", "50ms"], "below the usable minimum"),
        (&["run"], "--state-dir DIR, or --ephemeral"),
        (&["run", "--ephemeral", "--voters", "1,1"], "listed twice"),
        (&["dev", "--nodes", "2", "--voters", "3"], "--voters"),
    ];
    for (arguments, part) in cases {
        let output = gaggle(arguments);
        let line = text(&output.stderr);
        assert_eq!(code(&output), 2, "{arguments:?}: {line}");
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
    for nonsense in [&["walk"][..], &[], &["run", "--sead", "a:1"], &["status", "--node", "a:b"]] {
        assert_eq!(code(&gaggle(nonsense)), 2, "{nonsense:?}");
    }
}
