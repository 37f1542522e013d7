//! A node that advertises an address at which nobody answers: it hears all others and none hears
//! it, so only what they say of it tells.

use super::terminal::{diagnosis, doctor, text};
use super::three_and;
use crate::harness::process::free_port;

#[test]
fn both_sides_say_what_is_wrong_with_an_address_that_leads_nowhere() {
    let mut cluster = three_and(&[4]);
    let nowhere = format!("127.0.0.1:{}", free_port());
    cluster.give(4, &["--advertise", &nowhere]);
    cluster.wait_for_agreement(&[1, 2, 3], 0);
    diagnosis(&cluster, 1, &[], 0, &["2 others see this node alive", "\nhealthy"]);
    cluster.start(4);
    let real = cluster.node(4).settings.address;
    let line = format!(
        "node 4 speaks from {real} but advertises {nowhere}, and does not answer there: its \
         --advertise is wrong, or a firewall or NAT keeps datagrams away from it"
    );
    diagnosis(&cluster, 1, &[], 1, &[&line, "\nsomething is wrong"]);
    let own = line.replace("node 4 speaks", "this node speaks");
    cluster.wait_until("its own doctor repeats what the others say", |cluster| {
        let report = text(&doctor(cluster, 4, &[]).stdout);
        let by = |id: u64| format!("node {id} says that this node ");
        let whole = (1..=3).all(|id| report.contains(&by(id))) && report.contains(&own);
        (whole && report.contains("\nsomething is wrong")).then(|| println!("{report}"))
    });
    let members = cluster.get(2, "/v1/members").map(|answer| answer.body).unwrap_or_default();
    let members = String::from_utf8_lossy(&members).into_owned();
    assert!(members.contains(&format!("\"speaks_from\":\"{real}\"")), "{members}");
}
