//! Orders to the node: what their bodies say, and how what became of them is answered. The
//! server carries them out in between.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::json;
use super::problem::Kind;
use super::views::Moment;
use super::words::State;
use crate::node::{
    DrainError, Drained, ForgetError, Paused, StepDownError, SteppedDown, VoterOrder,
    VoterOrderError, VotersOrdered,
};
use crate::shell::handle::OrderError;
use crate::shell::reloader::{Outcome, Reloaded};
use crate::vocabulary::configuration::{VOTERS_MAX, VoterSet};
use crate::vocabulary::identity::NodeId;
use crate::vocabulary::node_name::called;
use crate::vocabulary::time::milliseconds;
use crate::vocabulary::timing::HOLD_MAX;
use crate::vocabulary::voter_change::ChangeHold;

/// The largest body of a request, in bytes.
pub const BODY_SIZE_MAX: usize = 4 * 1024;

/// How long a pause lasts if nothing is said.
const PAUSE_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// The longest pause: one that is forgotten ends by itself.
const PAUSE_MAX: Duration = HOLD_MAX;

/// Which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// `POST /v1/step-down`
    StepDown,
    /// `POST /v1/drain`
    Drain,
    /// `POST /v1/pause`
    Pause,
    /// `POST /v1/resume`
    Resume,
    /// `POST /v1/forget`
    Forget,
    /// `PUT /v1/voters`
    Voters,
    /// `PUT` or `DELETE /v1/voters/ID`
    Vote {
        /// Which node.
        id: NodeId,
        /// Whether it is to vote.
        votes: bool,
    },
    /// `POST /v1/reload`
    Reload,
    /// `POST /v1/leave`
    Leave,
}

/// An order with all it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Step down as Goose.
    StepDown {
        /// In favour of this node.
        to: Option<NodeId>,
        /// And do not contend for so long.
        hold: Option<Duration>,
    },
    /// Hold back until told otherwise, or do so no more.
    Drain {
        /// Which of the two.
        is_drained: bool,
    },
    /// As Goose, make way for nobody by choice.
    Pause {
        /// For so long; none: no more.
        lasts: Option<Duration>,
    },
    /// Make the cluster forget a member that is down or has left.
    Forget {
        /// Which.
        id: NodeId,
    },
    /// As Goose, lead to other voters.
    Voters(VoterOrder),
    /// Read the settings again.
    Reload,
    /// Leave the cluster and end.
    Leave,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It stepped down.
    SteppedDown(SteppedDown),
    /// It holds back, or does so no more.
    Drained(Drained),
    /// It pauses, or does so no more.
    Paused(Paused),
    /// The member is forgotten.
    Forgot {
        /// Which.
        id: NodeId,
        /// It is a voter, and stays one.
        is_voter: bool,
    },
    /// It leads to other voters, or these vote already.
    Voters(VotersOrdered),
    /// It has read its settings again, or goes on with those that it had.
    Reloaded(Outcome),
    /// It said goodbye.
    Left,
}

/// The body of `POST /v1/step-down`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepDownBody {
    #[serde(default)]
    to: Option<Named>,
    #[serde(default)]
    hold_ms: Option<u64>,
}

/// The body of `POST /v1/drain`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainBody {
    #[serde(default)]
    off: bool,
}

/// The body of `POST /v1/pause`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    #[serde(default)]
    for_ms: Option<u64>,
}

/// The body of `POST /v1/forget`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetBody {
    id: Named,
}

/// The body of `PUT /v1/voters/ID`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoteBody {
    #[serde(default)]
    replaces: Option<Named>,
}

/// The body of `PUT /v1/voters`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VotersBody {
    #[serde(default)]
    ids: Option<Vec<Named>>,
    #[serde(default)]
    auto: Option<u8>,
    #[serde(default)]
    fixed: bool,
}

/// A node as a person names it: by number or by address.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Number(u64),
    Text(String),
}

