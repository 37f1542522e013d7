//! What a run shows, in numbers, and whether the promise was kept.

use std::time::Duration;

use gaggle::shell::history::judge::judge;

use super::links::VOTERS;
use super::recording::{Act, Recording, Tenure, listed, seconds};

/// A node is looked at this often, or a little less on a busy machine.
const BLINK: Duration = Duration::from_millis(50);

/// How leadership passed in one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// The act had no fault in it. Who led all through it, if somebody did.
    Undisturbed { node: Option<usize> },
    /// Whoever led when the fault began led on.
    Stayed { node: usize },
    /// Another tenure began.
    Passed {
        from: usize,
        to: usize,
        /// From the fault to the next Goose.
        since_fault: Duration,
        /// From the end of the old leadership to the next Goose.
        vacancy: Duration,
        /// How many tenures began in the act.
        tenures: usize,
    },
    /// Nobody led after the fault.
    Lost,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) length: Duration,
    pub(crate) with_one: Duration,
    pub(crate) with_none: Duration,
    pub(crate) with_more: Duration,
    pub(crate) passages: Vec<Passage>,
    pub(crate) violations: Vec<String>,
}

impl Verdict {
    /// Judges a recording that ended at `end`.
    pub(crate) fn of(recording: &Recording, end: Duration) -> Self {
        let [with_none, with_one, with_more] = shares(&recording.tenures, end);
        let mut violations = overlaps(&recording.tenures);
        violations.extend(disorder(&recording.tenures));
        violations
            .extend(judge(&recording.reigns, &[]).iter().map(|it| format!("histories: {it}")));
        violations.extend(recording.breaches.iter().cloned());
        violations.extend(recording.acts.iter().filter_map(few_voters));
        if recording.tenures.is_empty() {
            violations.push("nobody ever was Goose".to_owned());
        }
        let passages = recording.acts.iter().map(|act| passage(recording, act, end)).collect();
        Self { length: end, with_one, with_none, with_more, passages, violations }
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.violations.is_empty()
    }

    /// The verdict as it is printed.
    pub(crate) fn lines(&self, recording: &Recording) -> Vec<String> {
        let mut lines = vec!["Fail-over, act by act:".to_owned()];
        for (number, (act, passage)) in (1..).zip(recording.acts.iter().zip(&self.passages)) {
            lines.push(format!("  {number:>2} {:<9} {}", act.name, passage.words()));
        }
        let terms = recording.tenures.iter().map(|held| format!("{}:{}", held.term, held.node));
        lines.push(String::new());
        lines.push("Terms in order, term:node".to_owned());
        let terms: Vec<String> = terms.collect();
        lines.extend(terms.chunks(10).map(|row| format!("  {}", row.join("  "))));
        lines.push(String::new());
        let share = |span: Duration| {
            let hundred = 100.0 * span.as_secs_f64() / self.length.as_secs_f64().max(1e-9);
            format!("{:>9} s  {hundred:5.1} %", seconds(span))
        };
        lines.push(format!("With one Goose   {}", share(self.with_one)));
        lines.push(format!("With none        {}", share(self.with_none)));
        lines.push(format!("With two         {}", share(self.with_more)));
        let recoveries = recording
            .acts
            .iter()
            .filter_map(|act| Some(act.recovered_at?.saturating_sub(act.healed_at?)));
        match recoveries.max() {
            Some(slowest) if slowest < Duration::from_millis(1) => {
                let words = "none was needed: somebody led whenever a fault was healed";
                lines.push(format!("Recovery         {words}"));
            }
            Some(slowest) => lines.push(format!(
                "Slowest recovery {:>9} s  from healing to one Goose",
                seconds(slowest)
            )),
            None => {}
        }
        let changes = recording.electorates.len().saturating_sub(1);
        let words = match recording.acts.iter().map(|act| act.voters.len()).max() {
            Some(_) if changes == 0 => "the same all the time".to_owned(),
            Some(voters) => format!("{voters} at the end of each act; {changes} changes"),
            None => "no act has ended".to_owned(),
        };
        lines.push(format!("Voters           {words}"));
        let traffic = recording.traffic;
        lines.push(format!(
            "Datagrams        {} delivered, {} cut, {} lost, {} doubled",
            traffic.delivered, traffic.cut, traffic.lost, traffic.duplicated
        ));
        if !recording.reigns.is_empty() {
            let count = recording.reigns.len();
            lines.push(format!(
                "Histories        {count} terms, as the nodes that led tell of them"
            ));
        }
        if !recording.longest_blink.is_zero() {
            let blink = recording.longest_blink.as_secs_f64() * 1000.0;
            lines.push(format!("Watched          every 0.5 ms or so; longest blink {blink:.1} ms"));
        }
        lines.push(String::new());
        if self.is_kept() {
            lines.push(
                "KEPT: never two Geese, terms only rose; one Goose and three voters after each act."
                    .to_owned(),
            );
        } else {
            lines.extend(self.violations.iter().map(|violation| format!("BROKEN: {violation}")));
        }
        lines
    }
}

