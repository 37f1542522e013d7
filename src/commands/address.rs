//! `gaggle address`: a node whose machine has an address while, and only while, it is Goose.
//!
//! ```text
//!  until Goose ──▶ handed over? ── no ──▶ wait ──▶ take ──▶ hold ──▶ gone
//!      ▲                └── yes ───────────────────▶                  │
//!      └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! The keeper takes, holds and drops it; see [`crate::shell::address`]. Here is only what a node does
//! that is alive.

use std::pin::pin;
use std::time::{Duration, Instant};

use super::arguments::AddressArguments;
use super::exec::is_in_company;
use super::launch::{Launched, ended, launch};
use super::log::{self, Log};
use super::reload::Running;
use super::run::{Signals, greeting, wait_for_orphans};
use super::systemd::Systemd;
use super::{CommandError, Exit, entropy, environment, one_line, runtime};
use crate::config::{self, Fault, SettingsError};
use crate::shell::address::{Addresses, DELAYLESS, announce, least_left, takeover_delay};
use crate::shell::handle::{Departure, Handle};
use crate::shell::hooks::is_handed_over;
use crate::shell::keeper::{LineBroken, Report, Reports, WorkKeeper};
use crate::shell::setback::Setback;
use crate::shell::work::Permit;
use crate::vocabulary::health::Complainant;
use crate::vocabulary::snapshot::Lease;

/// Between two tries while the lease is about to be given away, or has too little left.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// From one look at the device to the next. What two looks in a row find is so.
const DEVICE_INTERVAL: Duration = Duration::from_millis(250);

/// What a node does with its addresses.
struct Holder {
    addresses: Addresses,
    handle: Handle,
    keeper: WorkKeeper,
    /// For how long it is Goose before it takes them, unless the lease was handed to it.
    delay: Duration,
    /// So much of the lease must be left when they are taken.
    least_left: Duration,
}

/// Runs a node to its end.
pub(super) fn address(arguments: &AddressArguments) -> Result<Exit, CommandError> {
    let raw = &arguments.run;
    let log = Log::start(raw.log_format, raw.log_level).map_err(CommandError::Process)?;
    let addresses = Addresses::parse(&arguments.device, &arguments.addresses)?;
    let checked = config::check(raw, &environment(entropy()?))?;
    let refused = |fault| SettingsError::new(fault, &raw.origins);
    if raw.no_keeper {
        return Err(refused(Fault::AddressWithoutKeeper).into());
    }
    if !arguments.alone && !is_in_company(&checked) {
        return Err(refused(Fault::AddressAlone).into());
    }
    addresses.check()?;
    let running = Running::new(log, raw, &checked);
    for warning in &checked.warnings {
        tracing::warn!("{}", one_line(warning));
    }
    let least_left = least_left(&checked.setup.timing);
    let delay = arguments.takeover_delay;
    let delay = delay.unwrap_or_else(|| takeover_delay(&checked.setup.timing));
    if delay > Duration::ZERO {
        tracing::info!(
            "a lease of {:?} is shorter than what the kernel can count: unless the lease is handed over, \
             the Goose takes {addresses} after {delay:?}. With a longer --lease, from {} ms on, it does at once",
            checked.setup.timing.lease,
            DELAYLESS.as_millis()
        );
    }
    // Before the runtime: a process that has few threads yet is cheapest to start another from.
    let (keeper, last_will_sender) =
        WorkKeeper::of_addresses(&addresses, least_left, &checked.hooks)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        // Before the node starts, so that a signal never finds it without a handler.
        let mut signals = Signals::new().map_err(CommandError::Process)?;
        let reports = keeper.reports().map_err(CommandError::Process)?;
        let greeting = greeting(&checked);
        let clean_up = || clean_up(&addresses);
        let launched = tokio::select! {
            launched = launch(checked, Some(Box::new(last_will_sender)), running.reloader(), clean_up) => launched?,
            (cause, _) = signals.next() => {
                tracing::info!("{cause} before the node has started: ending");
                return Ok(Exit::Done);
            }
        };
        tracing::info!("{greeting}");
        wait_for_orphans();
        let handle = launched.handle.clone();
        let holder = Holder { addresses: addresses.clone(), handle, keeper, delay, least_left };
        lived(&holder, reports, launched, signals, running).await
    });
    // A look-up of a host name may still hang in the resolver; nobody waits for it.
    runtime.shutdown_background();
    log::finish();
    outcome
}

