//! Where the acts are played: every fault goes through here, so that it is recorded, and
//! everything is mended here afterwards.

use std::time::Duration;

use gaggle::node::VoterOrder;

use super::links::{GENERATION, Link, Links, NODES, Prng, VOTERS, machines, place};
use super::recording::{Condition, Shared, Subject, listed, lock, seconds};
use super::world::{Failure, World};

/// After everything is mended there must be one Goose within this.
pub(crate) const RECOVERY_BOUND: Duration = Duration::from_secs(5);
/// An order to change voters is in force within this, once those who are to vote are there.
const ORDER_BOUND: Duration = Duration::from_secs(8);
/// An order that is not in force is given again after this.
const ORDER_INTERVAL: Duration = Duration::from_millis(50);
/// How often the stage looks whether there is a Goose.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The nodes, the network and the recording, in the hands of an act.
pub(crate) struct Stage<'run> {
    world: &'run mut dyn World,
    recording: Shared,
    links: Links,
    /// Who stands at each place; the rest is by place, too.
    here: [usize; NODES],
    dead: [bool; NODES],
    frozen: [bool; NODES],
    /// The dead that never come back: their places are for others.
    lost: [bool; NODES],
    quick: bool,
    pub(crate) prng: Prng,
}

impl<'run> Stage<'run> {
    pub(crate) fn new(
        world: &'run mut dyn World,
        recording: Shared,
        prng: Prng,
        quick: bool,
    ) -> Self {
        let (links, no) = (Links::default(), [false; NODES]);
        let here = std::array::from_fn(|index| index + 1);
        Self { world, recording, links, here, dead: no, frozen: no, lost: no, quick, prng }
    }

    /// All nodes but these, by their places.
    pub(crate) fn others(&self, than: &[usize]) -> Vec<usize> {
        self.here.into_iter().filter(|node| !than.contains(node)).collect()
    }

    /// Who votes, by the last Goose that said so.
    pub(crate) fn voters(&self) -> Vec<usize> {
        lock(&self.recording).voters()
    }

    /// Any node, as the dice fall.
    pub(crate) fn any(&mut self) -> usize {
        self.here[self.prng.place() - 1]
    }

    pub(crate) fn now(&self) -> Duration {
        self.world.now()
    }

    /// Lets so many milliseconds pass, half of them if it has to be quick.
    pub(crate) fn wait(&mut self, milliseconds: u64) -> Result<(), Failure> {
        let share = if self.quick { milliseconds / 2 } else { milliseconds };
        self.pass(Duration::from_millis(share))
    }

    pub(crate) fn pass(&mut self, span: Duration) -> Result<(), Failure> {
        self.world.pass(span)
    }

    /// The Goose, waited for; none if there is none within the bound.
    pub(crate) fn goose(&mut self) -> Result<Option<usize>, Failure> {
        let begun = self.now();
        loop {
            if let [(node, _)] = lock(&self.recording).geese()[..] {
                return Ok(Some(node));
            }
            if self.now().saturating_sub(begun) > RECOVERY_BOUND {
                return Ok(None);
            }
            self.pass(LOOK_INTERVAL)?;
        }
    }

    /// Waits until another node than `last` leads, and then a little more.
    pub(crate) fn succession(&mut self, last: usize, linger: u64) -> Result<(), Failure> {
        let begun = self.now();
        while self.now().saturating_sub(begun) < RECOVERY_BOUND / 2 {
            if lock(&self.recording).geese().iter().any(|(node, _)| *node != last) {
                break;
            }
            self.pass(LOOK_INTERVAL)?;
        }
        self.wait(linger)
    }

    pub(crate) fn is_dead(&self, node: usize) -> bool {
        self.dead[place(node) - 1]
    }

    pub(crate) fn is_frozen(&self, node: usize) -> bool {
        self.frozen[place(node) - 1]
    }

    /// How many nodes neither die nor freeze at the moment.
    pub(crate) fn running(&self) -> usize {
        self.others(&[]).into_iter().filter(|it| !self.is_dead(*it) && !self.is_frozen(*it)).count()
    }

    pub(crate) fn kill(&mut self, node: usize) -> Result<(), Failure> {
        if !self.is_dead(node) {
            self.world.kill(node)?;
            self.dead[place(node) - 1] = true;
            let now = self.now();
            let mut recording = lock(&self.recording);
            if std::mem::take(&mut self.frozen[place(node) - 1]) {
                recording.relieve(now, node, Condition::Frozen);
            }
            recording.afflict(now, node, Condition::Dead);
        }
        Ok(())
    }

    /// Kills a node that never comes back: somebody else will stand at its place.
    pub(crate) fn lose(&mut self, node: usize) -> Result<(), Failure> {
        self.kill(node)?;
        self.lost[place(node) - 1] = true;
        self.remark(&format!("node {node} is gone for good, and its disk with it"));
        Ok(())
    }

    /// Starts a dead node again, or whoever takes its place if it is lost.
    pub(crate) fn restart(&mut self, node: usize) -> Result<(), Failure> {
        if self.lost[place(node) - 1] {
            self.replace(node)?;
        } else if self.is_dead(node) {
            self.world.start(node, &self.here)?;
            self.dead[place(node) - 1] = false;
            lock(&self.recording).relieve(self.world.now(), node, Condition::Dead);
        }
        Ok(())
    }

    /// Kills a node and starts another one at its place, with an id and an address of its own and
    /// an empty disk. Its id.
    pub(crate) fn replace(&mut self, node: usize) -> Result<usize, Failure> {
        self.kill(node)?;
        let (index, new) = (place(node) - 1, node + GENERATION);
        if !machines().any(|machine| machine == new) {
            return Err(format!("no more nodes are prepared for the place of node {node}").into());
        }
        self.here[index] = new;
        self.world.start(new, &self.here)?;
        (self.dead[index], self.lost[index]) = (false, false);
        lock(&self.recording).succeed(self.world.now(), node, new);
        Ok(new)
    }

