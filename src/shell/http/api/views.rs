//! The JSON that a node shows: one struct per document, fields in the order in which they
//! are written. All of them are computed from a snapshot and one reading of the holder clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::date::written;
pub use super::voters::{AwaitedView, ChangeView, VoterView, VotersView};
pub use super::words::{Role, State, scheme};
use crate::shell::history::{Complaint, History};
use crate::shell::process_usage::ProcessUsage;
use crate::shell::pulse::{self, Pulse};
use crate::vocabulary::identity::{NodeId, Process};
use crate::vocabulary::metadata::Tags;
use crate::vocabulary::node_name::called;
use crate::vocabulary::snapshot::{MemberState, Snapshot, VotersView as SnapshotVoters};
use crate::vocabulary::time::{HolderTime, WallTime, milliseconds};

/// A node without an answer says something this often, for it seeks its cluster.
const HEARD_LATELY: Duration = Duration::from_secs(5);

/// `/v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusView {
    /// The cluster's name.
    pub cluster: String,
    /// The number of its founding, by which clusters of one name differ; null until it is settled.
    #[serde(default)]
    pub lineage: Option<String>,
    /// Rises with every change.
    pub index: u64,
    /// Of the software.
    pub version: String,
    /// The node asked.
    pub node: NodeView,
    /// Its role at the moment of the answer.
    pub role: Role,
    /// Of its lease; on a Duck the highest term it knows.
    pub term: u64,
    /// On the Goose, what is left of its lease.
    pub lease: Option<LeaseView>,
    /// The Goose this node knows of, if its evidence has not run out.
    pub goose: Option<GooseBrief>,
    /// Null until the node knows them.
    pub voters: Option<VotersBrief>,
    /// How many members are in which state.
    pub members: MemberCounts,
    /// What the node asked has warned of lately. Written only if there is anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<WarningView>,
}

/// Something that a person should look at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WarningView {
    /// When it was said last, by the clock of the node asked.
    pub time: String,
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
    /// Whether something does not work, or not for long.
    pub severe: bool,
    /// What is wrong, and what to do.
    pub words: String,
}

/// The node that answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its process start.
    pub boot: String,
    /// Its gossip and election address.
    pub addr: SocketAddr,
    /// Its HTTP address.
    pub http: Option<SocketAddr>,
    /// Its HTTP is over TLS. Written only if it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub http_tls: bool,
    /// Its tags. Written only if there are any: the shape without is what was promised.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// How long the process has run, in milliseconds.
    pub uptime_ms: u64,
    /// How long ago its driver came round, in milliseconds: up to a second where it has nothing
    /// to do, and from three on it is stuck. Older versions do not say: 0.
    #[serde(default)]
    pub driver_age_ms: u64,
    /// How long a write to its disk has been under way, in milliseconds. Written only if that is
    /// more than a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_hangs_ms: Option<u64>,
    /// For how long it still holds back from contending, in milliseconds: after a step-down, or a
    /// claim that failed. Written only if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_back_ms: Option<u64>,
    /// For how long, as Goose, it still makes way for nobody by choice, in milliseconds. Written
    /// only if it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_ms: Option<u64>,
    /// It votes, but holds back until told otherwise. Written only if it does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drained: bool,
    /// Why it is not healthy, and so does not lead. Written only if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<String>,
}

impl NodeView {
    /// Its id and its name, for a sentence.
    pub fn called(&self) -> String {
        called(self.id, self.name.as_deref())
    }

    /// How long its driver has not come round, if that is too long.
    pub fn stuck_for(&self) -> Option<Duration> {
        let age = Duration::from_millis(self.driver_age_ms);
        (age >= pulse::LIMIT).then_some(age)
    }
}

/// A lease that is still valid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseView {
    /// What is left of it, in milliseconds.
    pub remaining_ms: u64,
    /// The lease asked for, in milliseconds.
    pub duration_ms: u64,
}

