//! The network between the nodes: slow, lossy, repeating, one-way, and at times gone.
//!
//! It decides the fate of one datagram at a time: which copies of it arrive, and when.
//! Reordering needs no rule of its own, since every copy draws its own delay.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use super::delay::Delay;
use crate::sim::prng::Prng;
use crate::wire::datagram::Header;
use crate::wire::message::Message;

/// How the links behave where they are not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The time a datagram travels.
    pub delay: Delay,
    /// So many datagrams in a thousand are lost.
    pub loss: u32,
    /// So many in a thousand arrive twice.
    pub duplicates: u32,
    /// So many in a thousand take up to `straggle` longer.
    pub stragglers: u32,
    /// Nanoseconds; may exceed a lease.
    pub straggle: u64,
    /// Of so many copies in a thousand, a few bits are flipped.
    pub flips: u32,
}

impl Weather {
    /// No loss and a constant delay of so many nanoseconds.
    pub fn fair(delay: u64) -> Self {
        let delay = Delay::Constant(delay);
        Self { delay, loss: 0, duplicates: 0, stragglers: 0, straggle: 0, flips: 0 }
    }

    /// What is said of it in a story.
    pub(super) fn words(self) -> String {
        let Self { loss, duplicates, stragglers, straggle, .. } = self;
        format!(
            "of 1000 datagrams {loss} are lost, {duplicates} doubled, {stragglers} up to {} ms late",
            straggle / 1_000_000
        )
    }
}

/// What no link carries at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blackout {
    /// Everything passes.
    #[default]
    None,
    /// Gossip is lost, the election's messages pass.
    Gossip,
    /// The election's messages are lost, gossip passes.
    Election,
    /// Nothing passes.
    Total,
}

impl Blackout {
    /// What is said of it in a story.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::None => "everything passes again",
            Self::Gossip => "no gossip passes any more",
            Self::Election => "nothing but gossip passes",
            Self::Total => "nothing passes any more",
        }
    }
}

/// One datagram on its way, decoded once for whoever looks at it.
#[derive(Debug)]
pub struct Packet {
    /// Which transmission this is a copy of.
    pub number: u64,
    /// The bytes.
    pub datagram: Vec<u8>,
    /// What they say, if they are sound.
    pub content: Option<(Header, Message)>,
}

impl Packet {
    /// Whether the membership layer sent it.
    pub fn is_gossip(&self) -> bool {
        matches!(self.content, Some((_, Message::Gossip(_))))
    }

    /// The message, if it is sound.
    pub fn message(&self) -> Option<&Message> {
        self.content.as_ref().map(|(_, message)| message)
    }
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives after this delay.
    Arrives(u64),
    /// It arrives twice.
    Twice(u64, u64),
}

/// A datagram that somebody recorded, to be played again later.
#[derive(Clone, Debug)]
pub struct Captured {
    /// To which node.
    pub to: usize,
    /// From which address.
    pub from: SocketAddr,
    /// What.
    pub packet: Rc<Packet>,
}

/// How many captured datagrams are kept.
const CAPTURED_MAX: usize = 256;

/// See the module.
#[derive(Debug)]
pub struct Network {
    size: usize,
    cuts: Vec<bool>,
    /// The longest datagram that each link carries.
    widths: Vec<usize>,
    /// How the links behave.
    pub weather: Weather,
    /// What no link carries.
    pub blackout: Blackout,
    captured: VecDeque<Captured>,
}

impl Network {
    /// A network of `size` nodes, all links whole.
    pub fn new(size: usize, weather: Weather) -> Self {
        let cuts = vec![false; size * size];
        let widths = vec![usize::MAX; size * size];
        Self { size, cuts, widths, weather, blackout: Blackout::None, captured: VecDeque::new() }
    }

    /// The address of node `index`; `version` tells later addresses of it from earlier ones.
    pub fn address(index: usize, version: u16) -> SocketAddr {
        let place = u16::try_from(index + 1).unwrap_or(u16::MAX).to_be_bytes();
        let ip = Ipv4Addr::new(10, 0, place[0], place[1]);
        SocketAddr::new(IpAddr::V4(ip), 7000 + version)
    }

    /// Which node an address is or was that of.
    pub fn index_of(address: SocketAddr) -> Option<usize> {
        let IpAddr::V4(ip) = address.ip() else { return None };
        let [10, 0, high, low] = ip.octets() else { return None };
        usize::from(u16::from_be_bytes([high, low])).checked_sub(1)
    }

