//! Two nodes that compare, without a network between them.

use super::*;
use crate::vocabulary::identity::{Boot, NodeId};

const ROUND_TRIP: Duration = Duration::from_millis(80);

fn identity(number: u32) -> MemberIdentity {
    let id = NodeId::new(u64::from(number) + 1).unwrap();
    let process = Process { id, boot: Boot { start: u64::MAX, nonce: u64::MAX } };
    let [_, a, b, c] = number.to_be_bytes();
    MemberIdentity::new(process, ([10, a, b, c], 8000).into(), true)
}

fn swim_members(numbers: impl Iterator<Item = u32>) -> SwimMembers {
    let mut swim_members = SwimMembers::default();
    numbers.for_each(|number| _ = swim_members.note(&Member::alive(identity(number))));
    swim_members
}

/// One question and its answer at a later moment; how many packets that took.
fn exchange(
    moment: u64,
    (asker, here): (&mut PushPull, &mut SwimMembers),
    there: &SwimMembers,
    has_filter: bool,
) -> (usize, Next) {
    let now = HolderTime(moment * 1_000_000_000);
    let (own, other) = (identity(0), identity(1));
    let partner = (other.process, other.address);
    let entropy = moment.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let packet = asker.ask(now, partner, (&own, here), has_filter, entropy).unwrap();
    assert!(packet.len() <= GOSSIP_SIZE_MAX, "{}", packet.len());
    let Ok(Exchange::Compare(compare)) = decode(&packet) else { panic!("no question") };
    let mut answering = PushPull::new(ROUND_TRIP);
    let (pages, _) = answering.answer(now, &compare.asker(own.process), &compare, (&other, there));
    let mut next = Next::Wait;
    for page in &pages {
        let packet = encode(&Exchange::Page(page.clone())).unwrap();
        assert!(packet.len() <= GOSSIP_SIZE_MAX, "{}", packet.len());
        assert!(asker.accepts(other.process, page));
        let news = news(&page.members, &own, here);
        news.iter().for_each(|member| _ = here.note(member));
        let state = (here.digest(&own), here.present());
        next = asker.conclude(now, page, news.len(), state, 0.5);
    }
    (pages.len(), next)
}

#[test]
fn a_newcomer_fetches_everybody_page_by_page() {
    for count in [3, 40, 1000, 5000] {
        let there = swim_members((0..count).filter(|number| *number != 1));
        let mut here = swim_members(1..2);
        let mut asker = PushPull::new(ROUND_TRIP);
        asker.begin(HolderTime(0), 0.5);
        let (first, mut next) = exchange(1, (&mut asker, &mut here), &there, true);
        assert_eq!(first, 1, "it has proven nothing yet");
        let mut moment = 1;
        while here.present() + 1 < usize::try_from(count).unwrap() && moment < 400 {
            moment += 1;
            let again = matches!(next, Next::Again(..));
            let (pages, after) = exchange(moment, (&mut asker, &mut here), &there, true);
            assert!(pages <= if again { usize::from(PAGES_MAX) } else { 1 });
            next = after;
        }
        assert_eq!(here.digest(&identity(0)), there.digest(&identity(1)), "{count}");
        // The last ones are hidden by filters as rarely as the first ones.
        let least = u64::from(count) / (8 * 36);
        assert!(moment <= 4 + least * 3 / 2, "{moment} questions for {count}");
    }
}

#[test]
fn a_conversation_has_its_time_and_one_that_broke_off_keeps_the_pace_if_it_brought_anything() {
    let (there, mut here) = (swim_members((2..200).chain([0])), swim_members(1..2));
    let mut asker = PushPull::new(ROUND_TRIP);
    asker.begin(HolderTime(0), 0.0);
    let (_, next) = exchange(1, (&mut asker, &mut here), &there, true);
    assert!(matches!(next, Next::Again(..)));
    let second = HolderTime(1_000_000_000);
    assert_eq!(asker.next_deadline(), second.plus(ROUND_TRIP));
    let partner = (identity(1).process, identity(1).address);
    for pause in [ROUND_TRIP, ROUND_TRIP * 3 / 2] {
        asker.ask(second, partner, (&identity(0), &here), true, 1).unwrap();
        asker.postpone(second, 0.5);
        assert_eq!(asker.pause, pause, "nobody answers");
    }
}

#[test]
fn equals_exchange_two_small_packets_and_rest() {
    let (there, mut here) = (swim_members([0, 2, 3].into_iter()), swim_members(1..4));
    let mut asker = PushPull::new(ROUND_TRIP);
    asker.begin(HolderTime(0), 0.5);
    for moment in 1..20 {
        let outcome = exchange(moment, (&mut asker, &mut here), &there, false);
        assert_eq!(outcome, (1, Next::Wait));
    }
    assert_eq!(asker.pause, PAUSE_MOST);
}

#[test]
fn whoever_differs_asks_again_with_a_filter() {
    let (there, mut here) = (swim_members([0, 2, 3].into_iter()), swim_members(1..3));
    let mut asker = PushPull::new(ROUND_TRIP);
    let (_, next) = exchange(1, (&mut asker, &mut here), &there, false);
    assert_eq!(next, Next::Again(identity(1).process, identity(1).address));
    assert_eq!(exchange(2, (&mut asker, &mut here), &there, true), (1, Next::Wait));
    assert_eq!(here.present(), 3);
}

#[test]
fn whoever_gives_nothing_and_yet_differs_asks_back_now_and_then() {
    let (own, other) = (identity(0), identity(1));
    let (here, there) = (swim_members(1..9), swim_members([0, 2].into_iter()));
    let (mut asker, mut asked) = (PushPull::new(ROUND_TRIP), PushPull::new(ROUND_TRIP));
    let mut asks_back = |second: u64| {
        let now = HolderTime(second * 1_000_000_000);
        let partner = (other.process, other.address);
        let packet = asker.ask(now, partner, (&own, &here), true, 7).unwrap();
        let Ok(Exchange::Compare(compare)) = decode(&packet) else { panic!("no question") };
        let (pages, back) = asked.answer(now, &own, &compare, (&other, &there));
        assert!(pages.len() == 1 && pages[0].members.is_empty());
        if back {
            let partner = (own.process, own.address);
            asked.ask(now, partner, (&other, &there), true, 9).unwrap();
        }
        back
    };
    assert!(asks_back(1));
    assert!(!asks_back(2) && !asks_back(5));
    assert!(asks_back(7));
}

#[test]
fn of_the_dead_only_those_are_told_and_believed_who_are_held_for_present() {
    let own = identity(0);
    let mut there = swim_members([0, 2].into_iter());
    there.note(&Member::down(identity(3)));
    there.note(&Member::down(identity(4)));
    let mut here = swim_members(1..4);
    let mut asker = PushPull::new(ROUND_TRIP);
    exchange(1, (&mut asker, &mut here), &there, true);
    assert_eq!(here.get(&identity(3)).map(swim_members::Held::is_present), Some(false));
    assert!(here.get(&identity(4)).is_none());
    assert!(news(&[Member::down(identity(4))], &own, &here).is_empty());
    assert!(news(&[Member::down(own)], &own, &here).is_empty(), "of itself it knows better");
}

#[test]
fn answers_are_bounded_whoever_asks() {
    let (own, there) = (identity(1), swim_members(2..3000));
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
    let (own, there) = (identity(1), swim_members(2..50));
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
    assert!(decode(&[]).is_err() && decode(&[MARK]).is_err() && decode(&[MARK, 9, 9]).is_err());
}
