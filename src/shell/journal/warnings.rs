//! Warnings in words: what is wrong, what it means, and what to do.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::events::{Names, voters as all_of};

use crate::vocabulary::event::Warning;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::lineage::{ForeignFounding, Kinship};
use crate::vocabulary::reject::Reject;
use crate::vocabulary::timing::{FOUNDING_PATIENCE, Profile, Timing};

/// So many seeds are named in one line.
const NAMED_MAX: usize = 5;

/// Nothing writes the record any more.
const STORE_LOST: &str = "what writes this node's record has died, which is a bug: it grants nothing any more. Restart \
     the node, and please report the lines above";

/// What is on the disk is no record.
const RECORD_DAMAGED: &str = "the record on disk is damaged: going on as if it had been lost. Where there are other \
     voters, this one votes again once all of them have told it what it may have forgotten. \
     Nothing has to be done, unless it happens again: then look to the disk";

/// Nobody knows the last term.
const RESUMES_BY_CLOCK: &str = "the record of the only voter is lost, and nobody else knows the last term: going on above \
     what this machine's clock says, which is the weaker promise. If the clock is behind, a term \
     may come twice";

/// Nobody can be elected any more.
const BALLOTS_EXHAUSTED: &str = "there is no higher ballot left, so nobody can be elected any more: stop all voters, empty \
     their --state-dir, and found the cluster anew";

/// A cluster of one was founded.
const SINGLE_VOTER: &str = "no --seed and no --voters: this node founds a cluster of its own, and nobody leads if it \
     dies before others have joined and vote";
const DRAINED: &str = "this node is drained, as it was told before it started: it votes, but does not lead until \
     `gaggle drain --off`";

/// What the gossip library says of gossip whose sender is at this node's own address; what came of this
/// process itself is refused before.
const FROM_OWN_ADDRESS: &str = "to our own";
const OWN_ADDRESS_TAKEN: &str = "another node advertises the address of this one, and others may take it for that one: correct \
     the --advertise there, and then restart this node. `gaggle doctor` on any other node names it";

/// A warning, for people; `own` is this node, if it is to be named.
pub(crate) fn warned(warning: &Warning, own: Option<NodeId>) -> String {
    let id = own.map_or_else(String::new, |own| format!(" {own}"));
    match warning {
        Warning::AddressGone { address } => address_gone(*address),
        Warning::StoreFailed { error } => {
            format!(
                "{error}: as a voter, this node grants nothing until it can write again. Make \
                 room there or mend the disk"
            )
        }
        Warning::StoreSlow { milliseconds } => format!(
            "the disk has not confirmed a write of this node's record for {milliseconds} ms: as a \
             voter, this node grants nothing new until it does, and renews what it has granted. \
             Look to the disk that the state folder is on"
        ),
        Warning::StoreLost => STORE_LOST.to_owned(),
        Warning::RecordDamaged => RECORD_DAMAGED.to_owned(),
        Warning::ResumesByClock => RESUMES_BY_CLOCK.to_owned(),
        Warning::AwaitsVoters { lacks } => {
            without_record(lacks.iter().map(|(id, lack)| (*id, lack.words())))
        }
        Warning::FoundedWithout { silent } => founded_without(silent),
        Warning::EphemeralDiffers { cluster, follows } => ephemeral_differs(*cluster, *follows),
        Warning::LeaseAboveCluster { lease, granted } => format!(
            "--lease {lease:?}: this cluster was founded to grant {granted:?} at most, and leases are \
             that long"
        ),
        Warning::LeaseMaxDiffers { cluster, own } => format!(
            "the cluster was founded to grant leases of {cluster:?} at most, and this node with \
             {own:?}: give it the same --lease as the others, and an empty --state-dir"
        ),
        Warning::BallotRefused { by, ballot } => format!(
            "node {by} names ballot {ballot}, which is far above all that is known here: not \
             believed unless a majority of the voters say so. Is that node sound?"
        ),
        Warning::BallotsExhausted => BALLOTS_EXHAUSTED.to_owned(),
        Warning::DuplicateId { address } => duplicate_id(*address, &id),
        Warning::TwinVoter { address } => format!(
            "another process at {address} votes under this node's id{id}, too: this one has stopped \
             voting. Stop one of the two and restart the other"
        ),
        Warning::Foreign { reason, address } => foreign(*reason, *address),
        Warning::ForeignLineage(foreign) => foreign_lineage(foreign),
        Warning::MistakenLineage { voters } => format!(
            "the voters belong to another founding (lineage {voters}) than this node was told, so it does \
             not lead them: correct its --seed, and start it with an empty --state-dir"
        ),
        Warning::PreemptDiffers { cluster } => preempt_differs(*cluster),
        Warning::Sealing { reason, address } => unsealable(*reason, *address),
        Warning::WorkGoesOn { term, leaves } => work_goes_on(*term, *leaves),
        Warning::WorkOutlivesLease { term } => format!(
            "the lease of term {term} is over and its work has not ended yet: nothing is released, \
             and this node does not contend before that work has ended"
        ),
        Warning::SeedsSilent { seeds } => seeds_silent(seeds),
        Warning::NobodyFounded { other, address } => format!(
            "this node and node {other} at {address} both wait to be told of a cluster, and nobody \
             has founded one: name the voters with --voters on the first nodes (auto:N beside seeds only \
             joins), or start one of them without --seed"
        ),
        Warning::TooSlow { round_trip, limit, voters, profile } => {
            too_slow(*round_trip, *limit, voters, *profile)
        }
        Warning::SingleVoter => SINGLE_VOTER.to_owned(),
        Warning::Drained => DRAINED.to_owned(),
        Warning::Unhealthy { reason, leads_anyway } => unhealthy(reason, *leads_anyway),
        Warning::Membership(error) => gossip(error),
    }
}

