//! Asking the other nodes of the cluster, side by side.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::commands::{CommandError, runtime};
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{MembersView, State, StatusView, VotersView};
use crate::shell::http::client::{self, NodeUrl, Question};
use crate::vocabulary::identity::NodeId;

/// HTTP is this far from gossip unless told otherwise.
const HTTP_OFFSET: u16 = 1000;
/// So many others are asked at most: all voters, and some of the other members.
const ASKED_MAX: usize = 24;

/// What another node says.
pub(super) struct Other {
    /// Of itself.
    pub(super) status: StatusView,
    /// How long it took to say so.
    pub(super) round_trip: Duration,
    /// Of the members, if it answered that, too.
    pub(super) members: Option<MembersView>,
}

/// The other nodes.
#[derive(Default)]
pub(super) struct Others {
    places: BTreeMap<NodeId, SocketAddr>,
    answers: BTreeMap<NodeId, Other>,
}

impl Others {
    /// Asks all voters, the Goose, and as many other members as there is room for.
    pub(super) fn asked(
        own: &StatusView,
        members: &MembersView,
        voters: Option<&VotersView>,
        limit: Duration,
    ) -> Result<Self, CommandError> {
        let places = places(own, members, voters);
        let answers = runtime()?.block_on(async {
            let mut questions = JoinSet::new();
            for (id, address) in places.clone() {
                questions.spawn(async move { Some((id, ask(id, address, limit).await?)) });
            }
            questions.join_all().await
        });
        Ok(Self { places, answers: answers.into_iter().flatten().collect() })
    }

    /// Where a node was asked, if it was.
    pub(super) fn place(&self, id: NodeId) -> Option<SocketAddr> {
        self.places.get(&id).copied()
    }

    /// What a node said.
    pub(super) fn get(&self, id: NodeId) -> Option<&Other> {
        self.answers.get(&id)
    }

    /// All who said something.
    pub(super) fn all(&self) -> impl Iterator<Item = &Other> {
        self.answers.values()
    }
}

/// Where the others serve HTTP: as the members say, or else where a voter usually does.
fn places(
    own: &StatusView,
    members: &MembersView,
    voters: Option<&VotersView>,
) -> BTreeMap<NodeId, SocketAddr> {
    let told = |id| members.members.iter().find(|member| member.id == id)?.http;
    let usual = |address: SocketAddr| {
        Some(SocketAddr::new(address.ip(), address.port().checked_add(HTTP_OFFSET)?))
    };
    let mut places = BTreeMap::new();
    for voter in voters.iter().flat_map(|voters| &voters.voters) {
        let place = told(voter.id).or_else(|| voter.addr.and_then(usual));
        places.extend(place.map(|place| (voter.id, place)));
    }
    places.extend(own.goose.iter().filter_map(|goose| Some((goose.id, goose.http?))));
    let here = members.members.iter().filter(|member| member.state == State::Alive);
    for (id, place) in here.filter_map(|member| Some((member.id, member.http?))) {
        if places.len() < ASKED_MAX {
            places.entry(id).or_insert(place);
        }
    }
    places.remove(&own.node.id);
    places
}

/// What the node of this id says, if it lives there: another may.
async fn ask(id: NodeId, address: SocketAddr, limit: Duration) -> Option<Other> {
    let node = NodeUrl::from(address);
    let before = Instant::now();
    let answer = client::ask(&node, Question::Get(paths::STATUS), limit).await.ok()?;
    let round_trip = before.elapsed();
    let status: StatusView = serde_json::from_slice(&answer.body).ok()?;
    if status.node.id != id {
        return None;
    }
    let members = client::ask(&node, Question::Get(paths::MEMBERS), limit).await.ok();
    let members = members.and_then(|answer| serde_json::from_slice(&answer.body).ok());
    Some(Other { status, round_trip, members })
}
