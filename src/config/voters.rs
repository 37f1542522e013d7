//! The voter list as people write it: ids, addresses, or both.
//!
//! A host name may stand for an address. With an id beside it the name is only passed on, and
//! whoever runs the node looks it up for as long as the voter is found nowhere: so all voters may
//! move at once. Without one it is looked up here, once, for the id is made from the address;
//! such a voter becomes another one when its name leads elsewhere at its next start.

use std::net::SocketAddr;

use super::error::Fault;
use super::names::{LookUp, is_name};
use crate::vocabulary::configuration::{VOTERS_KEPT, VOTERS_MAX, VoterSet};
use crate::vocabulary::identity::{NodeId, normalised};

/// A voter list, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Voters {
    /// Who votes.
    pub(super) set: VoterSet,
    /// Where, as far as it was said.
    pub(super) addresses: Vec<(NodeId, SocketAddr)>,
    /// Host names with ports, of those that were given by name.
    pub(super) names: Vec<(NodeId, String)>,
}

impl Voters {
    /// The number of `auto:N`, which `auto` means three by; none if that is not what is said.
    pub(super) fn kept(entries: &[String]) -> Option<Result<u8, Fault>> {
        let [entry] = entries else { return None };
        let number = entry.trim().strip_prefix("auto")?;
        let number = match number.strip_prefix(':') {
            None if number.is_empty() => return Some(Ok(VOTERS_KEPT)),
            None => return None,
            Some(number) => number,
        };
        let kept = number.parse().ok().filter(|it| (1..=VOTERS_MAX).contains(&usize::from(*it)));
        Some(kept.ok_or_else(|| Fault::VotersKept(number.to_owned())))
    }

    /// Reads `entries` for a node of this id that others reach at this address; None if its port
    /// is still to be chosen, so that no entry can mean it.
    pub(super) fn parse(
        entries: &[String],
        own: Option<(NodeId, SocketAddr)>,
        look_up: LookUp,
    ) -> Result<Self, Fault> {
        let mut ids = Vec::new();
        let mut addresses: Vec<(NodeId, SocketAddr)> = Vec::new();
        let mut names = Vec::new();
        for entry in entries {
            let Voter { id, address, name } = voter(entry.trim(), look_up)?;
            names.extend(name.map(|name| (id, name)));
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
        Ok(Self { set: VoterSet::new(ids)?, addresses, names })
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

/// One entry of the list.
struct Voter {
    id: NodeId,
    address: Option<SocketAddr>,
    name: Option<String>,
}

/// One entry: `ID`, `ADDR:PORT`, `HOST:PORT`, or an id with one of these, like `ID=ADDR:PORT`.
fn voter(entry: &str, look_up: LookUp) -> Result<Voter, Fault> {
    let malformed = || Fault::Voter(entry.to_owned());
    let address = |text: &str| text.parse().map(normalised).map_err(|_| malformed());
    if let Some((id, place)) = entry.split_once('=') {
        let number = id.trim().parse().map_err(|_| malformed())?;
        let id = NodeId::new(number).map_err(Fault::VoterId)?;
        let place = place.trim();
        if is_name(place) {
            return Ok(Voter { id, address: None, name: Some(place.to_owned()) });
        }
        let address = address(place)?;
        // Refuses what names no single machine.
        NodeId::of_address(address).map_err(Fault::VoterId)?;
        return Ok(Voter { id, address: Some(address), name: None });
    }
    if let Ok(number) = entry.parse() {
        let id = NodeId::new(number).map_err(Fault::VoterId)?;
        return Ok(Voter { id, address: None, name: None });
    }
    let name = is_name(entry).then(|| entry.to_owned());
    let address = match &name {
        Some(name) => normalised(look_up.address("voters", name)?),
        None => address(entry)?,
    };
    let id = NodeId::of_address(address).map_err(Fault::VoterId)?;
    Ok(Voter { id, address: Some(address), name })
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
