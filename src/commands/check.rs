//! `gaggle check`: what `gaggle run` would be started with, and what that is worth. Opens
//! nothing but the files that settings name.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::{CheckArguments, OutputFormat};
use super::{CommandError, Exit, environment, one_line, print};
use crate::config::flags::{FLAGS, Flag};
use crate::config::{self, Checked, Origin, Raw};
use crate::vocabulary::endurance::Surroundings;
use crate::vocabulary::time::milliseconds;
use crate::vocabulary::timing::counted;

/// One effective setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The name of its key.
    pub(super) name: &'static str,
    /// In words; secrets by what tells them apart.
    pub(super) value: String,
    /// Where it was set.
    pub(super) origin: Origin,
}

/// What a reader looks for first; the rest follows in the order of the help.
const SHOWN_FIRST: [&str; 11] = [
    "cluster",
    "id",
    "name",
    "listen",
    "advertise",
    "http",
    "advertise-http",
    "seed",
    "voters",
    "tag",
    "profile",
];
/// Where much of what is above was found.
const SHOWN_LAST: &str = "config";

/// Shows the effective settings, or why they are refused.
pub(super) fn check(arguments: &CheckArguments) -> Result<Exit, CommandError> {
    let raw = &arguments.run;
    let checked = config::check(raw, &environment([0; 32]))?;
    let shown = effective(raw, &checked);
    for warning in &checked.warnings {
        // What is printed below does not depend on whether anybody reads this.
        let _ = writeln!(std::io::stderr(), "warning: {}", one_line(warning));
    }
    let text = match arguments.output {
        OutputFormat::Table => table(raw, &checked, &shown),
        OutputFormat::Json => format!("{:#}\n", json(raw, &checked, &shown)),
    };
    print(&text)?;
    Ok(Exit::Done)
}

/// Every setting, as it takes effect.
pub(super) fn effective(raw: &Raw, checked: &Checked) -> Vec<Setting> {
    let place = |flag: &&Flag| {
        let first = SHOWN_FIRST.iter().position(|key| *key == flag.key);
        (flag.key == SHOWN_LAST, first.unwrap_or(SHOWN_FIRST.len()))
    };
    let mut flags: Vec<&Flag> = FLAGS.iter().collect();
    flags.sort_by_key(place);
    let setting = |flag: &Flag| {
        // The voters' addresses serve as seeds.
        let voters = flag.key == "seed" && raw.seeds.is_empty();
        let origin = raw.origins.of(if voters { "voters" } else { flag.key });
        // What a file says must not move somebody's cursor.
        let value = one_line(&flag.show?(raw, checked));
        Some(Setting { name: flag.key, value, origin })
    };
    flags.into_iter().filter_map(setting).collect()
}

fn table(raw: &Raw, checked: &Checked, shown: &[Setting]) -> String {
    let width = |cell: fn(&Setting) -> usize| shown.iter().map(cell).max().unwrap_or(0);
    let (name, value) = (width(|it| it.name.len()), width(|it| it.value.chars().count()));
    let mut text = String::new();
    for setting in shown {
        let Setting { name: key, value: cell, origin } = setting;
        text += &format!("{key:name$}  {cell:value$}  {origin}\n");
    }
    let surroundings = Surroundings::of(raw.profile);
    let timing = &checked.setup.timing;
    let bound = ceiling(timing.fail_over_bound(surroundings));
    let (round_trip, sync) = (surroundings.round_trip, surroundings.sync);
    text += &format!(
        "\nlease      counts for {:?}, renewed every {:?}\n\
         fail-over  within {bound:?} of a freeze or a cut (assumed: round trips of \
         {round_trip:?}, {sync:?} to write a grant)\n",
        floor(counted(timing.lease)),
        floor(timing.renew_interval),
    );
    let endurance = timing.endurance(surroundings);
    text += &endurance.map_or_else(
        || "rides out  nothing: a single late renewal ends the term\n".to_owned(),
        |endurance| {
            format!(
                "rides out  {} lost renewals in a row and a stall of {:?} on top\n",
                endurance.lost_renewals,
                floor(endurance.stall)
            )
        },
    );
    text
}

/// In whole milliseconds, never more than it is.
fn floor(span: Duration) -> Duration {
    Duration::from_millis(milliseconds(span))
}

/// In whole milliseconds, never less than it is.
fn ceiling(span: Duration) -> Duration {
    floor(span + Duration::from_nanos(999_999))
}

fn json(raw: &Raw, checked: &Checked, shown: &[Setting]) -> Value {
    let surroundings = Surroundings::of(raw.profile);
    let timing = &checked.setup.timing;
    let endurance = timing.endurance(surroundings);
    let milliseconds = |span: Duration| span.as_secs_f64() * 1000.0;
    let entries = shown.iter().map(|setting| {
        let Setting { name, value, origin } = setting;
        ((*name).to_owned(), json!({"value": value, "from": origin.to_string()}))
    });
    json!({
        "settings": entries.collect::<serde_json::Map<String, Value>>(),
        "counted_ms": milliseconds(counted(timing.lease)),
        "renew_ms": milliseconds(timing.renew_interval),
        "fail_over_ms": milliseconds(timing.fail_over_bound(surroundings)),
        "lost_renewals": endurance.map_or(0, |endurance| endurance.lost_renewals),
        "stall_ms": endurance.map_or(0.0, |endurance| milliseconds(endurance.stall)),
        "assumed": {
            "round_trip_ms": milliseconds(surroundings.round_trip),
            "sync_ms": milliseconds(surroundings.sync),
        },
        "warnings": checked.warnings,
    })
}
