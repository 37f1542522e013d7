//! Hooks with real processes: in order, with the term and the reason, and before the end of the
//! lease that they are about.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use std::process::{Command, Output, Stdio};

use crate::harness::Cluster;
use crate::harness::process::{GAGGLE, free_port};
use crate::harness::watch::{Leadership, Watch};
use rustix::process::Signal;

/// Between two looks at each node.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(4);

/// A program in `folder` that adds a line to a file, does `more`, and adds another.
fn hook(folder: &Path, name: &str, more: &str) -> String {
    let path = folder.join(name);
    let line = "$GAGGLE_TERM $GAGGLE_NODE_ID $GAGGLE_ROLE $GAGGLE_REASON $1";
    let text = format!(
        "#!/bin/sh\nexec >> {}\necho \"begin {line}\"\n{more}\necho \"end {line}\"\n",
        folder.join("lines").display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{} $HOME", path.display())
}

fn all_lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("lines")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What hooks have said since the nodes have started.
fn lines(folder: &Path) -> Vec<String> {
    let mut lines = all_lines(folder);
    lines.retain(|line| !line.contains(" started "));
    lines
}

/// A cluster with hooks, and its first Goose.
fn running(mut cluster: Cluster, arguments: &[&str]) -> (Cluster, Leadership) {
    // On a busy machine a shorter lease may be renewed late.
    cluster.give_all(&["--lease", "2s"]);
    cluster.give_all(arguments);
    for id in cluster.ids() {
        cluster.start(id);
    }
    let leadership = cluster.wait_for_agreement(&cluster.ids(), 0);
    (cluster, leadership)
}

fn three() -> Cluster {
    Cluster::new(&[1, 2, 3], &[1, 2, 3], Watch::new(SAMPLE_INTERVAL, true))
}

/// Waits until this line is there.
fn wait_for(cluster: &Cluster, folder: &Path, line: &str) {
    cluster.wait_until(&format!("a hook says {line}"), |_| {
        lines(folder).iter().any(|said| said == line).then_some(())
    });
}

/// Waits until another node than `goose` leads above `term`, and its hook on-goose has run: who, and how
/// the lines of that hook begin after their first word.
fn wait_for_next(cluster: &Cluster, folder: &Path, goose: u64, term: u64) -> (Leadership, String) {
    let next = cluster.wait_for_agreement(&cluster.others(&[goose]), term);
    let words = format!("{} {} goose", next.term, next.goose);
    let end = format!("end {words}");
    cluster.wait_until("the next Goose has its hook", |_| {
        lines(folder).iter().any(|line| line.starts_with(&end)).then_some(())
    });
    (next, words)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn a_hand_over_waits_for_the_hook_of_the_demotion() {
    let (_folder, path) = folder();
    let on_goose = hook(&path, "on-goose", "");
    let on_duck = hook(&path, "on-duck", "sleep 0.3");
    let (mut cluster, first) = running(three(), &["--on-goose", &on_goose, "--on-duck", &on_duck]);
    let Leadership { goose, term, .. } = first;
    wait_for(&cluster, &path, &format!("end {term} {goose} goose elected $HOME"));
    cluster.signal(goose, Signal::TERM);
    cluster.wait(goose);
    let (_, next) = wait_for_next(&cluster, &path, goose, term);
    let said = lines(&path);
    assert_eq!(said.len(), 6, "{said:?}");
    // No shell has read the line.
    assert_eq!(said[0], format!("begin {term} {goose} goose elected $HOME"));
    assert_eq!(said[1], format!("end {term} {goose} goose elected $HOME"));
    assert_eq!(said[2], format!("begin {term} {goose} duck stepping-down $HOME"));
    assert_eq!(said[3], format!("end {term} {goose} duck stepping-down $HOME"));
    assert!(said[4].starts_with(&format!("begin {next}")), "{said:?}");
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn the_keeper_runs_the_hook_of_a_dead_node_and_the_next_goose_waits_for_it() {
    let (_folder, path) = folder();
    let on_goose = hook(&path, "on-goose", "");
    let on_duck = hook(&path, "on-duck", "sleep 0.3");
    let (mut cluster, first) = running(three(), &["--on-goose", &on_goose, "--on-duck", &on_duck]);
    let Leadership { goose, term, .. } = first;
    wait_for(&cluster, &path, &format!("end {term} {goose} goose elected $HOME"));
    cluster.kill(goose);
    let (second, next) = wait_for_next(&cluster, &path, goose, term);
    let said = lines(&path);
    assert_eq!(said.len(), 6, "{said:?}");
    assert_eq!(said[2], format!("begin {term} {goose} duck died $HOME"));
    assert_eq!(said[3], format!("end {term} {goose} duck died $HOME"));
    assert!(said[4].starts_with(&format!("begin {next}")), "{said:?}");
    // A Duck has nothing to undo.
    let duck = cluster.others(&[second.goose])[0];
    cluster.kill(duck);
    cluster.signal(second.goose, Signal::TERM);
    cluster.wait(second.goose);
    let said = lines(&path);
    assert_eq!(said.len(), 8, "{said:?}");
    assert!(said[6].ends_with("duck stepping-down $HOME"), "{said:?}");
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn the_hook_of_a_demotion_starts_before_the_deadline_though_the_other_still_runs() {
    let (_folder, path) = folder();
    let on_goose = hook(&path, "on-goose", "sleep 1000");
    let on_duck = hook(&path, "on-duck", "");
    let cluster = Cluster::relayed(&[1, 2, 3], &[1, 2, 3], Watch::new(SAMPLE_INTERVAL, true));
    let (cluster, first) = running(
        cluster,
        &["--on-goose", &on_goose, "--on-duck", &on_duck, "--hook-timeout", "20s"],
    );
    let Leadership { goose, term, .. } = first;
    wait_for(&cluster, &path, &format!("begin {term} {goose} goose elected $HOME"));
    cluster.relay().isolate(goose);
    wait_for(&cluster, &path, &format!("begin {term} {goose} duck lease-runs-out $HOME"));
    let log = cluster.node(goose).log();
    cluster.wait_until("the term ends", |cluster| {
        cluster.node(goose).log().contains("became Duck").then_some(())
    });
    let place = |text: &str| {
        let log = cluster.node(goose).log();
        log.find(text).unwrap_or_else(|| panic!("{text} is not in {log}"))
    };
    assert!(log.contains("the hook on-duck starts"));
    assert!(place("the hook on-duck starts") < place("became Duck"));
    assert!(!lines(&path).iter().any(|line| line.starts_with("end") && line.contains("goose")));
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_hook_that_runs_for_too_long_or_cannot_run_holds_nobody_up() {
    let (_folder, path) = folder();
    // It is there and executable, and its interpreter is not.
    let on_goose = path.join("nothing");
    fs::write(&on_goose, "#!/no/such/shell\n").unwrap();
    fs::set_permissions(&on_goose, fs::Permissions::from_mode(0o755)).unwrap();
    let on_duck = hook(&path, "on-duck", "sleep 1000");
    let arguments = ["--on-goose", &on_goose.display().to_string(), "--on-duck", &on_duck];
    let mut cluster = three();
    cluster.give_all(&["--hook-timeout", "100ms", "--on-hook-failure", "stay"]);
    let (mut cluster, first) = running(cluster, &arguments);
    cluster.wait_until("the missing hook is complained of", |cluster| {
        cluster.node(first.goose).log().contains("cannot be started").then_some(())
    });
    cluster.signal(first.goose, Signal::TERM);
    cluster.wait(first.goose);
    assert!(cluster.node(first.goose).log().contains("killed"), "{}", cluster.logs());
    cluster.wait_for_agreement(&cluster.others(&[first.goose]), first.term);
    assert!(!lines(&path).iter().any(|line| line.starts_with("end")));
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_node_cleans_up_after_its_previous_life_before_it_joins() {
    let (_folder, path) = folder();
    let on_duck = hook(&path, "on-duck", "test \"$GAGGLE_REASON\" = started && exit 1");
    let (mut cluster, first) = running(three(), &["--on-duck", &on_duck]);
    let goose = first.goose;
    let begin = format!("begin 0 {goose} duck started $HOME");
    let said = |path: &Path| all_lines(path).iter().filter(|line| **line == begin).count();
    assert_eq!(said(&path), 1, "once, and failing it keeps nobody from starting");
    cluster.kill(goose);
    cluster.wait_for_agreement(&cluster.others(&[goose]), first.term);
    cluster.start(goose);
    // The log is written a moment after what it speaks of.
    cluster.wait_until("it is back and has said so", |cluster| {
        let log = cluster.node(goose).log();
        let again = log.rfind("-- start")?;
        log[again..].contains(" of cluster ").then_some(())
    });
    assert_eq!(said(&path), 2, "{:?}", all_lines(&path));
    let log = cluster.node(goose).log();
    let again = log.rfind("-- start").unwrap();
    let place = |text: &str| log[again..].find(text).unwrap_or_else(|| panic!("{text}: {log}"));
    assert!(
        place("the hook on-duck starts (started)") < place(&format!("node {goose} of cluster"))
    );
    assert!(place("the hook on-duck has failed") < place(&format!("node {goose} of cluster")));
}

#[test]
fn a_node_whose_hook_fails_lets_another_one_lead() {
    let (_folder, path) = folder();
    // Nobody else fails.
    let on_goose = hook(&path, "on-goose", "test $GAGGLE_NODE_ID = 3 && exit 5");
    let on_duck = hook(&path, "on-duck", "");
    let mut cluster = three();
    // The highest leads.
    cluster.give_all(&["--lease", "2s", "--on-goose", &on_goose, "--on-duck", &on_duck]);
    cluster.start_highest_first();
    cluster.wait_until("another one leads, and its hook is done", |_| {
        let is_done = |line: &&String| line.starts_with("end") && line.contains(" goose ");
        lines(&path).iter().find(is_done).map(|_| ())
    });
    let said = lines(&path);
    let of = |start: &str| said.iter().position(|line| line.starts_with(start));
    let failed = said.iter().position(|line| line.contains(" 3 goose "));
    if let Some(failed) = failed {
        let term = said[failed].split(' ').nth(1).unwrap();
        let left = of(&format!("end {term} 3 duck hook-failed"));
        let left = left.unwrap_or_else(|| panic!("{said:?}\n{}", cluster.logs()));
        let next = said.iter().position(|line| {
            line.starts_with("begin") && line.contains(" goose ") && !line.contains(" 3 goose ")
        });
        assert!(failed < left && Some(left) < next, "{said:?}");
        let log = cluster.node(3).log();
        assert!(
            log.contains("does not lead: the hook on-goose has failed: exit status: 5"),
            "{log}"
        );
    }
    cluster.assert_one_goose_at_a_time();
}

#[test]
fn a_node_that_is_to_stay_stays_though_its_hook_fails() {
    let mut cluster = three();
    cluster.give_all(&["--on-hook-failure", "stay"]);
    let (cluster, first) = running(cluster, &["--on-goose", "false"]);
    cluster.wait_until("the hook has failed", |cluster| {
        cluster.node(first.goose).log().contains("on-goose has failed").then_some(())
    });
    let status = cluster.status(first.goose).unwrap();
    assert!(status.is_goose() && status.term == first.term, "{}", cluster.logs());
    let told = cluster.get(first.goose, "/v1/status").unwrap().body;
    assert!(!String::from_utf8_lossy(&told).contains("unhealthy"));
}

/// What a node says that is started with these words alone.
fn refused(words: &[&str]) -> (Option<i32>, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let output: Output = Command::new(GAGGLE)
        .args(["run", &address, "--ephemeral", "--http", &format!("127.0.0.1:{}", free_port())])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_hook_that_cannot_run_is_refused_at_the_start_in_one_line() {
    for (words, expected) in [
        (
            ["--on-goose", "/no/such/program x"],
            "gaggle: --on-goose: /no/such/program cannot be run: there is no such program. Correct its \
             path, or its permissions\n",
        ),
        (
            ["--on-duck", "/etc/passwd"],
            "gaggle: --on-duck: /etc/passwd cannot be run: it is not executable. Correct its path, or its \
             permissions\n",
        ),
        (
            ["--health", "no-such-duck -x"],
            "gaggle: --health: no-such-duck cannot be run: there is no such program. Correct its path, or \
             its permissions\n",
        ),
        (
            ["--on-goose", "echo 'two words"],
            "gaggle: --on-goose: a quote is not closed: quote arguments as for a shell, like --on-goose \
             \"/bin/echo 'two words'\"\n",
        ),
        (
            ["--health", "https://localhost/"],
            "gaggle: --health: \"https://localhost/\" is no URL that can be asked: write one like \
             http://127.0.0.1:8080/healthz, or name a command (curl speaks HTTPS)\n",
        ),
    ] {
        assert_eq!(refused(&words), (Some(2), expected.to_owned()));
    }
}

#[test]
fn arguments_are_quoted_on_the_command_line_and_are_a_list_in_the_file() {
    let (_folder, path) = folder();
    let program = path.join("with space");
    let text = format!("#!/bin/sh\necho \"$1|$2\" >> '{}'\n", path.join("lines").display());
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.display();
    let file = path.join("gaggle.toml");
    fs::write(&file, format!("on-duck = ['{program}', 'a list', '']\n")).unwrap();
    let quoted = format!("'{program}' \"quoted words\" it\\'s");
    let mut cluster = three();
    cluster.give(1, &["--config", &file.display().to_string()]);
    cluster.give(2, &["--on-duck", &quoted]);
    for id in [1, 2, 3] {
        cluster.start(id);
    }
    cluster.wait_for_agreement(&[1, 2, 3], 0);
    let mut said = all_lines(&path);
    said.sort();
    assert_eq!(said[..2], ["a list|", "quoted words|it's"], "{said:?}");
}
