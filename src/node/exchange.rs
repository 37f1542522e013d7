//! What goes between this process and others: datagrams that come in, and what membership and the
//! election have to say.
//!
//! ```text
//!   datagram ──▶ door ──▶ of this cluster? ──▶ for this process? ──▶ membership, or the election
//!                              │                     │
//!                              │ Join, Welcome       └─ no: its sender may be told why
//!                              ▼
//!                            joining
//! ```

use std::net::SocketAddr;

use super::addresses::{Addresses, Directory, Sought};
use super::admission::{self, Admission, Door, Meeting};
use super::cluster::Cluster;
use super::descent::Descent;
use super::health::Health;
use super::join::{self, Joining, Question, Seeking, Stance};
use super::outputs::{Output, Outputs};
use super::persistence::Persistence;
use super::proof::Proofs;
use super::sealing::Sealing;
use super::send::Sending;
use super::start::{self, Opening};
use super::starts::{self, Starts};
use crate::election::{Election, STANDBYS, Sight};
use crate::membership::seeding::SeedingOutput;
use crate::membership::{Membership, MembershipOutput};
use crate::node::setup::Setup;
use crate::vocabulary::event::{Event, Warning};
use crate::vocabulary::identity::{NodeId, Process, normalised};
use crate::vocabulary::lineage::{ForeignFounding, LineageClaim};
use crate::vocabulary::reject::Reject;
use crate::vocabulary::time::Now;
use crate::wire::datagram::{Addressee, Header, LeaderFreshness};
use crate::wire::message::{Assurance, Join, Message, NakReason, Welcome};

/// How many of the highest eligible nodes the election knows of at most.
const SIGHT_WIDTH: usize = 48;
/// In a cluster of at most this many, everybody is told of a new Goose directly.
const NEIGHBOURS_MAX: usize = 64;

// Standbys are told of a new Goose out of the same sight.
const _: () = assert!(STANDBYS < SIGHT_WIDTH);

/// What the exchange with others may touch: nothing of orders, nor of work.
pub(super) struct Exchange<'a> {
    pub(super) setup: &'a Setup,
    pub(super) is_leaving: bool,
    pub(super) is_parting: bool,
    pub(super) me: &'a mut Process,
    pub(super) cluster: &'a mut Cluster,
    pub(super) starts: &'a mut Starts,
    pub(super) election: &'a mut Option<Election>,
    pub(super) membership: &'a mut Membership,
    pub(super) joining: &'a mut Joining,
    pub(super) addresses: &'a mut Addresses,
    pub(super) persistence: &'a mut Persistence,
    pub(super) health: &'a Health,
    pub(super) admission: &'a mut Admission,
    pub(super) sealing: &'a mut Sealing,
    pub(super) proofs: &'a mut Proofs,
    pub(super) outputs: &'a mut Outputs,
}

