//! The script: named acts, each with a sentence that says what must be seen.

use super::links::{Link, NODES, Prng, VOTERS, others};
use super::stage::Stage;
use super::world::Failure;

type Play = fn(&mut Stage<'_>, usize) -> Result<(), Failure>;

/// One act of the script.
pub(crate) struct Act {
    pub(crate) name: &'static str,
    pub(crate) sentence: &'static str,
    /// Whoever it killed stays dead for the act that follows.
    pub(crate) leaves_dead: bool,
    pub(crate) play: Play,
}

const fn act(name: &'static str, sentence: &'static str, play: Play) -> Act {
    Act { name, sentence, leaves_dead: false, play }
}

/// The script, in order.
pub(crate) const SCRIPT: [Act; 12] = [
    act("calm", "Nothing happens: one Goose, and it stays.", calm),
    Act {
        name: "kill",
        sentence: "The Goose is killed: its lease runs out, the highest id left takes over.",
        leaves_dead: true,
        play: kill,
    },
    act("rejoin", "The dead node returns, as a Duck: whoever leads goes on.", rejoin),
    act("isolate", "The Goose loses all links: it steps back before its successor leads.", isolate),
    act("deaf", "The Goose can send but not hear: it may not hold on to the voters.", deaf),
    act("mute", "The Goose hears all but nothing it says arrives: its lease runs out.", mute),
    act("split", "Goose and one voter are cut off from the rest: the majority elects.", split),
    act("bridge", "Two halves see one common voter only: still one Goose, the same.", bridge),
    act("freeze", "The Goose stands still: its yes ends by the clock, it wakes a Duck.", freeze),
    act("flap", "The links of the Goose come and go faster than leases run out.", flap),
    act("storm", "All links lose 20 %, double 10 % and hold datagrams up to 80 ms.", storm),
    act("minority", "Two of three voters die: nobody may lead until one returns.", minority),
];

/// The act of a random run; it is played again and again.
pub(crate) const RANDOM: Act =
    act("random", "Cuts, kills, freezes and storms as the dice fall.", random);

fn calm(stage: &mut Stage<'_>, _goose: usize) -> Result<(), Failure> {
    stage.wait(1800)
}

fn kill(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    stage.kill(goose)?;
    stage.succession(goose, 700)
}

fn rejoin(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let dead = others(&[]).into_iter().find(|node| stage.is_dead(*node));
    let dead = if let Some(dead) = dead {
        dead
    } else {
        // Played by itself: somebody has to go first.
        let duck = if goose == NODES { NODES - 1 } else { NODES };
        stage.kill(duck)?;
        stage.wait(1000)?;
        duck
    };
    stage.restart(dead)?;
    stage.wait(1500)
}

fn isolate(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (label, text) = (format!("cut off {goose}"), format!("every link of node {goose} is cut"));
    stage.disturb(&label, &text, |links| links.separate(&[goose], &others(&[goose])));
    stage.succession(goose, 1000)
}

fn deaf(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (label, text) = (format!("{goose} deaf"), format!("node {goose} sends but hears nobody"));
    stage.disturb(&label, &text, |links| links.silence(&others(&[goose]), &[goose]));
    stage.succession(goose, 1000)
}

fn mute(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (label, text) =
        (format!("{goose} mute"), format!("node {goose} hears, but nobody hears it"));
    stage.disturb(&label, &text, |links| links.silence(&[goose], &others(&[goose])));
    stage.succession(goose, 1000)
}

/// Two nodes, the Goose among them, with one vote between them; and the others.
fn halves(goose: usize) -> (Vec<usize>, Vec<usize>) {
    let votes = |node: &usize| *node <= VOTERS;
    let companion = others(&[goose]).into_iter().find(|node| votes(node) != votes(&goose));
    let minority: Vec<usize> = std::iter::once(goose).chain(companion).collect();
    let majority = others(&minority);
    (minority, majority)
}

fn listed(nodes: &[usize]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
}

fn split(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (minority, majority) = halves(goose);
    let label = format!("{} | {}", listed(&minority), listed(&majority));
    let text = format!("nodes {} are cut off from {}", listed(&minority), listed(&majority));
    stage.disturb(&label, &text, |links| links.separate(&minority, &majority));
    stage.succession(goose, 1300)
}

fn bridge(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (left, rest) = halves(goose);
    let Some(&bridge) = rest.iter().find(|node| **node <= VOTERS) else { return Ok(()) };
    let right: Vec<usize> = rest.into_iter().filter(|node| *node != bridge).collect();
    let label = format!("{} -{bridge}- {}", listed(&left), listed(&right));
    let text = format!(
        "nodes {} and {} see node {bridge} but not each other: both see a majority",
        listed(&left),
        listed(&right)
    );
    stage.disturb(&label, &text, |links| links.separate(&left, &right));
    stage.wait(2500)
}

fn freeze(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    stage.freeze(goose);
    stage.succession(goose, 1000)?;
    stage.thaw(goose);
    stage.wait(700)
}

fn flap(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let label = format!("{goose} flaps");
    stage.remark(&format!("the links of node {goose} go down and up at random for 3 s"));
    let end = stage.now() + std::time::Duration::from_secs(3);
    while stage.now() < end {
        stage.disturb(&label, "", |links| links.separate(&[goose], &others(&[goose])));
        let down = stage.prng.milliseconds(60, 500);
        stage.pass(down)?;
        stage.mend_network();
        let up = stage.prng.milliseconds(40, 250);
        stage.pass(up)?;
    }
    Ok(())
}

fn storm(stage: &mut Stage<'_>, _goose: usize) -> Result<(), Failure> {
    let link = Link { cut: false, loss: 20, duplicates: 10, delay: 80 };
    stage.disturb("storm", "loss, duplicates and delays on every link", |links| {
        links.everywhere(link);
    });
    stage.wait(4000)
}

fn minority(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let mut voters: Vec<usize> = (1..=VOTERS).collect();
    // The Goose first if it votes: it is the one who would be missed.
    voters.sort_by_key(|voter| (*voter != goose, *voter));
    for voter in &voters[..2] {
        stage.kill(*voter)?;
    }
    stage.wait(2500)?;
    stage.restart(voters[0])?;
    // It has to wait out what it may have granted before its death.
    stage.wait(1300)
}

/// Six seconds of whatever the dice say; every choice comes from them.
fn random(stage: &mut Stage<'_>, _goose: usize) -> Result<(), Failure> {
    let mut budget = 6000_u64;
    while budget > 0 {
        match stage.prng.below(10) {
            0..=2 => cut_something(stage),
            3 => stage.mend_network(),
            4 => {
                let label = "bad weather";
                let (loss, delay) = (stage.prng.below(40), stage.prng.draw() % 150);
                let link = Link { cut: false, loss, duplicates: 10, delay };
                stage.mend_network();
                let text = format!("every link loses {loss} % and delays by up to {delay} ms");
                stage.disturb(label, &text, |links| links.everywhere(link));
            }
            5 | 6 if stage.running() > 3 => {
                let node = stage.prng.node();
                stage.kill(node)?;
            }
            7 if stage.running() > 3 => {
                let node = stage.prng.node();
                stage.freeze(node);
            }
            _ => {
                let node = stage.prng.node();
                stage.thaw(node);
                stage.restart(node)?;
            }
        }
        let pause = 100 + stage.prng.draw() % 900;
        let pause = pause.min(budget);
        budget -= pause;
        stage.wait(pause)?;
    }
    Ok(())
}

fn cut_something(stage: &mut Stage<'_>) {
    let (one, other) = (stage.prng.node(), stage.prng.node());
    if one == other {
        let label = format!("cut off {one}");
        let text = format!("every link of node {one} is cut");
        stage.disturb(&label, &text, |links| links.separate(&[one], &others(&[one])));
    } else if stage.prng.percent(50) {
        let label = format!("{one}→{other}");
        let text = format!("nothing gets from node {one} to node {other}");
        stage.disturb(&label, &text, |links| links.silence(&[one], &[other]));
    } else {
        let (left, right) = (vec![one, other], others(&[one, other]));
        let label = format!("{} | {}", listed(&left), listed(&right));
        let text = format!("nodes {} are cut off from {}", listed(&left), listed(&right));
        stage.disturb(&label, &text, |links| links.separate(&left, &right));
    }
}

/// The dice of act number `index` of a run: a run of one act alone plays it as the whole does.
pub(crate) fn prng(seed: u64, index: u64) -> Prng {
    Prng::new(seed.wrapping_mul(1_000_003).wrapping_add(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_half_of_the_goose_never_has_a_majority_of_votes() {
        for goose in 1..=NODES {
            let (minority, majority) = halves(goose);
            let votes = |nodes: &[usize]| nodes.iter().filter(|node| **node <= VOTERS).count();
            assert!(minority.contains(&goose));
            assert_eq!((minority.len(), majority.len()), (2, 3));
            assert_eq!((votes(&minority), votes(&majority)), (1, 2));
        }
    }
}
