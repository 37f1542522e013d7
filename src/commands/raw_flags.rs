//! The table of settings as arguments of the command line: one for each, made in a loop, and read
//! back into [`Raw`].

use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::arguments::{duration, names, truth};
use super::help;
use crate::config::flags::{FLAGS, Flag, Take};
use crate::config::raw::RawId;
use crate::config::{Origin, Raw};

impl Args for Raw {
    fn augment_args(command: Command) -> Command {
        FLAGS.iter().map(argument).fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Raw {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut raw = Self::default();
        raw.update_from_arg_matches(matches)?;
        Ok(raw)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for flag in FLAGS {
            take(self, flag, matches);
            self.origins.note(flag.key, origin(flag, matches));
        }
        Ok(())
    }
}

/// How the parser knows a setting.
fn argument(flag: &Flag) -> Arg {
    let mut argument = Arg::new(flag.key).help(flag.help).hide(flag.hidden).hide_env(true);
    if let Some(heading) = help::heading(flag.key) {
        argument = argument.help_heading(heading);
    }
    if !flag.positional {
        argument = argument.long(flag.key);
    }
    if !flag.environment.is_empty() {
        argument = argument.env(flag.environment);
    }
    if let Some(default) = flag.default {
        argument = argument.default_value(default);
    }
    argument = match flag.take {
        Take::Text(_) => argument.value_parser(value_parser!(String)),
        Take::Texts(_) => argument.action(ArgAction::Append).value_delimiter(','),
        Take::Path(_) => argument.value_parser(value_parser!(PathBuf)),
        Take::Span(_) => argument.value_parser(duration),
        Take::Count(_) => argument.value_parser(value_parser!(u32).range(1..=1000)),
        Take::Id(_) => argument.value_parser(value_parser!(RawId)),
        Take::Truth(_) => argument
            .num_args(0..=1)
            .default_missing_value("true")
            .require_equals(true)
            .value_parser(truth),
        Take::Switch(_) => return argument.action(ArgAction::SetTrue).value_parser(truth),
        Take::Choice(choices, _) => argument.value_parser(names(choices)),
    };
    let name = flag.key.to_uppercase().replace('-', "_");
    argument.value_name(if flag.value.is_empty() { name } else { flag.value.to_owned() })
}

/// Puts what was given where it goes.
fn take(raw: &mut Raw, flag: &Flag, matches: &ArgMatches) {
    fn given<T: Clone + Send + Sync + 'static>(key: &str, matches: &ArgMatches) -> Option<T> {
        matches.get_one::<T>(key).cloned()
    }
    let key = flag.key;
    match flag.take {
        Take::Text(set) => given::<String>(key, matches).map(|text| set(raw, text)),
        Take::Texts(set) => {
            matches.get_many::<String>(key).map(|texts| set(raw, texts.cloned().collect()))
        }
        Take::Path(set) => given::<PathBuf>(key, matches).map(|path| set(raw, path)),
        Take::Span(set) => given::<Duration>(key, matches).map(|span| set(raw, span)),
        Take::Count(set) => given::<u32>(key, matches).map(|count| set(raw, count)),
        Take::Id(set) => given::<RawId>(key, matches).map(|id| set(raw, id)),
        Take::Truth(set) | Take::Switch(set) => {
            given::<bool>(key, matches).map(|truth| set(raw, truth))
        }
        Take::Choice(_, set) => given::<String>(key, matches).map(|name| set(raw, &name)),
    };
}

/// Where the parser has it from. What a file says stands in the place of defaults, and is told
/// apart by whoever read the file.
fn origin(flag: &Flag, matches: &ArgMatches) -> Origin {
    match matches.value_source(flag.key) {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => Origin::Environment(flag.environment.to_owned()),
        _ => Origin::Default,
    }
}
