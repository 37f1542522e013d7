//! Every rule, by the line that a person reads.

use std::time::Duration;

use super::checked::Storage;
use super::flags::{FLAGS, Take, named};
use super::raw::{HttpAddress, RawId, RawTag};
use super::*;
use crate::node::setup::SEEDS_MAX;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::timing::Profile;

fn raw() -> Raw {
    Raw { listen: "127.0.0.1:8000".to_owned(), cluster: "gaggle".to_owned(), ..Raw::default() }
}

fn environment() -> Environment {
    Environment { home: Some("/home/duck".into()), ..Environment::default() }
}

fn checked(raw: &Raw) -> Checked {
    check(raw, &environment()).unwrap()
}

fn refusal(raw: &Raw) -> String {
    check(raw, &environment()).unwrap_err().to_string()
}

fn listening(address: &str) -> Raw {
    Raw { listen: address.to_owned(), ..raw() }
}

fn voting(voters: &str) -> Raw {
    let mut raw = raw();
    let Some(Take::Text(set)) = named("voters").map(|flag| &flag.take) else { panic!() };
    set(&mut raw, voters.to_owned());
    raw
}

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

#[test]
fn hooks_are_words_and_have_a_limit() {
    let hooked = Raw { on_goose: Some(" /bin/sh  -b 'c d' ".to_owned()), ..raw() };
    let hooks = checked(&hooked).hooks;
    assert_eq!(hooks.on_goose, ["/bin/sh", "-b", "c d"]);
    assert_eq!((hooks.on_duck.len(), hooks.limit.as_secs()), (0, 5));
    assert_eq!(hooks.lead.as_millis(), 167);
    let empty = Raw { on_duck: Some(" ".to_owned()), ..raw() };
    assert!(refusal(&empty).starts_with("--on-duck is empty"), "{}", refusal(&empty));
    let patient = Raw { hook_timeout: Some(Duration::from_secs(21)), ..raw() };
    assert!(refusal(&patient).contains("up to 20s"), "{}", refusal(&patient));
}

fn on_host(host: &str) -> Environment {
    Environment { host: Some(host.to_owned()), ..environment() }
}

#[test]
fn a_node_is_called_like_its_host_unless_it_is_named() {
    let called =
        |raw: &Raw, host: &str| check(raw, &on_host(host)).unwrap().setup.name.map(String::from);
    assert_eq!(called(&raw(), "db-2.eu.example").as_deref(), Some("db-2.eu.example"));
    assert_eq!(called(&raw(), &"h".repeat(70)), Some("h".repeat(64)), "cut silently");
    assert_eq!(called(&raw(), "\u{7}"), None);
    let named = |name: &str| Raw { name: Some(name.to_owned()), ..raw() };
    assert_eq!(called(&named("east"), "db-2").as_deref(), Some("east"));
    for wrong in ["", "two words", "d\u{f6}rk", &"n".repeat(65)] {
        let refusal = refusal(&named(wrong));
        assert!(refusal.starts_with("--name: \""), "{refusal}");
        assert!(refusal.contains("use 1 to 64 printable ASCII"), "{refusal}");
    }
}

#[test]
fn an_ordinal_counts_from_0_and_an_id_from_1() {
    let ordinal = Raw { id: Some(RawId::Ordinal), ..raw() };
    let of = |host: &str| check(&ordinal, &on_host(host)).map(|checked| checked.setup.id);
    assert_eq!(of("db-0").unwrap(), id(1));
    assert_eq!(of("my-db-12.db.default.svc").unwrap(), id(13));
    for host in
        ["db", "db-", "db-x", "7", "db-9007199254740991", "db-99999999999999999999", "db-+1"]
    {
        let refusal = of(host).unwrap_err().to_string();
        assert!(refusal.contains(&format!("the host is called \"{host}\"")), "{refusal}");
    }
    let zero = refusal(&Raw { id: Some(RawId::Number(0)), ..raw() });
    assert!(zero.ends_with("For the ordinal N of a StatefulSet give N + 1"), "{zero}");
}

