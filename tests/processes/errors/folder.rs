//! State folders that cannot be used, and records that do not go with the settings. The ports
//! are taken, and never asked for.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::ports::unprivileged;
use super::{Place, await_line, await_text, last_line, node, skip, stop};
use crate::harness::process::{GAGGLE, free_port};
use crate::harness::{PATIENCE, poll_until};

fn refused(place: &Place, words: &str, code: i32, expected: &str) {
    let output = place.run(&format!("run @addr --http @http {words}"), &[]);
    let line = last_line(&output);
    assert_eq!(line, format!("gaggle: {}", place.filled(expected)), "{words}");
    assert_eq!(output.status.code(), Some(code), "{words}");
}

#[test]
fn a_file_in_the_way() {
    let place = Place::new();
    std::fs::write(place.path("file"), "in the way").unwrap();
    refused(
        &place,
        "--state-dir @dir/file",
        1,
        "cannot create the state folder @dir/file: File exists (os error 17). Something that is no \
         folder is in the way: give another --state-dir",
    );
    refused(
        &place,
        "--state-dir @dir/file/state",
        1,
        "cannot create the state folder @dir/file/state: Not a directory (os error 20). Something \
         that is no folder is in the way: give another --state-dir",
    );
}

#[test]
fn a_folder_of_somebody_else() {
    let place = Place::new();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(place.path("theirs")).unwrap();
    mode(place.folder.path(), 0o755);
    mode(&place.path("theirs"), 0o555);
    let mut command = unprivileged();
    let words = [GAGGLE, "run", "@addr", "--http", "@http", "--state-dir", "@dir/theirs"];
    command.args(words.map(|word| place.filled(word))).env_clear();
    let Ok(output) = command.output() else {
        return skip("a folder of somebody else", "setpriv cannot be started");
    };
    let line = last_line(&output);
    if line.starts_with("setpriv: ") {
        return skip("a folder of somebody else", &line);
    }
    let expected = "gaggle: cannot open the lock @dir/theirs/lock: Permission denied (os error \
                    13). Run as the folder's owner, or give a --state-dir you own";
    assert_eq!((line, output.status.code()), (place.filled(expected), Some(1)));
}

/// Runs `gaggle` with a fresh file system of its own at `state`, prepared by `shell`, if
/// namespaces are to be had here.
fn on_own_file_system(place: &Place, options: &str, shell: &str) -> Option<String> {
    std::fs::create_dir(place.path("state")).unwrap();
    let script = format!(
        "mount -t tmpfs -o {options} none @dir/state && {{ {shell}; }} || exit 77\n\
         exec {GAGGLE} run @addr --http @http --state-dir @dir/state/node"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &place.filled(&script)]);
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            skip("a file system of its own", &error.to_string());
            return None;
        }
    };
    let line = last_line(&output);
    if !line.starts_with("gaggle: ") && output.status.code() != Some(0) {
        skip("a file system of its own", &line);
        return None;
    }
    assert_eq!(output.status.code(), Some(1), "{line}");
    Some(line)
}

#[test]
fn a_read_only_file_system() {
    let place = Place::new();
    let line = on_own_file_system(&place, "size=64k", "mount -o remount,ro @dir/state");
    let expected = "gaggle: cannot create the state folder @dir/state/node: Read-only file system \
                    (os error 30). Give a --state-dir on a writable file system";
    assert_eq!(line.unwrap_or_else(|| place.filled(expected)), place.filled(expected));
}

#[test]
fn a_full_file_system() {
    let place = Place::new();
    let line = on_own_file_system(&place, "size=4k", "true");
    let expected = "gaggle: cannot open the record @dir/state/node/record: No space left on device \
                    (os error 28). Free some space there";
    assert_eq!(line.unwrap_or_else(|| place.filled(expected)), place.filled(expected));
}

/// The same wherever there is a /dev/full.
#[test]
fn a_full_disk() {
    let place = Place::new();
    std::fs::create_dir(place.path("state")).unwrap();
    symlink("/dev/full", place.path("state/record")).unwrap();
    refused(
        &place,
        "--state-dir @dir/state",
        1,
        "cannot open the record @dir/state/record: No space left on device (os error 28). Free \
         some space there",
    );
}