impl Passage {
    /// For people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Undisturbed { node: None } => "no fault".to_owned(),
            Self::Undisturbed { node: Some(node) } => format!("node {node} stays Goose, no fault"),
            Self::Stayed { node } => format!("node {node} stays Goose"),
            Self::Lost => "nobody followed".to_owned(),
            Self::Passed { from, to, since_fault, vacancy, tenures } => {
                let passed = format!(
                    "{from} → {to}: {:>5} ms after the fault, {:>5} ms without a Goose",
                    since_fault.as_millis(),
                    vacancy.as_millis()
                );
                match tenures {
                    1 => passed,
                    more => format!("{passed} ({more} tenures)"),
                }
            }
        }
    }
}

/// How long there were none, one, and more.
fn shares(tenures: &[Tenure], end: Duration) -> [Duration; 3] {
    let mut bounds: Vec<(Duration, bool)> = Vec::new();
    for tenure in tenures.iter().filter(|tenure| tenure.from < tenure.to) {
        bounds.push((tenure.from, true));
        bounds.push((tenure.to, false));
    }
    // Ends sort before beginnings at the same moment.
    bounds.sort_unstable();
    let (mut spans, mut leading, mut last) = ([Duration::ZERO; 3], 0_usize, Duration::ZERO);
    for (at, begins) in bounds.into_iter().chain([(end, false)]) {
        spans[leading.min(2)] += at.saturating_sub(last);
        leading = if begins { leading + 1 } else { leading.saturating_sub(1) };
        last = last.max(at);
    }
    spans
}

/// When nobody led.
pub(crate) fn gaps(tenures: &[Tenure], end: Duration) -> Vec<(Duration, Duration)> {
    let mut stretches: Vec<_> = tenures.iter().map(|tenure| (tenure.from, tenure.to)).collect();
    stretches.sort_unstable();
    let (mut gaps, mut last) = (Vec::new(), Duration::ZERO);
    for (from, to) in stretches.into_iter().chain([(end, end)]) {
        if from > last {
            gaps.push((last, from));
        }
        last = last.max(to);
    }
    gaps
}

fn overlaps(tenures: &[Tenure]) -> Vec<String> {
    let mut found = Vec::new();
    for (position, one) in tenures.iter().enumerate() {
        for other in &tenures[position + 1..] {
            let both = one.to.min(other.to).saturating_sub(one.from.max(other.from));
            if !both.is_zero() {
                found.push(format!(
                    "two Geese for {} s: node {} (term {}) and node {} (term {})",
                    seconds(both),
                    one.node,
                    one.term,
                    other.node,
                    other.term
                ));
            }
        }
    }
    found
}

fn disorder(tenures: &[Tenure]) -> Vec<String> {
    let pairs = tenures.windows(2).filter(|pair| pair[0].term >= pair[1].term);
    pairs.map(|pair| format!("term {} came after term {}", pair[1].term, pair[0].term)).collect()
}

/// At the end of each act there are as many voters as there are to be.
fn few_voters(act: &Act) -> Option<String> {
    let ended = act.to.is_some() && act.voters.len() != VOTERS;
    ended.then(|| {
        let voters = listed(&act.voters, ", ");
        format!("at the end of {} there were not {VOTERS} voters, but {voters}", act.name)
    })
}

