//! Every rule, by the line that a person reads.

use std::time::Duration;

use super::*;
use crate::commands::arguments::{ProfileName, RunArguments};

fn raw() -> RunArguments {
    RunArguments {
        listen: "127.0.0.1:8000".to_owned(),
        cluster: "gaggle".to_owned(),
        ..RunArguments::default()
    }
}

fn environment() -> Environment {
    Environment { home: Some("/home/duck".into()), ..Environment::default() }
}

fn checked(raw: &RunArguments) -> RunSettings {
    RunSettings::check(raw, &environment()).unwrap()
}

fn refusal(raw: &RunArguments) -> String {
    RunSettings::check(raw, &environment()).unwrap_err().to_string()
}

fn listening(address: &str) -> RunArguments {
    RunArguments { listen: address.to_owned(), ..raw() }
}

fn voting(voters: &str) -> RunArguments {
    RunArguments { voters: Some(voters.to_owned()), ..raw() }
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

#[test]
fn hooks_are_words_and_have_a_limit() {
    let hooked = RunArguments { on_goose: Some(" /bin/a  -b c ".to_owned()), ..raw() };
    let hooks = checked(&hooked).hooks;
    assert_eq!(hooks.on_goose, ["/bin/a", "-b", "c"]);
    assert_eq!((hooks.on_duck.len(), hooks.limit.as_secs()), (0, 5));
    assert_eq!(hooks.lead.as_millis(), 167);
    let empty = RunArguments { on_duck: Some(" ".to_owned()), ..raw() };
    assert!(refusal(&empty).starts_with("--on-duck is empty"), "{}", refusal(&empty));
    let patient = RunArguments { hook_timeout: Some(Duration::from_secs(21)), ..raw() };
    assert!(refusal(&patient).contains("up to 20s"), "{}", refusal(&patient));
}

#[test]
fn the_defaults_found_a_cluster_of_one() {
    let settings = checked(&raw());
    assert_eq!(settings.setup.id, id(0x7f00_0001 << 16 | 8000));
    assert_eq!(settings.http.to_string(), "127.0.0.1:9000");
    assert_eq!(settings.setup.voters, None, "the core founds, unless a record says otherwise");
    assert!(settings.setup.seeds.is_empty() && settings.setup.eligible);
    let folder = "/home/duck/.local/state/gaggle/gaggle/139637976801088";
    assert_eq!(settings.storage, Storage::Folder(folder.into()));
    assert!(settings.warnings.is_empty());
}

#[test]
fn state_goes_where_the_user_keeps_state() {
    let given = Environment { state_home: Some("/state".into()), ..environment() };
    let raw = RunArguments { id: Some(id(7)), cluster: "pond".to_owned(), ..raw() };
    let storage = RunSettings::check(&raw, &given).unwrap().storage;
    assert_eq!(storage, Storage::Folder("/state/gaggle/pond/7".into()));
    let relative = Environment { state_home: Some("state".into()), ..environment() };
    let storage = RunSettings::check(&raw, &relative).unwrap().storage;
    assert_eq!(storage, Storage::Folder("/home/duck/.local/state/gaggle/pond/7".into()));
    let nowhere = RunSettings::check(&raw, &Environment::default()).unwrap_err().to_string();
    assert!(nowhere.contains("add --state-dir DIR, or --ephemeral"), "{nowhere}");
    let ephemeral = RunArguments { ephemeral: true, ..raw };
    let storage = RunSettings::check(&ephemeral, &Environment::default()).unwrap().storage;
    assert_eq!(storage, Storage::Ephemeral);
}

#[test]
fn malformed_addresses_are_refused() {
    for wrong in ["8000", "localhost:8000", "10.0.0.1", "10.0.0.1:99999", "", ":8000"] {
        let text = refusal(&listening(wrong));
        let expected = format!(
            "the address to listen on: \"{wrong}\" is not an IP address with a port: write it \
             like 10.0.0.1:8000"
        );
        assert_eq!(text, expected);
    }
    assert!(refusal(&listening("127.0.0.1:0")).contains("port 0"));
}

#[test]
fn http_needs_a_port() {
    let text = refusal(&listening("127.0.0.1:64536"));
    assert!(text.contains("64536 + 1000 is above 65535: add --http ADDR:PORT"), "{text}");
    assert_eq!(checked(&listening("127.0.0.1:64535")).http.port(), 65535);
    let raw = RunArguments { http: Some("127.0.0.1:1".to_owned()), ..listening("127.0.0.1:64536") };
    assert_eq!(checked(&raw).http.port(), 1);
}

#[test]
fn listening_everywhere_needs_an_address_to_tell() {
    for everywhere in ["0.0.0.0:8000", "[::]:8000"] {
        let text = refusal(&listening(everywhere));
        assert!(text.contains("add --advertise ADDR:PORT"), "{text}");
    }
    let advertise = |address: &str| RunArguments {
        advertise: Some(address.to_owned()),
        ..listening("0.0.0.0:8000")
    };
    assert!(refusal(&advertise("0.0.0.0:8000")).contains("not the address of a single machine"));
    let settings = checked(&advertise("10.0.0.1:8100"));
    assert_eq!(settings.listen.to_string(), "0.0.0.0:8000");
    assert_eq!(settings.setup.address.to_string(), "10.0.0.1:8100");
    assert_eq!(settings.http.to_string(), "0.0.0.0:9000");
    assert_eq!(settings.setup.http.unwrap().to_string(), "10.0.0.1:9000");
}

#[test]
fn a_node_on_loopback_cannot_join_elsewhere() {
    let seeded = |seed: &str| RunArguments { seeds: vec![seed.to_owned()], ..raw() };
    let text = refusal(&seeded("10.0.0.1:8000"));
    assert!(text.contains("127.0.0.1:8000, on this machine only, but 10.0.0.1:8000"), "{text}");
    assert_eq!(checked(&seeded("127.0.0.2:8000")).setup.seeds, ["127.0.0.2:8000"]);
    assert_eq!(checked(&seeded("goose.example:8000")).setup.seeds, ["goose.example:8000"]);
    let voters = voting("127.0.0.1:8000,10.0.0.2:8000,10.0.0.3:8000");
    assert!(refusal(&voters).contains("on this machine only"));
}

#[test]
fn seeds_are_hosts_with_ports() {
    for wrong in ["goose.example", "goose.example:0", "a b:1", ":8000", "10.0.0.999:1", "0.0.0.0:1"]
    {
        let text = refusal(&RunArguments { seeds: vec![wrong.to_owned()], ..raw() });
        assert!(text.starts_with(&format!("--seed: \"{wrong}\" is not a host")), "{text}");
    }
    let many = (0..=SEEDS_MAX).map(|number| format!("host-{number}:8000")).collect();
    assert!(refusal(&RunArguments { seeds: many, ..raw() }).contains("65 seeds are too many"));
    let own = RunArguments { seeds: vec!["127.0.0.1:8000".to_owned()], ..raw() };
    assert!(refusal(&own).starts_with("the only seed is this node itself"));
}

#[test]
fn voters_are_ids_addresses_or_both() {
    let settings = checked(&RunArguments { id: Some(id(1)), ..voting("1,2,3") });
    let ids = [id(1), id(2), id(3)];
    assert_eq!(settings.setup.voters.unwrap().ids(), ids);
    let both = "1=127.0.0.1:8000, 2=127.0.0.1:8001, 3=127.0.0.1:8002";
    let settings = checked(&RunArguments { id: Some(id(1)), ..voting(both) });
    assert_eq!(settings.setup.voters.unwrap().ids(), ids);
    assert_eq!(settings.setup.voter_addresses.len(), 3);
    assert_eq!(settings.setup.seeds, ["127.0.0.1:8001", "127.0.0.1:8002"]);
    let settings = checked(&voting("127.0.0.1:8000,127.0.0.1:8001,127.0.0.1:8002"));
    assert!(settings.setup.voters.unwrap().contains(settings.setup.id));
    assert_eq!(settings.setup.seeds.len(), 2);
}

#[test]
fn impossible_voter_lists_are_refused() {
    assert!(refusal(&voting("")).contains("the voter list is empty"));
    assert!(refusal(&voting("1,2,1")).contains("voter 1 is listed twice"));
    assert!(refusal(&voting("1,,2")).contains("\"\" names no voter"));
    assert!(refusal(&voting("0,1,2")).contains("0 is not a node id"));
    assert!(refusal(&voting("one")).contains("\"one\" names no voter"));
    assert!(refusal(&voting("1=one")).contains("\"1=one\" names no voter"));
    assert!(refusal(&voting("1=0.0.0.0:1")).contains("names no single machine"));
    let sixteen = (1..=16).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    assert!(refusal(&voting(&sixteen)).contains("16 voters are too many"));
    let shared = refusal(&voting("5=127.0.0.1:8005,6=127.0.0.1:8005"));
    assert!(shared.contains("for node 5 and for node 6"), "{shared}");
}

#[test]
fn an_even_number_of_voters_is_allowed_with_a_reason_against_it() {
    let settings = checked(&voting("1,2,3,4"));
    assert_eq!(settings.warnings.len(), 1);
    let warning = &settings.warnings[0];
    assert!(warning.starts_with("4 voters survive the loss of 1, just as 3 would"), "{warning}");
    assert!(checked(&voting("1,2,3")).warnings.is_empty());
}

#[test]
fn the_own_address_goes_with_the_own_id() {
    let voters = "127.0.0.1:8000,127.0.0.1:8001,127.0.0.1:8002";
    let text = refusal(&RunArguments { id: Some(id(5)), ..voting(voters) });
    assert!(
        text.contains("but this is node 5: leave --id out, or write 5=127.0.0.1:8000"),
        "{text}"
    );
    let text = refusal(&RunArguments { id: Some(id(5)), ..voting("4=127.0.0.1:8000") });
    assert!(text.contains("means node 4, but this is node 5"), "{text}");
    let text = refusal(&RunArguments { id: Some(id(5)), ..voting("5=127.0.0.1:8001") });
    assert!(text.contains("node 5, this one, is at 127.0.0.1:8001, but it is at 127.0.0.1:8000"));
}

#[test]
fn leases_have_bounds() {
    let leased = |lease| RunArguments { lease: Some(Duration::from_millis(lease)), ..raw() };
    assert!(refusal(&leased(100)).contains("below the usable minimum"));
    assert!(refusal(&leased(10_001)).contains("above the ceiling"));
    let wan = RunArguments { profile: ProfileName::Wan, ..leased(600) };
    let text = refusal(&wan);
    assert!(text.contains("minimum of 1.448s where a round trip takes 200ms"), "{text}");
    assert_eq!(checked(&leased(1200)).setup.timing.renew_interval, Duration::from_millis(240));
}

#[test]
fn names_and_tokens_are_checked() {
    let named = RunArguments { cluster: "../pond".to_owned(), ..raw() };
    assert!(refusal(&named).starts_with("--cluster: \"../pond\" is no cluster name"));
    let absent = RunArguments { admin_token_file: Some("/nowhere/token".into()), ..raw() };
    assert!(refusal(&absent).starts_with("the admin token file /nowhere/token cannot be read"));
    let endless = RunArguments { admin_token_file: Some("/dev/zero".into()), ..raw() };
    assert!(refusal(&endless).contains("cannot be read: it is longer than 16384 bytes: correct"));
}
