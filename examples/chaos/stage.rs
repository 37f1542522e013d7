//! Where the acts are played: every fault goes through here, so that it is recorded, and
//! everything is mended here afterwards.

use std::time::Duration;

use super::links::{Link, Links, NODES, Prng, others};
use super::recording::{Condition, Shared, Subject, lock, seconds};
use super::world::{Failure, World};

/// After everything is mended there must be one Goose within this.
pub(crate) const RECOVERY_BOUND: Duration = Duration::from_secs(5);
/// How often the stage looks whether there is a Goose.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The nodes, the network and the recording, in the hands of an act.
pub(crate) struct Stage<'run> {
    world: &'run mut dyn World,
    recording: Shared,
    links: Links,
    dead: [bool; NODES],
    frozen: [bool; NODES],
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
        let (links, dead, frozen) = (Links::default(), [false; NODES], [false; NODES]);
        Self { world, recording, links, dead, frozen, quick, prng }
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
        self.dead[node - 1]
    }

    pub(crate) fn is_frozen(&self, node: usize) -> bool {
        self.frozen[node - 1]
    }

    /// How many nodes neither die nor freeze at the moment.
    pub(crate) fn running(&self) -> usize {
        (1..=NODES).filter(|node| !self.is_dead(*node) && !self.is_frozen(*node)).count()
    }

    pub(crate) fn kill(&mut self, node: usize) -> Result<(), Failure> {
        if !self.is_dead(node) {
            self.world.kill(node)?;
            self.dead[node - 1] = true;
            let now = self.now();
            let mut recording = lock(&self.recording);
            if std::mem::take(&mut self.frozen[node - 1]) {
                recording.relieve(now, node, Condition::Frozen);
            }
            recording.afflict(now, node, Condition::Dead);
        }
        Ok(())
    }

    pub(crate) fn restart(&mut self, node: usize) -> Result<(), Failure> {
        if self.is_dead(node) {
            self.world.restart(node)?;
            self.dead[node - 1] = false;
            lock(&self.recording).relieve(self.world.now(), node, Condition::Dead);
        }
        Ok(())
    }

    pub(crate) fn freeze(&mut self, node: usize) {
        if !self.is_dead(node) && !self.is_frozen(node) {
            self.world.freeze(node);
            self.frozen[node - 1] = true;
            lock(&self.recording).afflict(self.world.now(), node, Condition::Frozen);
        }
    }

    pub(crate) fn thaw(&mut self, node: usize) {
        if self.is_frozen(node) {
            lock(&self.recording).relieve(self.world.now(), node, Condition::Frozen);
            self.world.thaw(node);
            self.frozen[node - 1] = false;
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
        for node in others(&[]) {
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
        let now = self.now();
        if let Some(act) = lock(&self.recording).acts.last_mut() {
            act.to = Some(now);
        }
        Ok(())
    }

    /// A line in the log about what the act does, beyond single faults.
    pub(crate) fn remark(&self, text: &str) {
        lock(&self.recording).note(self.world.now(), Subject::Fault, text);
    }
}