/// Removes what an earlier process of this node may have left.
fn clean_up(addresses: &Addresses) {
    match addresses.clean_up() {
        Ok(removed) => {
            for address in removed {
                let device = &addresses.device;
                tracing::warn!("{address} was still on {device}, of an earlier life: removed");
            }
        }
        Err(error) => tracing::error!(
            "{addresses} may be left of an earlier life and cannot be removed ({error}): it goes by \
             itself within seconds"
        ),
    }
}

/// From the start of the node to its end.
async fn lived(
    holder: &Holder,
    mut reports: Reports,
    Launched { handle, http }: Launched,
    mut signals: Signals,
    mut running: Running,
) -> Result<Exit, CommandError> {
    let mut signalled = false;
    let systemd = Systemd::of_environment(&handle);
    let mut work = pin!(holder.work(&mut reports));
    let mut broken = false;
    tokio::select! {
        LineBroken = &mut work => broken = true,
        // It never ends by itself.
        () = systemd.keep_informed(&handle) => {}
        outcome = handle.ended() => {
            outcome.map_err(|error| CommandError::Ended(error.to_string()))?;
        }
        (cause, _) = signals.next_end(&mut running, &handle) => {
            tracing::info!("{cause}: dropping the address and leaving; once more ends at once");
            signalled = true;
        }
    }
    systemd.stopping();
    // The address is dropped first, by the other half of this.
    let mut goodbye = pin!(handle.leave());
    let departure = loop {
        tokio::select! {
            outcome = &mut goodbye => break outcome,
            LineBroken = &mut work, if !broken => broken = true,
            never = signals.insist(&mut signalled) => match never {},
        }
    };
    ended(http);
    match departure {
        Ok(Departure::Misled(foreign)) => Err(CommandError::Misled(foreign)),
        _ if broken => Err(CommandError::Ended(LineBroken.to_string())),
        Ok(_) => Ok(Exit::Done),
        Err(error) => Err(CommandError::Ended(error.to_string())),
    }
}

impl Holder {
    /// Has the addresses held whenever this node is Goose. Returns when the keeper is gone, and what
    /// it held removed.
    async fn work(&self, reports: &mut Reports) -> LineBroken {
        let mut setback = Setback::new(Complainant::Work);
        let mut events = self.handle.events();
        let mut last = 0;
        loop {
            if self.until_up(&setback).await {
                setback.recover(&self.handle);
            }
            let lease = tokio::select! {
                lease = self.handle.until_lease(self.least_left) => lease,
                _ = self.until_down() => continue,
            };
            let Ok(permit) = self.handle.begin_work(lease.term).await else {
                tokio::time::sleep(LOOK_INTERVAL).await;
                continue;
            };
            // In the term in which it held them there is nobody else to wait for.
            let at_once = is_handed_over(&mut events, lease.term) || last == lease.term;
            let began = Instant::now();
            if !at_once && !self.waited(&permit).await {
                continue;
            }
            let lease = self.handle.until_lease(self.least_left);
            let lease = tokio::select! {
                lease = lease => lease,
                _ = permit.asked_to_end() => continue,
            };
            if lease.term != permit.term() {
                continue;
            }
            last = lease.term;
            match self.hold(&permit, lease, reports).await {
                Ok(None) => {
                    drop(permit);
                    tokio::time::sleep(LOOK_INTERVAL).await;
                }
                Ok(Some(reason)) => {
                    // Before the permit goes, so that the lease goes with it.
                    setback.complain(&self.handle, reason);
                    drop(permit);
                    self.until_up(&setback).await;
                    setback.stand_back(&self.handle, began.elapsed()).await;
                }
                Err(broken) => {
                    tracing::error!("{broken}: dropping {} here", self.addresses);
                    clean_up(&self.addresses);
                    return broken;
                }
            }
        }
    }

