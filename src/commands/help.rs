//! What the help shows beside names: under which heading a setting stands, and examples that can be
//! copied.

/// Headings of the settings of a node, in the order of the help, with the keys below each.
const HEADINGS: &[(&str, &[&str])] = &[
    ("Cluster", &["seed", "voters", "cluster", "first-term"]),
    ("This node", &["id", "name", "tag", "advertise", "preempt", "never-goose"]),
    (
        "HTTP and orders",
        &[
            "http",
            "http-tls-cert",
            "http-tls-key",
            "advertise-http",
            "agent-check",
            "admin-token-file",
        ],
    ),
    ("Timing", &["profile", "lease"]),
    ("State, keys and settings", &["state-dir", "ephemeral", "key-file", "config"]),
    ("At a change of role", &["on-goose", "on-duck", "hook-timeout", "on-hook-failure"]),
    (
        "Health",
        &[
            "health",
            "health-interval",
            "health-timeout",
            "health-failures",
            "health-successes",
            "if-none-healthy",
        ],
    ),
    ("Log and process", &["log-format", "log-level", "no-keeper"]),
];

/// The heading for the setting of this key; none for the address that stands alone.
pub(super) fn heading(key: &str) -> Option<&'static str> {
    HEADINGS.iter().find(|(_, keys)| keys.contains(&key)).map(|(heading, _)| *heading)
}

/// Below the help of all commands together.
pub(super) const GAGGLE: &str = "Try it:\n  \
    gaggle dev                                        a whole cluster here\n  \
    gaggle run                                        one node,\n  \
    gaggle run 127.0.0.1:8001 --seed 127.0.0.1:8000   and another one\n  \
    gaggle status                                     how a node here stands\n\n\
    GAGGLE_NODE and GAGGLE_OUTPUT stand in for --node and --output wherever a node is asked.";

/// Below the help of what starts a node.
pub(super) const RUN: &str = "Each setting is also read from the environment (--state-dir: \
    GAGGLE_STATE_DIR; ADDR:PORT: GAGGLE_ADDR) and, without dashes, from the file of --config. A flag \
    wins over the environment, and that over the file.\n\n\
    Examples:\n  \
    gaggle run 10.0.0.1:8000                                  founds a cluster\n  \
    gaggle run 10.0.0.2:8000 --seed 10.0.0.1:8000             joins it\n  \
    gaggle run 10.0.0.1:8000 --voters 10.0.0.1:8000,10.0.0.2:8000,10.0.0.3:8000\n  \
    gaggle run --config /etc/gaggle/gaggle.toml --key-file /etc/gaggle/key";

/// The exit codes of `exec`, and examples.
pub(super) const EXEC: &str = "Exit codes: the command's own, or 128 + the signal that ended it. \
    127: it was not found. 126: it cannot be executed; both are looked for at the start. 125: the node \
    or its keeper failed, or something of the command could not be ended. 124: the node was told to \
    end, and the command had to be killed for it, as --drain-timeout was over. 2: wrong usage.\n\n\
    Settings are also read from the environment and a file, as `gaggle run --help` says.\n\n\
    Examples:\n  \
    gaggle exec 10.0.0.2:8000 --seed 10.0.0.1:8000 -- ./worker --queue mail\n  \
    gaggle exec --on-exit 0=stop,restart --alone -- ./import-once";

/// Below the help of `voters`.
pub(super) const VOTERS: &str = "Examples:\n  \
    gaggle voters                                who votes, and how many may be lost\n  \
    gaggle voters replace 10.0.0.3:8000 10.0.0.4:8000\n  \
    gaggle voters auto 3                         the Goose keeps three by itself";

/// Below the help of `wait`.
pub(super) const WAIT: &str = "Examples:\n  \
    gaggle wait --goose && ./only-there          once this node leads\n  \
    gaggle wait --goose-known --timeout 30s      once somebody leads";

/// Below the help of `step-down`.
pub(super) const STEP_DOWN: &str = "Examples, on the Goose:\n  \
    gaggle step-down                             whoever is best takes over\n  \
    gaggle step-down --to 10.0.0.2:8000 --hold 10m";

/// Below the help of `doctor`.
pub(super) const DOCTOR: &str = "Examples:\n  \
    gaggle doctor                                the node on this machine, and its cluster\n  \
    gaggle doctor --preflight 10.0.0.1:8000 --seed 10.0.0.2:8000 --timeout 1m\n                                               \
    before the node is started";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::flags::FLAGS;

    #[test]
    fn each_setting_stands_under_one_heading_and_each_heading_over_settings() {
        let shown = FLAGS.iter().filter(|flag| !flag.hidden && !flag.positional);
        let mut keys: Vec<&str> = shown.map(|flag| flag.key).collect();
        let mut listed: Vec<&str> = HEADINGS.iter().flat_map(|(_, keys)| *keys).copied().collect();
        keys.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, keys);
    }

    /// The help says one rule instead of forty names.
    #[test]
    fn each_setting_has_the_variable_that_the_rule_makes() {
        for flag in FLAGS.iter().filter(|flag| !flag.hidden && !flag.positional) {
            let name = format!("GAGGLE_{}", flag.key.to_uppercase().replace('-', "_"));
            assert_eq!(flag.environment, name);
        }
    }
}
