//! Tests of the server: the pure routes, and the server over real loopback sockets with a
//! double in the node's place.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::api::views::Moment;
use super::{NodeView, Options, ServerThread, spawn_thread};
use crate::config::token::Token;
use crate::node::{
    DrainError, Drained, ForgetError, NotLeading, Paused, StepDownError, SteppedDown, VoterOrder,
    VoterOrderError, VotersOrdered,
};
use crate::shell::handle::OrderError;
use crate::shell::history::History;
use crate::shell::process_usage::{ProcessUsage, Stat};
use crate::shell::pulse::Pulse;
use crate::vocabulary::configuration::{ClusterName, Configuration, Genesis, VoterSet};
use crate::vocabulary::event::Event;
use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::{Boot, NodeId, Process};
use crate::vocabulary::lineage::Lineage;
use crate::vocabulary::metadata::{Metadata, Tags};
use crate::vocabulary::node_name::NodeName;
use crate::vocabulary::snapshot::{
    Counters, KnownGoose, Lease, MemberState, MemberView, Phase, Snapshot, VoterView, VotersView,
};
use crate::vocabulary::time::{HolderTime, Now, WallTime};
use crate::vocabulary::timing::{Profile, Timing};
use crate::vocabulary::voter_change::{ChangeHold, VoterChange, VoterGoal};

mod abuse;
mod agent_check;
mod contract;
mod control;
mod guard;
mod orders;
mod routing;
mod status_cache;
mod streams;
#[cfg(feature = "tls")]
mod tls;

const MILLISECOND: u64 = 1_000_000;

