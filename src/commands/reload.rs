//! SIGHUP and `POST /v1/reload`: everything is read again as it was at the start. Keys, seeds, the
//! certificate for TLS and the log level take effect; of the rest is said what waits for a restart. What is
//! refused changes nothing.
//!
//! A thread of its own reads, for a file system that hangs must not stop the node. One reads at a
//! time; who asks meanwhile is served by one more reading, once that is done.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::check::{Setting, effective};
use super::log::Log;
use super::{CommandError, environment, one_line, sources};
use crate::config::flags::{Reload, named};
use crate::config::http_tls::HttpTls;
use crate::config::raw::LogLevel;
use crate::config::token::Token;
use crate::config::{self, Checked, Origin, Raw};
use crate::shell::handle::Handle;
use crate::shell::reloader::{Outcome, Reloaded, Reloader, Reply};
use crate::wire::seal::KeyRing;

/// Files that have not been read after this are spoken of.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// Why the settings are read again, as the log says it.
const SIGNALLED: &str = "SIGHUP received";
const ORDERED: &str = "a reload was ordered";

/// What the node runs with.
#[derive(Debug)]
pub(super) struct Running {
    log: Log,
    log_level: LogLevel,
    effective: Vec<Setting>,
    keys: Option<KeyRing>,
    admin_token: Option<Token>,
    http_tls: Option<HttpTls>,
    reader: Reader,
    reloader: Reloader,
}

/// Who reads, and for whom.
#[derive(Debug)]
struct Reader {
    /// Orders by HTTP.
    ordered: mpsc::Receiver<Reply>,
    reading: Option<Reading>,
}

/// The thread that reads.
#[derive(Debug)]
struct Reading {
    thread: JoinHandle<Result<Fresh, CommandError>>,
    /// Who wants to know.
    asked: Asked,
    /// It was said that it takes long.
    told: bool,
    /// Who asked meanwhile: what is being read may be older than what they mean.
    again: Option<Asked>,
}

/// Who has asked for the settings to be read again.
#[derive(Debug)]
struct Asked {
    cause: &'static str,
    replies: Vec<Reply>,
}

/// What was read anew, and for whom.
#[derive(Debug)]
pub(super) struct Read {
    asked: Asked,
    fresh: Result<Fresh, CommandError>,
}

/// What was read anew.
#[derive(Debug)]
struct Fresh {
    checked: Checked,
    effective: Vec<Setting>,
    log_level: LogLevel,
}

impl Reader {
    /// Begins to read everything again. Never waits.
    fn begin(&mut self, cause: &'static str, reply: Option<Reply>) {
        match &mut self.reading {
            Some(reading) => {
                let again = reading.again.get_or_insert(Asked { cause, replies: Vec::new() });
                again.replies.extend(reply);
                tracing::info!("{cause}: the settings are being read already, and then once more");
            }
            None => self.begin_for(Asked { cause, replies: reply.into_iter().collect() }),
        }
    }

    fn begin_for(&mut self, asked: Asked) {
        let thread = tokio::task::spawn_blocking(fresh);
        self.reading = Some(Reading { thread, asked, told: false, again: None });
    }

    /// What was read anew, once it is. May be cancelled.
    async fn read(&mut self) -> Read {
        loop {
            tokio::select! {
                Some(reply) = self.ordered.recv() => self.begin(ORDERED, Some(reply)),
                read = ended(&mut self.reading) => {
                    // It was there until now.
                    let Some(Reading { asked, again, .. }) = self.reading.take() else { continue };
                    if let Some(again) = again {
                        self.begin_for(again);
                    }
                    return Read { asked, fresh: read };
                }
            }
        }
    }
}