/// This machine does not have this address any more.
fn address_gone(address: IpAddr) -> String {
    format!(
        "this machine has the address {address} no more, on which this node listens, so that nobody hears \
         it: give the machine that address again, or start the node with an ADDR:PORT that it has"
    )
}

/// What the gossip library complains of.
fn gossip(error: &str) -> String {
    if error.contains(FROM_OWN_ADDRESS) {
        OWN_ADDRESS_TAKEN.to_owned()
    } else {
        format!("gossip: {error}")
    }
}

/// Whom a voter without its record waits for, for people.
pub(crate) fn without_record<'a>(lacks: impl Iterator<Item = (NodeId, &'a str)>) -> String {
    let lacks: Vec<String> = lacks.map(|(id, lack)| format!("voter {id} ({lack})")).collect();
    format!(
        "this voter has no record, and does not vote until all others have told it what it may \
         have forgotten. It waits for {}. Start them. If the records of most voters are lost for \
         ever, found the cluster anew: stop all voters, empty the --state-dir of each, and start \
         them together; terms then begin at 1",
        lacks.join(", ")
    )
}

/// A majority founded the cluster, and whom it did not hear.
fn founded_without(silent: &[NodeId]) -> String {
    let silent: Vec<String> = silent.iter().map(NodeId::to_string).collect();
    let silent = silent.join(", ");
    format!(
        "founded by a majority of the voters: {FOUNDING_PATIENCE:?} have passed without a word from \
         {silent}. Terms begin above what this machine's clock says. A voter that has not been \
         started yet votes once it has heard all others"
    )
}

/// A node keeps records where its cluster does not, or the other way round.
fn ephemeral_differs(cluster: bool, follows: bool) -> String {
    match (cluster, follows) {
        (true, true) => "this voter keeps a record, but the cluster was founded with --ephemeral, \
             and that holds: a voter that restarts goes by its clock. Start this one with \
             --ephemeral, too, or found the cluster anew without"
            .to_owned(),
        (false, true) => "this voter was started with --ephemeral, but its cluster keeps records: \
             after every start it votes only once all other voters have answered. Give it a \
             --state-dir"
            .to_owned(),
        (true, false) => "the other voters were started with --ephemeral and this one was not, so \
             they do not understand each other: start this one with --ephemeral, too, or all \
             without"
            .to_owned(),
        (false, false) => {
            "this voter was started with --ephemeral and the others were not, so they \
             do not understand each other: start this one with a --state-dir, or all with \
             --ephemeral"
                .to_owned()
        }
    }
}

/// Another process has this node's id: at `address`, or wherever the lease is.
fn duplicate_id(address: Option<SocketAddr>, id: &str) -> String {
    match address {
        Some(address) => {
            format!(
                "another process at {address} uses this node's id{id}, too: stop one of the two, \
                 or give it another --id"
            )
        }
        None => format!(
            "another process with this node's id{id} holds the lease: stop one of the two, or give \
             it another --id"
        ),
    }
}