impl Exchange<'_> {
    /// Asks for the way in, if it is needed and due.
    pub(super) fn seek(&mut self, now: Now) {
        for output in self.seeking().seek(now.holder) {
            match output {
                SeedingOutput::Resolve(names) => self.outputs.push(Output::Resolve(names)),
                SeedingOutput::Ask { address, nonce } => self.ask(Question { address, nonce }),
            }
        }
        self.seeking().notice(now.holder);
    }

    fn ask(&mut self, question: Question) {
        let whoever = Addressee { id: None, boot: None };
        let message = Message::Join(question.join(self.cluster.ancestors()));
        self.sending(None).transmit(whoever, question.address, &message);
    }

    fn ask_back(&mut self, now: Now, from: SocketAddr) {
        if self.is_leaving || !self.joining.may_ask_back(now.holder) {
            return;
        }
        // What would be withheld must not keep the next one from being asked.
        let whoever = Addressee { id: None, boot: None };
        let longest = Question { address: from, nonce: u64::MAX }.join(self.cluster.ancestors());
        let envelope = self.sending(None).envelope(whoever, from, &Message::Join(longest));
        if envelope.is_some_and(|datagram| self.proofs.admits(from, datagram.len())) {
            let question = self.joining.ask_back(from, now.holder);
            self.ask(question);
        }
    }

    /// Takes one datagram in, or counts it.
    pub(super) fn take_in(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        if let Err(reason) = self.receive(now, normalised(from), datagram) {
            self.refuse(now, from, datagram.len(), reason);
        }
    }

    /// Takes one datagram in, or says why not.
    fn receive(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) -> Result<(), Reject> {
        let (header, message) = self.door().open(from, datagram)?;
        let sender = header.sender;
        if let Message::Join(join) = &message {
            return self.asked(now, from, &header, join);
        }
        if let Message::Welcome(welcome) = &message {
            admission::check_addressee(*self.me, &header, &message)?;
            return self.welcomed(now, from, &header, welcome);
        }
        if let Err(reason) = self.check(&header, from, None) {
            // Whoever belongs to what this cluster was rescued from learns so from the answer to its
            // own question, which this one has it ask.
            if self.cluster.is_descended_from(header.lineage) {
                self.ask_back(now, from);
            }
            return Err(reason);
        }
        if sender.id == self.me.id {
            self.meet_namesake(now, from, &header, &message);
            return Err(Reject::Unexpected);
        }
        if let Err(reason) = admission::check_addressee(*self.me, &header, &message) {
            self.missed(now, from, sender, &message, reason);
            return Err(reason);
        }
        if let Message::LaterStart { start } = message {
            self.hear_later_start(now, from, &header, start);
            return Ok(());
        }
        self.tell_later_start(now, from, sender);
        self.learn_address(now, from, &header, &message);
        self.ask_for_more(now, from, &header);
        let message = self.sealing.disarmed(message, || {
            let gossip = self.membership.address_of(sender.id);
            let places = self.addresses.all(&Sought { id: sender.id, boot: None, gossip });
            let source = self.addresses.for_answer(sender);
            self.proofs.is_fresh(&header, source.into_iter().chain(places))
        });
        self.deliver(now, from, &header, &message)
    }

    /// Notes what a datagram shows of where its sender receives.
    fn learn_address(&mut self, now: Now, from: SocketAddr, header: &Header, message: &Message) {
        let (sender, echo) = (header.sender, header.echo);
        self.addresses.came_from(sender, from, echo == self.proofs.token(from), now.holder);
        // Most answers are given at once, and so echo their own question. One that had to wait for
        // the disk echoes the newest, which arrived as well.
        if message.kind().is_answer() {
            let token = |address| self.proofs.token(address);
            self.addresses.answered(sender.id, now.holder, |address| token(address) == echo);
        }
    }

    fn deliver(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        message: &Message,
    ) -> Result<(), Reject> {
        let sender = header.sender;
        if let Message::Gossip(packet) = message {
            let freshness = header.leader_freshness;
            if let (Some(freshness), Some(election)) = (freshness, self.election.as_mut()) {
                election.hear_of_leader_freshness(now.holder, freshness);
            }
            self.membership.handle_gossip(now.holder, sender, packet);
            return Ok(());
        }
        if let Message::MetadataQuery(query) = message {
            // Whoever is no member, or asks for what is not known here, gets no answer.
            if let Some(reply) = self.membership.answer(sender, query) {
                self.answer(sender, from, &Message::MetadataReply(reply));
            }
            return Ok(());
        }
        if let Message::MetadataReply(reply) = message {
            let expected = self.membership.take_answer(now.holder, sender, reply);
            return if expected { Ok(()) } else { Err(Reject::Unexpected) };
        }
        let election = self.election.as_mut().ok_or(Reject::NotReady)?;
        let released = admission::released(election, sender, message);
        election.handle_message(now, sender, header.configuration, message);
        let settled = header.lineage.and_then(LineageClaim::settled);
        if let (Message::Acquire(_), Some(lineage)) = (message, settled) {
            election.hear_lineage(sender, lineage);
        }
        // Drained after the election's events otherwise: this one says why they come.
        if let Some(released) = released {
            self.outputs.event(released);
        }
        Ok(())
    }

    /// Whether a datagram is of the same founding of the same cluster. `join`: the question that it is.
    fn check(
        &mut self,
        header: &Header,
        from: SocketAddr,
        join: Option<&Join>,
    ) -> Result<(), Reject> {
        let own = self.election.as_ref().and_then(Election::lineage_claim);
        let verdict = self.cluster.check(header, self.me.id, own, join.is_some());
        if let (Err(Reject::ForeignLineage), Some(theirs), Some(own)) =
            (verdict, header.lineage, own)
        {
            let ancestors = join.map(|join| join.ancestors.as_slice()).unwrap_or_default();
            let kinship = self.cluster.kinship(own.lineage, theirs.lineage, ancestors);
            self.admission.meet_foreign(ForeignFounding::met(from, theirs, own, kinship));
        }
        verdict
    }

    /// Somebody names the lineage, and this node may be told, or knows of a newer configuration: it
    /// asks, for an answer to its own question is no old datagram of somebody who is gone.
    fn ask_for_more(&mut self, now: Now, from: SocketAddr, header: &Header) {
        let Some(election) = self.election.as_ref() else { return };
        let is_settled = header.lineage.and_then(LineageClaim::settled).is_some();
        let knows_more = election.is_newer(now, &header.configuration)
            || is_settled && election.may_be_told_lineage();
        if knows_more && header.echo == self.proofs.token(from) {
            self.ask_back(now, from);
        }
    }

    /// Somebody asks which cluster this is.
    fn asked(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        join: &Join,
    ) -> Result<(), Reject> {
        // Whoever was told otherwise of this cluster learns from the answer in what.
        let verdict = self.check(header, from, Some(join));
        let knows = header.genesis != 0;
        // A node that has forgotten its cluster, and whose seeds are gone, may still be a seed of
        // others, or a voter that they miss.
        let is_lost = verdict == Err(Reject::NotReady) && self.joining.is_forsaken();
        let own = self.election.as_ref().and_then(Election::lineage_claim);
        let is_left_behind = own.is_some_and(|own| join.ancestors.contains(&own.lineage));
        let knows_better = verdict == Err(Reject::ForeignVoters) || is_lost || is_left_behind;
        if knows_better && knows && join::is_padded(join) {
            // This node learns as well: whoever asks may know more than it does.
            self.ask_back(now, from);
        }
        if header.sender.id != self.me.id {
            self.seeking().is_asked(header.sender.id, normalised(from), knows);
        }
        let (joiner, election) = (header.sender, self.election.as_ref());
        let is_foreign = verdict == Err(Reject::ForeignLineage);
        let foreign_at = is_foreign.then_some(now.holder);
        let welcome =
            join::welcome(joiner, join, self.cluster, election, &self.directory(), foreign_at);
        let answered = welcome.map(|welcome| {
            let message = Message::Welcome(Box::new(welcome));
            let leader_freshness = self.leader_freshness(now);
            self.sending(leader_freshness).transmit(Addressee::process(joiner), from, &message);
        });
        if answered != Err(Reject::Malformed) && !is_foreign {
            self.tell_later_start(now, from, joiner);
        }
        answered.and(verdict)
    }

    /// A seed answered.
    fn welcomed(
        &mut self,
        now: Now,
        from: SocketAddr,
        header: &Header,
        welcome: &Welcome,
    ) -> Result<(), Reject> {
        if !self.joining.accepts(welcome) {
            return Err(Reject::Unexpected);
        }
        self.descent().check(now, from, header, welcome)?;
        match self.cluster.genesis().cloned() {
            Some(own) if own == welcome.genesis => {}
            Some(own) => match self.seeking().judge(&own, welcome, header.sender.id)? {
                Stance::Follow => self.opening().begin_anew(Some(welcome.genesis.clone()), now),
                Stance::Refuse { ask, warning } => {
                    ask.into_iter().for_each(|question| self.ask(question));
                    if self.admission.may_warn("settings", now.holder) {
                        warning.into_iter().for_each(|warning| self.outputs.warn(warning));
                    }
                    return Err(Reject::ForeignVoters);
                }
            },
            None => self.opening().follow(welcome, now),
        }
        if welcome.assurance == Assurance::Founded {
            self.cluster.confirm();
        }
        self.descent().learn(now, header, welcome);
        if let Some(election) = self.election.as_mut() {
            election.hear_configuration(now, &welcome.configuration);
        }
        let voters = &welcome.configuration.voters;
        let others = |(id, _): &&(NodeId, SocketAddr)| *id != self.me.id && voters.contains(*id);
        for (id, address) in welcome.voters.iter().filter(others) {
            self.addresses.advertise(*id, normalised(*address));
        }
        self.addresses.matters(header.sender.id);
        let is_echo = header.echo == self.proofs.token(from);
        self.addresses.came_from(header.sender, from, is_echo, now.holder);
        if let (Some(election), Some(goose)) = (self.election.as_mut(), &welcome.goose) {
            election.hear_in_welcome(now, goose, header.leader_freshness);
        }
        if let Err(error) = self.membership.announce_to(now.holder, &welcome.member) {
            self.outputs.warn(Warning::Membership(error.to_string()));
        }
        self.seeking().notice(now.holder);
        Ok(())
    }

    fn descent(&mut self) -> Descent<'_> {
        Descent {
            me: *self.me,
            cluster: self.cluster,
            election: self.election.as_mut(),
            persistence: self.persistence,
            admission: self.admission,
            joining: self.joining,
        }
    }

    fn meet_namesake(&mut self, now: Now, from: SocketAddr, header: &Header, message: &Message) {
        let namesake = header.sender;
        let mut meeting = Meeting {
            admission: self.admission,
            election: self.election.as_mut(),
            outputs: self.outputs,
            me: *self.me,
        };
        let theirs = (namesake, header.lineage);
        let replies = meeting.meet(now, from, theirs, message, || self.joining.draw());
        for reply in replies {
            self.answer(namesake, from, &reply);
        }
    }

    /// A datagram was not meant for this process, for this `reason`.
    fn missed(
        &mut self,
        now: Now,
        from: SocketAddr,
        sender: Process,
        message: &Message,
        reason: Reject,
    ) {
        if matches!(message, Message::Gossip(packet) if Membership::is_announcement(packet)) {
            self.ask_back(now, from);
        }
        // So that a Goose learns at once that its voter restarted, even one that has not been
        // heard for so long that it only asks who hears it.
        let nak = message.refusal(NakReason::NewBoot { boot: self.me.boot });
        if let Some(nak) = nak.filter(|_| reason == Reject::WrongBoot) {
            self.answer(sender, from, &Message::Nak(nak));
        }
    }

    /// Counts a datagram that was not taken in, and warns of what people can mend.
    fn refuse(&mut self, now: Now, address: SocketAddr, size: usize, reason: Reject) {
        if let Some(position) = Reject::ALL.iter().position(|other| *other == reason) {
            self.outputs.count().rejected[position] += 1;
        }
        if let Some(warning) = self.admission.refused(reason, address, now.holder) {
            self.outputs.warn(warning);
        }
        // A question that its sender cannot open either tells it what is wrong, in its own log.
        let is_sealed_otherwise = matches!(reason, Reject::Unsealed | Reject::UnknownKey);
        if is_sealed_otherwise && self.persistence.is_started() {
            let address = normalised(address);
            self.proofs.meet_unread(address, size);
            self.ask_back(now, address);
        }
    }

    /// Tells whoever sent this if its node is known to have had a later start.
    fn tell_later_start(&mut self, now: Now, from: SocketAddr, sender: Process) {
        let known = starts::known_boot(sender.id, from, self.membership, self.election.as_ref());
        if let Some(news) = self.starts.news_for(sender, known, now.holder) {
            self.answer(sender, from, &news);
        }
    }

    /// Somebody knows an earlier process of this node with a later start.
    fn hear_later_start(&mut self, now: Now, from: SocketAddr, header: &Header, told: u64) {
        // Whoever sent this must have received something of this process.
        let is_proven = header.echo == self.proofs.token(from);
        if !is_proven || self.is_leaving || self.is_parting {
            return;
        }
        let is_idle = self.election.as_ref().is_none_or(Election::is_idle);
        let Some(start) = self.starts.later(*self.me, told, is_idle) else { return };
        self.me.boot.start = start;
        self.persistence.note_start(start);
        *self.membership = start::membership(
            *self.me,
            self.setup,
            self.setup.eligible && !self.persistence.is_drained() && self.health.is_healthy(),
            self.joining.entropy(),
        );
        self.opening().begin_anew(None, now);
        self.outputs.event(Event::TookLaterStart { process: *self.me });
        let question = self.joining.question(from);
        self.ask(question);
    }

    /// Does what membership wants done. Returns whether that was anything.
    pub(super) fn drain_membership(&mut self, now: Now) -> bool {
        let (mut moved, mut changed) = (false, false);
        let leader_freshness = self.leader_freshness(now);
        while let Some(output) = self.membership.poll_output() {
            moved = true;
            match output {
                MembershipOutput::Send { to, address, packet } => {
                    let detour = self.addresses.detour(to, address);
                    let message = Message::Gossip(packet);
                    for address in [address].into_iter().chain(detour) {
                        let to = Addressee::process(to);
                        self.sending(leader_freshness).transmit(to, address, &message);
                    }
                }
                MembershipOutput::Tell { to, address, message } => {
                    self.answer(to, address, &message);
                }
                MembershipOutput::MemberChanged { id, address, state } => {
                    changed = true;
                    self.outputs.event(Event::MemberChanged { id, address, state });
                }
                MembershipOutput::DetailsChanged => self.outputs.note_change(),
                MembershipOutput::MemberForgotten { id, address } => {
                    changed = true;
                    self.outputs.event(Event::MemberForgotten { id, address });
                }
                MembershipOutput::Departed(process) => {
                    changed = true;
                    if let Some(election) = &mut self.election {
                        election.handle_departure(now, process);
                    }
                }
                MembershipOutput::Connected | MembershipOutput::Disconnected => {
                    changed = true;
                    self.seek(now);
                }
                MembershipOutput::GooseHint(goose) => {
                    if let Some(election) = &mut self.election {
                        election.hear_of_goose(now, &goose);
                    }
                }
                MembershipOutput::Error(text) => self.outputs.warn(Warning::Membership(text)),
            }
        }
        self.outputs.count().members_refused = self.membership.refused();
        if changed {
            self.look_around(now);
        }
        moved
    }

    /// Tells the election who is around, and remembers where the voters are.
    fn look_around(&mut self, now: Now) {
        self.outputs.note_change();
        let Some(election) = &self.election else { return };
        let voters = self.directory().addresses_of(election.configuration().voters.ids());
        self.persistence.note_addresses(voters);
        let eligible = self.membership.top_eligible(SIGHT_WIDTH);
        let few = self.membership.alive_count() <= NEIGHBOURS_MAX;
        let neighbours = if few { self.membership.sample(NEIGHBOURS_MAX) } else { Vec::new() };
        let sight = Sight {
            eligible: eligible.into_iter().map(|(process, _)| process).collect(),
            neighbours: neighbours.into_iter().map(|(process, _)| process).collect(),
            rank: self.membership.rank_among_eligible(),
        };
        if let Some(election) = &mut self.election {
            election.handle_sight(now, sight);
        }
    }

    fn leader_freshness(&self, now: Now) -> Option<LeaderFreshness> {
        self.election.as_ref().and_then(|election| election.leader_freshness(now.holder))
    }

    /// Sends to exactly this process, to this address.
    fn answer(&mut self, to: Process, address: SocketAddr, message: &Message) {
        self.sending(None).transmit(Addressee::process(to), address, message);
    }

    fn directory(&self) -> Directory<'_> {
        Directory {
            me: self.me.id,
            own: self.setup.address,
            addresses: self.addresses,
            membership: self.membership,
        }
    }

    fn door(&mut self) -> Door<'_> {
        Door {
            me: *self.me,
            cluster: self.cluster,
            is_started: self.persistence.is_started(),
            sealing: self.sealing,
            proofs: self.proofs,
        }
    }

    pub(super) fn sending(&mut self, leader_freshness: Option<LeaderFreshness>) -> Sending<'_> {
        Sending {
            me: *self.me,
            cluster: self.cluster,
            election: self.election.as_ref(),
            membership: self.membership,
            addresses: self.addresses,
            proofs: self.proofs,
            sealing: self.sealing,
            outputs: self.outputs,
            leader_freshness,
        }
    }

    pub(super) fn seeking(&mut self) -> Seeking<'_> {
        Seeking {
            joining: self.joining,
            membership: self.membership,
            outputs: self.outputs,
            setup: self.setup,
            cluster: self.cluster,
            election: self.election.as_ref(),
            addresses: self.addresses,
            is_leaving: self.is_leaving,
        }
    }

    pub(super) fn opening(&mut self) -> Opening<'_> {
        Opening {
            setup: self.setup,
            me: *self.me,
            cluster: self.cluster,
            persistence: self.persistence,
            health: self.health,
            election: self.election,
            outputs: self.outputs,
        }
    }
}
