// Each module here is the text of one file of this folder, so that the repository and the
// documentation show the same.
//
// A link between pages names its target in brackets. In the repository the definition at the end
// of the file leads to the other file. Here the definitions of `links.txt` come first, and of two
// definitions the first one counts.
#![doc = include_str!("links.txt")]
#![doc = include_str!("README.md")]

macro_rules! pages {
    ($($page:ident: $file:literal),* $(,)?) => {$(
        #[doc = include_str!("links.txt")]
        #[doc = include_str!($file)]
        pub mod $page {}
    )*};
}

pages! {
    promise: "promise.md",
    install: "install.md",
    three_machines: "three_machines.md",
    day_two: "day_two.md",
    exec: "exec.md",
    routing: "routing.md",
    http: "http.md",
    configuration: "configuration.md",
    tuning: "tuning.md",
    metrics: "metrics.md",
    troubleshooting: "troubleshooting.md",
    library: "library.md",
    protocol: "protocol.md",
    map: "map.md",
    benchmarks: "benchmarks.md",
    evidence: "evidence.md",
    terms: "terms.md",
    faq: "faq.md",
}
