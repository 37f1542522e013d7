//! What was found, each with its verdict, and how it is shown.

use crate::commands::arguments::{DoctorArguments, OutputFormat};
use crate::commands::table::{self, colour_allowed};
use crate::commands::{CommandError, print};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but somebody should know.
    Odd,
    /// It does not work, or not for long.
    Wrong,
}

#[derive(Debug, serde::Serialize)]
struct Finding {
    verdict: Verdict,
    about: &'static str,
    words: String,
}

/// All that was found.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, verdict: Verdict, about: &'static str, words: impl Into<String>) {
        self.0.push(Finding { verdict, about, words: words.into() });
    }

    pub(super) fn ok_if(
        &mut self,
        fine: bool,
        otherwise: Verdict,
        about: &'static str,
        words: [String; 2],
    ) {
        let [good, bad] = words;
        if fine { self.add(Verdict::Ok, about, good) } else { self.add(otherwise, about, bad) }
    }

    pub(super) fn worst(&self) -> Verdict {
        self.0.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }
}

/// How the whole is called, from the best to the worst.
pub(super) type Conclusions = [&'static str; 3];

/// Shows everything, and the verdict on the whole.
pub(super) fn report(
    arguments: &DoctorArguments,
    findings: &Findings,
    conclusions: Conclusions,
) -> Result<(), CommandError> {
    let verdict = findings.worst();
    if arguments.ask.output == OutputFormat::Json {
        let report = serde_json::json!({ "verdict": verdict, "findings": findings.0 });
        print(&format!("{report}\n"))?;
        return Ok(());
    }
    let word = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Odd => "odd",
        Verdict::Wrong => "WRONG",
    };
    let row = |finding: &Finding| {
        vec![word(finding.verdict).to_owned(), finding.about.to_owned(), finding.words.clone()]
    };
    let rows: Vec<Vec<String>> = findings.0.iter().map(row).collect();
    let mut text = table::render(&["VERDICT", "ABOUT", "FINDING"], &rows);
    let [fine, odd, wrong] = conclusions;
    let conclusion = match verdict {
        Verdict::Ok => fine,
        Verdict::Odd => odd,
        Verdict::Wrong => wrong,
    };
    text.push_str(&format!("\n{conclusion}\n"));
    if colour_allowed() && verdict == Verdict::Wrong {
        text = text.replace("WRONG", "\x1b[1;31mWRONG\x1b[0m");
    }
    print(&text)?;
    Ok(())
}