/// The Goose, in the status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GooseBrief {
    /// Its id.
    pub id: NodeId,
    /// Its name, if the node asked has learnt one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its gossip and election address.
    pub addr: SocketAddr,
    /// Its HTTP address.
    pub http: Option<SocketAddr>,
    /// Its HTTP is over TLS. Written only if it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub http_tls: bool,
    /// Its term.
    pub term: u64,
}

impl GooseBrief {
    /// Its id and its name, for a sentence.
    pub fn called(&self) -> String {
        called(self.id, self.name.as_deref())
    }
}

/// The voters, in the status.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VotersBrief {
    /// Of the configuration.
    pub version: u64,
    /// Who votes.
    pub ids: Vec<NodeId>,
    /// Who of them answered lately; a voter always reaches itself.
    pub reachable: Vec<NodeId>,
    /// How many make a majority.
    pub majority: usize,
    /// Whether the node asked votes.
    pub is_voter: bool,
}

/// How many members gossip knows, by state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MemberCounts {
    /// Answer probes.
    pub alive: usize,
    /// Did not answer lately.
    pub suspect: usize,
    /// Declared down.
    pub down: usize,
    /// Said goodbye. Written only if there are any: the shape without is what was promised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// `/v1/goose`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GooseView {
    /// Its id.
    pub id: NodeId,
    /// Its name, if the node asked has learnt one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its gossip and election address.
    pub addr: SocketAddr,
    /// Its HTTP address.
    pub http: Option<SocketAddr>,
    /// Its HTTP is over TLS. Written only if it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub http_tls: bool,
    /// Its tags. Written only if there are any that the node asked has learnt.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Its term.
    pub term: u64,
    /// When the evidence runs out, in milliseconds from now.
    pub expires_in_ms: u64,
    /// How old the evidence is, in milliseconds.
    pub age_ms: u64,
}

impl GooseView {
    /// Its id and its name, for a sentence.
    pub fn called(&self) -> String {
        called(self.id, self.name.as_deref())
    }
}

/// `/v1/members`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MembersView {
    /// Lowest id first.
    pub members: Vec<MemberView>,
}

/// One member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberView {
    /// Its id.
    pub id: NodeId,
    /// Its name; null if it has none, or until the node asked has learnt it.
    #[serde(default)]
    pub name: Option<String>,
    /// Its gossip and election address.
    pub addr: SocketAddr,
    /// Its process start.
    pub boot: String,
    /// What gossip says of it.
    pub state: State,
    /// Whether it may become Goose. One that is drained or not healthy may not.
    pub eligible: bool,
    /// The node asked, and it holds back until told otherwise. Written only if it does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drained: bool,
    /// The node asked, and why it is not healthy. Written only if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<String>,
    /// As far as the node asked knows.
    pub role: Role,
    /// It does not answer at `addr`, and yet datagrams of it come from here. Written only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaks_from: Option<SocketAddr>,
    /// Its HTTP address; null if it has none, or if the node asked has not learnt it yet.
    #[serde(default)]
    pub http: Option<SocketAddr>,
    /// Its HTTP is over TLS. Written only if it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub http_tls: bool,
    /// Its tags; null until the node asked has learnt them.
    #[serde(default)]
    pub tags: Option<BTreeMap<String, String>>,
}

impl MemberView {
    /// Its id and its name, for a sentence.
    pub fn called(&self) -> String {
        called(self.id, self.name.as_deref())
    }
}

/// The snapshot at one moment: what every view is made from.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The newest snapshot.
    pub snapshot: &'a Snapshot,
    /// The holder clock, read after the snapshot was taken.
    pub now: HolderTime,
    /// The wall clock, for people and for other machines.
    pub wall: WallTime,
    /// A voter counts as reachable if its last answer is no older than this.
    pub reachable_within: Duration,
    /// What happened before.
    pub history: &'a History,
    /// When the driver came round last.
    pub pulse: Pulse,
    /// Lines of the process's log that were dropped.
    pub log_lines_dropped: u64,
    /// How what the process uses is read. Only `/metrics` calls it: it takes system calls.
    pub process_usage: fn() -> ProcessUsage,
    /// When the certificate ends with which HTTP is served, in seconds since 1970, if there is one.
    pub certificate_expires: Option<u64>,
}

