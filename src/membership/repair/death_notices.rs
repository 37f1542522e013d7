//! Mend 5: a node is told of its death now and then, and not in answer to every packet.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::codec::message_of;
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::time::HolderTime;

/// A node is told that it is held for dead this often at most.
const NOTICE_INTERVAL: Duration = Duration::from_millis(100);
/// So many nodes' last notices are remembered.
const NOTICES_MAX: usize = 1024;

/// Which nodes a notice of their death was sent to lately.
#[derive(Debug, Default)]
pub(in crate::membership) struct DeathNotices {
    sent: BTreeMap<NodeId, HolderTime>,
}

impl DeathNotices {
    /// Whether a packet to `to` may be sent: any but one more notice of its death.
    pub(in crate::membership) fn permit(
        &mut self,
        to: NodeId,
        packet: &[u8],
        now: HolderTime,
    ) -> bool {
        if message_of(packet) != Some(foca::Message::TurnUndead) {
            return true;
        }
        if self.sent.get(&to).is_some_and(|sent| now.since(*sent) < NOTICE_INTERVAL) {
            return false;
        }
        if self.sent.len() >= NOTICES_MAX {
            self.sent.clear();
        }
        self.sent.insert(to, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::codec::GossipCodec;
    use super::super::super::identity::MemberIdentity;
    use super::*;
    use crate::vocabulary::identity::{Boot, Process};

    fn identity(number: u64) -> MemberIdentity {
        let id = NodeId::new(number).unwrap();
        let process = Process { id, boot: Boot { start: 1, nonce: 1 } };
        MemberIdentity::new(process, "127.0.0.1:8000".parse().unwrap(), true)
    }

    fn packet(message: foca::Message<MemberIdentity>) -> Vec<u8> {
        let (src, dst) = (identity(1), identity(2));
        let mut bytes = Vec::new();
        let header = foca::Header { src, src_incarnation: 0, dst, message };
        foca::Codec::encode_header(&mut GossipCodec::new(src), &header, &mut bytes).unwrap();
        bytes
    }

    fn at(milliseconds: u64) -> HolderTime {
        HolderTime(milliseconds * 1_000_000)
    }

    #[test]
    fn a_node_is_told_of_its_death_ten_times_a_second_and_of_all_else_at_once() {
        let mut notices = DeathNotices::default();
        let (two, three) = (identity(2).process.id, identity(3).process.id);
        let (death, other) = (packet(foca::Message::TurnUndead), packet(foca::Message::Broadcast));
        assert!(notices.permit(two, &death, at(0)));
        assert!(!notices.permit(two, &death, at(99)));
        assert!(notices.permit(two, &other, at(99)));
        assert!(notices.permit(three, &death, at(99)), "another node");
        assert!(notices.permit(two, &death, at(100)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut notices = DeathNotices::default();
        let death = packet(foca::Message::TurnUndead);
        for number in 1..5000 {
            notices.permit(NodeId::new(number).unwrap(), &death, at(number));
            assert!(notices.sent.len() <= NOTICES_MAX);
        }
    }
}
