//! `gaggle check`: what `gaggle run` would be started with, and what that is worth. Opens
//! nothing but the files that settings name.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::{CheckArguments, OutputFormat, RunArguments};
use super::settings::{Environment, RunSettings, Storage};
use super::sources::{Origin, Origins};
use super::{CommandError, Exit, one_line, print};
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

/// Shows the effective settings, or why they are refused.
pub(super) fn check(arguments: &CheckArguments, origins: &Origins) -> Result<Exit, CommandError> {
    let settings = RunSettings::check(&arguments.run, &Environment::of_process([0; 32]))
        .map_err(|error| CommandError::settings(error, origins))?;
    let shown = effective(&arguments.run, &settings, origins);
    for warning in &settings.warnings {
        // What is printed below does not depend on whether anybody reads this.
        let _ = writeln!(std::io::stderr(), "warning: {}", one_line(warning));
    }
    let text = match arguments.output {
        OutputFormat::Table => table(&arguments.run, &settings, &shown),
        OutputFormat::Json => format!("{:#}\n", json(&arguments.run, &settings, &shown)),
    };
    print(&text)?;
    Ok(Exit::Done)
}

/// Every setting, as it takes effect.
pub(super) fn effective(
    raw: &RunArguments,
    settings: &RunSettings,
    origins: &Origins,
) -> Vec<Setting> {
    let setup = &settings.setup;
    let none = || "none".to_owned();
    let list = |items: Vec<String>| if items.is_empty() { none() } else { items.join(", ") };
    let path = |path: &Option<std::path::PathBuf>| {
        path.as_ref().map_or_else(none, |path| path.display().to_string())
    };
    let voters = setup.voters.as_ref();
    let voters = voters.map(|set| set.ids().iter().map(ToString::to_string).collect());
    let state = match &settings.storage {
        Storage::Folder(folder) => folder.display().to_string(),
        Storage::Ephemeral => none(),
    };
    let keys = setup.keys.as_ref().map_or_else(none, |keys| {
        format!("{} (keys {})", path(&raw.key_file), keys.hints().join(", "))
    });
    // Without a word the record or the cluster decides; a cluster founded now goes without.
    let founds = setup.voters.is_some() || setup.seeds.is_empty();
    let said = if founds { "false" } else { "as the cluster" }.to_owned();
    let all = [
        ("cluster", setup.cluster.to_string()),
        ("id", setup.id.to_string()),
        ("listen", settings.listen.to_string()),
        ("advertise", setup.address.to_string()),
        ("http", settings.http.to_string()),
        ("seed", list(setup.seeds.clone())),
        ("voters", list(voters.unwrap_or_default())),
        ("tag", list(setup.tags.iter().map(|(key, value)| format!("{key}={value}")).collect())),
        ("profile", format!("{:?}", raw.profile).to_lowercase()),
        ("lease", format!("{:?}", setup.timing.lease)),
        ("preempt", setup.preempt.map_or_else(|| said, |said| said.to_string())),
        ("never-goose", (!setup.eligible).to_string()),
        ("state-dir", state),
        ("ephemeral", (settings.storage == Storage::Ephemeral).to_string()),
        ("key-file", keys),
        ("admin-token-file", path(&raw.admin_token_file)),
        ("log-format", format!("{:?}", raw.log_format).to_lowercase()),
        ("log-level", format!("{:?}", raw.log_level).to_lowercase()),
        ("no-keeper", raw.no_keeper.to_string()),
        ("on-goose", raw.on_goose.clone().unwrap_or_else(none)),
        ("on-duck", raw.on_duck.clone().unwrap_or_else(none)),
        ("hook-timeout", format!("{:?}", settings.hooks.limit)),
        ("config", path(&raw.config)),
    ];
    // What a file says must not move somebody's cursor.
    let setting = |(name, value): (_, String)| {
        // The voters' addresses serve as seeds.
        let source = if name == "seed" && raw.seeds.is_empty() { "voters" } else { name };
        Setting { name, value: one_line(&value), origin: origins.of(source) }
    };
    all.into_iter().map(setting).collect()
}

fn table(raw: &RunArguments, settings: &RunSettings, shown: &[Setting]) -> String {
    let width = |cell: fn(&Setting) -> usize| shown.iter().map(cell).max().unwrap_or(0);
    let (name, value) = (width(|it| it.name.len()), width(|it| it.value.chars().count()));
    let mut text = String::new();
    for setting in shown {
        let Setting { name: key, value: cell, origin } = setting;
        text += &format!("{key:name$}  {cell:value$}  {origin}\n");
    }
    let surroundings = Surroundings::of(raw.profile.into());
    let timing = &settings.setup.timing;
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

fn json(raw: &RunArguments, settings: &RunSettings, shown: &[Setting]) -> Value {
    let surroundings = Surroundings::of(raw.profile.into());
    let timing = &settings.setup.timing;
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
        "warnings": settings.warnings,
    })
}
