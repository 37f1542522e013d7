//! The command line of the demonstration.

use std::path::PathBuf;

use gaggle::vocabulary::mutant::Mutant;

use super::acts::SCRIPT;

pub(crate) const HELP: &str = "\
The partition demo: five real nodes, real time, real UDP, and a saboteur between
them. One Goose at most, whatever happens: this program watches, draws, judges.

Usage: cargo run --release --example chaos -- [options]

  --list            name the acts of the script and what each must show
  --act NAME        play this act only; may be given several times
  --quick           shorter pauses between faults
  --random          play random faults instead of the script
  --minutes M       how long a random run takes (default 1)
  --seed N          what all chance is drawn from (default: from the clock)
  --simulated       virtual time: at once, and for one seed always the same
  --svg FILE        write the whole run as a picture
  --help            this text

In a terminal a timeline runs along; into a pipe go plain lines. NO_COLOR is
respected.

Nodes 1, 2 and 3 vote at first; the last acts change that, by the orders that
`gaggle voters` gives. A node that is lost for good is followed at its place by
one with another id (12 after 2), another address and an empty disk: as a Duck,
until an order gives it a vote. Every datagram passes a relay that delays, drops, doubles
and cuts each direction of each link by itself. A killed node is gone without a
goodbye and comes back on its state folder; a frozen one is a thread that stands
still. (A killed node here has no keeper: the binary's nodes have one, and fail
over from a crash in milliseconds.)

Exit status: 0 if the promise was kept; 1 if there ever were two Geese, a term
did not rise, no Goose came back within five seconds of healing, an order to
change voters did not take effect within eight, or an act ended with other than
three voters; 2 if the demo could not be run.";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) help: bool,
    pub(crate) list: bool,
    pub(crate) acts: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) random: bool,
    pub(crate) minutes: Option<u64>,
    pub(crate) seed: Option<u64>,
    pub(crate) simulated: bool,
    pub(crate) svg: Option<PathBuf>,
    /// Not in the help: a mutant of the nodes, to see that it is noticed.
    pub(crate) mutant: Option<Mutant>,
}

impl Arguments {
    /// Reads the words after the program's name.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => arguments.help = true,
                "--list" => arguments.list = true,
                "--quick" => arguments.quick = true,
                "--random" => arguments.random = true,
                "--simulated" => arguments.simulated = true,
                "--act" => arguments.acts.push(known_act(value()?)?),
                "--minutes" => arguments.minutes = Some(number(&value()?)?.clamp(1, 24 * 60)),
                "--seed" => arguments.seed = Some(number(&value()?)?),
                "--mutant" => arguments.mutant = Some(known_mutant(&value()?)?),
                "--svg" => arguments.svg = Some(value()?.into()),
                _ => return Err(format!("{word} is no option; --help names them")),
            }
        }
        if arguments.random && !arguments.acts.is_empty() {
            return Err("--random and --act exclude each other".to_owned());
        }
        if arguments.mutant.is_some() && !arguments.simulated {
            return Err("--mutant goes with --simulated".to_owned());
        }
        if arguments.minutes.is_some() && !arguments.random {
            return Err("--minutes goes with --random; the script has its own length".to_owned());
        }
        Ok(arguments)
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no whole number"))
}

fn known_act(name: String) -> Result<String, String> {
    if SCRIPT.iter().any(|act| act.name == name) {
        return Ok(name);
    }
    let names: Vec<&str> = SCRIPT.iter().map(|act| act.name).collect();
    Err(format!("there is no act \"{name}\"; there are {}", names.join(", ")))
}

fn known_mutant(name: &str) -> Result<Mutant, String> {
    let known = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name);
    known.ok_or_else(|| format!("there is no bug \"{name}\"; there are {:?}", Mutant::ALL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_and_mistakes_are_named() {
        let arguments = parse("--random --seed 7 --minutes 2 --svg x.svg").unwrap();
        assert_eq!((arguments.seed, arguments.minutes), (Some(7), Some(2)));
        assert_eq!(parse("--act split --act flap").unwrap().acts, ["split", "flap"]);
        assert!(parse("--act splt").unwrap_err().contains("split"));
        for wrong in [
            "--seed",
            "--seed x",
            "--minutes 3",
            "--random --act kill",
            "--mutant QuorumOfOne",
            "--simulated --mutant QuorumOfTwo",
            "now",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
