//! The dashboard in a real browser, in front of real nodes: it must say who the Goose is, follow
//! a kill of it without being touched, and say why when there is none; and which voters change.
//! Skipped, with a message, where chromium and its driver are not installed.
//!
//! With GAGGLE_SCREENSHOTS=FOLDER it leaves pictures there.

mod driver;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::process::GAGGLE;
use crate::harness::watch::Watch;
use crate::harness::{Cluster, PATIENCE, poll_until};
use driver::Browser;

fn picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("GAGGLE_SCREENSHOTS").map(PathBuf::from) {
        browser.picture(&folder, name);
    }
}

/// Waits until the element `id` says `words`.
fn wait_for(browser: &Browser, id: &str, words: &str) {
    let seen = poll_until(PATIENCE, || browser.text(id).contains(words).then_some(()));
    assert!(seen.is_some(), "{id} never said {words:?} but {:?}", browser.text(id));
}

#[test]
fn the_dashboard_follows_a_kill_and_says_why_there_is_no_goose() {
    let Some(browser) = Browser::start() else {
        println!("skipped: chromedriver and chromium are not installed");
        return;
    };
    let mut cluster =
        Cluster::new(&[1, 2, 3], &[1, 2, 3], Watch::new(Duration::from_millis(50), false));
    cluster.start_highest_first();
    let first = cluster.wait_for_agreement(&[1, 2, 3], 0);
    let others: Vec<u64> = [1, 2, 3].into_iter().filter(|id| *id != first.goose).collect();
    let (watched, third) = (others[0], others[1]);

    browser.open(&format!("http://{}/", cluster.node(watched).settings.http));
    wait_for(&browser, "headline", &format!("Node {} is the Goose", first.goose));
    wait_for(&browser, "link", "Live");
    wait_for(&browser, "history", &format!("Term {}: node {}", first.term, first.goose));
    wait_for(&browser, "counts", "3 alive");
    let paint = "const paint = performance.getEntriesByName('first-contentful-paint')[0];\
                 return paint ? paint.startTime : null";
    println!("first contentful paint after {} ms", browser.run(paint));
    picture(&browser, "calm");
    search(&browser);

    cluster.kill(first.goose);
    let second = cluster.wait_for_agreement(&others, first.term);
    let headline = if second.goose == watched {
        format!("This node, {watched}, is the Goose")
    } else {
        format!("Node {} is the Goose", second.goose)
    };
    wait_for(&browser, "headline", &headline);
    wait_for(&browser, "history", &format!("Term {}: node {}", second.term, second.goose));
    wait_for(&browser, "voters", "does not answer");
    picture(&browser, "fail-over");
    browser.prefer("dark");
    picture(&browser, "dark");
    browser.resize(390, 844);
    wide(&browser);
    picture(&browser, "phone");
    browser.prefer("light");
    browser.resize(1100, 1000);

    cluster.kill(third);
    wait_for(&browser, "headline", "There is no Goose");
    let (low, high) = (first.goose.min(third), first.goose.max(third));
    wait_for(
        &browser,
        "explanation",
        &format!("Quorum lost: voters {low} and {high} do not answer"),
    );
    let term = second.term;
    wait_for(&browser, "since", "Nobody since ");
    wait_for(&browser, "since", &format!("The last was node {}, of term {term}: ", second.goose));
    wait_for(&browser, "history", "Nobody since ");
    // Terms and vacancies, drawn to scale: nobody leads at its end.
    let last = "return document.getElementById('strip').lastChild.dataset.state";
    assert_eq!(browser.run(last), "gap");
    picture(&browser, "quorum-lost");

    cluster.kill(watched);
    wait_for(&browser, "link", "reconnecting");
    picture(&browser, "node-gone");
    // Back again, and the page with it.
    cluster.start(watched);
    cluster.start(third);
    wait_for(&browser, "link", "Live");
    wait_for(&browser, "headline", "is the Goose");
    let complaints = browser.complaints();
    // Whatever the page was asking for when the node was killed.
    let lost = |text: &String| text.contains("/v1/") && text.contains("net::ERR_");
    let complaints: Vec<&String> = complaints.iter().filter(|text| !lost(text)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_dashboard_of_the_goose_says_which_voters_change_and_what_that_waits_for() {
    let Some(browser) = Browser::start() else {
        println!("skipped: chromedriver and chromium are not installed");
        return;
    };
    let ids = [1, 2, 3, 4];
    let watch = Watch::new(Duration::from_millis(50), false);
    let mut cluster = Cluster::new(&ids, &[1, 2, 3], watch);
    cluster.give(4, &["--name", "late", "--never-goose"]);
    cluster.start_highest_first();
    let goose = cluster.wait_for_agreement(&ids, 0).goose;
    browser.open(&format!("http://{}/", cluster.node(goose).settings.http));
    wait_for(&browser, "rows", "4 (late)");
    assert_eq!(browser.text("change"), "");
    // It is to replace another voter, and does not answer.
    let old = if goose == 1 { 2 } else { 1 };
    cluster.freeze(4);
    let mut order = Command::new(GAGGLE);
    order.args(["voters", "replace", &old.to_string(), "4", "--wait", "300ms"]);
    assert!(!order.arg("--node").arg(cluster.node(goose).socket()).status().unwrap().success());
    wait_for(&browser, "change", "The voters change: ");
    wait_for(&browser, "change", "4 (late) are to vote. Waiting for node 4 (late) to answer");
    wait_for(&browser, "voters", "is to vote no more");
    picture(&browser, "voters-change");
    browser.resize(390, 844);
    wide(&browser);
    picture(&browser, "voters-change-phone");
    browser.resize(1100, 1000);
    cluster.thaw(4);
    wait_for(&browser, "voters", "Voter 4 (late)");
    wait_for(&browser, "history", " and 4, since ");
    wait_for(&browser, "events", "the voters from here on: ");
    let gone = poll_until(PATIENCE, || browser.text("change").is_empty().then_some(()));
    assert!(gone.is_some(), "{}", browser.text("change"));
    picture(&browser, "voters-changed");
}

#[test]
fn the_dashboard_says_which_node_is_not_healthy_and_its_own_page_why() {
    let Some(browser) = Browser::start() else {
        println!("skipped: chromedriver and chromium are not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let sick = folder.path().join("sick");
    let check = format!("sh -c '! grep -s well {} >&2'", sick.display());
    let watch = Watch::new(Duration::from_millis(50), false);
    let mut cluster = Cluster::new(&[1, 2], &[1, 2], watch);
    cluster.give(1, &["--never-goose"]);
    cluster.give(2, &["--health", &check, "--health-interval", "100ms"]);
    cluster.start_highest_first();
    cluster.wait_for_agreement(&[1, 2], 0);
    let page = |id: u64| format!("http://{}/", cluster.node(id).settings.http);
    browser.open(&page(2));
    wait_for(&browser, "rows", "Duck, may not lead");
    assert_eq!(browser.text("own"), "");

    std::fs::write(&sick, "not well").unwrap();
    let why = "the health check failed: exit code 1: not well";
    wait_for(&browser, "own", &format!("This node is not healthy and does not lead: {why}."));
    wait_for(&browser, "rows", &format!("Duck, not healthy: {why}"));
    wait_for(&browser, "explanation", "No member may lead");
    picture(&browser, "not-healthy");
    browser.open(&page(1));
    wait_for(&browser, "rows", "Duck, may not lead: drained, not healthy, or never to be Goose");
    wait_for(&browser, "rows", "Duck, never to be Goose");
    assert_eq!(browser.text("own"), "");
    // A machine that freezes its node is said for as long as that lives.
    cluster.signal(1, Signal::STOP);
    wait_for(&browser, "link", "This node does not answer");
    cluster.signal(1, Signal::CONT);
    wait_for(&browser, "pace", "late: its machine is too busy, or froze it.");
}

/// Only what matches is shown, and what does not is said.
fn search(browser: &Browser) {
    let typed = |text: &str| {
        browser.run(&format!(
            "const box = document.getElementById('search'); box.value = '{text}';\
             box.dispatchEvent(new Event('input'))"
        ));
        browser.run("return document.querySelectorAll('#rows tr').length")
    };
    assert_eq!(typed("goose"), 1);
    assert_eq!(browser.text("found"), "1 of 3 found.");
    assert_eq!(typed("nothing like this"), 0);
    assert_eq!(typed(""), 3);
}

/// Nothing may be wider than the screen.
fn wide(browser: &Browser) {
    let width = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(width <= 390, "the page is {width} wide on a screen of 390");
}
