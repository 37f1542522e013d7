//! The promises that a state of the model can break.

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// Two Geese at one instant.
    TwoGeese,
    /// A term that is not above every earlier one.
    TermNotAbove,
    /// A grant left before the record that it relies on was on the disk.
    GrantNotDurable,
    /// The highest ballot of a voter fell below one that was durable.
    BallotFell,
    /// A holder counts a grant for longer than the voter keeps it from others.
    GrantOutlived,
    /// Two configurations that may both elect somebody have majorities that do not meet.
    QuorumsApart,
    /// A voter named a configuration as the one that it stands by before its record said so.
    StanceNotDurable,
    /// A lease ended before its time, by what the Goose itself did.
    LapsedEarly,
    /// An assertion of the code failed: one live holder per voter, ballots that never fall, no
    /// release while acting.
    Assertion,
}

impl Broken {
    /// All of them, with the promise that each breaks.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::TwoGeese, "at most one Goose at any instant"),
        (Self::TermNotAbove, "every term is above all earlier ones"),
        (Self::GrantNotDurable, "a grant that is sent is durable"),
        (Self::BallotFell, "a voter's highest ballot never falls"),
        (Self::GrantOutlived, "a counted grant is outlasted by the voter's"),
        (Self::QuorumsApart, "any two sets that may elect somebody have majorities that meet"),
        (Self::StanceNotDurable, "what a voter says of its configuration is durable"),
        (Self::LapsedEarly, "a lease lapses by time alone"),
        (Self::Assertion, "no assertion of the election fails"),
    ];
}
