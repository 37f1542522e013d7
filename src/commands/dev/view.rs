//! What a person sees: on a terminal a table that is redrawn in place, in a pipe a line for
//! every change.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::Instant;

use super::child::command_line;
use super::keys;
use super::plan::{Plan, PlannedNode};
use crate::commands::table;
use crate::shell::http::api::views::{Role, StatusView};

/// What is known of one node.
#[derive(Debug)]
struct Row {
    node: PlannedNode,
    pid: Option<u32>,
    ended: Option<ExitStatus>,
    status: Option<StatusView>,
    is_frozen: bool,
    is_cut: bool,
}

/// What was done to the Goose, and when.
#[derive(Clone, Debug)]
struct Disturbance {
    words: String,
    at: Instant,
}

/// What a row says at one moment; a change of it is worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Starting,
    Silent,
    Joining,
    Duck,
    Goose(u64),
    Gone,
}

impl Row {
    fn word(&self) -> Word {
        match (&self.status, self.ended) {
            // Somebody has brought it back by hand.
            (Some(status), _) => match status.role {
                Role::Goose => Word::Goose(status.term),
                Role::Duck if status.voters.is_none() => Word::Joining,
                Role::Duck => Word::Duck,
            },
            (None, Some(_)) => Word::Gone,
            (None, None) => Word::Starting,
        }
    }

    fn cells(&self, word: &Word) -> Vec<String> {
        let role = match word {
            Word::Starting => "starting",
            Word::Silent => "silent",
            Word::Joining => "joining",
            Word::Duck => "Duck",
            Word::Goose(_) => "Goose",
            Word::Gone => "gone",
        };
        let voter = self.status.as_ref().and_then(|status| status.voters.as_ref());
        let votes = voter.map_or("-", |voters| if voters.is_voter { "yes" } else { "no" });
        let pid = match (self.ended, self.pid) {
            (None, Some(pid)) => pid.to_string(),
            _ => "-".to_owned(),
        };
        let term = self.status.as_ref().map_or_else(|| "-".to_owned(), |s| s.term.to_string());
        vec![
            self.node.id.to_string(),
            match (self.is_frozen, self.is_cut) {
                (true, _) => "frozen".to_owned(),
                (false, true) => format!("{role}, cut off"),
                (false, false) => role.to_owned(),
            },
            term,
            votes.to_owned(),
            self.node.address.to_string(),
            self.node.http.to_string(),
            pid,
        ]
    }
}

/// The view of the whole cluster.
#[derive(Debug)]
pub(super) struct View {
    rows: BTreeMap<u16, Row>,
    words: BTreeMap<u16, Word>,
    live: bool,
    /// The node that keys are about, where there are keys.
    chosen: Option<u16>,
    /// The newest term that is known to have begun.
    newest: u64,
    disturbed: Option<Disturbance>,
    /// What is to be said besides what the table shows.
    remarks: Vec<String>,
    /// So many columns are there.
    columns: usize,
    colour: bool,
    drawn: String,
}

impl View {
    /// The view of `plan`: a table if `live`, lines if not; `has_keys`: somebody chooses nodes.
    pub(super) fn new(plan: &Plan, live: bool, has_keys: bool) -> Self {
        let row = |node: &PlannedNode| Row {
            node: node.clone(),
            pid: None,
            ended: None,
            status: None,
            is_frozen: false,
            is_cut: false,
        };
        Self {
            rows: plan.nodes.iter().map(|node| (node.id, row(node))).collect(),
            words: BTreeMap::new(),
            live,
            chosen: plan.nodes.last().map(|node| node.id).filter(|_| live && has_keys),
            newest: 0,
            disturbed: None,
            remarks: Vec::new(),
            columns: usize::MAX,
            colour: table::colour_allowed(),
            drawn: String::new(),
        }
    }

    /// What is said before anything happens.
    pub(super) fn greeting(&self) -> String {
        let mut nodes = self.rows.values().map(|row| &row.node);
        let (Some(first), last) = (nodes.next(), nodes.next_back()) else {
            return String::new();
        };
        let last = last.unwrap_or(first);
        let kill = if self.chosen.is_some() { "the key k, or kill -9 PID" } else { "kill -9 PID" };
        format!(
            "{} nodes, UDP {} to {}, HTTP {} to {}. Logs: {}\n\
             Ask one:   curl http://{}/   or look at that page in a browser\n\
             Kill one:  {kill}\n\
             End all:   Ctrl-C\n\n",
            self.rows.len(),
            first.address,
            last.address.port(),
            first.http,
            last.http.port(),
            first.log.parent().unwrap_or(&first.log).display(),
            first.http,
        )
    }

