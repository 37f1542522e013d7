//! The kinds of message, and what is true of each.

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// See [`super::message::Message::Gossip`].
    Gossip,
    /// See [`super::message::Message::Join`].
    Join,
    /// See [`super::message::Message::Welcome`].
    Welcome,
    /// A contender asks how a voter stands.
    Poll,
    /// The answer.
    PollAck,
    /// A contender asks for a first grant.
    Claim,
    /// A holder asks for more.
    Renewal,
    /// A voter grants.
    Grant,
    /// A voter refuses.
    Refusal,
    /// See [`super::message::Message::Probe`].
    Probe,
    /// The answer.
    ProbeAck,
    /// A holder gives up, or somebody says so for the dead.
    Release,
    /// The answer.
    ReleaseAck,
    /// A Goose tells its nominee.
    Handover,
    /// A voter says that its vote is free.
    Vacancy,
    /// See [`super::message::Message::Announce`].
    Announcement,
    /// See [`super::message::Message::LaterStart`].
    LaterStart,
    /// See [`super::message::Message::MetadataQuery`].
    MetadataQuery,
    /// The answer.
    MetadataReply,
}

/// Of which layer a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// It serves to find the cluster and its members.
    Membership,
    /// It serves to elect one, or to say which process of a node counts.
    Election,
}

impl Kind {
    /// In a word or two.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// Which layer it belongs to.
    pub fn layer(self) -> Layer {
        self.facts().1
    }

    /// Whether it answers a question, and so goes to where that came from.
    pub fn is_answer(self) -> bool {
        self.facts().2
    }

    /// Whether a voter that is there answers its first copy: at once, unless it has to write first.
    pub fn is_question(self) -> bool {
        matches!(self, Self::Poll | Self::Claim | Self::Renewal | Self::Probe)
    }

    /// Whether it is a voter's word.
    pub fn is_of_voter(self) -> bool {
        use Kind::{Grant, PollAck, ProbeAck, Refusal, ReleaseAck, Vacancy};
        matches!(self, PollAck | Grant | Refusal | ProbeAck | ReleaseAck | Vacancy)
    }

    /// Its name, its layer, and whether it is an answer.
    fn facts(self) -> (&'static str, Layer, bool) {
        use Layer::{Election, Membership};
        match self {
            Self::Gossip => ("gossip", Membership, false),
            Self::Join => ("join", Membership, false),
            Self::Welcome => ("welcome", Membership, true),
            Self::Poll => ("poll", Election, false),
            Self::PollAck => ("poll answer", Election, true),
            Self::Claim | Self::Renewal => ("acquire", Election, false),
            Self::Grant => ("grant", Election, true),
            Self::Refusal => ("refusal", Election, true),
            Self::Probe => ("probe", Election, false),
            Self::ProbeAck => ("probe answer", Election, true),
            Self::Release => ("release", Election, false),
            Self::ReleaseAck => ("release answer", Election, true),
            Self::Handover => ("handover", Election, false),
            Self::Vacancy => ("vacant", Election, false),
            Self::Announcement => ("announce", Election, false),
            Self::LaterStart => ("later start", Election, false),
            Self::MetadataQuery => ("details query", Membership, false),
            Self::MetadataReply => ("details reply", Membership, true),
        }
    }
}