impl Named {
    /// The id that is meant; `field` said it.
    fn id(self, field: &str) -> Result<NodeId, String> {
        let id = match self {
            Self::Number(number) => NodeId::new(number),
            Self::Text(text) => text.parse(),
        };
        id.map_err(|error| format!("\"{field}\": {error}"))
    }
}

/// The fields of a body. By way of a map, because an array would do for a struct otherwise.
fn fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let mut fields = serde_json::from_slice::<serde_json::Map<_, _>>(body)?;
    fields.values_mut().for_each(write_whole);
    serde_json::from_value(fields.into())
}

/// Writes 5.0 as 5: to JSON these are one number, and some programs write every number so.
fn write_whole(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_whole),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().filter(|float| float.fract() == 0.0);
            // Without a point and an exponent, if it is whole.
            let whole = float.and_then(|float| float.to_string().parse::<u64>().ok());
            if let Some(whole) = whole {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

impl Order {
    /// The order that `body` describes.
    ///
    /// # Errors
    /// The answer to a body that describes none.
    pub fn parse(kind: OrderKind, body: &[u8]) -> Result<Self, Box<Response<Bytes>>> {
        let malformed = |detail: String| Box::new(Kind::Malformed.with(detail).response());
        let empty = body.trim_ascii().is_empty();
        match kind {
            OrderKind::Leave => Ok(Self::Leave),
            OrderKind::Reload => Ok(Self::Reload),
            OrderKind::Voters => Self::voters(body).map_err(malformed),
            OrderKind::Vote { id, votes: false } => Ok(Self::Voters(VoterOrder::Remove(id))),
            OrderKind::Vote { id, votes: true } => {
                Self::vote(id, if empty { b"{}" } else { body }).map_err(malformed)
            }
            OrderKind::Forget => {
                let body: ForgetBody = fields(body).map_err(|error| {
                    malformed(format!("the body is not {{\"id\":ID}}: {error}"))
                })?;
                Ok(Self::Forget { id: body.id.id("id").map_err(malformed)? })
            }
            OrderKind::Resume => Ok(Self::Pause { lasts: None }),
            OrderKind::Pause => Self::pause(if empty { b"{}" } else { body }).map_err(malformed),
            OrderKind::Drain if empty => Ok(Self::Drain { is_drained: true }),
            OrderKind::Drain => {
                let body: DrainBody = fields(body).map_err(|error| {
                    malformed(format!("the body is not {{\"off\":BOOLEAN}}, optional: {error}"))
                })?;
                Ok(Self::Drain { is_drained: !body.off })
            }
            OrderKind::StepDown if empty => Ok(Self::StepDown { to: None, hold: None }),
            OrderKind::StepDown => {
                let body: StepDownBody = fields(body).map_err(|error| {
                    malformed(format!(
                        "the body is not {{\"to\":ID,\"hold_ms\":N}}, both optional: {error}"
                    ))
                })?;
                let to = body.to.map(|named| named.id("to")).transpose().map_err(malformed)?;
                let hold = body.hold_ms.map(Duration::from_millis);
                if hold.is_some_and(|hold| hold > HOLD_MAX) {
                    let limit = HOLD_MAX.as_millis();
                    return Err(malformed(format!("\"hold_ms\" may be {limit} (a day) at most")));
                }
                Ok(Self::StepDown { to, hold })
            }
        }
    }
}

impl Order {
    /// What `body` says of voters, or what is wrong with it.
    fn voters(body: &[u8]) -> Result<Self, String> {
        let shape = "{\"ids\":[ID,…]}, {\"auto\":N} or {\"fixed\":true}";
        let body: VotersBody =
            fields(body).map_err(|error| format!("the body is not {shape}: {error}"))?;
        let order = match (body.ids, body.auto, body.fixed) {
            (Some(ids), None, false) => {
                let ids = ids.into_iter().map(|id| id.id("ids")).collect::<Result<_, _>>()?;
                VoterOrder::Set(VoterSet::new(ids).map_err(|error| error.to_string())?)
            }
            (None, Some(number), false) if (1..=VOTERS_MAX).contains(&usize::from(number)) => {
                VoterOrder::Keep(Some(number))
            }
            (None, Some(_), false) => {
                return Err(format!("\"auto\" may be from 1 to {VOTERS_MAX}"));
            }
            (None, None, true) => VoterOrder::Keep(None),
            _ => return Err(format!("the body is to be one of {shape}")),
        };
        Ok(Self::Voters(order))
    }

    /// The order that node `id` is to vote.
    fn vote(id: NodeId, body: &[u8]) -> Result<Self, String> {
        let body: VoteBody = fields(body)
            .map_err(|error| format!("the body is not {{\"replaces\":ID}}, optional: {error}"))?;
        let order = match body.replaces {
            None => VoterOrder::Add(id),
            Some(old) => VoterOrder::Replace { old: old.id("replaces")?, new: id },
        };
        Ok(Self::Voters(order))
    }

    /// The pause that `body` describes, or what is wrong with it.
    fn pause(body: &[u8]) -> Result<Self, String> {
        let body: PauseBody = fields(body)
            .map_err(|error| format!("the body is not {{\"for_ms\":N}}, optional: {error}"))?;
        let lasts = body.for_ms.map_or(PAUSE_DEFAULT, Duration::from_millis);
        if lasts.is_zero() || lasts > PAUSE_MAX {
            let limit = PAUSE_MAX.as_millis();
            return Err(format!("\"for_ms\" may be from 1 to {limit} (a day)"));
        }
        Ok(Self::Pause { lasts: Some(lasts) })
    }
}

/// The answer of `POST /v1/step-down`.
#[derive(Serialize)]
struct SteppedDownView {
    term: u64,
    nominee: Option<NodeId>,
}

/// The answer of `POST /v1/drain`.
#[derive(Serialize)]
struct DrainedView {
    drained: bool,
    changed: bool,
    kept: bool,
    term: Option<u64>,
    nominee: Option<NodeId>,
}

impl From<Drained> for DrainedView {
    fn from(done: Drained) -> Self {
        let Drained { is_drained, is_news, is_kept, ended } = done;
        Self {
            drained: is_drained,
            changed: is_news,
            kept: is_kept,
            term: ended.map(|ended| ended.term),
            nominee: ended.and_then(|ended| ended.nominee),
        }
    }
}

/// The answer of `POST /v1/pause` and `POST /v1/resume`.
#[derive(Serialize)]
struct PausedView {
    term: u64,
    for_ms: Option<u64>,
    was_paused: bool,
}

/// The answer of `POST /v1/forget`.
#[derive(Serialize)]
struct ForgotView {
    id: NodeId,
    is_voter: bool,
}

/// The answer of an order to change who votes.
#[derive(Serialize)]
struct VotersOrderedView {
    /// Who is to vote.
    voters: Vec<NodeId>,
    /// How many the Goose keeps by itself.
    auto: Option<u8>,
    in_force: bool,
    /// What it waits for, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
}

impl From<VotersOrdered> for VotersOrderedView {
    fn from(done: VotersOrdered) -> Self {
        Self {
            voters: done.goal.ids().to_vec(),
            auto: done.automatic,
            in_force: done.hold.is_none(),
            waits_for: done.hold.as_ref().map(ChangeHold::words),
        }
    }
}

/// The answer of `POST /v1/reload`.
#[derive(Serialize)]
struct ReloadedView {
    changed: Vec<&'static str>,
    needs_restart: Vec<&'static str>,
}

/// The answer of `POST /v1/leave`.
#[derive(Serialize)]
struct LeftView {
    left: bool,
}

/// Why `error`, in words: who leads, and what is the matter with a node that was named, as far as the node
/// asked knows at this moment.
fn why(error: &OrderError, moment: &Moment<'_>) -> String {
    match error {
        OrderError::Refused(StepDownError::NotGoose) => {
            let goose = moment.goose().map_or_else(
                || "it knows of none at the moment".to_owned(),
                |goose| format!("node {} at {} is", goose.called(), goose.addr),
            );
            format!("{error}: {goose}. To have this one hold back, use `gaggle drain`")
        }
        OrderError::Refused(StepDownError::UnknownNominee(id)) => {
            unfit(*id, moment).unwrap_or_else(|| error.to_string())
        }
        _ => error.to_string(),
    }
}

/// Why `id` cannot take over, if members are all that must be looked at.
fn unfit(id: NodeId, moment: &Moment<'_>) -> Option<String> {
    if id == moment.snapshot.process.id {
        return Some(format!("node {id} is the Goose itself: name another one, or leave --to out"));
    }
    let members = moment.members().members;
    let Some(member) = members.iter().find(|member| member.id == id) else {
        return Some(format!("node {id} is no member that this node knows: see `gaggle members`"));
    };
    let why = match member.state {
        State::Down => "is down: start it, or name another one",
        State::Left => "has left: start it, or name another one",
        _ if !member.eligible => {
            "may not lead, for it is drained, not healthy, or was started with --never-goose: \
             `gaggle status` says which, asked of it"
        }
        _ => return None,
    };
    Some(format!("node {} {why}", called(id, member.name.as_deref())))
}

/// The answer to an order, once it is known what became of it.
pub fn carried_out(outcome: Result<Done, OrderError>, moment: &Moment<'_>) -> Response<Bytes> {
    match outcome {
        Ok(Done::SteppedDown(SteppedDown { term, nominee })) => {
            json(&SteppedDownView { term, nominee })
        }
        Ok(Done::Drained(done)) => json(&DrainedView::from(done)),
        Ok(Done::Paused(Paused { term, lasts, was_paused })) => {
            json(&PausedView { term, for_ms: lasts.map(milliseconds), was_paused })
        }
        Ok(Done::Forgot { id, is_voter }) => json(&ForgotView { id, is_voter }),
        Ok(Done::Voters(done)) => {
            let is_in_force = done.hold.is_none();
            let mut answer = json(&VotersOrderedView::from(done));
            if !is_in_force {
                *answer.status_mut() = StatusCode::ACCEPTED;
            }
            answer
        }
        Ok(Done::Reloaded(Ok(Reloaded { changed, later }))) => {
            json(&ReloadedView { changed, needs_restart: later })
        }
        Ok(Done::Reloaded(Err(reason))) => {
            let detail = format!("nothing is changed: {reason}");
            Kind::SettingsKept.with(detail).response()
        }
        Ok(Done::Left) => json(&LeftView { left: true }),
        Err(error) => {
            let why = why(&error, moment);
            let kind = match error {
                OrderError::Refused(StepDownError::NotGoose | StepDownError::Lapsed { .. })
                | OrderError::NotPaused(_)
                | OrderError::VotersKept(VoterOrderError::NotGoose { .. }) => Kind::NotTheGoose,
                OrderError::VotersKept(
                    VoterOrderError::Unknown(_) | VoterOrderError::NoVoter(_),
                ) => Kind::NoSuchMember,
                OrderError::VotersKept(_) => Kind::VotersKept,
                OrderError::Refused(StepDownError::UnknownNominee(_)) => Kind::NoSuchStandby,
                OrderError::Refused(StepDownError::NoStandby)
                | OrderError::NotDrained(DrainError::NoStandby) => Kind::NoStandby,
                OrderError::NotForgotten(ForgetError::Unknown(_)) => Kind::NoSuchMember,
                OrderError::NotForgotten(ForgetError::Own(_) | ForgetError::Present(_)) => {
                    Kind::MemberPresent
                }
                OrderError::Unavailable
                | OrderError::Refused(StepDownError::WorkGoesOn)
                | OrderError::NotDrained(
                    DrainError::WorkGoesOn | DrainError::Overruled | DrainError::NotKept,
                ) => Kind::Unavailable,
            };
            kind.with(why).response()
        }
    }
}
