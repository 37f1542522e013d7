//! The configuration file, and the command line or environment beside it: an accepted node is
//! one that can be started, and a refusal is one line for a person.
//!
//! An input is the file's text, and after a zero byte the flags, each after another zero.

use std::ffi::OsString;

use super::{Tally, Target, ensure};
use gaggle::commands::{Judged, judge};
use gaggle::node::setup::SEEDS_MAX;
use gaggle::vocabulary::hash::stable_hash;
use gaggle::vocabulary::timing::LEASE_CEILING;

/// The longest refusal, in bytes: a few lines of a terminal.
const REFUSAL_SIZE_MAX: usize = 1024;
/// The most flags.
const FLAGS_MAX: usize = 24;

/// See the module.
#[derive(Debug)]
pub(crate) struct Settings;

impl Target for Settings {
    fn take(&mut self, input: &[u8], tally: &mut Tally) -> Result<(), String> {
        tally.unit();
        let mut parts = input.split(|byte| *byte == 0);
        let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let mut words: Vec<OsString> = vec!["gaggle".into(), "run".into()];
        for part in parts.take(FLAGS_MAX) {
            words.push(String::from_utf8_lossy(part).into_owned().into());
        }
        match judge(&words, &text) {
            Judged::CommandLine => {
                tally.met("command line", 0);
                Ok(())
            }
            Judged::File(refusal) => {
                tally.passed("1 command line understood");
                tally.met("file", shape(&refusal));
                one_line(&refusal)
            }
            Judged::Refused(refusal) => {
                tally.passed("1 command line understood");
                tally.passed("2 file understood");
                tally.met("refused", shape(&refusal));
                one_line(&refusal)
            }
            Judged::Accepted(setup) => {
                for layer in ["1 command line understood", "2 file understood", "3 accepted"] {
                    tally.passed(layer);
                }
                tally.met("accepted", setup.seeds.len() as u64);
                let address = setup.address;
                let reachable = !address.ip().is_unspecified() && address.port() != 0;
                ensure(reachable, || format!("accepted, and reached by nobody: {address}"))?;
                let seeds = setup.seeds.len();
                ensure(seeds <= SEEDS_MAX, || format!("accepted with {seeds} seeds"))?;
                let timing = &setup.timing;
                ensure(timing.check().is_ok() && timing.lease <= LEASE_CEILING, || {
                    format!("accepted with {timing:?}")
                })
            }
        }
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let texts: &[&[u8]] = &[
            b"listen = '10.0.0.1:8100'\ncluster = 'pond'\nseed = ['a:1', '10.0.0.2:2']\n",
            b"voters = [1, 2, 3]\nid = 2\nprofile = 'wan'\nlease = '900ms'\nnever-goose = true\n",
            b"voters = '1=10.0.0.1:8000,2=10.0.0.2:8000'\nlisten = '0.0.0.0:8000'\n\
              advertise = '10.0.0.1:8000'\nhttp = '0.0.0.0:9000'\n",
            b"listen = '[::1]:8000'\nephemeral = true\nlog-format = 'json'\n",
            b"state-dir = '/nowhere'\nlog-level = 'debug'\n# nothing more\n",
            b"\0--seed\0b:2,c:3\0--lease\x001s\0--id=7\x000.0.0.0:1\0--advertise=10.1.1.1:1",
            b"cluster = \"\"\"\nlake\"\"\"\n\0--cluster\0pond\0--profile\0fast",
        ];
        texts.iter().map(|text| text.to_vec()).collect()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"\0--",
            b"=",
            b"\n",
            b"'",
            b"\"\"\"",
            b"[",
            b"]",
            b"{",
            b"}",
            b"listen",
            b"cluster",
            b"seed",
            b"voters",
            b"id",
            b"advertise",
            b"advertise-http",
            b"http",
            b"lease",
            b"profile",
            b"ephemeral",
            b"state-dir",
            b"key-file",
            b"admin-token-file",
            b"log-level",
            b"log-format",
            b"no-keeper",
            b"never-goose",
            b"tag",
            b"true",
            b"false",
            b"0.0.0.0:0",
            b"[::]:1",
            b":65535",
            b"127.0.0.1:8000",
            b"255.255.255.255:1",
            b"224.0.0.1:5",
            b"::ffff:10.0.0.1",
            b"1e309",
            b"18446744073709551615",
            b"-1",
            b"9007199254740992",
            b"584y",
            b"0ns",
            b"10s",
            b"151ms",
            b"\\u0000",
            b"\\n",
            b"\xe2\x80\xae",
            b"1979-05-27T07:32:00Z",
            b"inf",
            b"nan",
            b",",
        ]
    }

    fn size_max(&self) -> usize {
        1024
    }
}

fn one_line(refusal: &str) -> Result<(), String> {
    let printable = !refusal.chars().any(char::is_control);
    ensure(printable, || format!("a refusal that is no single line: {refusal:?}"))?;
    let size = refusal.len();
    ensure(size <= REFUSAL_SIZE_MAX, || format!("a refusal of {size} bytes: {refusal:?}"))
}

/// The words of a refusal without what it quotes: which rule it was.
fn shape(refusal: &str) -> u64 {
    let words: Vec<&str> = refusal
        .split(' ')
        .filter(|word| word.chars().all(|envelope| envelope.is_ascii_lowercase()))
        .collect();
    stable_hash(b"refusal", words.join(" ").as_bytes())
}
