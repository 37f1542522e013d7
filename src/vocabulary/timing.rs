//! The numbers of the lease protocol, and the inequalities that make them safe and usable.
//!
//! Safety needs one thing of them: a holder stops counting a grant before the voter that
//! gave it does, whatever the clocks do within their bound. [`counted`] is that rule. All
//! else here is availability: how soon a new Goose is found, and what a sitting one rides
//! out.
//!
//! # Choosing the lease
//!
//! Only a Goose that can neither speak nor be known to be dead costs a lease: one that is
//! frozen, cut off, or whose machine died. With a lease L, renewed every r:
//!
//! * the next Goose is there at the latest L·(1+ε) after the last renewal that got through, plus
//!   a notice, a round trip and a write to disk; on average r/2 sooner;
//! * a sitting Goose rides out m lost renewals in a row and a stall of P as long as
//!   D(L) ≥ (m+1)·r + round trip + P.
//!
//! | profile | D | next Goose after a freeze | two lost renewals leave for stall and round trip |
//! |---|---|---|---|
//! | lan | 574 ms | 480 to 603 ms | 214 ms |
//! | fast | 227 ms | 200 to 252 ms | 77 ms |
//! | wan | 2950 ms | 2.4 to 3.02 s | 1.15 s |
//!
//! The shortest lease whose stall the machines never reach is the right one. A lease that is
//! too short is never unsafe: it changes hands too often.

use std::time::Duration;

/// ε: a bound on |rate − 1| of any clock, in thousandths. Quartz is off by 0.0001 at most;
/// 0.005 leaves room for a badly calibrated virtual clock.
pub const CLOCK_DRIFT_THOUSANDTHS: u64 = 5;

/// How far two such clocks may drift apart within a span.
pub fn drift_between(span: Duration) -> Duration {
    Duration::from_nanos(
        super::time::nanoseconds(span).saturating_mul(2 * CLOCK_DRIFT_THOUSANDTHS) / 1000,
    )
}

/// δ: the margin between looking at the lease and the effect of acting on it.
pub const MARGIN: Duration = Duration::from_millis(20);

/// The longest that a person may have a node hold back for.
pub const HOLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest lease that any voter grants, whatever it is asked for.
pub const LEASE_CEILING: Duration = Duration::from_secs(10);

/// So long a voter on an empty disk waits for all others before a majority founds without the
/// rest. People start nodes by hand; and nothing that anybody granted lasts longer.
pub const FOUNDING_PATIENCE: Duration = LEASE_CEILING;

/// A cluster allows for leases of at least this, whatever its founders asked for: a longer lease
/// may be wished for later, and whoever has lost its record waits for so long.
pub const LEASE_MAX_LEAST: Duration = Duration::from_secs(3);

/// The shortest lease that leaves room for one lost renewal.
pub const LEASE_FLOOR: Duration = Duration::from_millis(150);

/// D(ℓ) = (ℓ/(1+ε) − δ)(1−ε): how long a holder counts a grant of `lease`, on its own clock,
/// from the moment it *sent* the request. Zero if the grant is too short to be of use.
#[must_use]
pub fn counted(lease: Duration) -> Duration {
    let thousand = 1000_u64;
    let nanoseconds = super::time::nanoseconds(lease.min(LEASE_CEILING));
    let slow = nanoseconds * thousand / (thousand + CLOCK_DRIFT_THOUSANDTHS);
    let margin = super::time::nanoseconds(MARGIN);
    Duration::from_nanos(
        slow.saturating_sub(margin) * (thousand - CLOCK_DRIFT_THOUSANDTHS) / thousand,
    )
}

/// A named set of timings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// One building: round trips of a millisecond, stalls of a quarter second ridden out.
    #[default]
    Lan,
    /// One quiet rack: quicker after a freeze, less patient with a busy machine.
    Fast,
    /// Between sites: round trips of up to 200 ms.
    Wan,
}

/// All spans that the election and the membership run on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// L: the lease a Goose asks for.
    pub lease: Duration,
    /// L_c: the lease a claim asks for, and so the longest that a failed claim blocks a voter.
    pub claim_lease: Duration,
    /// r: a Goose renews this often.
    pub renew_interval: Duration,
    /// r_s: a standby polls this often.
    pub standby_interval: Duration,
    /// W_d: how long a vacancy waits for a higher contender.
    pub deference: Duration,
    /// An unanswered poll while vacant or founding, a claim, a first renewal and a release are
    /// sent again after this.
    pub retransmit: Duration,
    /// The longest lease this node grants as a voter, if its cluster allows for as much.
    pub lease_max: Duration,
    /// SWIM: one member is probed this often.
    pub probe_period: Duration,
    /// SWIM: a direct probe unanswered for this long is tried through others.
    pub probe_round_trip: Duration,
}

