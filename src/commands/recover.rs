//! `gaggle voters recover`: a person says that a majority of the voters is gone for ever, and what is
//! left goes on as a cluster of its own. See [`crate::node::rescue`].

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::arguments::{OutputFormat, RecoverArguments};
use super::{CommandError, Exit, environment, log, print};
use crate::config;
use crate::config::checked::Storage;
use crate::node::rescue::{Rescue, RescueError, rescue};
use crate::shell::store::{StateFolder, Store, StoreError};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::time::WallTime;
use crate::wire::record::Disk;

/// Why nothing was rescued. Nothing was written, where nothing else is said.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecoverError {
    /// Nothing is remembered.
    #[error("this node keeps no state (--ephemeral), so it knows of no cluster")]
    Ephemeral,
    /// No node was ever started there.
    #[error(
        "no node was ever started in {0}: give the settings that this node is started with, or its \
         --state-dir"
    )]
    NeverStarted(PathBuf),
    /// What is there cannot be read whole.
    #[error(
        "the record in {folder} is damaged, so what this node promised is lost: rescue another survivor, \
         and start this node with an empty state folder{}",
        restorable(copy.as_deref())
    )]
    Damaged {
        /// Where.
        folder: PathBuf,
        /// What an earlier rescue has left there.
        copy: Option<PathBuf>,
    },
    /// Another node's.
    #[error(
        "the record in {folder} is that of node {recorded}, and these settings are node {own}'s"
    )]
    NotOurs {
        /// Where.
        folder: PathBuf,
        /// Whose it is.
        recorded: NodeId,
        /// Whose it should be.
        own: NodeId,
    },
    /// The folder cannot be used; perhaps the node runs.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] RescueError),
    /// The disk takes no record. What it holds is the one from before, the rescued one, or a torn one.
    #[error("{0}: do it again once that is mended, before this node is started")]
    Unwritten(String),
}

/// How a rescue that was cut short is begun again.
fn restorable(copy: Option<&Path>) -> String {
    let said = |copy: &Path| {
        format!(
            ". If that came of a rescue that was cut short, and this node has not run since: put {} in its \
             place, and rescue it again",
            copy.display()
        )
    };
    copy.map(said).unwrap_or_default()
}

impl RecoverError {
    /// Whether the settings are to blame, and not the state folder.
    pub(super) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Ephemeral | Self::NeverStarted(_) | Self::NotOurs { .. } | Self::Refused(_)
        )
    }
}

/// Rescues what is left in the state folder of a node that does not run. Without `--yes` it says what
/// it would do, and what whoever says `--yes` swears to.
pub(super) fn recover(arguments: &RecoverArguments) -> Result<Exit, CommandError> {
    let checked = config::check(&arguments.run, &environment([0; 32]))?;
    let Storage::Folder(path) = &checked.storage else {
        return Err(RecoverError::Ephemeral.into());
    };
    if !StateFolder::was_used(path) {
        return Err(RecoverError::NeverStarted(path.clone()).into());
    }
    let (mut folder, disk) = StateFolder::open(path).map_err(RecoverError::from)?;
    let record = match disk {
        Disk::Sound(record) => record,
        Disk::Empty | Disk::Ephemeral => {
            return Err(RecoverError::NeverStarted(path.clone()).into());
        }
        Disk::Damaged(_) => {
            let copy = StateFolder::copied_before_rescue(path);
            return Err(RecoverError::Damaged { folder: path.clone(), copy }.into());
        }
    };
    let own = checked.setup.id;
    if record.id != own || record.cluster != checked.setup.cluster {
        let (folder, recorded) = (path.clone(), record.id);
        return Err(RecoverError::NotOurs { folder, recorded, own }.into());
    }
    let now = SystemTime::now();
    let mut lost = arguments.lost.clone();
    lost.sort_unstable();
    lost.dedup();
    let done = rescue(&record, &lost, wall_clock(now)).map_err(RecoverError::from)?;
    let text = match arguments.output {
        OutputFormat::Table => {
            let may_lead = checked.setup.eligible && !record.is_drained;
            table(&done, &lost, now, may_lead) + if arguments.yes { "\nDone.\n" } else { "" }
        }
        OutputFormat::Json => format!("{:#}\n", json(&done, &lost, arguments.yes)),
    };
    if !arguments.yes {
        print(&text)?;
        log::say("gaggle: nothing was changed: say --yes, too, if that is so");
        return Ok(Exit::Usage);
    }
    let unwritten = |error: std::io::Error| {
        RecoverError::Unwritten(format!("cannot copy the record in {}: {error}", path.display()))
    };
    folder.copy_before_rescue().map_err(unwritten)?;
    // Twice, for the record has two slots, and what is left if one rots must not be the old one.
    for _ in 0..2 {
        folder.store(&done.record).map_err(RecoverError::Unwritten)?;
    }
    print(&text)?;
    Ok(Exit::Done)
}