    /// Returns once nobody could reach an address on the device any more, and says why.
    async fn until_down(&self) -> String {
        let mut was_down = false;
        loop {
            match self.addresses.trouble() {
                Some(trouble) if was_down => return trouble,
                trouble => was_down = trouble.is_some(),
            }
            tokio::time::sleep(DEVICE_INTERVAL).await;
        }
    }

    /// Returns once an address on the device could be reached. Until then this node says that it is not
    /// healthy. Whether it has said so.
    async fn until_up(&self, setback: &Setback) -> bool {
        let mut said = None;
        while let Some(trouble) = self.addresses.trouble() {
            if said.as_ref() != Some(&trouble) {
                setback.complain(&self.handle, trouble.clone());
                said = Some(trouble);
            }
            tokio::time::sleep(DEVICE_INTERVAL).await;
        }
        said.is_some()
    }

    /// Waits until the kernel of a machine that led before, and whose processes are all frozen, has
    /// dropped the address. Whether this node may take it then.
    async fn waited(&self, permit: &Permit) -> bool {
        tokio::select! {
            () = tokio::time::sleep(self.delay) => true,
            _ = permit.asked_to_end() => false,
        }
    }

    /// Has them held once, until nothing of them is left. Why that failed, if it did.
    async fn hold(
        &self,
        permit: &Permit,
        lease: Lease,
        reports: &mut Reports,
    ) -> Result<Option<String>, LineBroken> {
        let (term, addresses) = (lease.term, &self.addresses);
        self.keeper.start_work(term, lease.deadline, &[])?;
        let (mut asked, mut held, mut failure) = (false, false, None);
        let mut down = pin!(self.until_down());
        loop {
            tokio::select! {
                report = reports.next() => match report? {
                    Report::Started { .. } => {
                        held = true;
                        tracing::info!(term, "this machine has {addresses}, in term {term}");
                    }
                    Report::Failed(reason) => {
                        let reason = std::io::Error::from_raw_os_error(reason);
                        tracing::error!("this machine cannot have {addresses}: {reason}");
                        failure = Some(format!("it cannot have {addresses}: {reason}"));
                    }
                    Report::Unannounced(0) => {
                        tracing::info!(term, "neighbours are told again that {addresses} is here");
                    }
                    Report::Unannounced(reason) => self.warn_unannounced(term, reason),
                    Report::Gone => break,
                    _ => {}
                },
                _ = permit.asked_to_end(), if !asked => {
                    asked = true;
                    self.keeper.end_work(Duration::ZERO)?;
                }
                trouble = &mut down, if !asked => {
                    asked = true;
                    tracing::error!(term, "dropping {addresses}: {trouble}");
                    failure = Some(trouble);
                    self.keeper.end_work(Duration::ZERO)?;
                }
            }
        }
        if held {
            tracing::info!(term, "this machine has {addresses} no more");
        }
        Ok(failure)
    }

    /// Says that the keeper cannot tell the neighbours of the addresses, and what can be done.
    fn warn_unannounced(&self, term: u64, reason: i32) {
        let (addresses, device) = (&self.addresses, &self.addresses.device);
        let reason = std::io::Error::from_raw_os_error(reason);
        let remedy = announce::remedy(&reason, device);
        tracing::warn!(
            term,
            "neighbours cannot be told that {addresses} is here ({reason}): until they are, some look for \
             it at another machine, or nowhere. To change that, {remedy}"
        );
    }
}
