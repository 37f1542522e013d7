//! The JSON of `/v1/voters`, and what it says of the losses that the voters survive.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::vocabulary::identity::NodeId;
use crate::vocabulary::node_name::called;

/// `/v1/voters`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VotersView {
    /// Counts the changes of the voter set; 1 at its founding.
    pub version: u64,
    /// The ballot of the Goose that last changed it; 0 at its founding.
    pub ballot: u64,
    /// How many make a majority.
    pub majority: usize,
    /// Whether the Goose yields to a higher node that has come to stay.
    pub preempt: bool,
    /// How many voters the Goose keeps by itself; null: they change by order only.
    #[serde(default)]
    pub auto: Option<u8>,
    /// As Goose, the node asked leads to other voters. Left out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeView>,
    /// Lowest id first.
    pub voters: Vec<VoterView>,
    /// The node asked is a voter without its record: before it votes, these must have told it what
    /// it may have forgotten. Left out by all other nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited: Vec<AwaitedView>,
}

/// A change of voters that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeView {
    /// Who is to vote.
    pub voters: Vec<NodeId>,
    /// Those of them that do not grant yet, if it waits for them. Left out otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learning: Vec<NodeId>,
    /// What it waits for, in words.
    pub waits_for: String,
}

impl ChangeView {
    /// All of it in one line.
    pub fn words(&self) -> String {
        let ids: Vec<String> = self.voters.iter().map(NodeId::to_string).collect();
        format!("to vote are {}: waiting for {}", ids.join(", "), self.waits_for)
    }
}

/// A voter whose word another one waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AwaitedView {
    /// Its id.
    pub id: NodeId,
    /// What is wrong with it, in words: silent, itself without a record, under another
    /// configuration.
    pub lack: String,
}

/// One voter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VoterView {
    /// Its id.
    pub id: NodeId,
    /// Its name, if the node asked has learnt one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is, by its tag `zone`, if the node asked has learnt one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Where it was last reached or is said to be.
    pub addr: Option<SocketAddr>,
    /// Whether it answered lately.
    pub reachable: bool,
    /// How long ago it answered, in milliseconds; null for never, or not asked.
    pub answered_ms: Option<u64>,
    /// How long its answers take as of late, in milliseconds. Written only if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// Whether its grant counts for the node asked at this moment.
    pub granting: bool,
    /// How long a write to its disk has been under way, in milliseconds; meanwhile it grants
    /// nothing new. Written only if that is more than a second, and only by the voter itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_hangs_ms: Option<u64>,
}

impl VoterView {
    /// Its id and its name, for a sentence.
    pub fn called(&self) -> String {
        called(self.id, self.name.as_deref())
    }
}

impl VotersView {
    /// How many voters may be lost, and which zone must not be lost, in a sentence.
    pub fn endurance(&self) -> String {
        let all = self.voters.len();
        let may_go = all.saturating_sub(self.majority);
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        for zone in self.voters.iter().filter_map(|voter| voter.zone.as_deref()) {
            *zones.entry(zone).or_default() += 1;
        }
        let heavy = zones.iter().filter(|(_, count)| **count > may_go);
        let heavy: Vec<String> =
            heavy.map(|(zone, count)| format!("zone {zone} holds {count}")).collect();
        // Where all are in one zone, that goes without saying.
        let but = if heavy.is_empty() || zones.values().any(|count| *count == all) {
            String::new()
        } else {
            format!("; {}, and must not be lost", heavy.join(", "))
        };
        format!("{may_go} of {all} voters may be lost{but}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(zones: &[&str]) -> VotersView {
        let voter = |(place, zone): (usize, &&str)| VoterView {
            id: NodeId::new(place as u64 + 1).unwrap(),
            name: None,
            zone: (!zone.is_empty()).then(|| (*zone).to_owned()),
            addr: None,
            reachable: true,
            answered_ms: None,
            round_trip_ms: None,
            granting: false,
            disk_hangs_ms: None,
        };
        let voters: Vec<VoterView> = zones.iter().enumerate().map(voter).collect();
        VotersView {
            version: 1,
            ballot: 0,
            majority: voters.len() / 2 + 1,
            preempt: false,
            auto: None,
            change: None,
            voters,
            awaited: Vec::new(),
        }
    }

    #[test]
    fn a_zone_that_holds_too_many_is_named() {
        assert_eq!(view(&["", "", ""]).endurance(), "1 of 3 voters may be lost");
        assert_eq!(view(&["a", "b", "c"]).endurance(), "1 of 3 voters may be lost");
        assert_eq!(
            view(&["a", "a", "b"]).endurance(),
            "1 of 3 voters may be lost; zone a holds 2, and must not be lost"
        );
        assert_eq!(
            view(&["a", "a", "a"]).endurance(),
            "1 of 3 voters may be lost",
            "all are there"
        );
        assert_eq!(view(&[""]).endurance(), "0 of 1 voters may be lost");
    }
}
