//! What is read from where, and what people are told when it cannot be.

use super::*;
use crate::commands::arguments::Command;
use crate::config::checked::{Checked, Environment, Storage};
use crate::config::raw::{LogLevel, Raw, RawId};
use crate::vocabulary::timing::Profile;

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

fn run(text: &str, flags: &[&str]) -> Result<Raw, String> {
    let given = given(text);
    let mut words: Vec<OsString> = vec!["gaggle".into(), "run".into()];
    words.extend(flags.iter().map(OsString::from));
    words.extend(["--config".into(), given.file.clone().into()]);
    let arguments = read(&words)
        .map_err(|error| error.to_string().replace(&given.file.display().to_string(), "FILE"))?;
    let Command::Run(run) = arguments.command else { panic!("{arguments:?}") };
    Ok(*run)
}

#[test]
fn a_flag_is_stronger_than_the_file_and_the_file_than_the_default() {
    let text = "listen = '127.0.0.1:8100'\ncluster = 'pond'\nseed = ['a:1', 'b:2']\n\
                voters = [1, 2, 3]\nid = 7\nlease = '900ms'\nnever-goose = true\n";
    let run = run(text, &["--cluster", "lake", "--id", "8"]).unwrap();
    assert_eq!((run.listen.as_str(), run.cluster.as_str()), ("127.0.0.1:8100", "lake"));
    assert_eq!(run.id, Some(RawId::Number(8)));
    assert_eq!(run.seeds, ["a:1", "b:2"]);
    assert_eq!(run.voters.unwrap(), ["1", "2", "3"]);
    assert!(run.never_goose && run.profile == Profile::Lan);
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
        assert_eq!(run.origins.of(key), origin, "{key}");
    }
    let run = self::run(text, &["--seed", "c:3"]).unwrap();
    assert_eq!(run.seeds, ["c:3"], "lists replace each other whole");
}

#[test]
fn an_address_in_the_file_takes_no_word_of_the_command_away() {
    let given = given("listen = '127.0.0.1:8100'\n");
    let file = given.file.to_str().unwrap();
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let exec = words(&["gaggle", "exec", "--config", file, "--", "/bin/sleep", "1000"]);
    let Command::Exec(exec) = read(&exec).unwrap().command else { panic!("{exec:?}") };
    assert_eq!(exec.run.listen, "127.0.0.1:8100");
    assert_eq!(exec.command, ["/bin/sleep", "1000"]);
    let address = words(&["gaggle", "address", "--config", file, "10.0.0.100/24", "--dev", "eth0"]);
    let Command::Address(address) = read(&address).unwrap().command else { panic!("{address:?}") };
    assert_eq!(address.run.listen, "127.0.0.1:8100");
    assert_eq!(address.addresses, "10.0.0.100/24");
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
    let storage = |text: &str, flags: &[&str]| {
        let raw = run(text, flags).unwrap();
        let checked = Checked::of(&raw, &Environment::default());
        checked.map(|checked| checked.storage).map_err(|fault| fault.to_string())
    };
    let folder = storage("ephemeral = true", &["--state-dir", "/x"]);
    assert_eq!(folder, Ok(Storage::Folder("/x".into())));
    let nowhere = storage("state-dir = '/x'", &["--ephemeral"]);
    assert_eq!(nowhere, Ok(Storage::Ephemeral));
    let both = storage("state-dir = '/x'\nephemeral = true", &[]);
    assert!(both.unwrap_err().contains("leave out the one"));
}

#[test]
fn every_flag_of_a_node_is_in_the_table() {
    let command = Arguments::command();
    for name in ["run", "check", "exec"] {
        let run = command.find_subcommand(name).unwrap();
        let table = crate::config::flags::FLAGS.iter().map(|flag| flag.key);
        let known = run.get_arguments().map(|argument| argument.get_id().as_str());
        assert!(known.collect::<Vec<_>>().starts_with(&table.collect::<Vec<_>>()), "{name}");
    }
}