#[test]
fn a_disk_that_is_full_later() {
    let place = Place::new();
    let free = || format!("127.0.0.1:{}", free_port());
    let (address, http) = (free(), free());
    // Whoever writes more than it may is told so instead of killed.
    let script = format!("trap '' XFSZ; exec {GAGGLE} \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, "sh", "run", &address, "--http", &http, "--exit-with-stdin"])
        .arg("--state-dir")
        .arg(place.path("sta\u{1b}[2Jte\n"))
        .stdin(Stdio::piped())
        // Through a pipe: the limit would hit a file.
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let written = Arc::clone(&log);
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            *written.lock().unwrap() += &(line + "\n");
        }
    });
    let said = || log.lock().unwrap().clone();
    let elected = |term| {
        let reason = "a majority of the voters granted it the lease";
        await_text(&said, "INFO", &format!("became Goose of term {term}: {reason}"));
    };
    elected(1);
    let usual = getrlimit(Resource::Fsize);
    let none = Rlimit { current: Some(1), maximum: usual.maximum };
    let process = Pid::from_child(&child);
    prlimit(Some(process), Resource::Fsize, none).unwrap();
    place.run(&format!("step-down --hold 1ms --node http://{http}"), &[]);
    let expected = "cannot write @dir/sta\\u{1b}[2Jte\\n/record: File too large (os error 27): as a voter, this \
                    node grants nothing until it can write again. Make room there or mend the disk";
    await_text(&said, "WARN", &place.filled(expected));
    assert!(!said().contains("became Goose of term 2"), "{}", said());
    prlimit(Some(process), Resource::Fsize, usual).unwrap();
    let again = poll_until(PATIENCE, || {
        (said().matches("became Goose of term").count() == 2).then_some(())
    });
    assert!(again.is_some(), "{}", said());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", said());
    reader.join().unwrap();
}

#[test]
fn a_folder_in_use() {
    let place = Place::new();
    let running = node(&place, 1, &[]);
    await_line(&running, "INFO", "joined the cluster");
    refused(
        &place,
        "--id 1 --state-dir @dir/1/state",
        1,
        "the state folder @dir/1/state is in use by another process: is this node running already? \
         Give each node its own --state-dir",
    );
}

#[test]
fn a_record_that_goes_with_other_settings() {
    let place = Place::new();
    let mut first = node(&place, 1, &["--voters", "1"]);
    await_line(&first, "INFO", "joined the cluster");
    stop(&mut first);
    let ways = [
        (
            "--id 2",
            "the record on disk belongs to node 1 of cluster \"gaggle\", but this is node 2 of \
             cluster \"gaggle\": give each node its own --state-dir, or correct --id or --cluster",
        ),
        (
            "--id 1 --cluster pond",
            "the record on disk belongs to node 1 of cluster \"gaggle\", but this is node 1 of \
             cluster \"pond\": give each node its own --state-dir, or correct --id or --cluster",
        ),
        (
            "--id 1 --voters 1,2,3",
            "the record on disk was founded with voters 1, but --voters says 1,2,3: leave --voters \
             out to go on with the recorded set, or start with an empty --state-dir to found \
             another cluster",
        ),
        (
            "--id 1 --preempt",
            "the record on disk says that this cluster runs without --preempt, which was settled \
             when it was founded: say --preempt=false or leave it out, or start with an empty \
             --state-dir to found another cluster",
        ),
    ];
    for (words, expected) in ways {
        let words = format!("{words} --state-dir @dir/1/state");
        refused(&place, &words, 2, &format!("the state folder @dir/1/state: {expected}"));
    }
}

#[test]
fn a_torn_record() {
    let place = Place::new();
    let mut torn = node(&place, 1, &[]);
    await_line(&torn, "INFO", "joined the cluster");
    stop(&mut torn);
    let record = std::fs::File::options().write(true).open(place.path("1/state/record")).unwrap();
    record.write_all_at(&[0xff; 16], 40).unwrap();
    torn.start();
    await_line(
        &torn,
        "WARN",
        "the record on disk is damaged: going on as if it had been lost. Where there are other \
         voters, this one votes again once all of them have told it what it may have forgotten. \
         Nothing has to be done, unless it happens again: then look to the disk",
    );
    // And goes on.
    let leads = |log: String| {
        log.split_once("is damaged").is_some_and(|(_, rest)| rest.contains("became Goose of term"))
    };
    let found = poll_until(PATIENCE, || leads(torn.log()).then_some(()));
    assert!(found.is_some(), "{}", torn.log());
}