    /// Has the Goose change who votes, as a person would: the order is given again until it is in
    /// force. It is a breach if that does not come about.
    pub(crate) fn order(&mut self, words: &str, order: &VoterOrder) -> Result<(), Failure> {
        self.remark(&format!("gaggle voters {words}"));
        let begun = self.now();
        let mut told = None;
        loop {
            let goose = lock(&self.recording).geese().last().map(|(node, _)| *node);
            let hold = match goose {
                Some(goose) => self.world.order(goose, order)?,
                None => Some("nobody leads".to_owned()),
            };
            let Some(hold) = hold else {
                // The recording sees it, too.
                return self.pass(LOOK_INTERVAL);
            };
            if self.now().saturating_sub(begun) > ORDER_BOUND {
                let limit = seconds(ORDER_BOUND);
                let text = format!("voters {words} is not in force after {limit} s: {hold}");
                lock(&self.recording).breach(self.now(), text);
                return Ok(());
            }
            // What is over within moments is not worth a line.
            if self.now().saturating_sub(begun) > ORDER_BOUND / 16 && told.as_ref() != Some(&hold) {
                self.remark(&format!("not yet: {hold}"));
                told = Some(hold);
            }
            self.pass(ORDER_INTERVAL)?;
        }
    }

    /// Waits until a node votes no more; whether that came about within `bound`.
    pub(crate) fn until_replaced(&mut self, node: usize, bound: Duration) -> Result<bool, Failure> {
        let begun = self.now();
        while self.voters().contains(&node) {
            if self.now().saturating_sub(begun) > bound {
                return Ok(false);
            }
            self.pass(LOOK_INTERVAL)?;
        }
        Ok(true)
    }

    pub(crate) fn freeze(&mut self, node: usize) {
        if !self.is_dead(node) && !self.is_frozen(node) {
            self.world.freeze(node);
            self.frozen[place(node) - 1] = true;
            lock(&self.recording).afflict(self.world.now(), node, Condition::Frozen);
        }
    }

    pub(crate) fn thaw(&mut self, node: usize) {
        if self.is_frozen(node) {
            lock(&self.recording).relieve(self.world.now(), node, Condition::Frozen);
            self.world.thaw(node);
            self.frozen[place(node) - 1] = false;
        }
    }

    /// Changes the network and records it as a fault: `label` for the timeline, `text` for the
    /// log (none if it is empty).
    pub(crate) fn disturb(&mut self, label: &str, text: &str, change: impl FnOnce(&mut Links)) {
        change(&mut self.links);
        self.world.set_links(&self.links);
        lock(&self.recording).begin_fault(self.world.now(), label, text);
    }

    /// Takes one fault of the network back.
    pub(crate) fn mend(&mut self, label: &str, change: impl FnOnce(&mut Links)) {
        change(&mut self.links);
        self.world.set_links(&self.links);
        lock(&self.recording).end_faults(self.world.now(), label);
    }

    /// Mends the network only.
    pub(crate) fn mend_network(&mut self) {
        self.mend("", |links| links.everywhere(Link::default()));
    }

    /// Mends everything (the dead stay dead if `but_the_dead`) and demands one Goose.
    pub(crate) fn heal(&mut self, but_the_dead: bool) -> Result<(), Failure> {
        self.mend_network();
        for node in self.others(&[]) {
            self.thaw(node);
            if !but_the_dead {
                self.restart(node)?;
            }
        }
        let healed = self.now();
        if let Some(act) = lock(&self.recording).acts.last_mut() {
            act.healed_at = Some(healed);
        }
        let goose = self.goose()?;
        let now = self.now();
        {
            let mut recording = lock(&self.recording);
            recording.traffic = self.world.traffic();
            match goose {
                None => recording.breach(
                    now,
                    format!("no single Goose within {} s of healing", seconds(RECOVERY_BOUND)),
                ),
                Some(_) => {
                    if let Some(act) = recording.acts.last_mut() {
                        act.recovered_at = Some(now);
                    }
                }
            }
        }
        self.wait(700)
    }

    /// Plays one act from its announcement to its end.
    pub(crate) fn play(
        &mut self,
        name: &str,
        sentence: &str,
        leaves_dead: bool,
        act: impl FnOnce(&mut Self, usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let now = self.now();
        lock(&self.recording).begin_act(now, name, sentence);
        match self.goose()? {
            Some(goose) => act(self, goose)?,
            None => {
                let now = self.now();
                lock(&self.recording).breach(now, format!("no Goose to begin {name} with"));
            }
        }
        self.heal(leaves_dead)?;
        self.end_act();
        Ok(())
    }

    /// Says who votes at the end of an act: nodes that are here, and as many as at the founding.
    fn end_act(&self) {
        let (now, voters) = (self.now(), self.voters());
        let gone: Vec<usize> =
            voters.iter().copied().filter(|voter| !self.here.contains(voter)).collect();
        let mut recording = lock(&self.recording);
        if !gone.is_empty() {
            let text = format!("node {} votes, and is gone for good", listed(&gone, ", "));
            recording.breach(now, text);
        }
        if voters.len() != VOTERS {
            let text = format!("{} vote, where {VOTERS} should", listed(&voters, ", "));
            recording.note(now, Subject::Alarm, text);
        }
        if let Some(act) = recording.acts.last_mut() {
            act.voters = voters;
            act.to = Some(now);
        }
    }

    /// A line in the log about what the act does, beyond single faults.
    pub(crate) fn remark(&self, text: &str) {
        lock(&self.recording).note(self.world.now(), Subject::Fault, text);
    }
}