fn passage(recording: &Recording, act: &Act, end: Duration) -> Passage {
    let until = act.to.unwrap_or(end);
    let Some(fault) = act.fault_at else {
        let through = |tenure: &&Tenure| tenure.from <= act.from && tenure.to + BLINK >= until;
        let node = recording.tenures.iter().find(through).map(|tenure| tenure.node);
        return Passage::Undisturbed { node };
    };
    let old = recording.tenures.iter().rfind(|tenure| tenure.from <= fault);
    let mut next =
        recording.tenures.iter().filter(|tenure| tenure.from > fault && tenure.from <= until);
    let Some(first) = next.next() else {
        let led_on = old.filter(|tenure| tenure.to > fault);
        return led_on.map_or(Passage::Lost, |tenure| Passage::Stayed { node: tenure.node });
    };
    Passage::Passed {
        from: old.map_or(0, |tenure| tenure.node),
        to: first.node,
        since_fault: first.from - fault,
        vacancy: first.from.saturating_sub(old.map_or(fault, |tenure| tenure.to)),
        tenures: 1 + next.count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(node: usize, term: u64, from: u64, to: u64) -> Tenure {
        Tenure { node, term, from: Duration::from_millis(from), to: Duration::from_millis(to) }
    }

    fn judged(tenures: Vec<Tenure>) -> Verdict {
        let mut recording = Recording::default();
        recording.tenures.extend(tenures);
        Verdict::of(&recording, Duration::from_millis(100))
    }

    #[test]
    fn gaps_and_overlaps_are_measured() {
        let kept = judged(vec![tenure(1, 1, 10, 40), tenure(2, 2, 40, 90)]);
        assert!(kept.is_kept(), "{:?}", kept.violations);
        assert_eq!(kept.with_one, Duration::from_millis(80));
        assert_eq!(kept.with_none, Duration::from_millis(20));
        let ms = Duration::from_millis;
        let tenures = [tenure(1, 1, 10, 40), tenure(2, 2, 45, 90)];
        let nobody = gaps(&tenures, ms(100));
        assert_eq!(nobody, [(ms(0), ms(10)), (ms(40), ms(45)), (ms(90), ms(100))]);
        let broken = judged(vec![tenure(1, 1, 10, 50), tenure(2, 2, 40, 90)]);
        assert_eq!(broken.with_more, Duration::from_millis(10));
        assert_eq!(broken.violations.len(), 1);
    }

    #[test]
    fn histories_that_cannot_both_be_true_are_a_violation() {
        use gaggle::NodeId;
        use gaggle::shell::history::judge::{Bounds, Reign};
        let reign = |node, term, began, ended| Reign {
            node: NodeId::new(node).unwrap(),
            term,
            began: Bounds::exactly(began),
            ended: Some(Bounds::exactly(ended)),
        };
        let mut recording = Recording::default();
        recording.tenures.push(tenure(1, 1, 10, 40));
        recording.reigns = vec![reign(1, 1, 10, 40), reign(2, 2, 40, 50)];
        assert!(Verdict::of(&recording, Duration::from_millis(100)).is_kept());
        recording.reigns[1].began = Bounds::exactly(39);
        let verdict = Verdict::of(&recording, Duration::from_millis(100));
        assert_eq!(verdict.violations.len(), 1, "{:?}", verdict.violations);
    }

    #[test]
    fn an_act_that_leaves_fewer_voters_is_a_violation() {
        let mut recording = Recording::default();
        recording.tenures.push(tenure(1, 1, 0, 90));
        recording.begin_act(Duration::ZERO, "scale", "");
        recording.acts[0].to = Some(Duration::from_millis(80));
        for (voters, violations) in [(vec![1, 2, 3], 0), (vec![1, 2], 1), (vec![1, 2, 3, 4, 5], 1)]
        {
            recording.acts[0].voters = voters;
            let verdict = Verdict::of(&recording, Duration::from_millis(100));
            assert_eq!(verdict.violations.len(), violations, "{:?}", verdict.violations);
        }
    }

    #[test]
    fn a_term_that_does_not_rise_is_a_violation() {
        assert_eq!(judged(vec![tenure(1, 2, 0, 40), tenure(2, 2, 50, 90)]).violations.len(), 1);
        assert_eq!(judged(Vec::new()).violations.len(), 1);
    }
}
