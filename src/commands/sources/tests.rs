//! What is read from where, and what people are told when it cannot be.

use super::*;
use crate::commands::arguments::{Command, LogLevel, ProfileName, RunArguments};

struct Given {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

fn given(text: &str) -> Given {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gaggle.toml");
    std::fs::write(&file, text).unwrap();
    Given { _folder: folder, file }
}

fn run(text: &str, flags: &[&str]) -> Result<(RunArguments, Origins), String> {
    let given = given(text);
    let mut words: Vec<OsString> = vec!["gaggle".into(), "run".into()];
    words.extend(flags.iter().map(OsString::from));
    words.extend(["--config".into(), given.file.clone().into()]);
    let (arguments, origins) = read(&words)
        .map_err(|error| error.to_string().replace(&given.file.display().to_string(), "FILE"))?;
    let Command::Run(run) = arguments.command else { panic!("{arguments:?}") };
    Ok((*run, origins))
}

#[test]
fn a_flag_is_stronger_than_the_file_and_the_file_than_the_default() {
    let text = "listen = '127.0.0.1:8100'\ncluster = 'pond'\nseed = ['a:1', 'b:2']\n\
                voters = [1, 2, 3]\nid = 7\nlease = '900ms'\nnever-goose = true\n";
    let (run, origins) = run(text, &["--cluster", "lake", "--id", "8"]).unwrap();
    assert_eq!((run.listen.as_str(), run.cluster.as_str()), ("127.0.0.1:8100", "lake"));
    assert_eq!(run.id.unwrap().number(), 8);
    assert_eq!(run.seeds, ["a:1", "b:2"]);
    assert_eq!(run.voters.as_deref(), Some("1,2,3"));
    assert!(run.never_goose && run.profile == ProfileName::Lan);
    assert_eq!(run.log_level, LogLevel::Info);
    let expected = [
        ("cluster", Origin::Flag),
        ("id", Origin::Flag),
        ("listen", Origin::File),
        ("seed", Origin::File),
        ("never-goose", Origin::File),
        ("profile", Origin::Default),
        ("ephemeral", Origin::Default),
    ];
    for (key, origin) in expected {
        assert_eq!(origins.of(key), origin, "{key}");
    }
    let (run, _) = self::run(text, &["--seed", "c:3"]).unwrap();
    assert_eq!(run.seeds, ["c:3"], "lists replace each other whole");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    for (wrong, nearest) in [
        ("cluser", "cluster"),
        ("log_level", "log-level"),
        ("seeds", "seed"),
        ("adress", "http"),
        ("keyfile", "key-file"),
    ] {
        let text = run(&format!("{wrong} = 'x'"), &[]).unwrap_err();
        let start = format!("the configuration file FILE: there is no key \"{wrong}\"; did");
        assert!(text.starts_with(&start), "{text}");
        if wrong != "adress" {
            assert!(text.contains(&format!("\"{nearest}\"?")), "{text}");
        }
    }
    assert!(run("exit-with-stdin = true", &[]).is_err());
    assert!(run("config = 'x'", &[]).is_err());
}

#[test]
fn what_is_wrong_is_named() {
    let refusal = |text: &str| run(text, &[]).unwrap_err();
    assert!(refusal("id = 1\ncluster =").starts_with("the configuration file FILE, line 2: "));
    assert!(refusal("id = 1\nid = 2").starts_with("the configuration file FILE, line 2: "));
    let text = refusal("lease = 0.5");
    assert!(
        text.ends_with(
            "\"lease\" is a fraction, but should be text, a whole number, true or false"
        )
    );
    assert!(refusal("id = [1]").contains("\"id\" is a list, but should be a single value"));
    assert!(refusal("[log]\nlevel = 1").contains("no key \"log\""));
    let text = refusal("profile = 'moon'");
    assert!(text.ends_with("FILE: \"profile\": \"moon\" is not one of lan, fast, wan"), "{text}");
    assert_eq!(text.lines().count(), 1);
    assert!(refusal("never-goose = 'perhaps'").contains("\"perhaps\": this is neither yes nor no"));
    let text = refusal("id = 0");
    assert!(text.contains("\"id\": \"0\": 0 is not a node id"), "{text}");
}

#[test]
fn of_two_storages_the_stronger_counts() {
    let (both, _) = run("ephemeral = true", &["--state-dir", "/x"]).unwrap();
    assert!(!both.ephemeral && both.state_dir.is_some());
    let (both, _) = run("state-dir = '/x'", &["--ephemeral"]).unwrap();
    assert!(both.ephemeral && both.state_dir.is_none());
    assert!(
        run("state-dir = '/x'\nephemeral = true", &[]).unwrap_err().contains("leave out the one")
    );
}

#[test]
fn every_long_flag_is_a_key() {
    let keys = keys();
    for key in ["listen", "seed", "voters", "id", "lease", "key-file", "admin-token-file"] {
        assert!(keys.contains_key(key), "{key}");
    }
}
