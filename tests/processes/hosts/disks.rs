//! Disks that stand still, fill up or turn read-only under voters. A renewal writes nothing, so
//! whoever leads goes on; a grant that changes anything is durable first, so nobody new leads
//! while most disks stand still.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::long;
use super::node::{Cluster, without};
use super::sandbox::{self, disk, try_tool};

/// For how long disks stand still.
fn silence() -> Duration {
    Duration::from_secs(if long() { 60 } else { 4 })
}

/// A file system of its own on a loop device. It thaws when this is dropped: a process that
/// waits for it cannot be killed.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// None, and said why, where there are no loop devices.
    fn make(name: &str) -> Option<Self> {
        let (folder, image) = (disk(name), format!("/run/{name}.image"));
        std::fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        let mount = ["mount", "-o", "loop", &image, folder.to_str().unwrap()];
        let made = try_tool(&["mkfs.ext4", "-q", &image]).and_then(|_| try_tool(&mount));
        match made {
            Ok(_) => Some(Self { folder }),
            Err(complaint) => {
                sandbox::skip(complaint.trim());
                None
            }
        }
    }

    fn freeze(&self) {
        sandbox::tool(&["fsfreeze", "--freeze", self.folder.to_str().unwrap()]);
    }

    fn thaw(&self) {
        // It may not be frozen.
        let _ = try_tool(&["fsfreeze", "--unfreeze", self.folder.to_str().unwrap()]);
    }

    /// What the file system does by itself when it finds its device broken.
    fn turn_read_only(&self) {
        sandbox::tool(&["mount", "-o", "remount,abort", self.folder.to_str().unwrap()]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.thaw();
    }
}

/// Three voters, each with a disk of its own; and who leads.
fn prepared() -> Option<(Vec<Disk>, Cluster, u8, u64)> {
    let mut cluster = Cluster::voters(3);
    let mut disks = Vec::new();
    for host in [1, 2, 3] {
        let disk = Disk::make(&format!("disk{host}"))?;
        cluster.node(host).state = disk.folder.join("state");
        disks.push(disk);
    }
    cluster.start_all();
    let (goose, term) = cluster.lead(&[1, 2, 3], 0);
    Some((disks, cluster, goose, term))
}

fn of(host: u8) -> usize {
    usize::from(host) - 1
}

/// The Goose keeps its term while the disks of `frozen` stand still.
fn same_term(cluster: &mut Cluster, goose: u8, term: u64) {
    let began = Instant::now();
    while began.elapsed() < silence() {
        let status = cluster.status(goose);
        let leads = status.is_none_or(|status| status.is_goose() && status.term == term);
        assert!(leads, "after {:?}\n{}", began.elapsed(), cluster.logs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_frozen_disk_of_one_voter_disturbs_nobody() {
    sandbox::run(|| {
        let Some((disks, mut cluster, goose, term)) = prepared() else { return };
        for host in [without(goose)[0], goose] {
            disks[of(host)].freeze();
            same_term(&mut cluster, goose, term);
            disks[of(host)].thaw();
        }
        cluster.agree(&[1, 2, 3], 0);
        // Of the two that are left, one cannot write.
        let others = without(goose);
        disks[of(others[0])].freeze();
        cluster.kill(goose);
        let deadline = Instant::now() + silence();
        while Instant::now() < deadline {
            let leads = others.iter().filter_map(|host| cluster.status(*host));
            assert!(leads.into_iter().all(|status| !status.is_goose()), "{}", cluster.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
        disks[of(others[0])].thaw();
        let (_, next) = cluster.lead(&others, term);
        cluster.start(goose);
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, next);
        cluster.judge();
    });
}

#[test]
fn frozen_disks_of_all_voters_keep_the_goose_and_make_no_other() {
    sandbox::run(|| {
        let Some((disks, mut cluster, goose, term)) = prepared() else { return };
        let others = without(goose);
        disks.iter().for_each(Disk::freeze);
        same_term(&mut cluster, goose, term);
        cluster.remember(goose);
        cluster.node(goose).signal(Signal::STOP);
        let deadline = Instant::now() + silence();
        while Instant::now() < deadline {
            let leads = others.iter().filter_map(|host| cluster.status(*host));
            assert!(leads.into_iter().all(|status| !status.is_goose()), "{}", cluster.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
        disks.iter().for_each(Disk::thaw);
        cluster.lead(&others, term);
        cluster.node(goose).signal(Signal::CONT);
        cluster.lead(&[1, 2, 3], term);
        cluster.judge();
    });
}

#[test]
fn a_disk_that_turns_read_only_takes_one_vote_and_says_so() {
    sandbox::run(|| {
        let Some((disks, mut cluster, goose, term)) = prepared() else { return };
        let others = without(goose);
        disks[of(others[0])].turn_read_only();
        same_term(&mut cluster, goose, term);
        // Its vote is wanted, and cannot be had.
        cluster.kill(goose);
        cluster.wait_until("it says that it cannot write", |cluster| {
            cluster.node(others[0]).log().contains("Read-only").then_some(())
        });
        cluster.start(goose);
        // It may lead all the same, on the votes of the other two.
        cluster.lead(&[1, 2, 3], term);
        cluster.judge();
    });
}

/// What a voter has was lost, and there is no room for anything new.
#[test]
fn a_full_disk_takes_one_vote_and_the_others_lead() {
    sandbox::run(|| {
        let mut cluster = Cluster::voters(3);
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        let full = without(goose)[0];
        cluster.kill(full);
        let folder = disk("full");
        let path = folder.to_str().unwrap().to_owned();
        sandbox::tool(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", &path]);
        // It fails when there is no room left.
        let _ = std::fs::write(folder.join("ballast"), vec![0; 128 << 10]);
        cluster.node(full).state = folder.join("state");
        cluster.start(full);
        cluster.wait_until("it says that the disk is full", |cluster| {
            cluster.node(full).log().contains("No space left").then_some(())
        });
        assert_eq!(cluster.lead(&without(full), 0), (goose, term), "{}", cluster.logs());
        std::fs::remove_file(folder.join("ballast")).unwrap();
        if cluster.node(full).wait(Duration::ZERO).is_none() {
            cluster.terminate(full);
        }
        cluster.start(full);
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, term, "{}", cluster.logs());
        cluster.judge();
    });
}
