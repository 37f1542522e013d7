//! A kept status is never anything but what a fresh one would say.

use hyper::body::Bytes;

use super::super::server::status_cache::RecentStatus;
use super::*;

/// The answer of `kept`, and a fresh one.
fn both(kept: &RecentStatus, snapshot: &Arc<Snapshot>, now: HolderTime) -> (Bytes, Bytes) {
    let history = History::new(snapshot.process, snapshot.address, snapshot.started);
    // The driver comes round now and then.
    let beat = beats(HolderTime(now.0 - now.0 % 3_700_011));
    let moment = moment(snapshot, &history, (now, beat));
    let body = |status: &RecentStatus| status.body(snapshot, &moment).unwrap();
    (body(kept), body(&RecentStatus::default()))
}

#[test]
fn a_kept_status_is_what_a_fresh_one_would_be() {
    // Starts and deadlines off the whole millisecond, as in life.
    let odd = |mut snapshot: Snapshot| {
        snapshot.started = HolderTime(1_000_300_007);
        if let Some(lease) = &mut snapshot.lease {
            lease.deadline = HolderTime(5_600_700_001);
        }
        Arc::new(snapshot)
    };
    let mut holding = duck();
    holding.holds_back_until = Some(HolderTime(5_700_200_003));
    let snapshots =
        [odd(goose()), odd(duck()), odd(duck_of_another()), odd(holding), Arc::new(goose())];
    let kept = RecentStatus::default();
    let mut same = 0;
    for snapshot in &snapshots {
        let mut before = Bytes::new();
        // Past the Goose's evidence, the lease, and the last second of voter 2's answer.
        let coarse = (5_490..6_000).map(|millisecond| millisecond * MILLISECOND);
        // Each of these instants is the last or the first of something.
        let edges = [5_500_000_000, 5_600_000_000, 5_600_700_001, 5_700_200_003, 5_900_000_000];
        let fine = edges.into_iter().flat_map(|edge| edge - 3..edge + 3);
        let mut instants: Vec<u64> =
            coarse.flat_map(|start| (0..10).map(move |part| start + part * 99_991)).collect();
        instants.extend(fine);
        instants.sort_unstable();
        for instant in instants {
            let (answer, fresh) = both(&kept, snapshot, HolderTime(instant));
            assert_eq!(answer, fresh, "at {instant} ns of {snapshot:?}");
            same += u64::from(answer.as_ptr() == before.as_ptr());
            before = answer;
        }
    }
    assert!(same > 10_000, "only {same} answers were kept ones");
}

#[test]
fn another_snapshot_is_never_answered_with_what_was_kept() {
    let kept = RecentStatus::default();
    let (first, second) = (Arc::new(goose()), Arc::new(duck()));
    for snapshot in [&first, &second, &first] {
        let (answer, fresh) = both(&kept, snapshot, at(5_100));
        assert_eq!(answer, fresh);
    }
}