fn at(milliseconds: u64) -> HolderTime {
    HolderTime(milliseconds * MILLISECOND)
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn boot(start: u64) -> Boot {
    Boot { start, nonce: 7 }
}

fn metadata(number: u64) -> Arc<Metadata> {
    let tags: &[(&str, &str)] = if number == 3 { &[("zone", "eu-1")] } else { &[] };
    let http = Some(address(&format!("127.0.0.1:{}", 8999 + number)));
    let name = NodeName::new(&format!("db-{number}")).ok();
    Arc::new(Metadata { http, tags: Tags::new(tags.iter().copied()).unwrap(), name })
}

/// Node 3 of the voters 1, 2 and 3, started at 1000 ms; it answers for itself and node 2.
fn duck() -> Snapshot {
    let voter = |number, answered: Option<u64>| VoterView {
        id: id(number),
        address: Some(address(&format!("127.0.0.1:{}", 7999 + number))),
        answered: answered.map(at),
        round_trip: answered.map(|_| Duration::from_micros(450)),
        granted_until: None,
        leaves: false,
    };
    let member = |number, state| MemberView {
        id: id(number),
        address: address(&format!("127.0.0.1:{}", 7999 + number)),
        boot: boot(number),
        eligible: true,
        state,
        metadata: (number > 1).then(|| metadata(number)),
    };
    let voters = VoterSet::new(vec![id(1), id(2), id(3)]).unwrap();
    Snapshot {
        cluster: ClusterName::new("gaggle").unwrap(),
        process: Process { id: id(3), boot: boot(3) },
        address: address("127.0.0.1:8002"),
        http: Some(address("127.0.0.1:9002")),
        tags: Tags::default(),
        name: NodeName::new("db-3").ok(),
        lineage: Some(Lineage::of_nonces(&[])),
        index: 17,
        phase: Phase::Serving,
        lease: None,
        term: 11,
        goose: None,
        voters: Some(VotersView {
            configuration: Configuration::genesis(Genesis::new(
                voters,
                false,
                &Timing::of(Profile::Lan),
                false,
            )),
            voters: vec![voter(1, None), voter(2, Some(4_900)), voter(3, None)],
            awaited: Vec::new(),
        }),
        members: Arc::new(vec![
            member(1, MemberState::Down),
            member(2, MemberState::Suspect),
            member(3, MemberState::Alive),
        ]),
        speaks_from: BTreeMap::from([(id(1), (address("10.0.0.9:8000"), at(4_000)))]),
        counters: Counters::default(),
        started: at(1_000),
        holds_back_until: None,
        paused_until: None,
        voter_change: None,
        is_drained: false,
        unhealthy: None,
        store_lost: false,
        store_slow: None,
        ending: None,
    }
}

/// The same node as Goose of term 12, until 5600 ms.
fn goose() -> Snapshot {
    let mut snapshot = duck();
    snapshot.term = 12;
    snapshot.lease = Some(Lease {
        term: 12,
        deadline: at(5_600),
        duration: Duration::from_millis(600),
        since: at(4_000),
    });
    snapshot.goose = Some(KnownGoose {
        goose: Goose {
            term: 12,
            process: snapshot.process,
            address: snapshot.address,
            http: snapshot.http,
        },
        confirmed: at(4_950),
        expires: at(5_600),
    });
    if let Some(voters) = &mut snapshot.voters {
        voters.voters[1].granted_until = Some(at(5_600));
    }
    snapshot
}

/// The Goose, which leads to node 4 in place of node 1, and waits for `learning`, if for anybody.
fn changing(learning: &[u64]) -> Snapshot {
    let hold = match learning {
        [] => ChangeHold::Majority,
        ids => ChangeHold::Learning(ids.iter().copied().map(id).collect()),
    };
    let voters = VoterSet::new(vec![id(2), id(3), id(4)]).unwrap();
    let goal = VoterGoal { voters, automatic: None };
    Snapshot { voter_change: Some(VoterChange { goal, hold }), ..goose() }
}

/// Node 3 as a Duck that knows node 2 as Goose until 5500 ms.
fn duck_of_another() -> Snapshot {
    let mut snapshot = duck();
    snapshot.goose = Some(KnownGoose {
        goose: Goose {
            term: 11,
            process: Process { id: id(2), boot: boot(2) },
            address: address("127.0.0.1:8001"),
            http: None,
        },
        confirmed: at(4_700),
        expires: at(5_500),
    });
    snapshot
}

/// The same; the Goose serves HTTP, and has tags that node 3 has learnt.
fn duck_of_one_that_serves() -> Snapshot {
    let mut snapshot = duck_of_another();
    if let Some(known) = &mut snapshot.goose {
        known.goose.http = Some(address("127.0.0.1:9001"));
    }
    let tags = [("service", "http://10.0.0.2:8080/app"), ("port", "10.0.0.2:8080")];
    let tags = Tags::new(tags).unwrap();
    let members = Arc::make_mut(&mut snapshot.members);
    members[1].metadata = Some(Arc::new(Metadata { tags, ..Metadata::clone(&metadata(2)) }));
    snapshot
}

/// A node that shows what it is told to show and remembers its orders.
#[derive(Clone)]
struct Double {
    snapshot: Arc<Snapshot>,
    now: Arc<AtomicU64>,
    /// The driver never comes round later than this, whatever the clock says.
    stuck: Option<HolderTime>,
    orders: Arc<Mutex<Vec<String>>>,
    history: Arc<watch::Sender<Arc<History>>>,
}

impl Double {
    fn new(snapshot: Snapshot, milliseconds: u64) -> Self {
        let mut history = History::new(snapshot.process, snapshot.address, snapshot.started);
        history.index = snapshot.index;
        Self {
            history: Arc::new(watch::Sender::new(Arc::new(history))),
            snapshot: Arc::new(snapshot),
            now: Arc::new(AtomicU64::new(milliseconds * MILLISECOND)),
            stuck: None,
            orders: Arc::default(),
        }
    }

    fn set_clock(&self, nanoseconds: u64) {
        self.now.store(nanoseconds, Ordering::SeqCst);
    }

    /// Something happened: the index rises.
    fn happened(&self, event: Event) {
        let now =
            Now { holder: self.holder_now(), wall: WallTime(1_764_012_123_456), ..Now::default() };
        self.history.send_modify(|history| {
            let index = history.index + 1;
            Arc::make_mut(history).note(event, "in words".to_owned(), index, now);
        });
    }

    fn orders(&self) -> Vec<String> {
        self.orders.lock().unwrap().clone()
    }
}

impl NodeView for Double {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }
    fn holder_now(&self) -> HolderTime {
        HolderTime(self.now.load(Ordering::SeqCst))
    }
    fn pulse(&self) -> Pulse {
        beats(self.stuck.unwrap_or(self.holder_now()))
    }
    fn history(&self) -> watch::Receiver<Arc<History>> {
        self.history.subscribe()
    }

    async fn step_down(
        &self,
        to: Option<NodeId>,
        hold: Option<Duration>,
    ) -> Result<SteppedDown, OrderError> {
        self.orders.lock().unwrap().push(format!("step down to {to:?} hold {hold:?}"));
        match (self.snapshot.lease, to) {
            (None, _) => Err(StepDownError::NotGoose.into()),
            (Some(_), Some(to)) if [1, 3, 99].map(id).contains(&to) => {
                Err(StepDownError::UnknownNominee(to).into())
            }
            (Some(lease), to) => Ok(SteppedDown { term: lease.term, nominee: to.or(Some(id(2))) }),
        }
    }
    async fn drain(&self, is_drained: bool) -> Result<Drained, OrderError> {
        self.orders.lock().unwrap().push(format!("drain {is_drained}"));
        let led = self.snapshot.lease.filter(|_| is_drained);
        if led.is_some_and(|lease| lease.term == 13) {
            return Err(DrainError::NoStandby.into());
        }
        let ended = led.map(|lease| SteppedDown { term: lease.term, nominee: Some(id(2)) });
        let is_news = self.snapshot.is_drained != is_drained;
        Ok(Drained { is_drained, is_news, is_kept: true, ended })
    }
    async fn pause(&self, lasts: Option<Duration>) -> Result<Paused, OrderError> {
        self.orders.lock().unwrap().push(format!("pause {lasts:?}"));
        let goose = Some((id(2), address("127.0.0.1:8001")));
        let lease = self.snapshot.lease.ok_or(NotLeading { goose })?;
        let was_paused = self.snapshot.paused_until.is_some();
        Ok(Paused { term: lease.term, lasts, was_paused })
    }
    async fn change_voters(&self, order: VoterOrder) -> Result<VotersOrdered, OrderError> {
        self.orders.lock().unwrap().push(format!("voters {order:?}"));
        if self.snapshot.lease.is_none() {
            let goose = Some((id(2), address("127.0.0.1:8001")));
            return Err(VoterOrderError::NotGoose { goose }.into());
        }
        let (number, hold) = match order {
            VoterOrder::Add(id) if id.number() == 99 => {
                return Err(VoterOrderError::Unknown(id).into());
            }
            VoterOrder::Replace { .. } => return Err(VoterOrderError::FoundedByTwo.into()),
            VoterOrder::Add(id) if id.number() == 4 => (4, None),
            VoterOrder::Add(id) => (id.number(), Some(ChangeHold::Learning(vec![id]))),
            VoterOrder::Remove(id) if id.number() != 4 => (3, Some(ChangeHold::Majority)),
            VoterOrder::Keep(number) => (u64::from(number.unwrap_or(3)), Some(ChangeHold::Commit)),
            VoterOrder::Remove(_) | VoterOrder::Set(_) => (3, None),
        };
        let goal = VoterSet::new(vec![id(1), id(number.max(2))]).unwrap();
        Ok(VotersOrdered { goal, automatic: None, hold })
    }
    async fn forget(&self, id: NodeId) -> Result<(), OrderError> {
        self.orders.lock().unwrap().push(format!("forget {id}"));
        match id.number() {
            98 => Err(ForgetError::Present(id).into()),
            99 => Err(ForgetError::Unknown(id).into()),
            _ => Ok(()),
        }
    }
    async fn leave(&self) -> Result<(), OrderError> {
        self.orders.lock().unwrap().push("leave".to_owned());
        Ok(())
    }
}