    /// The node that keys are about.
    pub(super) fn chosen(&self) -> Option<u16> {
        self.chosen
    }

    /// Chooses the node that is so many rows below the chosen one.
    pub(super) fn move_by(&mut self, rows: isize) {
        let ids: Vec<u16> = self.rows.keys().copied().collect();
        let place = self.chosen.and_then(|chosen| ids.iter().position(|id| *id == chosen));
        let next = place.and_then(|place| ids.get(place.checked_add_signed(rows)?));
        self.chosen = next.copied().or(self.chosen);
    }

    /// Chooses this node, if there is one of this id.
    pub(super) fn choose(&mut self, id: u16) {
        if self.rows.contains_key(&id) {
            self.chosen = Some(id);
        }
    }

    /// Freezes a node, or thaws it. Returns whether it is frozen from here on.
    pub(super) fn turn_frozen(&mut self, id: u16, now: Instant) -> bool {
        self.turn(id, |row| &mut row.is_frozen, "was frozen", now)
    }

    /// Cuts a node off, or mends that. Returns whether it is cut off from here on.
    pub(super) fn turn_cut(&mut self, id: u16, now: Instant) -> bool {
        self.turn(id, |row| &mut row.is_cut, "was cut off", now)
    }

    fn turn(
        &mut self,
        id: u16,
        fault: fn(&mut Row) -> &mut bool,
        what: &str,
        now: Instant,
    ) -> bool {
        let Some(is_on) = self.rows.get_mut(&id).map(fault) else { return false };
        *is_on = !*is_on;
        let is_on = *is_on;
        if is_on {
            self.disturb(id, what, now);
        }
        is_on
    }

