//! Hooks with real processes: in order, with the term and the reason, and before the end of the
//! lease that they are about.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::Cluster;
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

fn lines(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("lines")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
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
    let second = cluster.wait_for_agreement(&cluster.others(&[goose]), term);
    let next = format!("{} {} goose", second.term, second.goose);
    cluster.wait_until("the next Goose has its hook", |_| {
        lines(&path).iter().any(|line| line.starts_with(&format!("end {next}"))).then_some(())
    });
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
    let on_goose = path.join("nothing").display().to_string();
    let on_duck = hook(&path, "on-duck", "sleep 1000");
    let arguments = ["--on-goose", &on_goose, "--on-duck", &on_duck, "--hook-timeout", "100ms"];
    let (mut cluster, first) = running(three(), &arguments);
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
