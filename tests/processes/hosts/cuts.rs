//! The Goose is cut off: both ways, one way out, one way in, by the network and by its own
//! firewall; whichever of the voters it is. Then all is well again.

use super::network::Network;
use super::node::{Cluster, without};
use super::sandbox;

/// Cuts off the Goose by `cut`, for each of three voters.
fn survive(cut: fn(&Network, u8)) {
    let mut cluster = Cluster::workers(3);
    cluster.start_all();
    for goose in [1, 2, 3] {
        let term = cluster.crown(goose);
        let others = without(goose);
        cut(&cluster.network, goose);
        let (_, next) = cluster.lead(&others, term);
        cluster.wait_until("the node that was cut off gives up", |cluster| {
            cluster.status(goose).filter(|status| !status.is_goose())
        });
        cluster.network.heal();
        // Whoever comes back disturbs nobody.
        assert_eq!(cluster.agree(&[1, 2, 3], 0).term, next, "{}", cluster.logs());
    }
    println!("{}", cluster.judge().summary());
}

#[test]
fn the_goose_is_isolated() {
    sandbox::run(|| survive(Network::isolate));
}

#[test]
fn the_goose_is_not_heard() {
    sandbox::run(|| survive(Network::mute));
}

#[test]
fn the_goose_hears_nobody() {
    sandbox::run(|| survive(Network::deafen));
}

#[test]
fn the_gooses_own_firewall_refuses() {
    sandbox::run(|| survive(Network::refuse));
}

/// One packet of five is lost, and most come late and out of order where the kernel can do that.
#[test]
fn a_foul_network_makes_no_second_goose() {
    sandbox::run(|| {
        let mut cluster = Cluster::workers(3);
        cluster.start_all();
        let (goose, term) = cluster.lead(&[1, 2, 3], 0);
        cluster.network.lose(20);
        for host in [1, 2, 3] {
            if let Err(complaint) = cluster.network.delay(host, 10) {
                println!("without delays: {}", complaint.trim());
                break;
            }
        }
        cluster.kill(goose);
        let others = without(goose);
        cluster.lead(&others, term);
        cluster.start(goose);
        let (_, term) = cluster.lead(&[1, 2, 3], term);
        cluster.network.lose(0);
        cluster.agree(&[1, 2, 3], term - 1);
        println!("{}", cluster.judge().summary());
    });
}
