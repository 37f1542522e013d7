//! How it is found out whether a node is healthy, as settings say it.

use std::ffi::OsStr;
use std::time::Duration;

use super::error::Fault;
use super::program;
use super::raw::Raw;

/// From the start of one check to the next, unless told otherwise.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// How long a check may take, unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(1);
/// So many checks in a row fail before the node is not healthy, unless told otherwise: one that was
/// starved for a moment is healthy.
pub const FAILURES: u32 = 3;
/// So many checks in a row pass before it is healthy again, unless told otherwise.
pub const SUCCESSES: u32 = 2;

/// A machine with more checks in a second does nothing else.
const INTERVAL_LEAST: Duration = Duration::from_millis(100);
/// A check that takes longer says nothing of now.
const SPAN_MOST: Duration = Duration::from_secs(3600);
/// The port that is meant when a URL names none.
const HTTP_PORT: u16 = 80;

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is run or asked.
    pub probe: Probe,
    /// From the start of one check to the next. One that takes longer delays the next.
    pub interval: Duration,
    /// One that takes longer has failed.
    pub limit: Duration,
    /// So many in a row fail before the node is not healthy.
    pub failures: u32,
    /// So many in a row pass before it is healthy again; at the start one is enough.
    pub successes: u32,
}

/// What finds out whether a node is healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A command that exits with 0: its words.
    Command(Vec<String>),
    /// Something that answers a GET over HTTP with 2xx.
    Http(HttpUrl),
}

/// An `http://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query.
    pub target: String,
}

impl HealthCheck {
    /// The check that was asked for, if one was. `path`: where programs are looked for.
    pub(super) fn of(raw: &Raw, path: Option<&OsStr>) -> Result<Option<Self>, Fault> {
        let interval = raw.health_interval.unwrap_or(INTERVAL);
        let limit = raw.health_timeout.unwrap_or(TIMEOUT);
        let least = Duration::from_millis(1);
        in_range("health-interval", interval, INTERVAL_LEAST)?;
        in_range("health-timeout", limit, least)?;
        let Some(text) = &raw.health else { return Ok(None) };
        let probe = match text.trim() {
            url if url.contains("://") && !url.contains(char::is_whitespace) => {
                Probe::Http(url_of(url).ok_or_else(|| Fault::HealthUrl(url.to_owned()))?)
            }
            command => Probe::Command(program::words("health", command, path)?),
        };
        let failures = raw.health_failures.unwrap_or(FAILURES);
        let successes = raw.health_successes.unwrap_or(SUCCESSES);
        Ok(Some(Self { probe, interval, limit, failures, successes }))
    }
}

fn in_range(key: &'static str, span: Duration, least: Duration) -> Result<(), Fault> {
    let most = SPAN_MOST;
    if span < least || span > most {
        return Err(Fault::HealthSpan { key, span, least, most });
    }
    Ok(())
}

fn url_of(text: &str) -> Option<HttpUrl> {
    let rest = text.strip_prefix("http://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let target = target.split('#').next().unwrap_or_default();
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']')?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some(""))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let port = if port.is_empty() { HTTP_PORT } else { port.parse().ok().filter(|it| *it != 0)? };
    let is_clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_sound = !host.is_empty() && !host.contains('@') && is_clean(host) && is_clean(&target);
    is_sound.then(|| HttpUrl { host: host.to_owned(), port, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, port: u16, target: &str) -> HttpUrl {
        HttpUrl { host: host.to_owned(), port, target: target.to_owned() }
    }

    #[test]
    fn urls_are_read_or_refused() {
        for (text, expected) in [
            ("http://db.example", url("db.example", 80, "/")),
            ("http://127.0.0.1:8080/healthz?deep=1#x", url("127.0.0.1", 8080, "/healthz?deep=1")),
            ("http://[::1]:81", url("::1", 81, "/")),
            ("http://[::1]/x", url("::1", 80, "/x")),
            ("http://a?b", url("a", 80, "/?b")),
        ] {
            assert_eq!(url_of(text), Some(expected), "{text}");
        }
        for text in
            ["https://a", "http://", "http://a:0", "http://a:70000", "http://u@a", "http://[::1"]
        {
            assert_eq!(url_of(text), None, "{text}");
        }
    }
}