/// What came from `address` is not of this cluster, or of another version.
fn foreign(reason: Reject, address: SocketAddr) -> String {
    match reason {
        Reject::ForeignVoters => format!(
            "refused what came from {address}: a cluster of the same name that was founded with \
             other --voters, another --preempt, longer leases, or with or without --ephemeral. Give \
             every node the same, or each cluster its own --cluster name"
        ),
        Reject::ForeignCluster => format!(
            "refused what came from {address}: it belongs to another --cluster than this node. \
             Correct the name there or here, or the --seed that leads there"
        ),
        Reject::TooNew => format!(
            "refused what came from {address}: it speaks a later version of the protocol than this \
             node. Update this node"
        ),
        Reject::TooOld => format!(
            "refused what came from {address}: it speaks an earlier version of the protocol than \
             this node. Update that one"
        ),
        _ => format!("refused datagrams from {address}: {}", reason.name().replace('_', " ")),
    }
}

/// Whether the Goose yields is settled otherwise in this cluster.
fn preempt_differs(cluster: bool) -> String {
    format!(
        "this node was started with --preempt={}, but the cluster was founded {} --preempt, \
         and that holds: correct this node's settings",
        !cluster,
        if cluster { "with" } else { "without" }
    )
}

/// The work of a term does not end, though the node gives the lease up or `leaves`.
fn work_goes_on(term: u64, leaves: bool) -> String {
    if leaves {
        format!(
            "the work of term {term} was asked to end and has not: this node leaves without \
             releasing anything, so the others wait until its lease has run out"
        )
    } else {
        format!(
            "the work of term {term} was asked to end and has not: the order is given up, and the \
             lease is kept. Look why the work does not end, then give the order again"
        )
    }
}

/// This node is not healthy.
fn unhealthy(reason: &str, leads_anyway: bool) -> String {
    if leads_anyway {
        format!(
            "this node is not healthy, and leads all the same, as no other node is healthy: {reason}"
        )
    } else {
        format!("this node is not healthy: it votes, but does not lead: {reason}")
    }
}

/// The voters are too far away for a profile.
fn too_slow(round_trip: Duration, limit: Duration, voters: &[NodeId], profile: Profile) -> String {
    let far = all_of(voters, Names(&[]));
    let name = format!("{profile:?}").to_lowercase();
    let holds = |it: &Profile| *it != profile && Timing::of(*it).round_trip_limit() >= round_trip;
    let way_out = match [Profile::Lan, Profile::Wan].into_iter().find(holds) {
        Some(slower) => {
            let slower = format!("{slower:?}").to_lowercase();
            format!("use --profile {slower} on every node, or a longer --lease")
        }
        None if profile == Profile::Wan => "give every node a longer --lease".to_owned(),
        None => {
            "use --profile wan on every node, and a longer --lease than it has by itself".to_owned()
        }
    };
    format!(
        "{} ms to {far} and back: too slow for the profile {name}, which holds up to {} ms, so \
         nobody leads for long, if at all: {way_out}",
        round_trip.as_millis(),
        limit.as_millis()
    )
}

/// Nobody answers where others should be.
fn seeds_silent(seeds: &[String]) -> String {
    format!(
        "nobody has answered yet at {}: still trying, for as long as it takes. If it stays so, \
         check that a node of the same version of the protocol runs there, that UDP gets through, \
         and that --cluster, --voters and --preempt are the same there: a cluster that was founded \
         otherwise does not answer",
        named(seeds)
    )
}

