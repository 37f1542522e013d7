//! What somebody probably meant who wrote a name that there is not.

use super::flags::FLAGS;

/// Spellings that people bring along from elsewhere, and the keys that they mean here.
const SYNONYMS: [(&str, &str); 8] = [
    ("addr", "listen"),
    ("address", "listen"),
    ("bind", "listen"),
    ("key", "key-file"),
    ("admin-token", "admin-token-file"),
    ("name", "cluster"),
    ("node-id", "id"),
    ("join", "seed"),
];

/// The key that is spelt most like `wrong`, as a question; softer if nothing is much like it.
pub fn nearest_key(wrong: &str) -> String {
    let keys = FLAGS.iter().filter(|flag| flag.in_file).map(|flag| flag.key);
    let spellings = keys.map(|key| (key, key));
    let (key, close) = nearest(wrong, spellings.chain(SYNONYMS));
    if close {
        format!("did you mean \"{key}\"?")
    } else {
        format!("the nearest is \"{key}\", and `gaggle run --help` names all (without the --)")
    }
}

/// What of `spellings`, each with what it means, is most like `wrong`, and whether it is at all.
pub fn nearest<'a>(
    wrong: &str,
    spellings: impl Iterator<Item = (&'a str, &'a str)>,
) -> (&'a str, bool) {
    // Whoever writes a very long name has mistyped more than a name.
    let wrong: String = wrong.chars().take(64).collect();
    let distances =
        spellings.map(|(spelling, meant)| (strsim::damerau_levenshtein(&wrong, spelling), meant));
    let (distance, meant) = distances.min().unwrap_or((usize::MAX, ""));
    (meant, distance <= 1 + wrong.chars().count() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_and_names_from_elsewhere_are_understood() {
        for (wrong, key) in [
            ("cluser", "cluster"),
            ("log_level", "log-level"),
            ("seeds", "seed"),
            ("keyfile", "key-file"),
            ("key", "key-file"),
            ("addr", "listen"),
            ("voter", "voters"),
        ] {
            assert_eq!(nearest_key(wrong), format!("did you mean \"{key}\"?"));
        }
        let hint = nearest_key("replication-factor");
        assert!(hint.starts_with("the nearest is \"") && hint.contains("--help"), "{hint}");
    }
}
