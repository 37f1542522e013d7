//! What is kept, and how terms begin and end.

use super::*;
use crate::vocabulary::event::{DemotionReason, ElectionReason};
use crate::vocabulary::goose::Goose;
use crate::vocabulary::identity::{Boot, NodeId};
use crate::vocabulary::snapshot::MemberState;

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn at(milliseconds: u64) -> Now {
    Now {
        holder: HolderTime(milliseconds * 1_000_000),
        wall: WallTime(1_700_000_000_000 + milliseconds),
        ..Now::default()
    }
}

fn process(number: u64) -> Process {
    Process { id: id(number), boot: Boot { start: 1, nonce: 7 } }
}

fn history() -> History {
    History::new(process(1), "127.0.0.1:8000".parse().unwrap(), at(0).holder)
}

fn goose(number: u64, term: u64) -> Event {
    Event::GooseChanged(Some(Goose {
        term,
        process: process(number),
        address: "127.0.0.1:8001".parse().unwrap(),
        http: None,
    }))
}

#[test]
fn a_term_begins_once_and_ends_with_its_reason() {
    let mut history = history();
    let mut note = |event, now| {
        let index = history.index + 1;
        history.note(event, String::new(), index, at(now));
    };
    note(Event::BecameGoose { term: 3, reason: ElectionReason::Elected }, 40);
    note(goose(1, 3), 41);
    let silent = vec![id(2), id(3)];
    note(Event::BecameDuck { term: 3, reason: DemotionReason::LeaseLapsed { silent } }, 900);
    note(Event::GooseChanged(None), 900);
    note(goose(2, 4), 1_400);
    assert_eq!(history.terms.seen.len(), 2);
    let (_, ended, why) = history.terms.seen[0].ended.clone().unwrap();
    assert_eq!(ended, at(900).holder);
    assert_eq!(why.to_string(), "the lease lapsed because voters 2 and 3 did not answer in time");
    assert_eq!(history.terms.seen[1].ended, None);
    assert_eq!(history.terms.goose_changes, 2);
    assert_eq!(history.terms.elections.count(), 2);
    assert_eq!(history.terms.elections.sum().as_millis(), 540);
}

#[test]
fn a_lease_is_over_at_its_deadline_however_late_that_is_noticed() {
    assert_eq!(over_at(at(600).holder, at(9_000)), at(600));
    assert_eq!(over_at(at(600).holder, at(500)), at(500), "given away before");
    let deadline = HolderTime(at(600).holder.0 + 1);
    assert_eq!(over_at(deadline, at(9_000)).wall, at(600).wall);
}

fn seen(number: u64, start: u64, state: MemberState) -> Vec<MemberView> {
    let boot = Boot { start, nonce: 7 };
    let address = "127.0.0.1:8001".parse().unwrap();
    let member =
        MemberView { id: id(number), address, boot, eligible: true, state, metadata: None };
    vec![member]
}

fn ending(history: &History, position: usize) -> Ending {
    history.terms.seen[position].ended.clone().unwrap().2
}

#[test]
fn what_the_goose_said_is_kept_and_its_nominee_was_handed_over() {
    let mut history = history();
    let mut note = |event, now| {
        history.note(event, String::new(), now, at(now));
        history.learn(&seen(2, 1, MemberState::Down), at(now));
    };
    note(goose(2, 3), 40);
    let by = process(2);
    note(Event::Released { by, nominee: Some(id(4)), died: false }, 50);
    note(Event::GooseChanged(None), 50);
    note(goose(4, 5), 60);
    note(Event::Released { by: process(4), nominee: None, died: true }, 70);
    // Somebody who does not know yet names it once more.
    note(goose(4, 5), 75);
    // Of nobody that leads.
    note(Event::Released { by, nominee: None, died: true }, 70);
    assert_eq!(ending(&history, 0), Ending::Released { nominee: Some(id(4)) });
    assert_eq!(history.terms.seen[1].began_by, Beginning::HandedOver);
    assert_eq!(ending(&history, 1), Ending::Died);
    history.note(goose(2, 6), String::new(), 80, at(80));
    assert_eq!(history.terms.seen[2].began_by, Beginning::Announced);
}

