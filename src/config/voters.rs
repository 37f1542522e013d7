//! The voter list as people write it: ids, addresses, or both.

use std::net::SocketAddr;

use super::error::Fault;
use crate::vocabulary::configuration::VoterSet;
use crate::vocabulary::identity::{NodeId, normalised};

/// A voter list, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Voters {
    /// Who votes.
    pub(super) set: VoterSet,
    /// Where, as far as it was said.
    pub(super) addresses: Vec<(NodeId, SocketAddr)>,
}

impl Voters {
    /// Reads `entries` for a node of this id that others reach at this address; None if its port
    /// is still to be chosen, so that no entry can mean it.
    pub(super) fn parse(
        entries: &[String],
        own: Option<(NodeId, SocketAddr)>,
    ) -> Result<Self, Fault> {
        let mut ids = Vec::new();
        let mut addresses: Vec<(NodeId, SocketAddr)> = Vec::new();
        for entry in entries {
            let (id, address) = voter(entry.trim())?;
            if let Some(address) = address {
                if let Some(own) = own {
                    judge_own(id, address, own)?;
                }
                if let Some((first, _)) = addresses.iter().find(|(_, known)| *known == address)
                    && *first != id
                {
                    let first = *first;
                    return Err(Fault::SharedVoterAddress { address, first, second: id });
                }
                addresses.push((id, address));
            }
            ids.push(id);
        }
        Ok(Self { set: VoterSet::new(ids)?, addresses })
    }

    /// What is allowed and still unwise.
    pub(super) fn warnings(&self) -> Option<String> {
        let count = self.set.len();
        if count % 2 == 1 {
            return None;
        }
        let survived = count - self.set.majority();
        Some(format!(
            "{count} voters survive the loss of {survived}, just as {} would: an even number \
             only adds one more that can fail. Leave one out, or add one",
            count - 1
        ))
    }
}

/// One entry: `ID`, `ADDR:PORT`, or `ID=ADDR:PORT`.
fn voter(entry: &str) -> Result<(NodeId, Option<SocketAddr>), Fault> {
    let malformed = || Fault::Voter(entry.to_owned());
    let address = |text: &str| text.parse().map(normalised).map_err(|_| malformed());
    if let Some((id, place)) = entry.split_once('=') {
        let number = id.trim().parse().map_err(|_| malformed())?;
        let id = NodeId::new(number).map_err(Fault::VoterId)?;
        let address = address(place.trim())?;
        // Refuses what names no single machine.
        NodeId::of_address(address).map_err(Fault::VoterId)?;
        return Ok((id, Some(address)));
    }
    if let Ok(number) = entry.parse() {
        return Ok((NodeId::new(number).map_err(Fault::VoterId)?, None));
    }
    let address = address(entry)?;
    Ok((NodeId::of_address(address).map_err(Fault::VoterId)?, Some(address)))
}

/// This node's id and its address must go together.
fn judge_own(
    id: NodeId,
    address: SocketAddr,
    (own, advertised): (NodeId, SocketAddr),
) -> Result<(), Fault> {
    match (id == own, address == advertised) {
        (false, true) => Err(Fault::OwnAddressUnderAnotherId { address, meant: id, own }),
        (true, false) => Err(Fault::OwnIdElsewhere { own, listed: address, advertised }),
        _ => Ok(()),
    }
}
