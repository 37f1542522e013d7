//! Three nodes in invented time that have elected a Goose, and what they say to each other.

use std::net::SocketAddr;
use std::time::Duration;

use gaggle::node::setup::Setup;
use gaggle::node::{NodeCore, Output};
use gaggle::sim::postbox::{self, Datagram, Postbox, address};
use gaggle::vocabulary::time::Now;
use gaggle::wire::datagram;
use gaggle::wire::message::Message;
use gaggle::wire::seal::{self, KEY_SIZE, KeyRing};

/// The key of those that seal.
pub(crate) const SECRET: [u8; KEY_SIZE] = [5; KEY_SIZE];

const NODES: [u64; 3] = [1, 2, 3];
/// Until then they have met, founded the cluster and elected.
const SETTLED: Duration = Duration::from_secs(3);

/// The settings of one of three voters.
pub(crate) fn setup(number: u64, sealed: bool) -> Setup {
    let keys = sealed.then(|| KeyRing::new(vec![SECRET]).expect("one key"));
    Setup { keys, ..postbox::setup("micro", number, &NODES) }
}

/// The nodes, the time and the mail.
pub(crate) struct Cluster {
    postbox: Postbox<()>,
    keys: Option<KeyRing>,
}

impl Cluster {
    /// Three nodes of which one leads; it is not the first.
    pub(crate) fn settled(sealed: bool) -> Self {
        let mut postbox = Postbox::new(());
        for number in NODES {
            postbox.start(setup(number, sealed)).expect("a node");
        }
        postbox.run_for(SETTLED);
        assert_eq!(postbox.geese(), [3], "the highest leads");
        Self { postbox, keys: setup(1, sealed).keys }
    }

    /// Lets the nodes go on until a datagram of the wanted kind reaches the first of them, and
    /// hands it out in place of delivering it.
    pub(crate) fn next_for_first(
        &mut self,
        wanted: fn(&Message) -> bool,
    ) -> (Now, SocketAddr, Vec<u8>) {
        loop {
            let is_wanted =
                |datagram: &Datagram| datagram.to == address(1) && self.says(datagram, wanted);
            let datagram =
                self.postbox.next_datagram().filter(|datagram| is_wanted(datagram)).cloned();
            let next = self.postbox.next().expect("nodes never rest");
            if let Some(datagram) = datagram {
                self.postbox.pass_to(next);
                self.postbox.take(|next| *next == datagram);
                return (self.postbox.now(), datagram.from, datagram.bytes);
            }
            self.postbox.step(next);
        }
    }

    fn says(&self, datagram: &Datagram, wanted: fn(&Message) -> bool) -> bool {
        let opened = seal::open(self.keys.as_ref(), &datagram.bytes).expect("it is one of ours");
        let plain = opened.as_ref().map_or(datagram.bytes.as_slice(), |opened| opened.plain());
        datagram::decode(plain).is_ok_and(|(_, message)| wanted(&message))
    }

    /// The node that is measured.
    pub(crate) fn first(&mut self) -> &mut NodeCore {
        self.postbox.nodes.get_mut(&1).expect("it is there")
    }

    /// Carries out what the first node wants done.
    pub(crate) fn keep(&mut self, outputs: Vec<Output>) {
        outputs.into_iter().for_each(|output| self.postbox.carry_out(1, output));
        self.postbox.drain(1);
    }
}
