//! How each term began and ended, as the node that led says it and as the others do.

use serde_json::Value;

use super::three;
use crate::harness::Cluster;

/// The reasons that node `id` gives for the beginning and the end of `term`.
fn reasons(cluster: &Cluster, id: u64, term: u64) -> Option<(String, Option<String>)> {
    let page: Value = serde_json::from_slice(&cluster.get(id, "/v1/history")?.body).ok()?;
    let terms = page["terms"].as_array()?;
    let seen = terms.iter().find(|seen| seen["term"] == term)?;
    Some((seen["reason"].as_str()?.to_owned(), seen["ended_reason"].as_str().map(str::to_owned)))
}

fn began(cluster: &Cluster, id: u64, term: u64, how: &str) {
    cluster.wait_until(&format!("node {id} says that term {term} began: {how}"), |cluster| {
        reasons(cluster, id, term).filter(|(began, _)| began == how)
    });
}

fn ended(cluster: &Cluster, id: u64, term: u64, why: &str) {
    let mut last = None;
    let what = format!("node {id} says that term {term} ended: {why}");
    println!("{what}");
    cluster.wait_until(&what, |cluster| {
        let seen = reasons(cluster, id, term)?.1;
        if seen != last {
            println!("  {seen:?}");
        }
        last = seen;
        (last.as_deref() == Some(why)).then_some(())
    });
}

const ELECTED: &str = "elected: a majority of the voters granted it the lease";
const HEARD: &str = "elected, as it said itself or a voter said";
const HANDED_OVER: &str = "handed over: the last Goose named it";

#[test]
fn a_step_down_and_a_lapse_are_told_apart() {
    let cluster = three();
    let all = [1, 2, 3];
    let first = cluster.wait_for_agreement(&all, 0);
    began(&cluster, first.goose, first.term, ELECTED);
    let others = cluster.others(&[first.goose]);
    began(&cluster, others[0], first.term, HEARD);

    assert_eq!(cluster.order(first.goose, "/v1/step-down").unwrap().code, 200);
    let second = cluster.wait_for_agreement(&all, first.term);
    let third = *others.iter().find(|id| **id != second.goose).unwrap();
    ended(&cluster, first.goose, first.term, "it was told to step down");
    began(&cluster, second.goose, second.term, HANDED_OVER);
    let named = format!("it stepped down and named node {} to follow", second.goose);
    for id in [second.goose, third] {
        ended(&cluster, id, first.term, &named);
    }
    began(&cluster, third, second.term, HANDED_OVER);

    let silent = cluster.others(&[second.goose]);
    silent.iter().for_each(|id| cluster.freeze(*id));
    let lapsed = format!(
        "the lease lapsed because voters {} and {} did not answer in time",
        silent[0], silent[1]
    );
    ended(&cluster, second.goose, second.term, &lapsed);
    silent.iter().for_each(|id| cluster.thaw(*id));
    cluster.wait_for_agreement(&all, second.term);
}

#[test]
fn a_crash_a_freeze_and_a_goodbye_are_told_apart() {
    let mut cluster = three();
    let all = [1, 2, 3];
    let first = cluster.wait_for_agreement(&all, 0);
    cluster.kill(first.goose);
    let others = cluster.others(&[first.goose]);
    let second = cluster.wait_for_agreement(&others, first.term);
    let crashed = "it crashed: its process died, as its keeper said";
    others.iter().for_each(|id| ended(&cluster, *id, first.term, crashed));
    cluster.start(first.goose);
    cluster.wait_for_agreement(&all, second.term - 1);

    // Nobody can tell this from a crash of its machine.
    cluster.freeze(second.goose);
    let cut_off = "it crashed or was cut off: it fell silent and answered nobody's ping";
    let others = cluster.others(&[second.goose]);
    others.iter().for_each(|id| ended(&cluster, *id, second.term, cut_off));
    cluster.thaw(second.goose);
    // But it knows itself that it, and no voter, is to blame.
    cluster.wait_until("the frozen node names its own stall", |cluster| {
        let (_, why) = reasons(cluster, second.goose, second.term)?;
        let own = "this node itself was kept from running for ";
        why.filter(|why| why.starts_with(own)).inspect(|why| println!("{why}"))
    });

    let third = cluster.wait_for_agreement(&all, second.term);
    assert!(cluster.terminate(third.goose).success());
    let rest = cluster.others(&[]);
    let fourth = cluster.wait_for_agreement(&rest, third.term);
    let named = format!("it stepped down and named node {} to follow", fourth.goose);
    rest.iter().for_each(|id| ended(&cluster, *id, third.term, &named));
}
