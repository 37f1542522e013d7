//! Asking the other nodes of the cluster, side by side.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::commands::{CommandError, runtime};
use crate::shell::http::api::paths;
use crate::shell::http::api::views::{MemberView, MembersView, State, StatusView, VotersView};
use crate::shell::http::client::{Client, ClientError, NodeUrl, Question};
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
    places: BTreeMap<NodeId, NodeUrl>,
    answers: BTreeMap<NodeId, Other>,
    /// Why TLS failed, where it did.
    faults: BTreeMap<NodeId, String>,
    /// The lineage of whoever answers in the place of one of them, and is of another founding.
    strangers: BTreeMap<NodeId, String>,
}

impl Others {
    /// Asks all voters, the Goose, and as many other members as there is room for.
    pub(super) fn asked(
        client: &Client,
        own: &StatusView,
        members: &MembersView,
        voters: Option<&VotersView>,
        limit: Duration,
    ) -> Result<Self, CommandError> {
        let places = places(own, members, voters);
        let answers = runtime()?.block_on(async {
            let mut questions = JoinSet::new();
            for (id, place) in places.clone() {
                let client = client.clone();
                questions.spawn(async move { (id, ask(&client, id, &place, limit).await) });
            }
            questions.join_all().await
        });
        let mut others = Self { places, ..Self::default() };
        for (id, answer) in answers {
            let other = match answer {
                Ok(Some(other)) => other,
                Err(error @ ClientError::Tls { .. }) => {
                    others.faults.insert(id, error.to_string());
                    continue;
                }
                Ok(None) | Err(_) => continue,
            };
            // Another cluster by its name is spoken of as such.
            let is_alike = own.cluster == other.status.cluster;
            match (&own.lineage, &other.status.lineage) {
                (Some(lineage), Some(there)) if is_alike && lineage != there => {
                    others.strangers.insert(id, there.clone());
                }
                _ => _ = others.answers.insert(id, other),
            }
        }
        Ok(others)
    }

    /// Where a node was asked, if it was.
    pub(super) fn place(&self, id: NodeId) -> Option<&NodeUrl> {
        self.places.get(&id)
    }

    /// Why a node was not believed to be who it is, if that was so.
    pub(super) fn fault(&self, id: NodeId) -> Option<&str> {
        self.faults.get(&id).map(String::as_str)
    }

    /// Where this node was looked for, and the lineage of another cluster's node that answers there.
    pub(super) fn stranger(&self, id: NodeId) -> Option<(&NodeUrl, &str)> {
        Some((self.place(id)?, self.strangers.get(&id)?.as_str()))
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

/// Where the others serve HTTP: as the members say, or else where a voter usually does, and as the
/// node asked does it.
fn places(
    own: &StatusView,
    members: &MembersView,
    voters: Option<&VotersView>,
) -> BTreeMap<NodeId, NodeUrl> {
    let url = |member: &MemberView| Some(NodeUrl::at(member.http?, member.http_tls));
    let told = |id| url(members.members.iter().find(|member| member.id == id)?);
    let usual = |address: SocketAddr| {
        let usual = SocketAddr::new(address.ip(), address.port().checked_add(HTTP_OFFSET)?);
        Some(NodeUrl::at(usual, own.node.http_tls))
    };
    let mut places = BTreeMap::new();
    for voter in voters.iter().flat_map(|voters| &voters.voters) {
        let place = told(voter.id).or_else(|| voter.addr.and_then(usual));
        places.extend(place.map(|place| (voter.id, place)));
    }
    let goose = own.goose.as_ref();
    let goose = goose.and_then(|it| Some((it.id, NodeUrl::at(it.http?, it.http_tls))));
    places.extend(goose);
    let here = members.members.iter().filter(|member| member.state == State::Alive);
    for (id, place) in here.filter_map(|member| Some((member.id, url(member)?))) {
        if places.len() < ASKED_MAX {
            places.entry(id).or_insert(place);
        }
    }
    places.remove(&own.node.id);
    places
}

/// What the node of this id says, if it lives there: another may.
async fn ask(
    client: &Client,
    id: NodeId,
    node: &NodeUrl,
    limit: Duration,
) -> Result<Option<Other>, ClientError> {
    let before = Instant::now();
    let answer = client.ask(node, Question::Get(paths::STATUS), limit).await?;
    let round_trip = before.elapsed();
    let status = serde_json::from_slice(&answer.body).ok();
    let Some(status) = status.filter(|status: &StatusView| status.node.id == id) else {
        return Ok(None);
    };
    let members = client.ask(node, Question::Get(paths::MEMBERS), limit).await.ok();
    let members = members.and_then(|answer| serde_json::from_slice(&answer.body).ok());
    Ok(Some(Other { status, round_trip, members }))
}