fn wall_clock(now: SystemTime) -> WallTime {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The clock of a start, which is its number unless others knew of a later one.
fn moment(start: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(start));
    let at = at.filter(|at| *at < SystemTime::now() + FAR);
    at.map_or_else(
        || "beyond every calendar".to_owned(),
        |at| humantime::format_rfc3339_seconds(at).to_string(),
    )
}

/// What no clock of a machine is ahead by.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Ids as people read them in a sentence.
fn list(ids: &[NodeId]) -> String {
    ids.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}

/// What is to be done next.
fn next_step(done: &Rescue, may_lead: bool) -> String {
    let (own, left) = (done.record.id, done.after.voters.ids());
    let others: Vec<NodeId> = left.iter().copied().filter(|id| *id != own).collect();
    let mut text = if !done.before.voters.contains(own) {
        "Do this on this node alone: on two, it makes two clusters. Then start it. ".to_owned()
    } else if others.is_empty() {
        "Then start this node. ".to_owned()
    } else {
        format!(
            "Do the same on {}, with the same --lost, and start them all: nobody leads before a majority \
             of them is there. ",
            list(&others)
        )
    };
    text += if may_lead {
        "It can lead after a few seconds; nodes without a vote follow by themselves."
    } else {
        "It votes, but it is drained, or started with --never-goose, so it does not lead: `gaggle drain \
         --off`, or another node leads, once one follows."
    };
    text
}

fn table(done: &Rescue, lost: &[NodeId], now: SystemTime, may_lead: bool) -> String {
    let Rescue { record, ancestor, lineage, before, after } = done;
    format!(
        "cluster      {cluster}, lineage {ancestor}\n\
         voters       {voters}; version {version}, made in term {term}\n\
         lost         {lost}\n\
         from now on  {left} under lineage {lineage}, in terms above {floor}\n\
         clock        {clock}, from which the terms come: it must be right\n\
         last start   {last_start}, by this machine's clock of then\n\n\
         With --yes you swear that {lost} will never lead again. If one of them still runs somewhere, two \
         nodes may lead at the same time. A survivor that shows a higher version knows better who votes: \
         rescue the cluster there. The lost ones may come back with empty state folders only.\n\n\
         {next}\n",
        cluster = record.cluster,
        voters = list(before.voters.ids()),
        version = before.version,
        term = before.ballot,
        lost = list(lost),
        left = list(after.voters.ids()),
        floor = after.ballot,
        clock = humantime::format_rfc3339_seconds(now),
        last_start = moment(record.last_start),
        next = next_step(done, may_lead),
    )
}

fn json(done: &Rescue, lost: &[NodeId], is_written: bool) -> serde_json::Value {
    let Rescue { record, ancestor, lineage, before, after } = done;
    json!({
        "cluster": record.cluster.as_str(),
        "id": record.id,
        "lost": lost,
        "before": {
            "lineage": ancestor.to_string(),
            "voters": before.voters.ids(),
            "version": before.version,
            "term": before.ballot,
        },
        "after": {
            "lineage": lineage.to_string(),
            "voters": after.voters.ids(),
            "version": after.version,
            "terms_above": after.ballot,
        },
        "written": is_written,
    })
}