    /// A node's process ended at this moment.
    pub(super) fn ended(&mut self, id: u16, at: Instant) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.is_frozen = false;
        }
        self.disturb(id, "ended", at);
    }

    /// Something was done to this node. It matters if it leads.
    fn disturb(&mut self, id: u16, what: &str, at: Instant) {
        if matches!(self.words.get(&id), Some(Word::Goose(term)) if *term == self.newest) {
            self.disturbed = Some(Disturbance { words: format!("node {id} {what}"), at });
        }
    }

    /// Whether this is a term that has not been seen yet: then its beginning is worth a question.
    pub(super) fn is_news(&self, status: &StatusView) -> bool {
        status.role == Role::Goose && status.term > self.newest
    }

    /// A node leads since then.
    pub(super) fn began(&mut self, id: u16, term: u64, at: Instant) {
        if term <= self.newest {
            return;
        }
        self.newest = term;
        if let Some(Disturbance { words, at: disturbed }) = self.disturbed.take() {
            let gap = at.saturating_duration_since(disturbed);
            let gap = Duration::from_micros(u64::try_from(gap.as_micros()).unwrap_or(u64::MAX));
            let gap = gap.as_secs_f64() * 1000.0;
            self.remarks.push(format!("node {id} leads, {gap:.0} ms after {words} (term {term})"));
        }
    }

    /// The terminal is so wide.
    pub(super) fn fit(&mut self, columns: usize) {
        self.columns = columns.max(20);
    }

    /// A node answered, or did not.
    pub(super) fn hear(&mut self, id: u16, status: Option<StatusView>) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.status = status;
        }
    }

    /// A child lives under this process id, or has ended.
    pub(super) fn see(&mut self, id: u16, pid: Option<u32>, ended: Option<ExitStatus>) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.pid = pid;
            row.ended = ended;
        }
    }

    /// What is to be written now, if anything changed.
    pub(super) fn update(&mut self) -> Option<String> {
        let changes = self.changes();
        let remarks = std::mem::take(&mut self.remarks);
        if !self.live {
            let lines = changes.into_iter().map(|(_, line)| line).chain(remarks);
            let lines: String = lines.map(|line| line + "\n").collect();
            return (!lines.is_empty()).then_some(lines);
        }
        let shown = self.table();
        if shown == self.drawn && remarks.is_empty() {
            return None;
        }
        // How to bring a node back stays on the screen, above the table: it is too long for a
        // cell, and a line that the terminal wraps could not be drawn over.
        let kept = changes.into_iter().filter(|(word, _)| *word == Word::Gone);
        // With keys, one of them brings it back.
        let kept = kept.map(|(_, line)| match self.chosen {
            Some(_) => {
                line.lines().next().unwrap_or_default().replace("; bring it back:", "") + "\n"
            }
            None => line + "\n\n",
        });
        let remarks = remarks.into_iter().map(|line| line + "\n");
        let kept: String = kept.chain(remarks).collect();
        let mut text = String::new();
        let lines = self.drawn.matches('\n').count();
        if lines > 0 {
            // To the first line of the table, and clear all below.
            let _ = write!(text, "\x1b[{lines}A\r\x1b[J");
        }
        text.push_str(&kept);
        text.push_str(&if self.colour { table::highlight(&shown) } else { shown.clone() });
        self.drawn = shown;
        Some(text)
    }

    /// The current word of a row: what it says, and whether it has spoken before.
    fn word(&self, row: &Row) -> Word {
        match (row.word(), self.words.get(&row.node.id)) {
            (Word::Starting, Some(before)) if *before != Word::Starting => Word::Silent,
            (word, _) => word,
        }
    }

    /// What is new of each node that says something else than before.
    fn changes(&mut self) -> Vec<(Word, String)> {
        let mut changes = Vec::new();
        let words: Vec<(u16, Word)> =
            self.rows.iter().map(|(id, row)| (*id, self.word(row))).collect();
        for (id, word) in words {
            if self.words.get(&id) == Some(&word) {
                continue;
            }
            if let Some(row) = self.rows.get(&id) {
                changes.push((word.clone(), line(row, &word)));
            }
            self.words.insert(id, word);
        }
        changes
    }

    fn table(&self) -> String {
        let cells = |row: &Row| {
            let mut cells = row.cells(&self.word(row));
            if let (Some(chosen), Some(first)) = (self.chosen, cells.first_mut()) {
                first.insert_str(0, if chosen == row.node.id { "> " } else { "  " });
            }
            cells
        };
        let rows: Vec<Vec<String>> = self.rows.values().map(cells).collect();
        let first = if self.chosen.is_some() { "  NODE" } else { "NODE" };
        let head = [first, "ROLE", "TERM", "VOTES", "UDP", "HTTP", "PID"];
        let mut text = table::render(&head, &rows);
        if self.chosen.is_some() {
            text.push_str(&format!("\n{}\n", keys::HELP));
        }
        // A line that the terminal wraps could not be drawn over.
        let fitting = |line: &str| line.chars().take(self.columns - 1).collect::<String>() + "\n";
        text.lines().map(fitting).collect()
    }

    /// The nodes whose process ended and that answer again: somebody has brought them back.
    pub(super) fn brought_back(&self) -> impl Iterator<Item = &PlannedNode> {
        let back = |row: &&Row| row.ended.is_some() && row.status.is_some();
        self.rows.values().filter(back).map(|row| &row.node)
    }
}

/// A change in a sentence.
fn line(row: &Row, word: &Word) -> String {
    let id = row.node.id;
    let pid = match (row.ended, row.pid) {
        (None, Some(pid)) => format!(", pid {pid}"),
        _ => String::new(),
    };
    match word {
        Word::Starting => format!("node {id} is starting on {}{pid}", row.node.address),
        Word::Silent => format!("node {id} does not answer{pid}"),
        Word::Joining => format!("node {id} is joining{pid}"),
        Word::Duck => format!("node {id} is a Duck{pid}"),
        Word::Goose(term) => format!("node {id} is the Goose of term {term}{pid}"),
        Word::Gone => gone(row),
    }
}