#[test]
fn the_defaults_found_a_cluster_of_one() {
    let settings = checked(&raw());
    assert_eq!(settings.setup.id, id(0x7f00_0001 << 16 | 8000));
    assert_eq!(settings.http.unwrap().to_string(), "127.0.0.1:9000");
    assert_eq!(settings.setup.voters, None, "the core founds, unless a record says otherwise");
    assert!(settings.setup.seeds.is_empty() && settings.setup.eligible);
    let folder = "/home/duck/.local/state/gaggle/gaggle/139637976801088";
    assert_eq!(settings.storage, Storage::Folder(folder.into()));
    assert!(settings.warnings.is_empty());
}

#[test]
fn state_goes_where_the_user_keeps_state() {
    let given = Environment { state_home: Some("/state".into()), ..environment() };
    let raw = Raw { id: Some(RawId::Number(7)), cluster: "pond".to_owned(), ..raw() };
    let storage = check(&raw, &given).unwrap().storage;
    assert_eq!(storage, Storage::Folder("/state/gaggle/pond/7".into()));
    let relative = Environment { state_home: Some("state".into()), ..environment() };
    let storage = check(&raw, &relative).unwrap().storage;
    assert_eq!(storage, Storage::Folder("/home/duck/.local/state/gaggle/pond/7".into()));
    let nowhere = check(&raw, &Environment::default()).unwrap_err().to_string();
    assert!(nowhere.contains("add --state-dir DIR, or --ephemeral"), "{nowhere}");
    let ephemeral = Raw { ephemeral: true, ..raw };
    let storage = check(&ephemeral, &Environment::default()).unwrap().storage;
    assert_eq!(storage, Storage::Ephemeral);
}

#[test]
fn malformed_addresses_are_refused() {
    for wrong in ["8000", "localhost", "10.0.0.1", "10.0.0.1:99999", "", ":8000", "10.0.0.256:1"] {
        let text = refusal(&listening(wrong));
        let expected = format!(
            "the address to listen on: \"{wrong}\" is neither an IP address nor a host name with a \
             port: write it like 10.0.0.1:8000"
        );
        assert_eq!(text, expected);
    }
    assert!(refusal(&listening("127.0.0.1:0")).contains("port 0"));
}

#[test]
fn http_needs_a_port() {
    let text = refusal(&listening("127.0.0.1:64536"));
    assert!(text.contains("64536 + 1000 is above 65535: add --http ADDR:PORT"), "{text}");
    assert_eq!(checked(&listening("127.0.0.1:64535")).http.unwrap().port(), 65535);
    let raw =
        Raw { http: HttpAddress::At("127.0.0.1:1".to_owned()), ..listening("127.0.0.1:64536") };
    assert_eq!(checked(&raw).http.unwrap().port(), 1);
}

#[test]
fn listening_everywhere_needs_an_address_to_tell() {
    for everywhere in ["0.0.0.0:8000", "[::]:8000"] {
        let text = refusal(&listening(everywhere));
        assert!(text.contains("add --advertise ADDR:PORT"), "{text}");
    }
    let advertise =
        |address: &str| Raw { advertise: Some(address.to_owned()), ..listening("0.0.0.0:8000") };
    assert!(refusal(&advertise("0.0.0.0:8000")).contains("not the address of a single machine"));
    let settings = checked(&advertise("10.0.0.1:8100"));
    assert_eq!(settings.listen.to_string(), "0.0.0.0:8000");
    assert_eq!(settings.setup.address.to_string(), "10.0.0.1:8100");
    assert_eq!(settings.http.unwrap().to_string(), "0.0.0.0:9000");
    assert_eq!(settings.setup.http.unwrap().to_string(), "10.0.0.1:9000");
}

#[test]
fn a_node_on_loopback_cannot_join_elsewhere() {
    let seeded = |seed: &str| Raw { seeds: vec![seed.to_owned()], ..raw() };
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
        let text = refusal(&Raw { seeds: vec![wrong.to_owned()], ..raw() });
        assert!(text.starts_with(&format!("--seed: \"{wrong}\" is not a host")), "{text}");
    }
    let many = (0..=SEEDS_MAX).map(|number| format!("host-{number}:8000")).collect();
    assert!(refusal(&Raw { seeds: many, ..raw() }).contains("65 seeds are too many"));
    let own = Raw { seeds: vec!["127.0.0.1:8000".to_owned()], ..raw() };
    assert!(refusal(&own).starts_with("the only seed is this node itself"));
}

