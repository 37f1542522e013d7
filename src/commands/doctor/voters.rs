//! The voters, as the node asked sees them and as they see it.

use super::findings::{Findings, Verdict};
use super::machine::{drained, hanging_disk};
use super::others::{Other, Others};
use crate::shell::http::api::views::{StatusView, VoterView, VotersView};

/// Examines them all.
pub(super) fn examine(
    findings: &mut Findings,
    status: &StatusView,
    voters: &VotersView,
    others: &Others,
) {
    let is_voter = status.voters.as_ref().is_some_and(|voters| voters.is_voter);
    let asks = is_voter || voters.voters.iter().any(|voter| voter.answered_ms.is_some());
    if !asks {
        findings.add(
            Verdict::Odd,
            "voters",
            "this node is no voter and stands by for nobody, so it does not ask the voters: examine \
             a voter",
        );
    }
    let mut reachable = 0;
    for voter in &voters.voters {
        if voter.id == status.node.id {
            reachable += 1;
            continue;
        }
        reachable += usize::from(voter.reachable);
        both_ways(findings, status, voter, others, (asks, is_voter));
    }
    if !voters.awaited.is_empty() {
        findings.add(
            Verdict::Wrong,
            "record",
            crate::shell::journal::without_record(
                voters.awaited.iter().map(|awaited| (awaited.id, awaited.lack.as_str())),
            ),
        );
    }
    if asks {
        let all = voters.voters.len();
        findings.ok_if(
            reachable >= voters.majority,
            Verdict::Wrong,
            "quorum",
            [
                format!("{reachable} of {all} voters reachable; {} needed", voters.majority),
                format!(
                    "quorum lost: {reachable} of {all} voters reachable, {} needed. Start the \
                     others, or mend the way to them (UDP)",
                    voters.majority
                ),
            ],
        );
    }
    if let Some(change) = &voters.change {
        let words = format!("the voters change, and that is not over: {}", change.words());
        findings.add(Verdict::Odd, "voters", words);
    }
    if voters.voters.len() == 1 {
        let words = "there is one voter: nobody leads if it dies. Found the cluster with three";
        findings.add(Verdict::Odd, "voters", words);
    }
}

/// Whether a voter answers the node asked.
fn answers(findings: &mut Findings, voter: &VoterView, id: &str) {
    findings.ok_if(
        voter.reachable,
        Verdict::Wrong,
        "voter",
        [
            format!("voter {id} answers this node"),
            match voter.addr {
                Some(address) => format!(
                    "voter {id} at {address} does not answer this node: is it up, and does UDP \
                     get through both ways?"
                ),
                None => {
                    format!("voter {id} was never heard: is it up, and are its seeds right?")
                }
            },
        ],
    );
}

fn both_ways(
    findings: &mut Findings,
    own: &StatusView,
    voter: &VoterView,
    others: &Others,
    (asks, is_voter): (bool, bool),
) {
    let id = voter.called();
    if asks {
        answers(findings, voter, &id);
    }
    if let Some((place, lineage)) = others.stranger(voter.id) {
        let own = own.lineage.as_deref().unwrap_or("not known");
        let words = format!(
            "where voter {id} was looked for, at {place} (HTTP), is a node of another founding of a cluster of \
             this name (lineage {lineage}; this node's is {own}): correct the address, or give each cluster \
             its own --cluster name"
        );
        findings.add(Verdict::Wrong, "configuration", words);
        return;
    }
    let Some(Other { status, round_trip, .. }) = others.get(voter.id) else {
        let words = match (others.place(voter.id), others.fault(voter.id)) {
            (_, Some(fault)) => format!("voter {id} cannot be asked over TLS: {fault}"),
            (Some(place), None) => format!("voter {id} does not answer HTTP at {place}"),
            (None, None) => format!("it is not known where voter {id} answers HTTP"),
        };
        findings.add(Verdict::Odd, "voter", words);
        return;
    };
    if let Some(age) = status.node.stuck_for() {
        let words = format!("voter {id} is stuck: its driver has not come round for {age:.1?}");
        findings.add(Verdict::Wrong, "voter", words);
    }
    hanging_disk(findings, status);
    drained(findings, status);
    let sees = status.voters.as_ref().is_some_and(|it| it.reachable.contains(&own.node.id));
    if is_voter {
        findings.ok_if(
            sees,
            Verdict::Wrong,
            "voter",
            [
                format!("voter {id} hears this node; HTTP round trip {round_trip:.1?}"),
                if voter.reachable {
                    format!(
                        "voter {id} gets no answer of this node: this one has stopped voting, or UDP \
                         gets through one way only"
                    )
                } else {
                    format!("voter {id} is not answered by this node either")
                },
            ],
        );
    }
    same_cluster(findings, own, status, &id);
    let term = |status: &StatusView| status.goose.as_ref().map(|goose| (goose.id, goose.term));
    if term(own) != term(status) {
        let words = format!("voter {id} names another Goose: an election, or a cut network");
        findings.add(Verdict::Odd, "goose", words);
    }
}

fn same_cluster(findings: &mut Findings, own: &StatusView, there: &StatusView, id: &str) {
    let set = |status: &StatusView| {
        let voters = status.voters.as_ref().map(|voters| {
            let ids: Vec<String> = voters.ids.iter().map(ToString::to_string).collect();
            format!("voters {} (version {})", ids.join(", "), voters.version)
        });
        format!("cluster {} with {}", status.cluster, voters.as_deref().unwrap_or("no voters yet"))
    };
    findings.ok_if(
        set(own) == set(there),
        Verdict::Wrong,
        "configuration",
        [
            format!("voter {id} has the same cluster and voters"),
            format!(
                "voter {id} has other voters or another cluster name: {} there, {} here",
                set(there),
                set(own)
            ),
        ],
    );
}