/// The driver came round at that time.
fn beats(last: HolderTime) -> Pulse {
    Pulse { last, ended: false, delay_max: Duration::ZERO }
}

/// What is shown of `snapshot` at that time.
fn moment<'a>(
    snapshot: &'a Snapshot,
    history: &'a History,
    (now, pulse): (HolderTime, Pulse),
) -> Moment<'a> {
    let reachable_within = options().reachable_within;
    let wall = WallTime(1_700_000_000_000);
    let certificate_expires = Some(1_800_000_000);
    Moment {
        snapshot,
        now,
        wall,
        reachable_within,
        history,
        pulse,
        log_lines_dropped: 0,
        process_usage: || ProcessUsage {
            processor: Duration::from_millis(1250),
            open_files_max: Some(1024),
            open_files: Some(23),
            stat: Some(Stat {
                resident_memory: 9_000_000,
                virtual_memory: 12_000_000,
                started: Duration::from_millis(1_700_000_000_500),
            }),
        },
        certificate_expires,
    }
}

/// The admin token, and the header of whoever holds it.
const SECRET: &str = "correct-horse-battery";
const BEARER: &str = "Authorization: Bearer correct-horse-battery\r\n";

fn options() -> Options {
    let admin_token = Some(Token::new(SECRET).unwrap());
    Options { admin_token, ..Options::new(Duration::from_millis(200)) }
}

/// The server for `double` on a port of its own.
fn served(double: &Double, options: Options) -> ServerThread {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    spawn_thread(listener, double.clone(), options).unwrap()
}