#[test]
fn voters_are_ids_addresses_or_both() {
    let settings = checked(&Raw { id: Some(RawId::Number(1)), ..voting("1,2,3") });
    let ids = [id(1), id(2), id(3)];
    assert_eq!(settings.setup.voters.unwrap().ids(), ids);
    let both = "1=127.0.0.1:8000, 2=127.0.0.1:8001, 3=127.0.0.1:8002";
    let settings = checked(&Raw { id: Some(RawId::Number(1)), ..voting(both) });
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
    let text = refusal(&Raw { id: Some(RawId::Number(5)), ..voting(voters) });
    assert!(
        text.contains("but this is node 5: leave --id out, or write 5=127.0.0.1:8000"),
        "{text}"
    );
    let text = refusal(&Raw { id: Some(RawId::Number(5)), ..voting("4=127.0.0.1:8000") });
    assert!(text.contains("means node 4, but this is node 5"), "{text}");
    let text = refusal(&Raw { id: Some(RawId::Number(5)), ..voting("5=127.0.0.1:8001") });
    assert!(text.contains("node 5, this one, is at 127.0.0.1:8001, but it is at 127.0.0.1:8000"));
}

#[test]
fn leases_have_bounds() {
    let leased = |lease| Raw { lease: Some(Duration::from_millis(lease)), ..raw() };
    assert!(refusal(&leased(100)).contains("below the usable minimum"));
    assert!(refusal(&leased(10_001)).contains("above the ceiling"));
    let wan = Raw { profile: Profile::Wan, ..leased(600) };
    let text = refusal(&wan);
    assert!(text.contains("minimum of 1.448s where a round trip takes 200ms"), "{text}");
    assert_eq!(checked(&leased(1200)).setup.timing.renew_interval, Duration::from_millis(240));
}

#[test]
fn names_and_tokens_are_checked() {
    let named = Raw { cluster: "../pond".to_owned(), ..raw() };
    assert!(refusal(&named).starts_with("--cluster: \"../pond\" is no cluster name"));
    let absent = Raw { admin_token_file: Some("/nowhere/token".into()), ..raw() };
    assert!(refusal(&absent).starts_with("the admin token file /nowhere/token cannot be read"));
    let endless = Raw { admin_token_file: Some("/dev/zero".into()), ..raw() };
    assert!(refusal(&endless).contains("cannot be read: it is longer than 16384 bytes: correct"));
}

/// A program's settings that break a rule each.
fn wrong_programs() -> Vec<Raw> {
    let program = || Raw::of_program("127.0.0.1:8000".to_owned());
    let listening = |address: &str| Raw::of_program(address.to_owned());
    let seeded = |seed: &str| Raw { seeds: vec![seed.to_owned()], ..program() };
    let voting = |voters: &[&str], id: Option<u64>| {
        let voters = voters.iter().map(|voter| (*voter).to_owned()).collect();
        Raw { voters: Some(voters), id: id.map(RawId::Number), ..program() }
    };
    let leased = |lease| Raw { lease: Some(Duration::from_millis(lease)), ..program() };
    vec![
        listening("localhost"),
        listening("0.0.0.0:8000"),
        Raw { advertise: Some("0.0.0.0:1".to_owned()), ..program() },
        Raw { id: Some(RawId::Number(0)), ..program() },
        Raw { cluster: "../pond".to_owned(), ..program() },
        Raw { tags: vec![RawTag::Pair("a=b".to_owned(), "c".to_owned())], ..program() },
        seeded("nowhere"),
        seeded("127.0.0.1:8000"),
        seeded("10.0.0.1:8000"),
        Raw { seeds: (0..=SEEDS_MAX).map(|n| format!("host-{n}:1")).collect(), ..program() },
        voting(&["goose"], None),
        voting(&["0"], None),
        voting(&["1", "1"], None),
        voting(&["1,2"], None),
        voting(&["127.0.0.1:8000"], Some(5)),
        voting(&["5=127.0.0.1:8001"], Some(5)),
        voting(&["5=127.0.0.1:8005", "6=127.0.0.1:8005"], None),
        leased(1),
        leased(11_000),
        Raw { profile: Profile::Wan, ..leased(600) },
        Raw { keys: vec![raw::SecretKey([1; 32]), raw::SecretKey([1; 32])], ..program() },
        Raw { state_dir: Some("".into()), ephemeral: false, ..program() },
        Raw { advertise_http: Some("0.0.0.0:9000".to_owned()), ..program() },
        Raw { name: Some("two words".to_owned()), ..program() },
    ]
}