/// What is being read, once it is; never if nothing is. May be cancelled.
async fn ended(reading: &mut Option<Reading>) -> Result<Fresh, CommandError> {
    let Some(reading) = reading else { return std::future::pending().await };
    let read = loop {
        if reading.told {
            break (&mut reading.thread).await;
        }
        match timeout(READ_PATIENCE, &mut reading.thread).await {
            Ok(read) => break read,
            Err(_) => {
                reading.told = true;
                let cause = reading.asked.cause;
                tracing::warn!(
                    "{cause}, but the settings' files have not been read for {READ_PATIENCE:?}: \
                     the node goes on with what it has. Look to the file system that they are on"
                );
            }
        }
    };
    read.map_err(|error| CommandError::Process(std::io::Error::other(error)))?
}

impl Running {
    pub(super) fn new(log: Log, raw: &Raw, checked: &Checked) -> Self {
        let (reloader, ordered) = Reloader::new();
        Self {
            log,
            log_level: raw.log_level,
            effective: effective(raw, checked),
            keys: checked.setup.keys.clone(),
            admin_token: checked.admin_token.clone(),
            http_tls: checked.http_tls.clone(),
            reader: Reader { ordered, reading: None },
            reloader,
        }
    }

    /// By which it is ordered to read its settings again.
    pub(super) fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Begins to read everything again. Never waits.
    pub(super) fn hung_up(&mut self) {
        self.reader.begin(SIGNALLED, None);
    }

    /// What was read anew, once it is; never if nobody asks for it. May be cancelled.
    pub(super) async fn read(&mut self) -> Read {
        self.reader.read().await
    }

    /// Lets take effect what can of what was read, and tells those who have asked for it.
    pub(super) fn adopt(&mut self, handle: &Handle, Read { asked, fresh }: Read) {
        let Asked { cause, replies } = asked;
        let outcome = fresh.map_err(|error| one_line(&error.to_string()));
        let outcome = match outcome {
            Ok(fresh) => self.take(handle, cause, fresh),
            Err(reason) => {
                tracing::error!("{cause}, but nothing is changed: {reason}");
                Err(reason)
            }
        };
        for reply in replies {
            // Whoever has ordered it may have gone.
            let _ = reply.send(outcome.clone());
        }
    }

    fn take(&mut self, handle: &Handle, cause: &str, fresh: Fresh) -> Outcome {
        for warning in &fresh.checked.warnings {
            tracing::warn!("{}", one_line(warning));
        }
        let Reloaded { changed, later } = self.changes(&fresh);
        if changed.is_empty() && later.is_empty() {
            tracing::info!("{cause}: nothing has changed");
            return Ok(Reloaded::default());
        }
        let done = match fresh.checked.setup.keys {
            Some(keys) if self.keys.as_ref() != Some(&keys) => {
                self.keys = Some(keys.clone());
                handle.rotate_keys(keys)
            }
            _ => Ok(()),
        };
        let done = done.and_then(|()| handle.replace_seeds(fresh.checked.setup.seeds));
        if let Err(error) = done {
            tracing::error!("{cause}, but {error}: send it again");
            return Err(error.to_string());
        }
        if let (Some(tls), Some(fresh)) = (&self.http_tls, &fresh.checked.http_tls)
            && !tls.is_same(fresh)
        {
            tls.replace(fresh);
        }
        // At whichever level of the two says more, or nobody would hear of the change.
        self.log.set_level(fresh.log_level.max(self.log_level));
        if !changed.is_empty() {
            tracing::info!("{cause}: {} changed", changed.join(", "));
        }
        if !later.is_empty() {
            tracing::warn!("{cause}: {} changed, but needs a restart", later.join(", "));
        }
        self.log.set_level(fresh.log_level);
        self.log_level = fresh.log_level;
        // What waits for a restart is still as it was, and is named again next time.
        for setting in fresh.effective {
            let known = self.effective.iter_mut().find(|known| known.name == setting.name);
            if let Some(known) = known.filter(|known| changed.contains(&known.name)) {
                *known = setting;
            }
        }
        Ok(Reloaded { changed, later })
    }

