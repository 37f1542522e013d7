//! The commands as a script sees them: exit codes, what goes to which output, and that a
//! refused configuration is refused before anything happens.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use gaggle::node::{
    Drained, ForgetError, NotLeading, Paused, StepDownError, SteppedDown, VoterOrder, VotersOrdered,
};
use gaggle::shell::control_socket::ControlSocket;
use gaggle::shell::control_socket::places::Places;
use gaggle::shell::handle::OrderError;
use gaggle::shell::history::History;
use gaggle::shell::http::{Listeners, NodeView, Options, ServerThread, spawn_thread};
use gaggle::shell::pulse::Pulse;
use gaggle::vocabulary::configuration::ClusterName;
use gaggle::vocabulary::identity::{Boot, NodeId, Process};
use gaggle::vocabulary::metadata::Tags;
use gaggle::vocabulary::snapshot::{Counters, Lease, Phase, Snapshot};
use gaggle::vocabulary::time::HolderTime;
use tokio::sync::watch;

/// A node that is what it is told to be.
#[derive(Clone)]
struct Double(Arc<Snapshot>, Arc<watch::Sender<Arc<History>>>);

impl NodeView for Double {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0)
    }
    fn holder_now(&self) -> HolderTime {
        HolderTime(1_000_000_000)
    }
    fn pulse(&self) -> Pulse {
        Pulse { last: self.holder_now(), ended: false, delay_max: Duration::ZERO }
    }
    fn history(&self) -> watch::Receiver<Arc<History>> {
        self.1.subscribe()
    }
    async fn step_down(
        &self,
        to: Option<NodeId>,
        _: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        let lease = self.0.lease.ok_or(StepDownError::NotGoose)?;
        Ok(SteppedDown { term: lease.term, nominee: to })
    }
    async fn drain(&self, is_drained: bool) -> Result<Drained, OrderError> {
        let led = self.0.lease.filter(|_| is_drained);
        let ended = led.map(|lease| SteppedDown { term: lease.term, nominee: None });
        Ok(Drained { is_drained, is_news: is_drained, is_kept: is_drained, ended })
    }
    async fn pause(&self, lasts: Option<Duration>) -> Result<Paused, OrderError> {
        let lease = self.0.lease.ok_or(NotLeading { goose: None })?;
        Ok(Paused { term: lease.term, lasts, was_paused: false })
    }
    async fn change_voters(&self, _: VoterOrder) -> Result<VotersOrdered, OrderError> {
        Err(OrderError::Unavailable)
    }
    async fn forget(&self, id: NodeId) -> Result<(), OrderError> {
        if id == self.0.process.id { Err(ForgetError::Present(id).into()) } else { Ok(()) }
    }
    async fn leave(&self) -> Result<(), OrderError> {
        Err(OrderError::Unavailable)
    }
}

/// A server of that, and the folder with its control socket.
struct Served {
    server: ServerThread,
    folder: tempfile::TempDir,
}

fn served(goose: bool) -> Served {
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
        tags: Tags::default(),
        name: None,
        lineage: None,
        index: 1,
        phase: Phase::Serving,
        lease: goose.then_some(lease),
        term: 7,
        goose: None,
        voters: None,
        members: Arc::new(Vec::new()),
        speaks_from: BTreeMap::new(),
        counters: Counters::default(),
        started: HolderTime(0),
        holds_back_until: None,
        paused_until: None,
        voter_change: None,
        is_drained: false,
        unhealthy: None,
        store_lost: false,
        store_slow: None,
        ending: None,
    };
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let id = snapshot.process.id;
    let control = ControlSocket::open(Some(folder.path()), id, &Places::default()).ok();
    let listeners = Listeners { tcp: Some(tcp), control, agent_check: None };
    let options = Options::new(Duration::from_millis(200));
    let mut history = History::new(snapshot.process, snapshot.address, snapshot.started);
    history.index = snapshot.index;
    let history = Arc::new(watch::Sender::new(Arc::new(history)));
    let double = Double(Arc::new(snapshot), history);
    Served { server: spawn_thread(listeners, double, options).unwrap(), folder }
}

/// Runs `gaggle` with `arguments` and nothing of this process's environment.
fn gaggle(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gaggle")).args(arguments).env_clear().output().unwrap()
}

fn asking(served: &Served, arguments: &[&str]) -> Output {
    let node = format!("http://{}", served.server.address().unwrap());
    gaggle(&[arguments, &["--node", node.as_str()]].concat())
}