#[test]
fn a_program_is_told_of_methods_and_never_of_flags() {
    for raw in wrong_programs() {
        let text = refusal(&raw);
        assert!(!text.contains("--"), "{text}");
        // A person is told the same of flags.
        let origins = Origins::default();
        let http = HttpAddress::At("127.0.0.1:9000".to_owned());
        let text = refusal(&Raw { origins, http, ephemeral: raw.state_dir.is_none(), ..raw });
        assert!(!text.contains("Config::"), "{text}");
    }
    let text = refusal(&wrong_programs()[7]);
    let expected = "the only seed is this node itself (127.0.0.1:8000): name another node to join, \
                    or found a cluster with Config::voters, or of this node alone without \
                    Config::seed";
    assert_eq!(text, expected);
}

#[test]
fn a_program_may_leave_the_port_to_the_system_and_all_else_is_judged_before() {
    let open = || Raw::of_program("127.0.0.1:0".to_owned());
    assert_eq!(checked(&open()).listen.port(), 0);
    let text = refusal(&Raw { seeds: vec!["nowhere".to_owned()], ..open() });
    assert!(text.starts_with("Config::seed: \"nowhere\" is not a host"), "{text}");
    // Whether this node is meant can only be said once it has a port.
    let voters = || Some(vec!["1=127.0.0.1:8000".to_owned(), "2=127.0.0.1:8001".to_owned()]);
    assert!(
        check(&Raw { voters: voters(), id: Some(RawId::Number(1)), ..open() }, &environment())
            .is_ok()
    );
    assert!(check(&Raw { voters: voters(), ..open() }, &environment()).is_ok());
    assert!(refusal(&listening("127.0.0.1:0")).contains("port 0"), "a person may not");
}

#[test]
fn every_setting_is_defined_once_and_shown() {
    for (place, flag) in FLAGS.iter().enumerate() {
        let key = flag.key;
        assert!(FLAGS.iter().skip(place + 1).all(|other| other.key != key), "{key}");
        let shown = flag.show.is_some_and(|show| !show(&raw(), &checked(&raw())).is_empty());
        assert!(shown || flag.hidden, "{key}");
    }
}

/// Of the names that are looked up here.
fn found(name: &str) -> Result<Vec<std::net::SocketAddr>, String> {
    let addresses = match name {
        "localhost:8000" => &["[::1]:8000", "127.0.0.1:8000"][..],
        "a.example:8000" => &["10.0.0.1:8000"],
        "b.example:8000" => &["10.0.0.2:8000"],
        _ => return Err("no such host".to_owned()),
    };
    Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
}