    /// What differs from what the node runs with.
    fn changes(&self, fresh: &Fresh) -> Reloaded {
        let (mut changed, mut later) = changes(&self.effective, &fresh.effective);
        let keys = &fresh.checked.setup.keys;
        // The same file may hold other keys, in another order perhaps; without keys at all a
        // running node would begin to speak openly, which nobody does by accident.
        if *keys != self.keys && keys.is_none() {
            changed.retain(|name| *name != "key-file");
            later.push("key-file");
        }
        let fresh_tls = fresh.checked.http_tls.as_ref();
        sort_tls((self.http_tls.as_ref(), fresh_tls), &mut changed, &mut later);
        // The same file may hold another token, too.
        let token = "admin-token-file";
        let secret = |token: &Option<Token>| token.as_ref().map(|it| it.reveal().to_owned());
        let differs = secret(&fresh.checked.admin_token) != secret(&self.admin_token);
        if differs && !later.contains(&token) {
            later.push(token);
        }
        Reloaded { changed, later }
    }
}

/// Says of the certificate, before and now, whether it has changed. The same file may hold another one.
/// Whether there is one at all waits for a restart: members know a node's HTTP as it was at the start.
fn sort_tls(
    (before, now): (Option<&HttpTls>, Option<&HttpTls>),
    changed: &mut Vec<&'static str>,
    later: &mut Vec<&'static str>,
) {
    const NAMES: [&str; 2] = ["http-tls-cert", "http-tls-key"];
    match (before, now) {
        (Some(before), Some(now)) => {
            let is_named = changed.iter().any(|name| NAMES.contains(name));
            if !is_named && !before.is_same(now) {
                changed.push(NAMES[0]);
            }
        }
        _ => later.extend(changed.extract_if(.., |name| NAMES.contains(name))),
    }
}

fn fresh() -> Result<Fresh, CommandError> {
    let words: Vec<_> = std::env::args_os().collect();
    let mut arguments = sources::read(&words)?;
    let raw = arguments.command.raw_mut();
    // This process was started by the same words.
    let raw = raw.ok_or_else(|| CommandError::Process(std::io::Error::other("not a node")))?;
    let checked = config::check(raw, &environment([0; 32]))?;
    let effective = effective(raw, &checked);
    Ok(Fresh { checked, effective, log_level: raw.log_level })
}

/// The names of what changed: at once, and after a restart. What nobody has set follows from
/// what somebody has, and is not named on its own.
fn changes(before: &[Setting], after: &[Setting]) -> (Vec<&'static str>, Vec<&'static str>) {
    let derived = |setting: &Setting| setting.origin == Origin::Default;
    let differs = |setting: &&Setting| {
        before.iter().any(|known| {
            let other = known.name == setting.name && known.value != setting.value;
            other && !(derived(known) && derived(setting))
        })
    };
    let names = after.iter().filter(differs).map(|setting| setting.name);
    names.partition(|name| named(name).is_some_and(|flag| flag.reload == Reload::AtOnce))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_sorted_by_whether_it_waits() {
        let setting =
            |name, value: &str| Setting { name, value: value.to_owned(), origin: Origin::Flag };
        let before = [setting("seed", "a:1"), setting("id", "1"), setting("lease", "1s")];
        let mut after = before.clone();
        assert_eq!(changes(&before, &after), (vec![], vec![]));
        after[0].value = "b:1".to_owned();
        after[1].value = "2".to_owned();
        after[2].origin = Origin::File;
        assert_eq!(changes(&before, &after), (vec!["seed"], vec!["id"]));
        let mut before = before;
        (before[1].origin, after[1].origin) = (Origin::Default, Origin::Default);
        assert_eq!(changes(&before, &after), (vec!["seed"], vec![]), "an id made from the address");
        after[1].origin = Origin::File;
        assert_eq!(changes(&before, &after), (vec!["seed"], vec!["id"]));
    }
}
