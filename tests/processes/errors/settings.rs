//! Settings that make no sense: exit code 2, one line, nothing opened and nothing made.

use std::net::{Ipv4Addr, UdpSocket};

use super::{Place, last_line, text};

/// What is set, and what a person reads.
type Case<'text> = (&'text str, &'text str);

/// Holds `run` and `check` against the cases, with `variables`.
fn refused(place: &Place, variables: &[(&str, &str)], cases: &[Case<'_>]) {
    let given = [variables, &[("HOME", "@dir")]].concat();
    for (words, expected) in cases {
        for command in ["run", "check"] {
            let words = format!("{command} {words}");
            let output = place.run(&words, &given);
            let line = text(&output.stderr);
            assert_eq!(line, format!("gaggle: {}\n", place.filled(expected)), "{words}");
            assert_eq!(output.status.code(), Some(2), "{words}: {line}");
            assert!(output.stdout.is_empty(), "{words}");
        }
    }
    assert!(!place.path(".local").exists(), "no folder for state was made");
}

/// As [`refused`], by the parser of the command line: the text goes on with a hint at --help.
fn not_understood(place: &Place, cases: &[Case<'_>]) {
    for (words, expected) in cases {
        let output = place.run(&format!("run {words}"), &[("HOME", "@dir")]);
        let lines = text(&output.stderr);
        let expected = format!("error: {expected}\n\nFor more information, try '--help'.\n");
        assert_eq!(lines, expected, "{words}");
        assert_eq!(output.status.code(), Some(2), "{words}");
    }
}

#[test]
fn addresses() {
    let cases = [
        (
            "nonsense",
            "the address to listen on: \"nonsense\" is neither an IP address nor a host name with \
             a port: write it like 10.0.0.1:8000",
        ),
        (
            "127.0.0.1:0",
            "the address to listen on: 127.0.0.1:0 has port 0, which others cannot be told: name \
             a port",
        ),
        (
            "0.0.0.0:@port --http @http",
            "0.0.0.0:@port listens on every address, so others cannot be told which one to use: \
             add --advertise ADDR:PORT",
        ),
        (
            "[::]:@port --http @http",
            "[::]:@port listens on every address, so others cannot be told which one to use: add \
             --advertise ADDR:PORT",
        ),
        (
            "0.0.0.0:@port --http @http --advertise 0.0.0.0:1",
            "--advertise 0.0.0.0:1 is not the address of a single machine: name the one others \
             reach",
        ),
        (
            "@addr --advertise here",
            "--advertise: \"here\" is neither an IP address nor a host name with a port: write it \
             like 10.0.0.1:8000",
        ),
        (
            "@addr --http 9000",
            "--http: \"9000\" is neither an IP address nor a host name with a port: write it like \
             10.0.0.1:8000",
        ),
        (
            "@addr --http @http --advertise-http 0.0.0.0:1",
            "--advertise-http 0.0.0.0:1 is not the address of a single machine: name the one others \
             reach",
        ),
    ];
    refused(&Place::new(), &[], &cases);
}

#[test]
fn a_port_that_leaves_none_for_http() {
    let high = (64_536..=65_535).find_map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let place = Place::holding(high.expect("one of a thousand ports is free"));
    let expected = "HTTP is served at the gossip port + 1000, and @port + 1000 is above 65535: \
                    add --http ADDR:PORT";
    refused(&place, &[], &[("@addr", expected)]);
}

#[test]
fn seeds() {
    let cases = [
        (
            "@addr --seed 10.0.0.1:8000",
            "this node would be reached at @addr, on this machine only, but 10.0.0.1:8000 is \
             another machine: listen on an address that it can reach, or add --advertise ADDR:PORT",
        ),
        (
            "@addr --seed goose.example",
            "--seed: \"goose.example\" is not a host with a port: write it like \
             goose.example:8000",
        ),
        (
            "@addr --seed 10.0.0.256:8000",
            "--seed: \"10.0.0.256:8000\" is not a host with a port: write it like \
             goose.example:8000",
        ),
        (
            "@addr --seed @addr",
            "the only seed is this node itself (@addr): name another node to join, or found a \
             cluster with --voters, or of this node alone without --seed",
        ),
    ];
    refused(&Place::new(), &[], &cases);
}

#[test]
fn voters() {
    let cases = [
        ("@addr --voters @nothing", "--voters: the voter list is empty: name at least one voter"),
        ("@addr --voters 1,2,1", "--voters: voter 1 is listed twice: name each voter once"),
        ("@addr --voters @addr,@id", "--voters: voter @id is listed twice: name each voter once"),
        (
            "@addr --voters 1,,2",
            "--voters: \"\" names no voter: write an id, an address like 10.0.0.1:8000, or both \
             like 1=10.0.0.1:8000",
        ),
        (
            "@addr --voters 1,goose",
            "--voters: \"goose\" names no voter: write an id, an address like 10.0.0.1:8000, or \
             both like 1=10.0.0.1:8000",
        ),
        (
            "@addr --voters 0,1,2",
            "--voters: 0 is not a node id: ids run from 1 to 9007199254740991. For the ordinal N of \
             a StatefulSet give N + 1",
        ),
        (
            "@addr --voters 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
            "--voters: 16 voters are too many: name 15 at most; other nodes join without a vote",
        ),
        (
            "@addr --id 7 --voters @addr,127.0.0.1:8001,127.0.0.1:8002",
            "--voters names this node's own address @addr, which means node @id, but this is \
             node 7: leave --id out, or write 7=@addr in every node's --voters",
        ),
        (
            "@addr --id 7 --voters 7=127.0.0.1:1,8,9",
            "--voters says that node 7, this one, is at 127.0.0.1:1, but it is at @addr: correct \
             the one or the other",
        ),
        (
            "@addr --voters 5=127.0.0.1:1,6=127.0.0.1:1",
            "--voters: 127.0.0.1:1 is named for node 5 and for node 6: correct one of the two, \
             for each node has an address of its own",
        ),
    ];
    refused(&Place::new(), &[], &cases);
}

#[test]
fn names() {
    let long = "n".repeat(65);
    let cut = "n".repeat(64);
    let place = Place::new();
    for (name, shown) in [("@nothing", ""), (long.as_str(), cut.as_str()), ("\u{e4}", "?")] {
        let expected = format!(
            "--name: \"{shown}\" is no name of a node: use 1 to 64 printable ASCII characters \
             without spaces, or leave it out for the name of the host"
        );
        refused(&place, &[], &[(&format!("@addr --name {name}"), &expected)]);
    }
}

#[test]
fn tags() {
    let key = "a".repeat(33);
    let value = "v".repeat(65);
    let many: Vec<String> = (1..=9).map(|number| format!("--tag k{number}=1")).collect();
    let fitting = "has no fitting value: use 1 to 64 printable ASCII characters, without commas, \
                   and no space at either end";
    let cases = [
        ("--tag zone".to_owned(), "\"zone\" is no tag: write it like zone=eu-1".to_owned()),
        (
            "--tag Zone=1".to_owned(),
            "\"Zone\" is no key of a tag: use 1 to 32 lower-case letters, digits, '-', '_' or '.'"
                .to_owned(),
        ),
        (
            format!("--tag {key}=1"),
            format!(
                "\"{key}\" is no key of a tag: use 1 to 32 lower-case letters, digits, '-', '_' \
                 or '.'"
            ),
        ),
        (format!("--tag zone={value}"), format!("the tag zone {fitting}")),
        ("--tag zone=".to_owned(), format!("the tag zone {fitting}")),
        ("--tag zone=\u{e4}".to_owned(), format!("the tag zone {fitting}")),
        (
            "--tag a=1 --tag a=2".to_owned(),
            "the tag a is given twice: leave one of the two out".to_owned(),
        ),
        (many.join(" "), "9 tags are too many: give 8 at most".to_owned()),
    ];
    let place = Place::new();
    for (words, expected) in cases {
        let (words, expected) = (format!("@addr {words}"), format!("--tag: {expected}"));
        refused(&place, &[], &[(&words, &expected)]);
    }
}

#[test]
fn leases_names_and_folders() {
    let cases = [
        (
            "@addr --lease 100ms",
            "a lease of 100ms is below the usable minimum of 150ms, for it would end before a \
             renewal can be lost: give a longer --lease",
        ),
        (
            "@addr --lease 11s",
            "a lease of 11s is above the ceiling of 10s, for as long nobody could take over from \
             a frozen Goose: give a shorter --lease",
        ),
        (
            "@addr --lease 1s --profile wan",
            "a lease of 1s is below the usable minimum of 1.448s where a round trip takes 200ms, \
             as the profile allows for: give a longer --lease or another --profile",
        ),
        (
            "@addr --cluster ../pond",
            "--cluster: \"../pond\" is no cluster name: use 1 to 64 letters, digits, '-', '_' or \
             '.', not starting with a dot",
        ),
        (
            "@addr --state-dir @dir/state --ephemeral",
            "state-dir and ephemeral contradict each other: leave out the one or the other",
        ),
    ];
    let place = Place::new();
    refused(&place, &[], &cases);
    assert!(!place.path("state").exists());

    let nowhere = place.run("run @addr --http @http", &[]);
    let expected = "gaggle: neither XDG_STATE_HOME nor HOME names a folder for state: add \
                    --state-dir DIR, or --ephemeral";
    assert_eq!((last_line(&nowhere).as_str(), nowhere.status.code()), (expected, Some(2)));
}

#[test]
fn what_the_parser_does_not_understand() {
    let cases = [
        (
            "@addr --lease soon",
            "invalid value 'soon' for '--lease <DURATION>': this is no span of time: write it like \
             600ms, 3s or 1m30s",
        ),
        (
            "@addr --id 0",
            "invalid value '0' for '--id <N>': 0 is not a node id: ids run from 1 to \
             9007199254740991. For the ordinal N of a StatefulSet give N + 1",
        ),
        (
            "@addr --id duck",
            "invalid value 'duck' for '--id <N>': \"duck\" is neither a node id (a whole number) \
             nor an address like 10.0.0.1:8000",
        ),
        (
            "@addr --preempt=perhaps",
            "invalid value 'perhaps' for '--preempt[=<BOOL>]': this is neither yes nor no: write \
             true or false",
        ),
        (
            "@addr --profile moon",
            "invalid value 'moon' for '--profile <PROFILE>'\n  [possible values: lan, fast, wan]",
        ),
        (
            "@addr --sead a:1",
            "unexpected argument '--sead' found\n\n  tip: a similar argument exists: '--seed'\n\n\
             Usage: gaggle run --seed <HOST:PORT> <ADDR:PORT>",
        ),
    ];
    not_understood(&Place::new(), &cases);
}

#[test]
fn the_environment_is_named_where_it_is_to_blame() {
    let place = Place::new();
    let cases = [
        (
            ("GAGGLE_LEASE", "soon"),
            "the environment variable GAGGLE_LEASE: \"soon\": this is no span of time: write it \
             like 600ms, 3s or 1m30s",
        ),
        (
            ("GAGGLE_NEVER_GOOSE", "flase"),
            "the environment variable GAGGLE_NEVER_GOOSE: \"flase\": this is neither yes nor no: \
             write true or false",
        ),
        (
            ("GAGGLE_PROFILE", "moon"),
            "the environment variable GAGGLE_PROFILE: \"moon\" is not one of lan, fast, wan",
        ),
        (
            ("GAGGLE_KEY_FILE", ""),
            "the environment variable GAGGLE_KEY_FILE: it is empty: write a value, or leave it out",
        ),
        (
            ("GAGGLE_VOTERS", "1,1"),
            "--voters: voter 1 is listed twice: name each voter once (voters is set by \
             GAGGLE_VOTERS)",
        ),
        (
            ("GAGGLE_VOTERS", ""),
            "--voters: the voter list is empty: name at least one voter (voters is set by \
             GAGGLE_VOTERS)",
        ),
        (
            ("GAGGLE_SEED", "10.0.0.1:8000"),
            "this node would be reached at @addr, on this machine only, but 10.0.0.1:8000 is \
             another machine: listen on an address that it can reach, or add --advertise \
             ADDR:PORT (seed is set by GAGGLE_SEED)",
        ),
    ];
    for (variable, expected) in cases {
        refused(&place, &[variable], &[("@addr --http @http", expected)]);
    }
    // The flag is stronger, and so is to blame.
    let flag = "--voters: voter 2 is listed twice: name each voter once";
    refused(&place, &[("GAGGLE_VOTERS", "1,1")], &[("@addr --voters 2,2", flag)]);
}

#[test]
fn the_configuration_file() {
    let cases = [
        (
            "cluser = 'pond'",
            "the configuration file @dir/file: there is no key \"cluser\"; did you mean \
             \"cluster\"?",
        ),
        (
            "key = 'secret'",
            "the configuration file @dir/file: there is no key \"key\"; did you mean \"key-file\"?",
        ),
        (
            "replication-factor = 3",
            "the configuration file @dir/file: there is no key \"replication-factor\"; the nearest \
             is \"health-failures\", and `gaggle run --help` names all (without the --)",
        ),
        (
            "id = 7\ncluster = ",
            "the configuration file @dir/file, line 2: string values must be quoted, expected \
             literal string",
        ),
        (
            "lease = 0.5",
            "the configuration file @dir/file: \"lease\" is a fraction, but should be text, a \
             whole number, true or false",
        ),
        (
            "lease = 'soon'",
            "the configuration file @dir/file: \"lease\": \"soon\": this is no span of time: write \
             it like 600ms, 3s or 1m30s",
        ),
        (
            "profile = 'moon'",
            "the configuration file @dir/file: \"profile\": \"moon\" is not one of lan, fast, wan",
        ),
        (
            "voters = [1, 2, 2]",
            "--voters: voter 2 is listed twice: name each voter once (voters is set in @dir/file)",
        ),
        (
            "ephemeral = true\nstate-dir = '/x'",
            "state-dir and ephemeral contradict each other: leave out the one or the other \
             (state-dir is set in @dir/file, ephemeral is set in @dir/file)",
        ),
        (
            "\"clu\\nster\\u001b[2J\" = 1",
            "the configuration file @dir/file: there is no key \"clu\\nster\\u{1b}[2J\"; the \
             nearest is \"cluster\", and `gaggle run --help` names all (without the --)",
        ),
        (
            "voters = \"1,\\u001b[2J\"",
            "--voters: \"\\u{1b}[2J\" names no voter: write an id, an address like 10.0.0.1:8000, \
             or both like 1=10.0.0.1:8000 (voters is set in @dir/file)",
        ),
    ];
    let place = Place::new();
    let words = "@addr --http @http --config @dir/file";
    let absent = "the configuration file @dir/file cannot be read: No such file or directory (os \
                  error 2): correct --config (or GAGGLE_CONFIG)";
    refused(&place, &[], &[(words, absent)]);
    for (contents, expected) in cases {
        std::fs::write(place.path("file"), contents).unwrap();
        refused(&place, &[], &[(words, expected)]);
    }
    std::fs::write(place.path("file"), "#".repeat(70_000)).unwrap();
    let long = "the configuration file @dir/file is longer than 65536 bytes, so it is something \
                else: correct --config (or GAGGLE_CONFIG)";
    refused(&place, &[("GAGGLE_CONFIG", "@dir/file")], &[("@addr", long)]);
}

#[test]
fn files_with_secrets() {
    let cases = [
        (
            "key",
            "duck",
            "the key file @dir/key, line 1: this is no key: write 32 bytes in base64 or \
             hexadecimal, as `gaggle keygen` does",
        ),
        ("key", "# none", "the key file @dir/key: there is no key: make one with `gaggle keygen`"),
        (
            "token",
            "short",
            "the admin token file @dir/token holds no token: an admin token is one line of 16 to \
             512 visible ASCII characters: write one there",
        ),
    ];
    let place = Place::new();
    let words = |kind| match kind {
        "key" => "@addr --http @http --key-file @dir/key",
        _ => "@addr --http @http --admin-token-file @dir/token",
    };
    let absent = [
        (
            words("key"),
            "the key file @dir/key cannot be read: No such file or directory (os error 2): make \
             one with `gaggle keygen --output @dir/key`",
        ),
        (
            words("token"),
            "the admin token file @dir/token cannot be read: No such file or directory (os error \
             2): correct --admin-token-file, or write a token there",
        ),
    ];
    refused(&place, &[], &absent);
    for (kind, contents, expected) in cases {
        std::fs::write(place.path(kind), contents).unwrap();
        refused(&place, &[], &[(words(kind), expected)]);
    }
    let key = "7f".repeat(32);
    let twice = "the key file @dir/key: key 2 is there already: remove one of the two (key-file is \
                 set by GAGGLE_KEY_FILE)";
    std::fs::write(place.path("key"), format!("{key}\n{key}\n")).unwrap();
    refused(&place, &[("GAGGLE_KEY_FILE", "@dir/key")], &[("@addr", twice)]);
    let long = "the key file @dir/key is no key file: it is longer than 16384 bytes: name one \
                that `gaggle keygen` made";
    std::fs::write(place.path("key"), "#".repeat(20_000)).unwrap();
    refused(&place, &[], &[(words("key"), long)]);
}

#[test]
fn certificates() {
    let place = Place::new();
    std::fs::write(place.path("empty"), "").unwrap();
    let cases = [
        (
            "@addr --http @http --http-tls-cert @dir/cert",
            "--http-tls-cert is of no use alone: HTTP over TLS needs a certificate and its key. Add \
             --http-tls-key FILE",
        ),
        (
            "@addr --http @http --http-tls-key @dir/key",
            "--http-tls-key is of no use alone: HTTP over TLS needs a certificate and its key. Add \
             --http-tls-cert FILE",
        ),
        (
            "@addr --http off --http-tls-cert @dir/cert --http-tls-key @dir/key",
            "--http-tls-cert says how HTTP is served, but this node serves none: serve it with --http \
             ADDR:PORT, or leave the certificate and its key out",
        ),
        (
            "@addr --http @http --http-tls-cert @dir/cert --http-tls-key @dir/key",
            "--http-tls-cert: @dir/cert cannot be read: No such file or directory (os error 2): name a \
             PEM file that the node's user can read",
        ),
        (
            "@addr --http @http --http-tls-cert @dir/empty --http-tls-key @dir/key",
            "--http-tls-cert: @dir/empty holds no certificate: write it there in PEM, and below it \
             those that lead to its authority",
        ),
        (
            "@addr --http @http --tag gaggle.http=tls",
            "--tag: by the key gaggle.http nodes tell each other how they serve HTTP: use another one",
        ),
        (
            "@addr --http @http --tag a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1 --http-tls-cert @dir/cert \
             --http-tls-key @dir/key",
            "--tag: over TLS a node tells the others so by a tag of its own, so 8 are one too many \
             beside --http-tls-cert: leave one out",
        ),
    ];
    refused(&place, &[], &cases);
}
