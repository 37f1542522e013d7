//! Two nodes that compare, without a network between them.

use super::message::{decode, encode};
use super::*;
use crate::vocabulary::identity::{Boot, NodeId};

const ROUND_TRIP: Duration = Duration::from_millis(80);

fn identity(number: u32) -> MemberIdentity {
    let id = NodeId::new(u64::from(number) + 1).unwrap();
    let process = Process { id, boot: Boot { start: u64::MAX, nonce: u64::MAX } };
    let [_, a, b, c] = number.to_be_bytes();
    MemberIdentity::new(process, ([10, a, b, c], 8000).into(), true)
}

fn members(numbers: impl Iterator<Item = u32>) -> Members {
    let mut members = Members::new(identity(9_999_999));
    numbers.for_each(|number| members.note(&Member::alive(identity(number))));
    members
}

/// One question and its answer at a later moment; how many packets that took.
fn exchange(
    moment: u64,
    (asker, here, timers): (&mut PushPull, &mut Members, &mut Timers),
    there: &Members,
    has_filter: bool,
) -> (usize, bool) {
    let now = HolderTime(moment * 1_000_000_000);
    let (own, other) = (identity(0), identity(1));
    let partner = (other.process, other.address);
    let entropy = moment.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let packet = asker.ask(now, partner, (&own, here), has_filter, entropy).unwrap();
    assert!(packet.len() <= GOSSIP_SIZE_MAX, "{}", packet.len());
    let Ok(Exchange::Compare(compare)) = decode(&packet) else { panic!("no question") };
    let mut answering = PushPull::new(ROUND_TRIP);
    let (pages, _) = answering.answer(now, &compare.asker(own.process), &compare, (&other, there));
    let mut again = None;
    for page in &pages {
        let packet = encode(&Exchange::Page(page.clone())).unwrap();
        assert!(packet.len() <= GOSSIP_SIZE_MAX, "{}", packet.len());
        assert!(asker.accepts(other.process, page));
        let news = news(&page.members, &own, here);
        news.iter().for_each(|member| here.note(member));
        let state = (here.digest(&own), here.present());
        again = asker.conclude(now, page, news.len(), state, 0.5, timers);
    }
    (pages.len(), again.inspect(|to| assert_eq!(*to, partner)).is_some())
}

#[test]
fn a_newcomer_fetches_everybody_page_by_page() {
    for count in [3, 40, 1000, 5000] {
        let there = members((0..count).filter(|number| *number != 1));
        let mut here = members(1..2);
        let (mut asker, mut timers) = (PushPull::new(ROUND_TRIP), Timers::default());
        asker.begin(HolderTime(0), 0.5, &mut timers);
        let (first, mut again) = exchange(1, (&mut asker, &mut here, &mut timers), &there, true);
        assert_eq!(first, 1, "it has proven nothing yet");
        let mut moment = 1;
        while here.present() + 1 < usize::try_from(count).unwrap() && moment < 400 {
            moment += 1;
            let (pages, after) =
                exchange(moment, (&mut asker, &mut here, &mut timers), &there, true);
            assert!(pages <= if again { usize::from(PAGES_MAX) } else { 1 });
            again = after;
        }
        assert_eq!(here.digest(&identity(0)), there.digest(&identity(1)), "{count}");
        // The last ones are hidden by filters as rarely as the first ones.
        let least = u64::from(count) / (8 * 36);
        assert!(moment <= 4 + least * 3 / 2, "{moment} questions for {count}");
    }
}

#[test]
fn a_conversation_has_its_time_and_one_that_broke_off_keeps_the_pace_if_it_brought_anything() {
    let (there, mut here) = (members((2..200).chain([0])), members(1..2));
    let (mut asker, mut timers) = (PushPull::new(ROUND_TRIP), Timers::default());
    asker.begin(HolderTime(0), 0.0, &mut timers);
    let (_, again) = exchange(1, (&mut asker, &mut here, &mut timers), &there, true);
    assert!(again);
    let second = HolderTime(1_000_000_000);
    assert_eq!(timers.next(), second.plus(ROUND_TRIP));
    let partner = (identity(1).process, identity(1).address);
    for pause in [ROUND_TRIP, ROUND_TRIP * 3 / 2] {
        asker.ask(second, partner, (&identity(0), &here), true, 1).unwrap();
        asker.postpone(second, 0.5, &mut timers);
        assert_eq!(asker.pause, pause, "nobody answers");
    }
}

