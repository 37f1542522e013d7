//! What is allowed and still unwise: `gaggle check` warns, and so does `gaggle run`.

use super::{Place, text};

/// Flags, variables, and what a person reads.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// Everything that `check` warns of.
fn warned(place: &Place, words: &str, variables: &[(&str, &str)]) -> String {
    let given = [variables, &[("HOME", "@dir")]].concat();
    let output = place.run(&format!("check {words}"), &given);
    assert_eq!(output.status.code(), Some(0), "{words}: {}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn unwise_settings() {
    let place = Place::new();
    std::fs::write(place.path("key"), "7f".repeat(32)).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(place.path("key"), open).unwrap();
    let cases: [Case; 7] = [
        ("@addr", &[], ""),
        (
            "@addr --voters 1,2,3,4",
            &[],
            "4 voters survive the loss of 1, just as 3 would: an even number only adds one more \
             that can fail. Leave one out, or add one",
        ),
        (
            "@addr --ephemeral --voters @id,1,2",
            &[],
            "--ephemeral: this voter forgets its promises when it stops, so after every start it \
             waits for three seconds before it votes. If all voters were started so, their clocks \
             stand in for what they forget, and leases end after three seconds: the weaker promise",
        ),
        (
            "10.0.0.1:8000",
            &[],
            "no --key-file: whoever can reach this port can disturb the cluster; make a key with \
             `gaggle keygen` and give it to every node",
        ),
        (
            "@addr --key-file @dir/key",
            &[],
            "the key file @dir/key is open to others (mode 0644): chmod 600 @dir/key",
        ),
        (
            "@addr",
            &[("GAGGLE_LEAZE", "1s"), ("GAGGLE_SERVICE_HOST", "10.0.0.1")],
            "the environment variable GAGGLE_LEAZE is no setting and has no effect; did you mean \
             GAGGLE_LEASE?",
        ),
        (
            "@addr",
            &[("GAGGLE_FEATHERS", "1")],
            "the environment variable GAGGLE_FEATHERS is no setting and has no effect; unset it",
        ),
    ];
    for (words, variables, expected) in cases {
        let expected = place.filled(expected);
        let expected =
            if expected.is_empty() { expected } else { format!("warning: {expected}\n") };
        assert_eq!(warned(&place, words, variables), expected, "{words} {variables:?}");
    }
}
