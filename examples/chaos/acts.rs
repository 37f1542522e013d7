//! The script: named acts, each with a sentence that says what must be seen.

use std::time::Duration;

use gaggle::node::VoterOrder;

use super::links::{Link, Prng, VOTERS};
use super::recording::listed;
use super::stage::Stage;
use super::world::{Failure, id};

type Play = fn(&mut Stage<'_>, usize) -> Result<(), Failure>;

/// One act of the script.
pub(crate) struct Act {
    pub(crate) name: &'static str,
    pub(crate) sentence: &'static str,
    /// Whoever it killed stays dead for the act that follows.
    pub(crate) leaves_dead: bool,
    /// It takes minutes: in real time it is played only if somebody asks for it.
    pub(crate) is_long: bool,
    pub(crate) play: Play,
}

const fn act(name: &'static str, sentence: &'static str, play: Play) -> Act {
    Act { name, sentence, leaves_dead: false, is_long: false, play }
}

/// The script, in order.
pub(crate) const SCRIPT: [Act; 16] = [
    act("calm", "Nothing happens: one Goose, and it stays.", calm),
    Act {
        name: "kill",
        sentence: "The Goose is killed: its lease runs out, the highest id left takes over.",
        leaves_dead: true,
        is_long: false,
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
    act("replace", "A voter is lost: another node takes its vote, then two of three do.", replace),
    act("scale", "One voter, then five of which two die, then three: the Goose stays.", scale),
    Act {
        name: "auto",
        sentence: "A voter is lost: after a minute the Goose replaces it by itself.",
        leaves_dead: false,
        is_long: true,
        play: auto,
    },
    act(
        "machines",
        "All five are replaced by new nodes on empty disks; terms only rise.",
        machines,
    ),
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
    let dead = stage.others(&[]).into_iter().find(|node| stage.is_dead(*node));
    let dead = if let Some(dead) = dead {
        dead
    } else {
        // Played by itself: somebody has to go first.
        let Some(duck) = stage.others(&[goose]).pop() else { return Ok(()) };
        stage.kill(duck)?;
        stage.wait(1000)?;
        duck
    };
    stage.restart(dead)?;
    stage.wait(1500)
}

fn isolate(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (label, text) = (format!("cut off {goose}"), format!("every link of node {goose} is cut"));
    let others = stage.others(&[goose]);
    stage.disturb(&label, &text, |links| links.separate(&[goose], &others));
    stage.succession(goose, 1000)
}

fn deaf(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (label, text) = (format!("{goose} deaf"), format!("node {goose} sends but hears nobody"));
    let others = stage.others(&[goose]);
    stage.disturb(&label, &text, |links| links.silence(&others, &[goose]));
    stage.succession(goose, 1000)
}

fn mute(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (label, text) =
        (format!("{goose} mute"), format!("node {goose} hears, but nobody hears it"));
    let others = stage.others(&[goose]);
    stage.disturb(&label, &text, |links| links.silence(&[goose], &others));
    stage.succession(goose, 1000)
}

/// Two nodes, the Goose among them, with one vote between them; and the `others`.
fn halves(goose: usize, others: &[usize], voters: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let votes = |node: &usize| voters.contains(node);
    let companion = others.iter().copied().find(|node| votes(node) != votes(&goose));
    let minority: Vec<usize> = std::iter::once(goose).chain(companion).collect();
    let majority = others.iter().copied().filter(|node| !minority.contains(node)).collect();
    (minority, majority)
}

/// Nodes of one side, for a label.
fn side(nodes: &[usize]) -> String {
    listed(nodes, "+")
}

fn split(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (minority, majority) = halves(goose, &stage.others(&[goose]), &stage.voters());
    let label = format!("{} | {}", side(&minority), side(&majority));
    let text = format!("nodes {} are cut off from {}", side(&minority), side(&majority));
    stage.disturb(&label, &text, |links| links.separate(&minority, &majority));
    stage.succession(goose, 1300)
}

fn bridge(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let voters = stage.voters();
    let (left, rest) = halves(goose, &stage.others(&[goose]), &voters);
    let Some(&bridge) = rest.iter().find(|node| voters.contains(node)) else { return Ok(()) };
    let right: Vec<usize> = rest.into_iter().filter(|node| *node != bridge).collect();
    let label = format!("{} -{bridge}- {}", side(&left), side(&right));
    let text = format!(
        "nodes {} and {} see node {bridge} but not each other: both see a majority",
        side(&left),
        side(&right)
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
    let end = stage.now() + Duration::from_secs(3);
    let others = stage.others(&[goose]);
    while stage.now() < end {
        stage.disturb(&label, "", |links| links.separate(&[goose], &others));
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
    let mut voters = stage.voters();
    // The Goose first if it votes: it is the one who would be missed.
    voters.sort_by_key(|voter| (*voter != goose, *voter));
    for voter in voters.iter().take(2) {
        stage.kill(*voter)?;
    }
    stage.wait(2500)?;
    stage.restart(voters.first().copied().unwrap_or(goose))?;
    // It has to wait out what it may have granted before its death.
    stage.wait(1300)
}

/// Who of the nodes that live does not vote, and who votes, the Goose aside; the highest last.
fn by_vote(stage: &Stage<'_>, goose: usize) -> (Vec<usize>, Vec<usize>) {
    let voters = stage.voters();
    let alive = stage.others(&[goose]).into_iter().filter(|node| !stage.is_dead(*node));
    alive.partition(|node| !voters.contains(node))
}

fn replace_by_order(stage: &mut Stage<'_>, old: usize, new: usize) -> Result<(), Failure> {
    let order = VoterOrder::Replace { old: id(old)?, new: id(new)? };
    stage.order(&format!("replace {old} {new}"), &order)
}

fn remove(stage: &mut Stage<'_>, node: usize) -> Result<(), Failure> {
    stage.order(&format!("remove {node}"), &VoterOrder::Remove(id(node)?))
}

fn replace(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (ducks, mut voters) = by_vote(stage, goose);
    let (Some(lost), Some(&successor)) = (voters.pop(), ducks.last()) else { return Ok(()) };
    stage.lose(lost)?;
    stage.wait(700)?;
    replace_by_order(stage, lost, successor)?;
    stage.wait(500)?;
    // Without the newcomer's vote, nobody could lead from here on.
    if let Some(next) = voters.pop() {
        stage.kill(next)?;
    }
    stage.wait(1500)
}

fn scale(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let (_, mut voters) = by_vote(stage, goose);
    if !stage.voters().contains(&goose) {
        let Some(first) = voters.pop() else { return Ok(()) };
        replace_by_order(stage, first, goose)?;
    }
    for voter in voters {
        remove(stage, voter)?;
    }
    stage.wait(500)?;
    for node in stage.others(&[goose]) {
        stage.order(&format!("add {node}"), &VoterOrder::Add(id(node)?))?;
    }
    stage.wait(500)?;
    let ducks = stage.others(&[goose]);
    let (first, rest) = ducks.split_at(ducks.len().min(2));
    for node in first {
        stage.kill(*node)?;
    }
    stage.wait(1500)?;
    for node in first {
        stage.restart(*node)?;
    }
    stage.wait(1300)?;
    for node in rest {
        remove(stage, *node)?;
    }
    stage.wait(500)
}

fn auto(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    let number = u8::try_from(VOTERS).unwrap_or(u8::MAX);
    stage.order(&format!("auto {number}"), &VoterOrder::Keep(Some(number)))?;
    let (_, mut voters) = by_vote(stage, goose);
    let Some(lost) = voters.pop() else { return Ok(()) };
    stage.lose(lost)?;
    // A minute of silence, and whatever the change takes. Who votes then is seen as the act ends.
    stage.until_replaced(lost, Duration::from_secs(75))?;
    stage.wait(500)?;
    stage.order("fixed", &VoterOrder::Keep(None))
}

fn machines(stage: &mut Stage<'_>, goose: usize) -> Result<(), Failure> {
    // The Goose first: it is the one who would be missed.
    let nodes = std::iter::once(goose).chain(stage.others(&[goose]));
    for old in nodes.collect::<Vec<_>>() {
        let voted = stage.voters().contains(&old);
        let new = stage.replace(old)?;
        stage.wait(500)?;
        if voted {
            replace_by_order(stage, old, new)?;
        }
        stage.wait(700)?;
    }
    Ok(())
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
                let node = stage.any();
                stage.kill(node)?;
            }
            7 if stage.running() > 3 => {
                let node = stage.any();
                stage.freeze(node);
            }
            _ => {
                let node = stage.any();
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
    let (one, other) = (stage.any(), stage.any());
    if one == other {
        let label = format!("cut off {one}");
        let text = format!("every link of node {one} is cut");
        let others = stage.others(&[one]);
        stage.disturb(&label, &text, |links| links.separate(&[one], &others));
    } else if stage.prng.percent(50) {
        let label = format!("{one}→{other}");
        let text = format!("nothing gets from node {one} to node {other}");
        stage.disturb(&label, &text, |links| links.silence(&[one], &[other]));
    } else {
        let (left, right) = (vec![one, other], stage.others(&[one, other]));
        let label = format!("{} | {}", side(&left), side(&right));
        let text = format!("nodes {} are cut off from {}", side(&left), side(&right));
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
        let (nodes, voters) = ([1, 12, 23, 4, 5], [4, 12, 23]);
        for goose in nodes {
            let others: Vec<usize> = nodes.into_iter().filter(|node| *node != goose).collect();
            let (minority, majority) = halves(goose, &others, &voters);
            let votes = |nodes: &[usize]| nodes.iter().filter(|it| voters.contains(it)).count();
            assert!(minority.contains(&goose));
            assert_eq!((minority.len(), majority.len()), (2, 3));
            assert_eq!((votes(&minority), votes(&majority)), (1, 2));
        }
    }
}
