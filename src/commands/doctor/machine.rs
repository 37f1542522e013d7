//! What of the node's machine matters: its clock, its buffers, its disk.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::findings::{Findings, Verdict};
use crate::commands::ask::still;
use crate::shell::http::api::views::StatusView;
use crate::shell::socket::BUFFER_SIZE;

/// Writes that are timed.
const WRITES: u32 = 10;
/// Slower than this, writing the record delays elections.
const WRITE_ODD: Duration = Duration::from_millis(50);

/// What of this machine matters: its clock and its buffers.
pub(super) fn machine(findings: &mut Findings) {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    if let Ok(source) = std::fs::read_to_string(path) {
        let source = source.trim();
        let steady = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen"];
        findings.ok_if(
            steady.contains(&source),
            Verdict::Odd,
            "clock",
            [
                format!("the clock source is {source}"),
                format!("the clock source is {source}: leases need a rate true to 0.5 %"),
            ],
        );
    }
    for (name, what) in [("rmem_max", "receive"), ("wmem_max", "send")] {
        let path = format!("/proc/sys/net/core/{name}");
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        let granted: usize = text.trim().parse().unwrap_or(0);
        findings.ok_if(
            granted >= BUFFER_SIZE,
            Verdict::Odd,
            "buffers",
            [
                format!("the {what} buffer may be {granted} bytes"),
                format!(
                    "the {what} buffer may be {granted} bytes, and a node asks for {BUFFER_SIZE}: \
                     in large clusters, sysctl -w net.core.{name}={BUFFER_SIZE}"
                ),
            ],
        );
    }
}

/// How long a record takes to be durable.
pub(super) fn state_folder(findings: &mut Findings, folder: &Path) {
    let about = "state folder";
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let tried = || -> std::io::Result<Duration> {
        let mut file = std::fs::File::options().write(true).create_new(true).open(&path)?;
        let before = Instant::now();
        for _ in 0..WRITES {
            file.write_all(&[0; 512])?;
            file.sync_data()?;
        }
        Ok(before.elapsed() / WRITES)
    };
    let outcome = tried();
    // It may never have been made.
    let _ = std::fs::remove_file(&path);
    let shown = folder.display();
    match outcome {
        Err(error) => findings.add(
            Verdict::Wrong,
            about,
            format!("{shown} cannot be written to: {error}. A voter grants nothing without it"),
        ),
        Ok(time) => findings.ok_if(
            time < WRITE_ODD,
            Verdict::Odd,
            about,
            [
                format!("{shown}: a durable write takes {time:.1?}"),
                format!("{shown}: a durable write takes {time:.1?}, which delays elections"),
            ],
        ),
    }
}

/// A node that does not lead though it could: somebody may have forgotten that.
pub(super) fn drained(findings: &mut Findings, status: &StatusView) {
    if status.node.drained {
        let words = format!(
            "node {} is drained: it votes, but does not lead until it is told `gaggle drain --off`",
            status.node.id
        );
        findings.add(Verdict::Odd, "drained", words);
    }
    if let Some(reason) = &status.node.unhealthy {
        let words = format!(
            "node {} is not healthy, so it does not lead while another may: {reason}",
            status.node.called()
        );
        findings.add(Verdict::Wrong, "health", words);
    }
    if status.node.paused_ms.is_some() {
        let words =
            format!("node {} is paused until `gaggle resume`, or for a while", status.node.id);
        findings.add(Verdict::Odd, "paused", words);
    }
    if let Some(left) = status.node.holds_back_ms {
        let words = format!("node {} holds back for {}", status.node.id, still(left));
        findings.add(Verdict::Ok, "hold", words);
    }
}

/// A disk that does not answer, as its node says.
pub(super) fn hanging_disk(findings: &mut Findings, status: &StatusView) {
    if let Some(hangs) = status.node.disk_hangs_ms {
        let words = format!(
            "the disk of node {} has not confirmed a write for {hangs} ms: as a voter, it grants \
             nothing new until it does. Look to the disk that its state folder is on",
            status.node.called()
        );
        findings.add(Verdict::Wrong, "disk", words);
    }
}
