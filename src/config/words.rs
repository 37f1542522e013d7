//! How a program hears of what a person reads in flags.
//!
//! Every error is written once, in the words of the command line. Where a program is told of it,
//! the name of a flag becomes the method that says the same: `--lease` is `Config::lease`, `add
//! --advertise ADDR:PORT` is `add Config::advertise`, and `--preempt=true` is
//! `Config::preempt(true)`. A flag that no method stands for stays as it is. So it is with commands: what
//! `gaggle drain --off` orders is `Node::drain(false)`.

use super::flags::{FLAGS, Flag};

/// Commands that texts name, and the methods that order the same.
const COMMANDS: &[(&str, &str)] = &[
    ("gaggle voters auto", "Node::keep_voters"),
    ("gaggle voters fixed", "Node::keep_voters(None)"),
    ("gaggle drain --off", "Node::drain(false)"),
    (
        "make a key with `gaggle keygen` and give it to every node",
        "give every node the same 32 bytes",
    ),
];

/// `error`, with methods in the place of flags.
pub fn for_a_program(error: &dyn std::fmt::Display) -> String {
    let mut text = error.to_string();
    for (command, method) in COMMANDS {
        text = text.replace(command, method);
    }
    let mut said = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("--") {
        said.push_str(&rest[..at]);
        let name = &rest[at + 2..];
        let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(name.len());
        let known = |flag: &&Flag| flag.key == &name[..end] && !flag.method.is_empty();
        match FLAGS.iter().find(known) {
            Some(flag) => {
                said.push_str(flag.method);
                rest = argument(&name[end..], flag, &mut said);
            }
            None => {
                said.push_str("--");
                rest = name;
            }
        }
    }
    said + rest
}

/// Says the value that stands behind a flag as an argument, and leaves out what only stands for
/// one, as in the help; returns the rest of the text.
fn argument<'text>(rest: &'text str, flag: &Flag, said: &mut String) -> &'text str {
    if let Some(value) = rest.strip_prefix('=') {
        let end = value.find(|c: char| !c.is_alphanumeric()).unwrap_or(value.len());
        *said += &format!("({})", &value[..end]);
        return &value[end..];
    }
    let placeholder = rest.strip_prefix(' ').filter(|_| !flag.value.is_empty());
    placeholder.and_then(|text| text.strip_prefix(flag.value)).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_methods() {
        for (flags, methods) in [
            (
                "give a longer --lease or another --profile",
                "give a longer Config::lease or another Config::profile",
            ),
            ("add --advertise ADDR:PORT.", "add Config::advertise."),
            ("say --preempt=true or leave it out", "say Config::preempt(true) or leave it out"),
            ("its own --state-dir, or --id", "its own Config::state_dir, or Config::id"),
            ("--seed", "Config::seed"),
            ("ends with `gaggle drain --off`", "ends with `Node::drain(false)`"),
            ("a -- b --bogus --log-level", "a -- b --bogus --log-level"),
        ] {
            assert_eq!(for_a_program(&flags), methods);
        }
    }
}
