//! Errors as RFC 9457 describes them: what went wrong, for a program (`type`) and for a
//! person (`detail`).

use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::media_type::PROBLEM;

/// One problem, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// What kind, as a URI that programs compare.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What kind, in a few words.
    pub(crate) title: String,
    /// The status, once more.
    pub(crate) status: u16,
    /// What happened this time, and what to do.
    pub(crate) detail: String,
}

/// The kinds of problem, each with its status, its name and its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NotFound,
    MethodNotAllowed,
    Timeout,
    BodyTooLarge,
    HeadersTooLarge,
    TargetTooLong,
    Malformed,
    #[cfg(feature = "tls")]
    TlsNeeded,
    Forbidden,
    NoGoose,
    NoAddress,
    NotReady,
    NotAlive,
    NotTheGoose,
    NoSuchStandby,
    NoStandby,
    NoSuchMember,
    MemberPresent,
    VotersKept,
    SettingsKept,
    Unavailable,
    TooManyReaders,
    OrderTimeout,
    Internal,
}

impl Kind {
    /// The status that goes with it.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Malformed => StatusCode::BAD_REQUEST,
            #[cfg(feature = "tls")]
            Self::TlsNeeded => StatusCode::BAD_REQUEST,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NoGoose
            | Self::NoAddress
            | Self::NotReady
            | Self::NotAlive
            | Self::Unavailable
            | Self::TooManyReaders => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotTheGoose
            | Self::NoSuchStandby
            | Self::NoStandby
            | Self::NoSuchMember
            | Self::MemberPresent
            | Self::VotersKept
            | Self::SettingsKept => StatusCode::CONFLICT,
            Self::OrderTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The last part of the type URI.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Timeout => "timeout",
            Self::BodyTooLarge => "body-too-large",
            Self::HeadersTooLarge => "headers-too-large",
            Self::TargetTooLong => "target-too-long",
            Self::Malformed => "malformed",
            #[cfg(feature = "tls")]
            Self::TlsNeeded => "tls-needed",
            Self::Forbidden => "forbidden",
            Self::NoGoose => "no-goose",
            Self::NoAddress => "no-address",
            Self::NotReady => "not-ready",
            Self::NotAlive => "not-alive",
            Self::NotTheGoose => "not-the-goose",
            Self::NoSuchStandby => "no-such-standby",
            Self::NoStandby => "no-standby",
            Self::NoSuchMember => "no-such-member",
            Self::MemberPresent => "member-present",
            Self::VotersKept => "voters-kept",
            Self::SettingsKept => "settings-kept",
            Self::Unavailable => "unavailable",
            Self::TooManyReaders => "too-many-readers",
            Self::OrderTimeout => "order-timeout",
            Self::Internal => "internal",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::NotFound => "There is nothing here",
            Self::MethodNotAllowed => "Not with this method",
            Self::Timeout => "The request took too long to arrive",
            Self::BodyTooLarge => "The request's body is too large",
            Self::HeadersTooLarge => "The request's head is too large",
            Self::TargetTooLong => "The request's target is too long",
            Self::Malformed => "The request cannot be understood",
            #[cfg(feature = "tls")]
            Self::TlsNeeded => "This port speaks TLS",
            Self::Forbidden => "Only an operator may do this",
            Self::NoGoose => "No Goose is known",
            Self::NoAddress => "The Goose has no such address",
            Self::NotReady => "The node is not ready",
            Self::NotAlive => "The node cannot go on",
            Self::NotTheGoose => "This node is not the Goose",
            Self::NoSuchStandby => "The node asked for cannot take over",
            Self::NoStandby => "Nobody could take over",
            Self::NoSuchMember => "There is no such member",
            Self::MemberPresent => "The member is still here",
            Self::VotersKept => "The voters stay as they are",
            Self::SettingsKept => "The settings stay as they are",
            Self::Unavailable => "The node takes no orders now",
            Self::TooManyReaders => "Too many others are waiting here",
            Self::OrderTimeout => "The node did not carry the order out in time",
            Self::Internal => "The answer could not be made",
        }
    }

    /// Its type URI.
    pub(crate) fn uri(self) -> String {
        format!("urn:gaggle:problem:{}", self.name())
    }

    /// A problem of this kind.
    pub(crate) fn with(self, detail: impl Into<String>) -> Problem {
        Problem {
            kind: self.uri(),
            title: self.title().to_owned(),
            status: self.status().as_u16(),
            detail: detail.into(),
        }
    }
}

impl Problem {
    /// The problem as an answer.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let mut body = serde_json::to_vec(self).unwrap_or_default();
        body.push(b'\n');
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// The answer to a method that the resource does not have.
    pub(crate) fn method_not_allowed(method: &str, allow: &'static str) -> Response<Bytes> {
        let problem = Kind::MethodNotAllowed
            .with(format!("{method} is not possible here; these methods are: {allow}"));
        let mut response = problem.response();
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        response
    }
}
