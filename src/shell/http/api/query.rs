//! The questions that take longer than an answer: long polls, and streams of events.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::HeaderMap;
use percent_encoding::percent_decode_str;

/// The longest that a long poll waits.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long one waits that names no time.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// The highest index that is asked for: the highest whole number that every reader of JSON takes for
/// what it is.
pub const INDEX_MAX: u64 = (1 << 53) - 1;
/// A stream shows the status this often at most.
pub const EVERY_LEAST: Duration = Duration::from_millis(100);

/// A long poll: answered once the index is no longer `index`, or after `wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The index that the reader knows.
    pub index: u64,
    /// How long to wait at most.
    pub wait: Duration,
}

impl Wait {
    /// The long poll that `query` asks for; none if it asks for an answer at once.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(query: Option<&str>) -> Result<Option<Self>, String> {
        // Looked at in any case: what makes no sense is not passed over because it has no effect.
        let wait = match single(query, "wait")? {
            None => WAIT_DEFAULT,
            Some(text) => span(text).ok_or_else(|| format!("wait={text} is no time: try 30s"))?,
        };
        let Some(index) = single(query, "index")? else { return Ok(None) };
        let index = whole(index)
            .ok_or_else(|| format!("index={index} is no index: a whole number below 2^53"))?;
        Ok(Some(Self { index, wait: wait.min(WAIT_MAX) }))
    }
}

/// What a stream of events starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Events after this index are wanted; none: from now on.
    pub after: Option<u64>,
    /// The status is wanted this often, too.
    pub every: Option<Duration>,
}

impl Subscription {
    /// What the request asks for. The header is a browser's, the query a person's.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(query: Option<&str>, headers: &HeaderMap) -> Result<Self, String> {
        let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
        let index = single(query, "index")?;
        let after = header.filter(|value| !value.is_empty()).or(index);
        let after = match after {
            None => None,
            Some(text) => {
                let after = whole(text.trim());
                Some(after.ok_or_else(|| "the last event's id is a whole number".to_owned())?)
            }
        };
        let every = match single(query, "every")? {
            None => None,
            Some(text) => {
                let every = span(text);
                Some(every.ok_or_else(|| format!("every={text} is no time: try 1s"))?)
            }
        };
        Ok(Self { after, every: every.map(|every| every.max(EVERY_LEAST)) })
    }
}

/// Where the asker wants to be sent on to: to the Goose itself (empty), or where its tag of this key
/// leads; none if nowhere. Clients may write any letter of the key by its number, as `%2D`.
pub fn redirect(query: Option<&str>) -> Option<Cow<'_, str>> {
    Some(percent_decode_str(value(query, "redirect")?).decode_utf8_lossy())
}

/// The value of `name` in a query. An empty one is refused by whoever reads it: a script that has not
/// got an index yet would ask again and again without a pause if that were left out for it.
fn single<'a>(query: Option<&'a str>, name: &str) -> Result<Option<&'a str>, String> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let named = pairs.filter(|pair| pair.split('=').next() == Some(name)).count();
    if named > 1 {
        return Err(format!("{name} is said {named} times: say it once"));
    }
    Ok(value(query, name))
}

/// The first value of `name` in a query.
fn value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A number that may be an index.
fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|index| *index <= INDEX_MAX)
}

/// A span of time as people write it: 250ms, 30s, 1m, or a bare number of seconds.
fn span(text: &str) -> Option<Duration> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number.into())),
        "" | "s" => Some(Duration::from_secs(number.into())),
        "m" => Duration::from_secs(60).checked_mul(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_poll_names_an_index_and_perhaps_a_time() {
        let wait = |query| Wait::parse(Some(query));
        assert_eq!(Wait::parse(None), Ok(None));
        assert_eq!(wait("wait=5s"), Ok(None));
        let expected = |index, wait| Ok(Some(Wait { index, wait }));
        assert_eq!(wait("index=7"), expected(7, WAIT_DEFAULT));
        assert_eq!(wait("x&wait=250ms&index=7"), expected(7, Duration::from_millis(250)));
        assert_eq!(wait("index=7&wait=90m"), expected(7, WAIT_MAX));
        for wrong in [
            "index=",
            "index",
            "index=x",
            "index=-1",
            "index=9007199254740992",
            "index=7&index=7",
            "wait=soon",
            "wait=1s&wait=1s",
            "index=7&wait=",
            "index=7&wait=soon",
            "index=7&wait=9999999999s",
        ] {
            assert!(wait(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tag_is_the_same_however_its_letters_are_written() {
        let tag = |query: &str| redirect(Some(query)).map(Cow::into_owned);
        assert_eq!(tag("redirect=my-service"), tag("x=1&redirect=my%2Dserv%69ce"));
        assert_eq!(tag("redirect=my%2dservice").as_deref(), Some("my-service"));
        assert_eq!((tag("redirect").as_deref(), tag("other")), (Some(""), None));
        // What is no letter is no tag, and is shown as such.
        assert_eq!(tag("redirect=a%ff%zz%").as_deref(), Some("a\u{fffd}%zz%"));
    }

    #[test]
    fn a_browsers_header_is_stronger_than_the_query() {
        let mut headers = HeaderMap::new();
        let parse = |headers: &HeaderMap| Subscription::parse(Some("index=3&every=1ms"), headers);
        let expected = |after| Ok(Subscription { after: Some(after), every: Some(EVERY_LEAST) });
        assert_eq!(parse(&headers), expected(3));
        for wrong in ["index=", "every=", "index=1&index=2"] {
            assert!(Subscription::parse(Some(wrong), &headers).is_err(), "{wrong}");
        }
        headers.insert("last-event-id", "17".parse().unwrap());
        assert_eq!(parse(&headers), expected(17));
        headers.insert("last-event-id", "x".parse().unwrap());
        assert!(parse(&headers).is_err());
    }
}