/// Why timings are refused. Nothing has been started when this is returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// Below [`LEASE_FLOOR`].
    #[error(
        "a lease of {0:?} is below the usable minimum of {LEASE_FLOOR:?}, for it would end before \
         a renewal can be lost: give a longer --lease"
    )]
    LeaseTooShort(Duration),
    /// Long enough on a fast network, but not on the one that the profile is for.
    #[error(
        "a lease of {lease:?} is below the usable minimum of {minimum:?} where a round trip takes \
         {round_trip:?}, as the profile allows for: give a longer --lease or another --profile"
    )]
    LeaseTooShortHere {
        /// L.
        lease: Duration,
        /// The least L that would do.
        minimum: Duration,
        /// RTT.
        round_trip: Duration,
    },
    /// Above [`LEASE_CEILING`].
    #[error(
        "a lease of {0:?} is above the ceiling of {LEASE_CEILING:?}, for as long nobody could \
         take over from a frozen Goose: give a shorter --lease"
    )]
    LeaseTooLong(Duration),
    /// Not even one lost renewal is ridden out: D < 2r.
    #[error(
        "a lease of {lease:?} counts for {counted:?}, which one lost renewal (every {renew:?}) \
         would outlast: renew more often or lease for longer"
    )]
    NoSlack {
        /// L.
        lease: Duration,
        /// D(L).
        counted: Duration,
        /// r.
        renew: Duration,
    },
    /// A claim's lease that counts for nothing, or that is longer than the lease itself.
    #[error(
        "a claim lease of {0:?} is of no use: it must exceed {MARGIN:?} and not exceed the lease"
    )]
    ClaimLease(Duration),
}

impl Timing {
    /// The timings of a profile, each number with its reason.
    pub fn of(profile: Profile) -> Self {
        let millis = Duration::from_millis;
        match profile {
            // 574 ms counted: three renewals of 120 ms may be lost and 90 ms are left for a stall.
            // Standbys are told of a vacancy, so they poll in case that is lost and to be known,
            // and gossip finds who died while the lease finds who leads: both as seldom as keeps
            // a node at rest below 4 kB and 3 ms of processor time a second.
            Profile::Lan => Self {
                lease: millis(600),
                claim_lease: millis(150),
                renew_interval: millis(120),
                standby_interval: millis(250),
                deference: millis(30),
                retransmit: millis(20),
                lease_max: millis(600),
                probe_period: millis(300),
                probe_round_trip: millis(80),
            },
            Profile::Fast => Self {
                lease: millis(250),
                claim_lease: millis(100),
                renew_interval: millis(50),
                standby_interval: millis(100),
                deference: millis(20),
                retransmit: millis(10),
                lease_max: millis(250),
                probe_period: millis(200),
                probe_round_trip: millis(80),
            },
            Profile::Wan => Self {
                lease: millis(3000),
                claim_lease: millis(900),
                renew_interval: millis(600),
                standby_interval: millis(1000),
                deference: millis(300),
                retransmit: millis(300),
                lease_max: millis(3000),
                probe_period: millis(1000),
                probe_round_trip: millis(400),
            },
        }
    }

    /// The same timings stretched or shrunk to another lease, in proportion.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        let scale = |span: Duration| {
            let scaled = super::time::nanoseconds(span) as u128
                * u128::from(super::time::nanoseconds(lease))
                / u128::from(super::time::nanoseconds(self.lease).max(1));
            Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
        };
        // Below these, timers would outrun ordinary scheduling noise.
        let claim_lease = scale(self.claim_lease).max(Duration::from_millis(100)).min(lease);
        let renew_interval = scale(self.renew_interval);
        let standby_interval = scale(self.standby_interval);
        let deference = scale(self.deference).max(Duration::from_millis(10));
        let retransmit = scale(self.retransmit).max(Duration::from_millis(10));
        self = Self {
            lease,
            claim_lease,
            renew_interval,
            standby_interval,
            deference,
            retransmit,
            lease_max: lease,
            ..self
        };
        self
    }

    /// Holds the inequalities against the numbers.
    ///
    /// # Errors
    /// The first inequality that does not hold.
    pub fn check(&self) -> Result<(), TimingError> {
        if self.lease < LEASE_FLOOR {
            return Err(TimingError::LeaseTooShort(self.lease));
        }
        if self.lease > LEASE_CEILING || self.lease_max > LEASE_CEILING {
            return Err(TimingError::LeaseTooLong(self.lease.max(self.lease_max)));
        }
        if self.claim_lease <= 2 * MARGIN || self.claim_lease > self.lease {
            return Err(TimingError::ClaimLease(self.claim_lease));
        }
        let counted = counted(self.lease);
        if counted < 2 * self.renew_interval {
            let renew = self.renew_interval;
            return Err(TimingError::NoSlack { lease: self.lease, counted, renew });
        }
        Ok(())
    }

    /// A contender is fresh for a voter that heard of it within this span, and reaches a voter that
    /// answered it within this span: 2.25 standby polls, so that one of them may be lost. In every
    /// profile that is less than a lease counts for. So whoever was cut off from a majority when
    /// the Goose was, in the same moment, is not waited for any more when the lease is over.
    pub fn contender_freshness(&self) -> Duration {
        self.standby_interval * 9 / 4
    }
}
