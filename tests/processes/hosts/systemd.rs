//! What systemd is told while members come and go: a sign of life in time, whatever happens.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use super::node::Cluster;
use super::{long, sandbox};

/// What the unit would say.
const WATCHDOG: Duration = Duration::from_secs(6);

/// So much later than a third of it may a sign of life be, on a busy machine.
const ALLOWANCE: Duration = Duration::from_millis(600);

#[test]
fn signs_of_life_come_in_time_while_members_come_and_go() {
    sandbox::run(|| {
        let socket = UnixDatagram::bind("/run/notify").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut cluster = Cluster::voters(1);
        cluster.network.add(2);
        cluster.network.plug(2, "bridge", "10.77.0.2/24");
        cluster.add(2, &["--seed", "10.77.0.1:8000"]);
        cluster.node(1).environment = vec![
            ("NOTIFY_SOCKET".to_owned(), "/run/notify".to_owned()),
            ("WATCHDOG_USEC".to_owned(), WATCHDOG.as_micros().to_string()),
        ];
        cluster.start(1);
        let term = cluster.agree(&[1], 0).term;
        let (began, mut last, mut worst) = (Instant::now(), Instant::now(), Duration::ZERO);
        let (mut signs, mut changes) = (0, 0);
        let mut changed = Instant::now();
        while began.elapsed() < Duration::from_secs(if long() { 60 } else { 9 }) {
            let mut buffer = [0; 1024];
            if let Ok(count) = socket.recv(&mut buffer)
                && buffer[..count].starts_with(b"WATCHDOG=1")
            {
                worst = worst.max(last.elapsed());
                (last, signs) = (Instant::now(), signs + 1);
            }
            // Half as long as the time between two signs of life.
            if changed.elapsed() > WATCHDOG / 6 {
                changed = Instant::now();
                changes += 1;
                if changes % 2 == 1 {
                    cluster.start(2);
                } else {
                    cluster.terminate(2);
                }
            }
        }
        worst = worst.max(last.elapsed());
        println!("{signs} signs of life in {changes} changes, longest gap {worst:?}");
        assert!(worst < WATCHDOG / 3 + ALLOWANCE, "{worst:?}\n{}", cluster.logs());
        assert_eq!(cluster.agree(&[1], 0).term, term);
        cluster.judge();
    });
}