/// How a node ended, and how to bring it back.
fn gone(row: &Row) -> String {
    use std::os::unix::process::ExitStatusExt;
    let how = match row.ended.map(|status| (status.signal(), status.code())) {
        Some((Some(signal), _)) => format!("killed by signal {signal}"),
        Some((None, Some(code))) => format!("exit code {code}, see {}", row.node.log.display()),
        _ => "ended".to_owned(),
    };
    format!(
        "node {} is gone ({how}); bring it back:\n  {}",
        row.node.id,
        command_line(&row.node.arguments)
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn view(live: bool) -> View {
        let node = |id: u16| PlannedNode {
            id,
            address: ([127, 0, 0, 1], 7999 + id).into(),
            listen: ([127, 0, 0, 1], 7999 + id).into(),
            http: ([127, 0, 0, 1], 8999 + id).into(),
            log: "/tmp/x/node.log".into(),
            arguments: vec!["run".to_owned(), format!("--id={id}")],
        };
        let nodes = vec![node(1), node(2)];
        let mut view = View::new(&Plan::of(nodes), live, false);
        view.rows.values_mut().for_each(|row| row.pid = Some(70));
        view.colour = false;
        view
    }

    fn status(role: &str) -> Option<StatusView> {
        let text = r#"{"cluster":"dev","index":1,"version":"1",
            "node":{"id":1,"boot":"1","addr":"127.0.0.1:8000","http":null,"uptime_ms":1},
            "role":"ROLE","term":4,"lease":null,"goose":null,
            "voters":{"version":1,"ids":[1],"reachable":[1],"majority":1,"is_voter":true},
            "members":{"alive":1,"suspect":0,"down":0}}"#;
        Some(serde_json::from_str(&text.replace("ROLE", role)).unwrap())
    }

    #[test]
    fn in_a_pipe_every_change_is_one_line_and_silence_is_nothing() {
        let mut view = view(false);
        let expected = "node 1 is starting on 127.0.0.1:8000, pid 70\n\
                        node 2 is starting on 127.0.0.1:8001, pid 70\n";
        assert_eq!(view.update().as_deref(), Some(expected));
        assert_eq!(view.update(), None);
        view.hear(1, status("goose"));
        assert_eq!(view.update().as_deref(), Some("node 1 is the Goose of term 4, pid 70\n"));
        view.hear(1, None);
        assert_eq!(view.update().as_deref(), Some("node 1 does not answer, pid 70\n"));
        view.see(1, Some(70), Some(ExitStatus::from_raw(9)));
        let text = view.update().unwrap();
        assert!(
            text.starts_with("node 1 is gone (killed by signal 9); bring it back:\n"),
            "{text}"
        );
        assert!(text.ends_with(" run --id=1\n"), "{text}");
        view.hear(1, status("duck"));
        assert_eq!(view.update().as_deref(), Some("node 1 is a Duck\n"));
        assert_eq!(view.brought_back().map(|node| node.id).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn on_a_terminal_the_table_is_drawn_over() {
        let mut view = view(true);
        let first = view.update().unwrap();
        assert!(first.starts_with("NODE  ROLE      TERM"), "{first}");
        assert_eq!(view.update(), None);
        view.hear(2, status("goose"));
        let second = view.update().unwrap();
        assert!(second.starts_with("\x1b[3A\r\x1b[JNODE"), "{second:?}");
        view.hear(2, None);
        view.see(2, Some(70), Some(ExitStatus::from_raw(9)));
        let third = view.update().unwrap();
        assert!(third.starts_with("\x1b[3A\r\x1b[Jnode 2 is gone"), "{third:?}");
        assert!(third.lines().filter(|line| line.starts_with(['1', '2'])).all(|l| l.len() < 80));
    }

    #[test]
    fn it_says_how_long_after_a_fault_of_the_goose_another_one_leads() {
        let (start, later) = (Instant::now(), |ms| Instant::now() + Duration::from_millis(ms));
        let mut view = view(false);
        let leads = |view: &mut View, id: u16, ms| {
            view.hear(id, status("goose"));
            view.began(id, 4 + ms, later(ms));
            view.update().unwrap()
        };
        assert!(!leads(&mut view, 1, 0).contains("after"), "nothing was done to anybody");
        // What is done to a Duck is no matter.
        view.turn_cut(2, start);
        assert!(view.disturbed.is_none());
        view.ended(1, later(10));
        view.hear(1, None);
        assert!(
            leads(&mut view, 2, 12).contains("node 2 leads, 2 ms after node 1 ended (term 16)\n")
        );
    }

    #[test]
    fn keys_choose_a_row_and_a_narrow_terminal_cuts_lines_short() {
        let mut view = view(true);
        view.chosen = Some(2);
        view.move_by(1);
        assert_eq!(view.chosen(), Some(2), "there is none below");
        view.move_by(-1);
        view.choose(9);
        assert_eq!(view.chosen(), Some(1));
        assert!(view.turn_frozen(2, Instant::now()));
        let shown = view.update().unwrap();
        assert!(shown.contains("> 1 ") && shown.contains("frozen") && shown.contains("q end all"));
        view.fit(30);
        view.turn_cut(1, Instant::now());
        let narrow = view.update().unwrap();
        assert!(narrow.lines().all(|line| line.chars().count() < 42), "{narrow}");
    }
}