    /// Nothing passes from one node to the other. The way back is another matter.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cuts[from * self.size + to] = true;
    }

    /// The link from one node to the other carries again.
    pub fn mend(&mut self, from: usize, to: usize) {
        self.cuts[from * self.size + to] = false;
    }

    /// Whether nothing passes from one node to the other.
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts[from * self.size + to]
    }

    /// The link from one node to the other carries nothing longer than this; none: everything.
    pub fn narrow(&mut self, from: usize, to: usize, longest: Option<usize>) {
        self.widths[from * self.size + to] = longest.unwrap_or(usize::MAX);
    }

    /// Whether the election's messages may pass from one node to another.
    pub fn carries_election(&self, from: usize, to: usize) -> bool {
        let dark = matches!(self.blackout, Blackout::Election | Blackout::Total);
        !dark && !self.is_cut(from, to)
    }

    /// Every link carries again, and the blackout is over.
    pub fn mend_all(&mut self) {
        self.cuts.fill(false);
        self.widths.fill(usize::MAX);
        self.blackout = Blackout::None;
    }

    /// Only nodes of the same group reach each other. `group[i]` is the group of node i.
    pub fn partition(&mut self, group: &[usize]) {
        for from in 0..self.size {
            for to in 0..self.size {
                self.cuts[from * self.size + to] = group[from] != group[to];
            }
        }
    }

    /// What becomes of one datagram.
    pub fn fate(&self, from: usize, to: usize, packet: &Packet, prng: &mut Prng) -> Fate {
        let dark = match self.blackout {
            Blackout::None => false,
            Blackout::Gossip => packet.is_gossip(),
            Blackout::Election => !packet.is_gossip(),
            Blackout::Total => true,
        };
        let wide = packet.datagram.len() > self.widths[from * self.size + to];
        if dark || wide || self.is_cut(from, to) || prng.chance(self.weather.loss) {
            return Fate::Lost;
        }
        let first = self.delay(prng);
        if prng.chance(self.weather.duplicates) {
            return Fate::Twice(first, self.delay(prng));
        }
        Fate::Arrives(first)
    }

    fn delay(&self, prng: &mut Prng) -> u64 {
        let straggle = if prng.chance(self.weather.stragglers) {
            prng.between(0, self.weather.straggle)
        } else {
            0
        };
        self.weather.delay.draw(prng) + straggle
    }

    /// What arrives in place of these bytes, if they are damaged on their way.
    pub fn damage(&self, datagram: &[u8], prng: &mut Prng) -> Option<Vec<u8>> {
        if datagram.is_empty() || !prng.chance(self.weather.flips) {
            return None;
        }
        let mut damaged = datagram.to_vec();
        for _ in 0..1 + prng.below(3) {
            // Mostly in what is said, little of which is in the padding.
            let used = damaged.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            let at = prng.below(used + 1);
            damaged[at] ^= 1 << prng.below(8);
        }
        (damaged != datagram).then_some(damaged)
    }

    /// Records a datagram that was delivered.
    pub fn capture(&mut self, captured: Captured) {
        if self.captured.len() == CAPTURED_MAX {
            self.captured.pop_front();
        }
        self.captured.push_back(captured);
    }

    /// One of the recorded datagrams.
    pub fn recall(&self, prng: &mut Prng) -> Option<Captured> {
        let place = prng.below(self.captured.len());
        self.captured.get(place).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(gossip: bool) -> Packet {
        use crate::vocabulary::configuration::ConfigurationStamp;
        use crate::vocabulary::identity::{Boot, NodeId, Process};
        use crate::wire::datagram::Addressee;
        let id = NodeId::new(1).unwrap();
        let header = Header {
            cluster: 1,
            genesis: 1,
            lineage: None,
            sender: Process { id, boot: Boot { start: 1, nonce: 1 } },
            addressee: Addressee { id: None, boot: None },
            configuration: ConfigurationStamp::default(),
            token: 0,
            echo: 0,
            leader_freshness: None,
        };
        let message = if gossip { Message::Gossip(vec![]) } else { Message::Probe { sequence: 1 } };
        Packet { number: 1, datagram: vec![], content: Some((header, message)) }
    }

    #[test]
    fn a_cut_is_one_way() {
        let mut network = Network::new(3, Weather::fair(10));
        let mut prng = Prng::new(1, "network");
        network.cut(0, 1);
        assert_eq!(network.fate(0, 1, &packet(false), &mut prng), Fate::Lost);
        assert_eq!(network.fate(1, 0, &packet(false), &mut prng), Fate::Arrives(10));
        network.partition(&[0, 0, 1]);
        assert_eq!(network.fate(0, 1, &packet(false), &mut prng), Fate::Arrives(10));
        assert_eq!(network.fate(2, 1, &packet(false), &mut prng), Fate::Lost);
    }

    #[test]
    fn a_gossip_blackout_lets_the_election_pass() {
        let mut network = Network::new(2, Weather::fair(10));
        let mut prng = Prng::new(1, "network");
        network.blackout = Blackout::Gossip;
        assert_eq!(network.fate(0, 1, &packet(true), &mut prng), Fate::Lost);
        assert_eq!(network.fate(0, 1, &packet(false), &mut prng), Fate::Arrives(10));
        network.blackout = Blackout::Election;
        assert_eq!(network.fate(0, 1, &packet(true), &mut prng), Fate::Arrives(10));
        assert_eq!(network.fate(0, 1, &packet(false), &mut prng), Fate::Lost);
    }

    #[test]
    fn rates_are_about_what_they_say() {
        let mut network = Network::new(2, Weather::fair(10));
        network.weather.loss = 300;
        network.weather.duplicates = 300;
        let mut prng = Prng::new(1, "network");
        let fates: Vec<Fate> =
            (0..1000).map(|_| network.fate(0, 1, &packet(false), &mut prng)).collect();
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        let twice = fates.iter().filter(|fate| matches!(fate, Fate::Twice(..))).count();
        assert!((250..350).contains(&lost) && (160..260).contains(&twice), "{lost} {twice}");
    }

    #[test]
    fn an_address_names_its_node() {
        for index in [0, 8, 300] {
            assert_eq!(Network::index_of(Network::address(index, 4)), Some(index));
        }
    }
}