/// As [`asking`], over the control socket, which is named by the folder that it is in.
fn ordering(served: &Served, arguments: &[&str]) -> Output {
    gaggle(&[arguments, &["--node", served.folder.path().to_str().unwrap()]].concat())
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
    let expected = "NODE  NAME  ADDRESS         HTTP  TERM  EXPIRES\n\
                    3     -     127.0.0.1:8002  -     7     400 ms\n";
    assert_eq!(text(&table.stdout), expected);
    let json = asking(&server, &["goose", "-o", "json"]);
    assert!(text(&json.stdout).starts_with(r#"{"id":3,"addr":"127.0.0.1:8002","#));
    let stepped = ordering(&server, &["step-down", "--to", "2"]);
    assert_eq!(text(&stepped.stdout), "term 7 has ended; node 2 was asked to take over\n");
    let drained = ordering(&server, &["drain"]);
    let expected = "the node is drained: it votes, but does not lead until `gaggle drain --off`\n\
                    term 7 has ended; nobody was at hand to take over\n";
    assert_eq!((code(&drained), text(&drained.stdout)), (0, expected.to_owned()));
    let undrained = ordering(&server, &["drain", "--off"]);
    let expected = "the node was not drained, and holds back no more\n";
    assert_eq!((code(&undrained), text(&undrained.stdout)), (0, expected.to_owned()));
    let paused = ordering(&server, &["pause", "--for", "10m"]);
    let expected = "the Goose makes way for nobody by choice for 10m, or until term 7 ends\n";
    assert_eq!((code(&paused), text(&paused.stdout)), (0, expected.to_owned()));
    let resumed = ordering(&server, &["resume"]);
    assert_eq!((code(&resumed), text(&resumed.stdout)), (0, "there was no pause\n".to_owned()));
    let forgotten = ordering(&server, &["forget", "127.0.0.1:8000"]);
    let expected = "node 139637976801088 is forgotten: it is no member any more\n";
    assert_eq!((code(&forgotten), text(&forgotten.stdout)), (0, expected.to_owned()));
}

#[test]
fn waiting_ends_once_it_is_so_or_with_5_when_the_time_is_over() {
    let server = served(true);
    for until in ["--goose", "--goose-known"] {
        let output = asking(&server, &["wait", until, "--timeout", "1m"]);
        let said = (code(&output), text(&output.stdout), text(&output.stderr));
        assert_eq!(said, (0, "node 3 is the Goose of term 7\n".to_owned(), String::new()));
    }
    let duck = served(false);
    for (server, until, still) in [
        (&server, "--change", "knows no other Goose than at first"),
        (&duck, "--goose", "is not the Goose"),
        (&duck, "--goose-known", "knows no Goose"),
    ] {
        let output = asking(server, &["wait", until, "--timeout", "100ms"]);
        let line = format!("gaggle: after 100ms the node {still}\n");
        assert_eq!((code(&output), text(&output.stderr)), (5, line), "{until}");
    }
    for wrong in [&["wait"][..], &["wait", "--goose", "--change"]] {
        assert_eq!(code(&asking(&duck, wrong)), 2, "{wrong:?}");
    }
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
        (ordering(&server, &["step-down"]), 4, "not the Goose"),
        (ordering(&server, &["pause"]), 4, "only the Goose pauses: it knows of none"),
        (ordering(&server, &["forget", "3"]), 1, "node 3 is not down"),
        (ordering(&server, &["leave"]), 1, "not taking orders"),
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
    // What the node would refuse is refused where it was typed, in the words that were typed.
    for (arguments, part) in [
        (&["step-down", "--hold", "25h"][..], "'--hold <DURATION>': a day (24h) is the most"),
        (&["pause", "--for", "2d"], "'--for <DURATION>': a day (24h) is the most"),
        (&["pause", "--for", "0s"], "'--for <DURATION>': give more than nothing, like 10m"),
        (
            &["exec", "--on-exit", "stop,done", "--", "true"],
            "\"done\" is a second word without a code",
        ),
    ] {
        let output = gaggle(arguments);
        let line = text(&output.stderr);
        assert_eq!(code(&output), 2, "{arguments:?}: {line}");
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
    for nonsense in [&["walk"][..], &[], &["run", "--sead", "a:1"], &["status", "--node", "a:b"]] {
        assert_eq!(code(&gaggle(nonsense)), 2, "{nonsense:?}");
    }
}

#[test]
fn check_shows_what_run_would_do_and_where_it_is_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gaggle.toml");
    std::fs::write(&file, "cluster = \"pond\"\nlease = \"1200ms\"\nephemeral = true\n").unwrap();
    let key = folder.path().join("key");
    assert_eq!(code(&gaggle(&["keygen", "--output", key.to_str().unwrap()])), 0);
    let (file, key) = (file.to_str().unwrap(), key.to_str().unwrap());
    // The port is taken: nothing is opened.
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = ["check", &address, "--config", file, "--cluster", "lake", "--http", &address];
    let shown = gaggle(&[&words[..], &["--key-file", key]].concat());
    assert_eq!(code(&shown), 0, "{}", text(&shown.stderr));
    let lines = text(&shown.stdout);
    let line = |name: &str| {
        let start = format!("{name} ");
        let line = lines.lines().find(|line| line.starts_with(&start)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("cluster"), ["lake", "flag"]);
    assert_eq!(line("lease"), ["1.2s", "file"]);
    assert_eq!(line("state-dir"), ["none", "default"]);
    assert_eq!(line("profile"), ["lan", "default"]);
    assert_eq!(line("fail-over")[..2], ["within", "1.278s"]);
    assert_eq!(line("rides")[..3], ["out", "3", "lost"]);
    let secret = std::fs::read_to_string(key).unwrap();
    assert!(!lines.contains(secret.trim()) && text(&shown.stderr).is_empty());

    let shown = gaggle(&[&words[..], &["-o", "json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(json["settings"]["lease"]["from"], "file");
    assert_eq!((&json["lost_renewals"], &json["fail_over_ms"]), (&3.into(), &1278.0.into()));

    // A flag with or without a value, before an address too.
    for (flag, expected) in [("--preempt", "true"), ("--preempt=no", "false")] {
        let shown = text(&gaggle(&["check", flag, &address, "--ephemeral"]).stdout);
        let line = shown.lines().find(|line| line.starts_with("preempt ")).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>()[1..], [expected, "flag"]);
        assert!(shown.contains(&address), "{shown}");
    }

    std::fs::write(file, "clutser = 1").unwrap();
    let refused = gaggle(&words);
    assert_eq!(code(&refused), 2);
    assert!(text(&refused.stderr).contains("did you mean \"cluster\"?"), "{refused:?}");
    assert_eq!(code(&gaggle(&["check", "--ephemeral", "--lease", "1ms"])), 2);
}

#[test]
fn a_hang_up_reads_the_settings_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (config, key, log) = (path("gaggle.toml"), path("key"), path("log"));
    let token = path("token");
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let write = |rest: &str| {
        std::fs::write(&config, format!("key-file = '{key}'\n{rest}")).unwrap();
    };
    let secret = |digits: &str| std::fs::write(&key, digits.repeat(16)).unwrap();
    secret("a1b2");
    std::fs::write(&token, "sixteen-letters.").unwrap();
    let with_token = format!("admin-token-file = '{token}'\n");
    write(&with_token);
    let mut node = Command::new(env!("CARGO_BIN_EXE_gaggle"))
        .args(["run", &free(), "--http", &free(), "--ephemeral", "--config", &config])
        // Its end takes the node along, however this test ends.
        .arg("--exit-with-stdin")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let process = rustix::process::Pid::from_child(&node);
    let awaited = |part: &str| {
        for _ in 0..500 {
            let lines = std::fs::read_to_string(&log).unwrap();
            if lines.contains(part) {
                return lines;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no \"{part}\" in {}", std::fs::read_to_string(&log).unwrap());
    };
    let hang_up = |expected: &str| {
        rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
        awaited(expected)
    };
    awaited("ask it: curl");
    hang_up("nothing has changed");
    secret("c3d4");
    write(&format!("{with_token}lease = '900ms'\nlog-level = 'warn'"));
    let lines = hang_up("lease changed, but needs a restart");
    assert!(lines.contains("key-file, log-level changed") && !lines.contains("became Duck"));
    write(&format!("{with_token}\"lee\\nse\\u001b[2J\" = '900ms'"));
    let lines = hang_up("but nothing is changed: the configuration file");
    let refusal = lines.lines().find(|line| line.contains("nothing is changed")).unwrap();
    let expected = format!(
        "SIGHUP received, but nothing is changed: the configuration file {config}: there is no key \
         \"lee\\nse\\u{{1b}}[2J\"; the nearest is \"lease\", and `gaggle run --help` names all (without \
         the --)"
    );
    assert!(refusal.ends_with(&expected), "{refusal}");
    write(&format!("{with_token}lease = '900ms'\nseed = 'localhost:1'"));
    hang_up("SIGHUP received: seed, log-level changed");
    // The same file with another secret: it is noticed, and said that it waits.
    std::fs::write(&token, "seventeen-letters").unwrap();
    hang_up("SIGHUP received: lease, admin-token-file changed, but needs a restart");
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    assert!(node.wait().unwrap().success());
}

/// The log of a node that is its whole cluster, from its start to its leaving.
fn log_of_a_life(format: &str) -> String {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut node = Command::new(env!("CARGO_BIN_EXE_gaggle"))
        .args(["run", &free(), "--http", &free(), "--ephemeral", "--exit-with-stdin"])
        .args(["--log-format", format])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = String::new();
    for line in BufReader::new(node.stderr.take().unwrap()).lines().map_while(Result::ok) {
        if line.contains("became Goose") {
            // It is told to go, and says more.
            drop(node.stdin.take());
        }
        log += &(line + "\n");
    }
    assert!(node.wait().unwrap().success(), "{log}");
    log
}

#[test]
fn every_transition_is_one_line_with_its_term_and_reason() {
    let text = log_of_a_life("text");
    let up = "a majority of the voters granted it the lease";
    let transitions: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once(" INFO ").map(|(_, said)| said))
        .filter(|said| said.starts_with("became ") || said.contains("Goose is"))
        .collect();
    let term: u64 =
        transitions[0]["became Goose of term ".len()..].split(':').next().unwrap().parse().unwrap();
    assert_eq!(transitions[0], format!("became Goose of term {term}: {up}"));
    assert!(transitions[1].starts_with("the Goose is node "), "{text}");
    assert_eq!(transitions[2], format!("became Duck, term {term} is over: it is leaving"));
    let gone = format!(", of term {term}, has gone or is silent");
    assert!(
        transitions[3].starts_with("no Goose is known: node ") && transitions[3].ends_with(&gone)
    );
    assert_eq!(transitions.len(), 4, "{text}");

    let json = log_of_a_life("json");
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let reasons: Vec<(&str, bool)> = lines
        .iter()
        .filter(|line| line["message"].as_str().unwrap().starts_with("became "))
        .map(|line| (line["reason"].as_str().unwrap(), line["term"].is_u64()))
        .collect();
    assert_eq!(reasons, [(up, true), ("it is leaving", true)], "{json}");
    assert!(lines.iter().all(|line| line["level"].is_string() && line["timestamp"].is_string()));
}

/// What the README and the guide say to type is understood, and makes sense.
#[test]
fn every_node_that_is_started_in_the_documents_may_be_started() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("src/guide")).unwrap().flatten().map(|it| it.path());
    let mut lines = 0;
    for page in pages
        .chain([root.join("README.md")])
        .filter(|it| it.extension().is_some_and(|it| it == "md"))
    {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("gaggle run ")) {
            let line = line.split(" #").next().unwrap();
            // Files, programs and names are another machine's.
            if [" /", "\"/", "pg_isready", ".example:"].iter().any(|it| line.contains(it)) {
                continue;
            }
            let words = shell_words::split(line).unwrap();
            let mut check = Command::new(env!("CARGO_BIN_EXE_gaggle"));
            let shown = check.arg("check").args(words).env_clear().env("HOME", "/home/duck");
            let shown = shown.env("PATH", std::env::var_os("PATH").unwrap_or_default());
            let shown = shown.output().unwrap();
            assert_eq!(code(&shown), 0, "{}: {line}\n{}", page.display(), text_of(&shown));
            lines += 1;
        }
    }
    assert!(lines >= 5, "{lines} lines");
}

fn text_of(shown: &std::process::Output) -> String {
    text(&shown.stderr) + &text(&shown.stdout)
}

#[test]
fn the_documented_file_is_accepted_and_the_documented_transcript_is_true() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = |start: &str| {
        let (_, rest) = page.split_once(start).expect(start);
        rest.split_once("\n```").unwrap().0.to_owned() + "\n"
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gaggle.toml"), block("```toml\n")).unwrap();
    let transcript =
        block("$ GAGGLE_LEASE=900ms gaggle check --config gaggle.toml --profile lan\n");
    let shown = Command::new(env!("CARGO_BIN_EXE_gaggle"))
        .args(["check", "--config", "gaggle.toml", "--profile", "lan"])
        .env_clear()
        .envs([("GAGGLE_LEASE", "900ms"), ("HOME", "/home/duck")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(text(&shown.stderr) + &text(&shown.stdout), transcript);
    assert_eq!(code(&shown), 0);
}

/// It would fail somewhere in the midst of its start otherwise, or panic.
#[test]
fn whoever_may_open_too_few_files_is_told_so_at_once() {
    for words in ["run 127.0.0.1:0 --ephemeral", "exec 127.0.0.1:0 --alone -- true", "status"] {
        let line = format!("ulimit -n 16; exec {} {words}", env!("CARGO_BIN_EXE_gaggle"));
        let shown = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(
            text(&shown.stderr),
            "gaggle: this process may have 16 files open at once, and needs 32: raise the limit (`ulimit -n`, \
             or LimitNOFILE= in a unit)\n"
        );
        assert_eq!(code(&shown), 1, "{words}");
    }
}