/// A few of `seeds`, and how many more there are.
fn named(seeds: &[String]) -> String {
    let named = seeds.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match seeds.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What came from `address` is not sealed as it should be.
fn unsealable(reason: Reject, address: SocketAddr) -> String {
    let what = match reason {
        Reject::Unsealed => {
            "is not sealed, but this node has a key: give that node the --key-file too"
        }
        Reject::Forged => {
            "names a key of this node but was not sealed with it: it was forged or damaged on its way"
        }
        _ => {
            "is sealed with a key that this node lacks: add that key to its --key-file, or give \
             all nodes the same one"
        }
    };
    format!("refused what came from {address}: it {what}")
}

/// Two clusters that are called alike, or one that was rescued from the other.
fn foreign_lineage(foreign: &ForeignFounding) -> String {
    let ForeignFounding { address, lineage, own, kinship, is_settled } = foreign;
    if *kinship == Kinship::Ancestor {
        return format!(
            "refused what came from {address}: it belongs to what this cluster was rescued from (lineage \
             {lineage}; this node's is {own}). It is told so: without a vote it follows, with one it ends"
        );
    }
    let was_away = if *is_settled {
        ""
    } else {
        ". If it is this node's own cluster, which was founded while this node was gone: empty the state \
         folder of this node"
    };
    format!(
        "refused what came from {address}: it belongs to another founding of a cluster of this name with \
         the same voters (lineage {lineage}; this node's is {own}). Give each cluster its own --cluster \
         name, or correct the --seed or the address that leads there{was_away}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_node_that_may_have_missed_its_founding_is_told_of_the_way_out() {
        use crate::vocabulary::identity::NodeId;
        use crate::vocabulary::lineage::{Certainty, Lineage, LineageClaim};
        let id = NodeId::new(1).expect("a number above 0");
        let claim = |nonce, certainty| LineageClaim {
            lineage: Lineage::of_nonces(&[(id, nonce)]),
            certainty,
        };
        let address = SocketAddr::from(([10, 0, 0, 1], 8000));
        for (certainty, is_told) in [(Certainty::Founded, true), (Certainty::Settled, false)] {
            let own = claim(2, certainty);
            let theirs = claim(1, Certainty::Settled);
            let met = ForeignFounding::met(address, theirs, own, Kinship::Stranger);
            assert_eq!(foreign_lineage(&met).contains("empty the state folder"), is_told);
        }
    }

    #[test]
    fn of_many_seeds_a_few_are_named() {
        let seeds: Vec<String> = (1..=7).map(|number| format!("{number}:1")).collect();
        assert_eq!(named(&seeds), "1:1, 2:1, 3:1, 4:1, 5:1 and 2 more");
        assert_eq!(named(&seeds[..1]), "1:1");
    }

    #[test]
    fn what_only_a_bad_day_shows_is_worded_too() {
        let address: SocketAddr = "10.0.0.5:8000".parse().unwrap();
        let cases = [
            (
                Warning::DuplicateId { address: None },
                "another process with this node's id 7 holds the lease: stop one of the two, or give it \
                 another --id",
            ),
            (
                Warning::Foreign { reason: Reject::TooNew, address },
                "refused what came from 10.0.0.5:8000: it speaks a later version of the protocol than \
                 this node. Update this node",
            ),
            (
                Warning::StoreLost,
                "what writes this node's record has died, which is a bug: it grants nothing any more. \
                 Restart the node, and please report the lines above",
            ),
            (
                Warning::NobodyFounded { other: NodeId::new(8).unwrap(), address },
                "this node and node 8 at 10.0.0.5:8000 both wait to be told of a cluster, and nobody \
                 has founded one: name the voters with --voters on the first nodes (auto:N beside seeds \
                 only joins), or start one of them without --seed",
            ),
            (
                Warning::WorkOutlivesLease { term: 3 },
                "the lease of term 3 is over and its work has not ended yet: nothing is released, and \
                 this node does not contend before that work has ended",
            ),
            (
                Warning::Sealing { reason: Reject::Unsealed, address },
                "refused what came from 10.0.0.5:8000: it is not sealed, but this node has a key: give \
                 that node the --key-file too",
            ),
            (
                Warning::Sealing { reason: Reject::UnknownKey, address },
                "refused what came from 10.0.0.5:8000: it is sealed with a key that this node lacks: \
                 add that key to its --key-file, or give all nodes the same one",
            ),
        ];
        for (warning, expected) in cases {
            assert_eq!(warned(&warning, NodeId::new(7).ok()), expected);
        }
    }

    #[test]
    fn a_slow_network_is_told_the_quickest_profile_that_holds_it() {
        let said = |profile, round_trip: u64| {
            let voters = vec![NodeId::new(2).unwrap(), NodeId::new(3).unwrap()];
            let limit = Timing::of(profile).round_trip_limit();
            let round_trip = Duration::from_micros(round_trip * 1_000 + 900);
            warned(&Warning::TooSlow { round_trip, limit, voters, profile }, None)
        };
        assert_eq!(
            said(Profile::Lan, 72),
            "72 ms to voters 2 and 3 and back: too slow for the profile lan, which holds up to 59 ms, so \
             nobody leads for long, if at all: use --profile wan on every node, or a longer --lease"
        );
        let end = |profile, round_trip| {
            said(profile, round_trip).split_once("if at all: ").unwrap().1.to_owned()
        };
        assert_eq!(end(Profile::Fast, 55), "use --profile lan on every node, or a longer --lease");
        assert_eq!(end(Profile::Fast, 72), "use --profile wan on every node, or a longer --lease");
        assert_eq!(end(Profile::Wan, 500), "give every node a longer --lease");
        assert_eq!(
            end(Profile::Lan, 500),
            "use --profile wan on every node, and a longer --lease than it has by itself"
        );
    }

    #[test]
    fn gossip_from_this_nodes_own_address_is_told_in_words() {
        let text = format!(
            "Received data from something claiming to have an identity equal {FROM_OWN_ADDRESS}"
        );
        assert_eq!(warned(&Warning::Membership(text), None), OWN_ADDRESS_TAKEN);
        assert_eq!(warned(&Warning::Membership("torn".to_owned()), None), "gossip: torn");
    }
}