#[test]
fn gossip_says_later_how_a_term_ended() {
    let mut history = history();
    history.note(goose(2, 3), String::new(), 1, at(40));
    history.learn(&seen(2, 1, MemberState::Down), at(45));
    assert_eq!(history.terms.seen[0].ended, None, "that is for the election to say");
    history.note(Event::GooseChanged(None), String::new(), 2, at(50));
    history.learn(&seen(2, 1, MemberState::Alive), at(55));
    assert_eq!(ending(&history, 0), Ending::Silent);
    history.note(goose(4, 5), String::new(), 3, at(60));
    history.learn(&seen(2, 1, MemberState::Suspect), at(70));
    assert_eq!(ending(&history, 0), Ending::Silent);
    history.learn(&seen(2, 1, MemberState::Down), at(80));
    assert_eq!(ending(&history, 0), Ending::Gone);
    let when = history.terms.seen[0].ended.clone().unwrap().1;
    assert_eq!(when, at(50).holder, "the reason is news, the end is not");
    history.learn(&seen(2, 2, MemberState::Alive), at(90));
    assert_eq!(ending(&history, 0), Ending::Restarted);
    history.learn(&seen(4, 2, MemberState::Alive), at(95));
    assert_eq!(ending(&history, 1), Ending::Restarted, "another process cannot go on");
    assert_eq!(history.terms.seen[1].ended.clone().unwrap().1, at(95).holder);
}

#[test]
fn who_said_goodbye_has_left() {
    let mut history = history();
    history.note(goose(2, 3), String::new(), 1, at(40));
    history.note(goose(4, 5), String::new(), 2, at(60));
    assert_eq!(ending(&history, 0), Ending::Replaced { by: id(4) });
    history.learn(&seen(2, 1, MemberState::Left), at(80));
    assert_eq!(ending(&history, 0), Ending::Left);
    history.learn(&seen(2, 2, MemberState::Alive), at(90));
    assert_eq!(ending(&history, 0), Ending::Left, "what came after is no news of it");
}

#[test]
fn who_is_too_far_behind_is_told() {
    let mut history = history();
    for index in 0..EVENTS_MAX as u64 + 10 {
        history.note(Event::Joined, String::new(), index + 1, at(index));
    }
    assert!(history.since(9).is_none());
    assert_eq!(history.since(10).unwrap().count(), EVENTS_MAX);
    assert_eq!(history.since(history.noted).unwrap().count(), 0);
    assert_eq!(history.after_index(5), None);
    assert_eq!(history.after_index(history.index), Some(history.noted));
    assert_eq!(history.after_index(history.index - 1), Some(history.noted - 1));
    assert_eq!(history.after_index(history.index + 1), None);
}

#[test]
fn voters_are_kept_as_they_change_and_not_as_they_are_written_anew() {
    use crate::vocabulary::configuration::VoterSet;
    let mut history = history();
    let mut note = |version: u64, voters: &[u64], automatic, now| {
        let voters = VoterSet::new(voters.iter().copied().map(id).collect()).unwrap();
        let configuration = Configuration { ballot: 7, version, voters, preempt: false, automatic };
        let event = Event::VotersChanged(configuration);
        history.note(event, String::new(), version, at(now));
    };
    note(1, &[1, 2, 3], None, 10);
    note(2, &[1, 2, 3], None, 20);
    note(3, &[1, 2, 3], Some(3), 30);
    note(4, &[1, 2, 4], Some(3), 40);
    let kept: Vec<u64> = history.voters.iter().map(|seen| seen.configuration.version).collect();
    assert_eq!(kept, [1, 3, 4]);
    assert_eq!(history.voters[2].wall, at(40).wall);
    for round in 0..VOTERS_MAX as u64 {
        let event = &history.voters[(round % 2) as usize];
        let configuration = event.configuration.clone();
        history.note(Event::VotersChanged(configuration), String::new(), 9, at(100 + round));
    }
    assert_eq!(history.voters.len(), VOTERS_MAX);
}