/// Whether a node with these tags serves HTTP over TLS. The address of the Goose comes with its lease
/// and so before its tags: until those are here, it is taken to do as this node does.
pub(super) fn speaks_tls(snapshot: &Snapshot, tags: Option<&Tags>) -> bool {
    tags.unwrap_or(&snapshot.tags).tell_tls()
}

impl Moment<'_> {
    /// Whether the driver came round lately: without that nothing is known of the node but its
    /// lease.
    pub fn has_pulse(&self) -> bool {
        self.pulse.is_felt(self.now)
    }

    /// What people call a node.
    pub(super) fn name_of(&self, id: NodeId) -> Option<String> {
        self.snapshot.name_of(id).map(|name| name.as_str().to_owned())
    }

    fn uptime_ms(&self, at: HolderTime) -> u64 {
        milliseconds(at.since(self.snapshot.started))
    }

    /// It changes with the uptime's milliseconds and at no other instant, so that a status can be
    /// kept as long as before.
    fn driver_age_ms(&self) -> u64 {
        self.uptime_ms(self.now).saturating_sub(self.uptime_ms(self.pulse.last))
    }

    /// For how long the node's disk has not answered, if that is long. As above.
    fn disk_hangs_ms(&self) -> Option<u64> {
        let since = self.uptime_ms(self.snapshot.store_slow?);
        Some(self.uptime_ms(self.now).saturating_sub(since))
    }

    /// What is left until then, if anything is. As above.
    fn left_ms(&self, until: Option<HolderTime>) -> Option<u64> {
        let until = self.uptime_ms(until?);
        Some(until.saturating_sub(self.uptime_ms(self.now))).filter(|left| *left > 0)
    }

    /// `/v1/status`.
    pub fn status(&self) -> StatusView {
        let snapshot = self.snapshot;
        let lease = snapshot.lease_at(self.now);
        StatusView {
            cluster: snapshot.cluster.to_string(),
            lineage: snapshot.lineage.map(|lineage| lineage.to_string()),
            index: snapshot.index,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: NodeView {
                id: snapshot.process.id,
                name: self.name_of(snapshot.process.id),
                boot: snapshot.process.boot.to_string(),
                addr: snapshot.address,
                http: snapshot.http,
                http_tls: snapshot.tags.tell_tls(),
                tags: snapshot.tags.given(),
                uptime_ms: self.uptime_ms(self.now),
                driver_age_ms: self.driver_age_ms(),
                disk_hangs_ms: self.disk_hangs_ms(),
                holds_back_ms: self.left_ms(snapshot.holds_back_until),
                paused_ms: self.left_ms(snapshot.paused_until.filter(|_| lease.is_some())),
                drained: snapshot.is_drained,
                unhealthy: snapshot.unhealthy.clone(),
            },
            role: Role::of(snapshot, self.now),
            term: lease.map_or(snapshot.term, |lease| lease.term),
            lease: lease.map(|lease| LeaseView {
                remaining_ms: milliseconds(lease.deadline.since(self.now)),
                duration_ms: milliseconds(lease.duration),
            }),
            goose: self.goose().map(|goose| GooseBrief {
                id: goose.id,
                name: goose.name,
                addr: goose.addr,
                http: goose.http,
                http_tls: goose.http_tls,
                term: goose.term,
            }),
            voters: snapshot.voters.as_ref().map(|voters| self.voters_brief(voters)),
            members: self.member_counts(),
            warnings: self.warnings(),
        }
    }

    fn warnings(&self) -> Vec<WarningView> {
        let view = |known: &Complaint| WarningView {
            time: written(known.wall),
            // Changes with the uptime, as above.
            age_ms: self.uptime_ms(self.now).saturating_sub(self.uptime_ms(known.at)),
            severe: known.is_severe(),
            words: known.words.clone(),
        };
        let holds = |known: &&Complaint| self.snapshot.is_drained || !known.is_of_drained();
        self.history.complaints.at(self.now).filter(holds).map(view).collect()
    }

    /// From when on [`Self::status`] may say something else of the same snapshot: the next
    /// millisecond of a span that it counts, or the end of something that it takes for true.
    pub fn status_end(&self) -> HolderTime {
        let snapshot = self.snapshot;
        let instant = Duration::from_nanos(1);
        let uptime = self.uptime_ms(self.now);
        let mut end = snapshot.started.plus(Duration::from_millis(uptime.saturating_add(1)));
        if let Some(lease) = snapshot.lease_at(self.now) {
            // What is left is rounded down, so it changes just after a whole millisecond.
            let part = lease.deadline.since(self.now).subsec_nanos() % 1_000_000;
            let next = self.now.plus(Duration::from_nanos(u64::from(part)) + instant);
            end = end.min(next).min(lease.deadline);
        }
        if let Some(known) = snapshot.goose.as_ref().filter(|known| self.now < known.expires) {
            end = end.min(known.expires);
        }
        let voters = snapshot.voters.iter().flat_map(|voters| &voters.voters);
        for answered in voters.filter_map(|voter| voter.answered) {
            let last = answered.plus(self.reachable_within);
            if self.now <= last {
                end = end.min(last.plus(instant));
            }
        }
        end
    }

    /// `/v1/goose`: this node by its lease, any other by evidence that has not run out.
    pub fn goose(&self) -> Option<GooseView> {
        let snapshot = self.snapshot;
        let known = snapshot.goose.as_ref();
        if let Some(lease) = snapshot.lease_at(self.now) {
            let own = known.filter(|known| known.goose.process == snapshot.process);
            return Some(GooseView {
                id: snapshot.process.id,
                name: self.name_of(snapshot.process.id),
                addr: snapshot.address,
                http: snapshot.http,
                http_tls: snapshot.tags.tell_tls(),
                tags: snapshot.tags.given(),
                term: lease.term,
                expires_in_ms: milliseconds(lease.deadline.since(self.now)),
                age_ms: own.map_or(0, |own| milliseconds(self.now.since(own.confirmed))),
            });
        }
        let known = known
            .filter(|known| known.goose.process != snapshot.process && self.now < known.expires)?;
        let tags = snapshot.tags_of(known.goose.process);
        Some(GooseView {
            id: known.goose.process.id,
            name: self.name_of(known.goose.process.id),
            addr: known.goose.address,
            http: known.goose.http,
            http_tls: speaks_tls(snapshot, tags),
            tags: tags.map(Tags::given).unwrap_or_default(),
            term: known.goose.term,
            expires_in_ms: milliseconds(known.expires.since(self.now)),
            age_ms: milliseconds(self.now.since(known.confirmed)),
        })
    }

    /// The process that [`Self::goose`] speaks of.
    fn goose_process(&self) -> Option<Process> {
        let snapshot = self.snapshot;
        if snapshot.lease_at(self.now).is_some() {
            return Some(snapshot.process);
        }
        let known = snapshot.goose.as_ref().filter(|known| self.now < known.expires)?;
        (known.goose.process != snapshot.process).then_some(known.goose.process)
    }

    /// From where a member is heard that does not answer at its address, if it is heard still.
    fn speaks_from(&self, id: NodeId) -> Option<SocketAddr> {
        let (source, at) = self.snapshot.speaks_from.get(&id)?;
        (self.now.since(*at) < HEARD_LATELY).then_some(*source)
    }

    /// `/v1/members`.
    pub fn members(&self) -> MembersView {
        let goose = self.goose_process();
        let view = |member: &crate::vocabulary::snapshot::MemberView| MemberView {
            id: member.id,
            name: self.name_of(member.id),
            addr: member.address,
            boot: member.boot.to_string(),
            state: member.state.into(),
            eligible: member.eligible,
            drained: member.id == self.snapshot.process.id && self.snapshot.is_drained,
            unhealthy: (member.id == self.snapshot.process.id)
                .then(|| self.snapshot.unhealthy.clone())
                .flatten(),
            // A restarted Goose is a Duck: the lease was its predecessor's.
            role: if goose == Some(Process { id: member.id, boot: member.boot }) {
                Role::Goose
            } else {
                Role::Duck
            },
            speaks_from: self.speaks_from(member.id),
            http: member.metadata.as_ref().and_then(|metadata| metadata.http),
            http_tls: member.metadata.as_ref().is_some_and(|metadata| metadata.tags.tell_tls()),
            tags: member.metadata.as_ref().map(|metadata| metadata.tags.given()),
        };
        MembersView { members: self.snapshot.members.iter().map(view).collect() }
    }

    /// `/v1/voters`; none while this node does not know them.
    pub fn voters(&self) -> Option<VotersView> {
        let known = self.snapshot.voters.as_ref()?;
        let view = |voter: &crate::vocabulary::snapshot::VoterView| VoterView {
            id: voter.id,
            name: self.name_of(voter.id),
            zone: self.snapshot.zone_of(voter.id).map(str::to_owned),
            addr: voter.address,
            reachable: self.reaches(voter.id, voter.answered),
            answered_ms: voter.answered.map(|at| milliseconds(self.now.since(at))),
            // To a hundredth.
            round_trip_ms: voter.round_trip.map(|it| (it.as_secs_f64() * 1e5).round() / 100.0),
            granting: voter.grants(self.now),
            disk_hangs_ms: (voter.id == self.snapshot.process.id)
                .then(|| self.disk_hangs_ms())
                .flatten(),
        };
        Some(VotersView {
            version: known.configuration.version,
            ballot: known.configuration.ballot,
            majority: known.configuration.voters.majority(),
            preempt: known.configuration.preempt,
            auto: known.configuration.automatic,
            change: self.snapshot.voter_change.as_ref().map(|change| ChangeView {
                voters: change.goal.voters.ids().to_vec(),
                learning: change.hold.learning().to_vec(),
                waits_for: change.hold.words_with(|id| called(id, self.name_of(id).as_deref())),
            }),
            voters: known.voters.iter().map(view).collect(),
            awaited: known
                .awaited
                .iter()
                .map(|(id, lack)| AwaitedView { id: *id, lack: lack.words().to_owned() })
                .collect(),
        })
    }

    fn voters_brief(&self, known: &SnapshotVoters) -> VotersBrief {
        let reached = |voter: &&crate::vocabulary::snapshot::VoterView| {
            self.reaches(voter.id, voter.answered)
        };
        VotersBrief {
            version: known.configuration.version,
            ids: known.configuration.voters.ids().to_vec(),
            reachable: known.voters.iter().filter(reached).map(|voter| voter.id).collect(),
            majority: known.configuration.voters.majority(),
            is_voter: known.configuration.voters.contains(self.snapshot.process.id),
        }
    }

    fn reaches(&self, voter: NodeId, answered: Option<HolderTime>) -> bool {
        voter == self.snapshot.process.id
            || answered.is_some_and(|at| self.now.since(at) <= self.reachable_within)
    }

    fn member_counts(&self) -> MemberCounts {
        let mut counts = MemberCounts::default();
        for member in self.snapshot.members.iter() {
            match member.state {
                MemberState::Alive => counts.alive += 1,
                MemberState::Suspect => counts.suspect += 1,
                MemberState::Down => counts.down += 1,
                MemberState::Left => counts.left += 1,
            }
        }
        counts
    }
}
