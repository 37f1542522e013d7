//! A Goose that is flooded goes on leading, and obeys. `cargo bench --bench load -- flood` is the
//! long form.

use std::time::Duration;

use crate::harness::Cluster;
use crate::harness::flood::{EVERYTHING, Flood, GARBAGE, Victim};
use crate::harness::watch::Watch;

/// So many datagrams are more than the node's socket holds, and take a second or two.
const MANY: u64 = 200_000;

#[test]
fn a_flooded_goose_keeps_its_term_and_obeys_orders() {
    for (sealed, kinds) in [(false, &GARBAGE[..]), (true, &EVERYTHING[..])] {
        let ids = [1, 2, 3];
        let mut cluster = Cluster::new(&ids, &ids, Watch::new(Duration::from_millis(4), true));
        if sealed {
            cluster.give_key();
        }
        // A machine that is busy with other things may starve anybody for half a second; whether
        // the default lease survives is for the benchmark to say.
        cluster.give_all(&["--lease", "3s"]);
        ids.iter().rev().for_each(|id| cluster.start(*id));
        let first = cluster.wait_for_agreement(&ids, 0);
        let flood = Flood::start(&Victim::of(&cluster, first.goose), kinds, 1);
        cluster.wait_until("it is well flooded", |_| (flood.sent() > MANY).then_some(()));
        let second = cluster.wait_for_agreement(&ids, 0);
        assert_eq!(second, first, "the flood changed the term\n{}", cluster.logs());
        // While it goes on.
        let answer = cluster.order(first.goose, "/v1/step-down").expect("orders are answered");
        assert_eq!(answer.code, 200, "{}", String::from_utf8_lossy(&answer.body));
        drop(flood);
        cluster.assert_one_goose_at_a_time();
    }
}
