//! Environment variables: those that are settings, and those that look as if they were.

use clap::CommandFactory;

use crate::commands::arguments::Arguments;
use crate::config::nearest::nearest;

/// What every variable of ours begins with.
const PREFIX: &str = "GAGGLE_";
/// Spellings that suggest themselves, and what they mean here, both without the prefix.
const SYNONYMS: [(&str, &str); 5] = [
    ("LISTEN", "ADDR"),
    ("ADDRESS", "ADDR"),
    ("KEY", "KEY_FILE"),
    ("ADMIN_TOKEN", "ADMIN_TOKEN_FILE"),
    ("NAME", "CLUSTER"),
];
/// More are not complained of one by one.
const COMPLAINTS_MAX: usize = 8;

/// The variables of this process that begin like ours.
pub(in crate::commands) fn of_process() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with(PREFIX)).collect()
}

/// A warning for each of `names` that begins like a setting of ours and is none. No error: an
/// orchestrator puts names of its own making into every environment.
pub(in crate::commands) fn strays(names: &[String]) -> Vec<String> {
    let known = known();
    let ours = |name: &&String| name.starts_with(PREFIX) && !known.contains(name);
    let foreign = |name: &&String| {
        // What Kubernetes says of a service that is called gaggle.
        name.starts_with("GAGGLE_SERVICE_") || name.starts_with("GAGGLE_PORT")
    };
    let strays = names.iter().filter(ours).filter(|name| !foreign(name));
    strays.take(COMPLAINTS_MAX).map(|name| complaint(name, &known)).collect()
}

fn complaint(name: &str, known: &[String]) -> String {
    let bare = |name| str::strip_prefix(name, PREFIX).unwrap_or(name);
    let spellings = known.iter().map(|known| (bare(known), bare(known)));
    let (meant, close) = nearest(bare(name), spellings.chain(SYNONYMS));
    let hint = if close { format!("did you mean {PREFIX}{meant}?") } else { "unset it".to_owned() };
    format!("the environment variable {name} is no setting and has no effect; {hint}")
}

/// Every variable that some command reads.
fn known() -> Vec<String> {
    let command = Arguments::command();
    let all = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let named = all.filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned));
    let mut names: Vec<String> = named.collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_named_with_the_nearest_and_others_are_left_alone() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let fine = names(&["GAGGLE_SEED", "GAGGLE_NODE", "GAGGLE_PORT_80_TCP", "PATH", "GAGGLE"]);
        assert_eq!(strays(&fine), Vec::<String>::new());
        let wrong = names(&["GAGGLE_LEAZE", "GAGGLE_KEY", "GAGGLE_LISTEN", "GAGGLE_FEATHERS"]);
        let said = strays(&wrong);
        let start = "the environment variable GAGGLE_LEAZE is no setting and has no effect; ";
        assert_eq!(said[0], format!("{start}did you mean GAGGLE_LEASE?"));
        assert!(said[1].ends_with("did you mean GAGGLE_KEY_FILE?"), "{said:?}");
        assert!(said[2].ends_with("did you mean GAGGLE_ADDR?"), "{said:?}");
        assert!(said[3].ends_with("has no effect; unset it"), "{said:?}");
        assert_eq!(strays(&vec!["GAGGLE_X".to_owned(); 99]).len(), COMPLAINTS_MAX);
    }

    #[test]
    fn every_setting_has_a_variable() {
        use crate::config::flags::FLAGS;
        for flag in FLAGS.iter().filter(|flag| flag.in_file && !flag.positional) {
            let name = format!("{PREFIX}{}", flag.key.to_uppercase().replace('-', "_"));
            assert!(flag.environment == name && known().contains(&name), "{name}");
        }
    }
}