#[test]
fn names_stand_for_addresses() {
    let environment = Environment { look_up: names::LookUp(found), ..environment() };
    let check = |raw: &Raw| check(raw, &environment);
    let settings = check(&listening("localhost:8000")).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8000", "rather IPv4");

    let mut raw = Raw {
        advertise: Some("a.example:8000".to_owned()),
        ..voting("a.example:8000,b.example:8000,7")
    };
    let settings = check(&raw).unwrap().setup;
    assert_eq!(settings.address.to_string(), "10.0.0.1:8000");
    assert_eq!(settings.id, NodeId::of_address(settings.address).unwrap());
    assert!(settings.voters.unwrap().contains(settings.id));
    // Without an id, the name is looked up for the id, and again for the address.
    assert_eq!(settings.seeds, ["10.0.0.2:8000", "b.example:8000"]);
    assert_eq!(settings.voter_names.len(), 2);

    // With an id, it need not lead anywhere yet.
    raw = Raw {
        id: Some(RawId::Number(1)),
        ..voting("1=a.example:8000,2=b.example:8000,3=c.example:8000")
    };
    raw.listen = "10.0.0.1:8000".to_owned();
    let settings = check(&raw).unwrap().setup;
    assert_eq!(settings.seeds, ["b.example:8000", "c.example:8000"]);
    assert_eq!(settings.voter_names[2], (id(3), "c.example:8000".to_owned()));
    assert!(settings.voter_addresses.is_empty());

    let alone = Raw { seeds: vec!["localhost:8000".to_owned()], ..listening("localhost:8000") };
    let refused = check(&alone).unwrap_err().to_string();
    assert!(refused.starts_with("the only seed is this node itself"), "{refused}");

    let expected = "cannot be looked up: no such host. Correct the name, or write an IP address \
                    like 10.0.0.1:8000";
    for (raw, key) in [
        (listening("c.example:8000"), "the address to listen on"),
        (voting("c.example:8000"), "--voters"),
        (
            Raw { advertise: Some("c.example:8000".to_owned()), ..listening("0.0.0.0:8000") },
            "--advertise",
        ),
    ] {
        let refused = check(&raw).unwrap_err().to_string();
        assert_eq!(refused, format!("{key}: c.example:8000 {expected}"));
    }
}

#[test]
fn http_may_be_published_elsewhere() {
    let mut raw = Raw { advertise_http: Some("203.0.113.7:19000".to_owned()), ..raw() };
    let settings = checked(&raw);
    assert_eq!(settings.http.unwrap().to_string(), "127.0.0.1:9000");
    assert_eq!(settings.setup.http.unwrap().to_string(), "203.0.113.7:19000");
    for nowhere in [HttpAddress::None, HttpAddress::Off] {
        raw.http = nowhere;
        assert!(refusal(&raw).contains("serves no HTTP"), "{}", refusal(&raw));
    }
}

#[test]
fn http_may_be_off_and_agent_checks_are_answered_where_it_is_said() {
    let settings = checked(&raw());
    assert!(settings.has_control_socket && settings.agent_check.is_none());
    let agent_check = Some("0.0.0.0:9100".to_owned());
    let settings = checked(&Raw { http: HttpAddress::Off, agent_check, ..raw() });
    assert_eq!((settings.http, settings.setup.http), (None, None));
    assert!(settings.has_control_socket, "commands reach it");
    assert_eq!(settings.agent_check.unwrap().to_string(), "0.0.0.0:9100");
    // What a program does not ask for it does not get.
    assert!(!checked(&Raw { http: HttpAddress::None, ..raw() }).has_control_socket);
    for text in ["9100", "10.0.0.1", "10.0.0.1:0"] {
        let refusal = refusal(&Raw { agent_check: Some(text.to_owned()), ..raw() });
        assert!(refusal.contains("--agent-check"), "{refusal}");
    }
}

#[test]
fn a_health_check_is_a_command_or_a_url_within_bounds() {
    use super::health::{HttpUrl, Probe};
    assert_eq!(checked(&raw()).health, None);
    assert!(!checked(&raw()).setup.is_checked);
    let asked = Raw { health: Some("http://10.0.0.1:81/x".to_owned()), ..raw() };
    let health = checked(&asked).health.unwrap();
    let url = HttpUrl { host: "10.0.0.1".to_owned(), port: 81, target: "/x".to_owned() };
    assert_eq!(health.probe, Probe::Http(url));
    assert_eq!((health.failures, health.successes), (3, 2));
    assert_eq!((health.interval.as_secs(), health.limit.as_secs()), (1, 1));
    let run = Raw { health: Some("sh -c 'exit 1'".to_owned()), ..raw() };
    let Probe::Command(words) = checked(&run).health.unwrap().probe else { panic!() };
    assert_eq!(words, ["sh", "-c", "exit 1"]);
    assert!(checked(&run).setup.is_checked);
    let hasty = Raw { health_interval: Some(Duration::from_millis(99)), ..run };
    assert_eq!(
        refusal(&hasty),
        "--health-interval: 99ms is of no use: give one from 100ms to 3600s"
    );
}