#[test]
fn equals_exchange_two_small_packets_and_rest() {
    let (there, mut here) = (members([0, 2, 3].into_iter()), members(1..4));
    let (mut asker, mut timers) = (PushPull::new(ROUND_TRIP), Timers::default());
    asker.begin(HolderTime(0), 0.5, &mut timers);
    for moment in 1..20 {
        let outcome = exchange(moment, (&mut asker, &mut here, &mut timers), &there, false);
        assert_eq!(outcome, (1, false));
    }
    assert_eq!(asker.pause, PAUSE_MOST);
}

#[test]
fn an_asker_that_differs_asks_again_with_a_filter() {
    let (there, mut here) = (members([0, 2, 3].into_iter()), members(1..3));
    let (mut asker, mut timers) = (PushPull::new(ROUND_TRIP), Timers::default());
    let (_, again) = exchange(1, (&mut asker, &mut here, &mut timers), &there, false);
    assert!(again);
    assert_eq!(exchange(2, (&mut asker, &mut here, &mut timers), &there, true), (1, false));
    assert_eq!(here.present(), 3);
}

#[test]
fn a_responder_that_gives_nothing_and_yet_differs_asks_in_turn_now_and_then() {
    let (own, other) = (identity(0), identity(1));
    let (here, there) = (members(1..9), members([0, 2].into_iter()));
    let (mut asker, mut asked) = (PushPull::new(ROUND_TRIP), PushPull::new(ROUND_TRIP));
    let mut asks_in_turn = |second: u64| {
        let now = HolderTime(second * 1_000_000_000);
        let partner = (other.process, other.address);
        let packet = asker.ask(now, partner, (&own, &here), true, 7).unwrap();
        let Ok(Exchange::Compare(compare)) = decode(&packet) else { panic!("no question") };
        let (pages, in_turn) = asked.answer(now, &own, &compare, (&other, &there));
        assert!(pages.len() == 1 && pages[0].members.is_empty());
        if in_turn {
            let partner = (own.process, own.address);
            asked.ask(now, partner, (&other, &there), true, 9).unwrap();
        }
        in_turn
    };
    assert!(asks_in_turn(1));
    assert!(!asks_in_turn(2) && !asks_in_turn(5));
    assert!(asks_in_turn(7));
}

#[test]
fn of_the_dead_only_those_are_told_and_believed_who_are_held_for_present() {
    let own = identity(0);
    let mut there = members([0, 2].into_iter());
    there.note(&Member::down(identity(3)));
    there.note(&Member::down(identity(4)));
    let mut here = members(1..4);
    let (mut asker, mut timers) = (PushPull::new(ROUND_TRIP), Timers::default());
    exchange(1, (&mut asker, &mut here, &mut timers), &there, true);
    assert_eq!(here.get(&identity(3)).map(Held::is_present), Some(false));
    assert!(here.get(&identity(4)).is_none());
    assert!(news(&[Member::down(identity(4))], &own, &here).is_empty());
    assert!(news(&[Member::down(own)], &own, &here).is_empty(), "of itself it knows better");
}

#[test]
fn answers_are_bounded_whoever_asks() {
    let (own, there) = (identity(1), members(2..3000));
    let mut asked = PushPull::new(ROUND_TRIP);
    let mut sent = 0;
    for number in 0..100 {
        let asker = identity(10_000 + number);
        let compare = Compare {
            address: asker.address,
            renewal: 0,
            eligible: true,
            nonce: number,
            pages: u8::MAX,
            digest: 0,
            filter: Filter { probes: u8::MAX, bits: vec![0; 1], ..Filter::default() },
        };
        sent += asked.answer(HolderTime(1), &asker, &compare, (&own, &there)).0.len();
    }
    assert_eq!(sent, PAGES_AT_ONCE);
}

#[test]
fn strange_filters_and_pages_are_survived() {
    let (own, there) = (identity(1), members(2..50));
    for (probes, bytes) in [(0, 1), (255, 1), (3, 0), (4, 8000)] {
        let (salt, part) = (u64::MAX, Part::default());
        let filter = Filter { salt, part, probes, bits: vec![0xff; bytes] };
        let compare = Compare {
            address: identity(0).address,
            renewal: 0,
            eligible: true,
            nonce: 0,
            pages: 0,
            digest: 0,
            filter,
        };
        let mut asked = PushPull::new(ROUND_TRIP);
        let (pages, _) = asked.answer(HolderTime(1), &identity(0), &compare, (&own, &there));
        assert_eq!(pages.len(), 1);
    }
    let unasked = Page { nonce: 1, digest: 0, last: true, more: true, members: Vec::new() };
    assert!(!PushPull::new(ROUND_TRIP).accepts(own.process, &unasked));
    assert!(decode(&[]).is_err() && decode(&[0xff]).is_err() && decode(&[0xff, 9, 9]).is_err());
}
