// The dashboard of one node. Everything it shows is what this node says; it asks nobody else.
// All text goes in as text, never as markup.
"use strict";

const ROWS_AT_FIRST = 100;
const EVENTS_SHOWN = 100;
const STRIP_TERMS = 24;
const RETRY_AFTER_REFUSAL = 3000;
// The node speaks every 250 ms. Three words in a row that do not come are no hiccup.
const SILENCE = 750;
// A connection on which nothing has come for so long leads nowhere: another one is tried.
const ABANDON = 5000;
// The limit of /livez, in milliseconds.
const STUCK = 3000;
// How often the node's pace is read, in milliseconds, and from when on it is odd: seconds by which its
// driver came late, and terms within an hour.
const PACE_READ = 2000;
const DELAY_ODD = 0.2;
const TERMS_ODD = 10;

const element = (id) => document.getElementById(id);
let members = [];
let index = null;
let showAll = false;
let terms = [];
let electorates = [];
let latest = null;
let lastSeen = null;
let heard = performance.now();
let boot = null;
let paceRead = -PACE_READ;

function make(name, text, attributes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  return made;
}

// Nothing is touched that is already so: a screen reader speaks of every change.
function say(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

function span(milliseconds) {
  if (milliseconds < 1000) return `${milliseconds} ms`;
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 60) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
}

const HOUR = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const hour = (text) => new Date(text).toLocaleTimeString([], HOUR);

// The hour, and the day if it is not today's.
function moment(text) {
  const date = new Date(text);
  const today = date.toDateString() === new Date().toDateString();
  return today ? hour(text) : `${date.toLocaleDateString()}, ${hour(text)}`;
}

function clock(text) {
  const time = make("time", hour(text), { datetime: text });
  time.title = new Date(text).toLocaleString();
  return time;
}

const list = (ids) => ids.length < 2 ? ids.join("") :
  `${ids.slice(0, -1).join(", ")} and ${ids[ids.length - 1]}`;

// A node is called by its id, and by its name if it has one that says more.
const named = (id, name) => name && name !== `${id}` ? `${id} (${name})` : `${id}`;

function link(state, text) {
  element("link").dataset.state = state;
  document.body.classList.toggle("stale", state === "lost");
  say("link", text);
}

// Why nobody leads, as far as this node can tell.
function whyNone(status, voters) {
  const known = (status.warnings || []).find((warning) => warning.severe);
  if (known) return `${known.words[0].toUpperCase()}${known.words.slice(1)}.`;
  const may = members.some((it) => it.eligible && ["alive", "suspect"].includes(it.state));
  if (members.length && !may) {
    return "No member may lead: each is drained, not healthy, or never to be Goose.";
  }
  if (!voters) return "This node has not learned yet who votes in its cluster.";
  const all = voters.voters;
  const asks = status.voters.is_voter || all.some((voter) => voter.answered_ms !== null);
  if (!asks) return "This node does not ask the voters itself: look at the page of a voter.";
  const missing = all.filter((voter) => !voter.reachable).map((voter) => voter.id);
  const here = all.length - missing.length;
  if (here < voters.majority) {
    const who = missing.length === 1 ? `voter ${missing[0]} does` : `voters ${list(missing)} do`;
    return `Quorum lost: ${who} not answer. ${here} of ${all.length} voters can be reached and ` +
      `${voters.majority} are needed.`;
  }
  return "A majority of the voters answers: an election should be under way.";
}

// How long a term has lasted by now, in milliseconds.
const lasted = (term) => Math.round(
  term.duration_ms + (term.ended ? 0 : performance.now() - term.read));

function lastOne() {
  const last = terms[terms.length - 1];
  if (!last || !last.ended) return "";
  return `Nobody since ${moment(last.ended)}. The last was node ${named(last.id, last.name)}, of term ${last.term}: ` +
    `${last.ended_reason}.`;
}

function showGoose({ status, goose, voters }) {
  const own = goose && goose.id === status.node.id && status.role === "goose";
  element("goose").dataset.state = goose ? "led" : "none";
  if (!goose) {
    say("headline", "There is no Goose");
    say("explanation", whyNone(status, voters));
    say("since", lastOne());
  } else {
    const called = named(goose.id, goose.name);
    say("headline", own ? `This node, ${called}, is the Goose` : `Node ${called} is the Goose`);
    say("explanation", `Term ${goose.term}, at ${goose.addr}.`);
    const term = terms.find((term) => term.term === goose.term);
    say("since", term ? `For ${span(lasted(term))}, since ${moment(term.time)}.` : "");
  }
  const way = !own && goose && goose.http;
  element("way").hidden = !way;
  if (way) element("way-link").setAttribute("href", `${goose.http_tls ? "https" : "http"}://${goose.http}/`);
  document.title = `${goose ? `Goose: node ${named(goose.id, goose.name)}` : "No Goose"} · ${status.cluster}`;
  showLease(status, goose, own);
}

function showLease(status, goose, own) {
  element("lease").hidden = !goose;
  if (!goose) return;
  const duration = own ? status.lease.duration_ms : Math.max(goose.expires_in_ms + goose.age_ms, 1);
  const fill = element("fill");
  fill.style.transition = "none";
  fill.style.transform = `scaleX(${Math.min(goose.expires_in_ms / duration, 1)})`;
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
    // Read, so that the jump happens before the draining begins.
    fill.getBoundingClientRect();
    fill.style.transition = `transform ${goose.expires_in_ms}ms linear`;
    fill.style.transform = "scaleX(0)";
  }
  say("lease-words", own ?
    `Lease: ${goose.expires_in_ms} of ${duration} ms left. The voters renew it all the time.` :
    `Lease: last confirmed ${goose.age_ms} ms ago, believed for ${goose.expires_in_ms} ms more.`);
}

// A change of voters under way; only the Goose knows of it.
function changing(change) {
  if (!change) return "";
  const called = (id) => named(id, (members.find((member) => member.id === id) || {}).name);
  const who = change.voters.map(called);
  return `The voters change: ${list(who)} ${who.length === 1 ? "is" : "are"} to vote. ` +
    `Waiting for ${change.waits_for}.`;
}

// What keeps this node from leading, or the Goose from giving its lease away.
function showOwn({ node, role }) {
  const words = [];
  if (node.unhealthy) {
    words.push(`This node is not healthy${role === "goose" ? "" : " and does not lead"}: ${node.unhealthy}.`);
  }
  if (node.drained) words.push("This node is drained: it does not lead until `gaggle drain --off`.");
  say("own", words.join(" "));
  // These count down, so no screen reader is to speak of each change.
  const until = [];
  if (node.holds_back_ms) until.push(`This node holds back for ${span(node.holds_back_ms)} more.`);
  if (node.paused_ms) {
    until.push(`No change by choice for ${span(node.paused_ms)} more, or until \`gaggle resume\`.`);
  }
  say("until", until.join(" "));
}

function showVoters({ status, goose, voters }) {
  say("change", changing(voters && voters.change));
  if (!voters) {
    say("quorum", "Not known yet.");
    element("voters").replaceChildren();
    return;
  }
  const reachable = voters.voters.filter((voter) => voter.reachable).length;
  const asks = status.voters.is_voter || voters.voters.some((voter) => voter.answered_ms !== null);
  say("quorum", asks ?
    `${reachable} of ${voters.voters.length} can be reached; ${voters.majority} make a majority.` :
    `${voters.voters.length} voters. This node does not ask them itself.`);
  const leads = status.role === "goose";
  const holder = element("voters");
  while (holder.children.length > voters.voters.length) holder.lastChild.remove();
  voters.voters.forEach((voter, place) => {
    const card = holder.children[place] || holder.appendChild(make("li"));
    const own = voter.id === status.node.id;
    const unsure = !voter.reachable && voter.answered_ms === null && !status.voters.is_voter;
    const reach = own ? "this node" : voter.reachable ? "reachable" :
      unsure ? "not asked from here" : "does not answer";
    const answered = own || voter.answered_ms === null ? "" :
      voter.reachable ? ", answered lately" : `, last answered ${span(voter.answered_ms)} ago`;
    const grant = !leads ? "" : voter.granting ? "grants the lease" : "does not grant the lease";
    const lines = [
      ["strong", `Voter ${named(voter.id, voter.name)}${goose && goose.id === voter.id ? ", the Goose" : ""}`,
        goose && goose.id === voter.id ? "goose" : ""],
      ["p", voter.addr || "address not known", "unsure"],
      ["p", reach + answered, voter.reachable ? "yes" : unsure ? "unsure" : "no"],
    ];
    if (leads) lines.push(["p", grant, voter.granting ? "yes" : "no"]);
    if (voters.change && !voters.change.voters.includes(voter.id)) {
      lines.push(["p", "is to vote no more", "wait"]);
    }
    const text = lines.map((line) => line[1]).join("\n");
    if (card.dataset.text === text) return;
    card.dataset.text = text;
    card.dataset.state = unsure ? "" : voter.reachable ? "yes" : "no";
    card.replaceChildren(...lines.map(([name, words, kind]) => make(name, words, { class: kind })));
  });
}

// The same as the list below it, drawn to scale: who led for how long, and when nobody did.
function showStrip() {
  const parts = [];
  terms.slice(-STRIP_TERMS).forEach((term, place, all) => {
    const state = term.ended ? "past" : "now";
    parts.push([state, lasted(term), term.name || `${term.id}`,
      `Term ${term.term}: node ${named(term.id, term.name)}`]);
    const next = all[place + 1];
    const until = next ? Date.parse(next.time) : Date.now();
    const gap = term.ended ? until - Date.parse(term.ended) : 0;
    if (gap > 0) parts.push(["gap", gap, "", `Nobody for ${span(gap)}`]);
  });
  const holder = element("strip");
  while (holder.children.length > parts.length) holder.lastChild.remove();
  parts.forEach(([state, width, text, title], place) => {
    const part = holder.children[place] || holder.appendChild(make("span"));
    part.dataset.state = state;
    part.title = title;
    part.style.flexGrow = width;
    if (part.textContent !== text) part.textContent = text;
  });
}

function showHistory() {
  const items = [];
  const changes = electorates.slice();
  // The changes of the voters after this moment stand above it.
  const changesAfter = (time) => {
    while (changes.length && Date.parse(changes[changes.length - 1].time) >= time) {
      const { time: at, voters } = changes.pop();
      const item = make("li", "", { "data-state": "voters" });
      item.append(`Voters: ${list(voters)}, since `, clock(at));
      items.push(item);
    }
  };
  terms.slice().reverse().forEach((term, place, all) => {
    if (term.ended) changesAfter(Date.parse(term.ended));
    const later = all[place - 1];
    if (term.ended && later) {
      const gap = Date.parse(later.time) - Date.parse(term.ended);
      if (gap > 0) items.push(make("li", `Nobody for ${span(gap)}`, { "data-state": "gap" }));
    } else if (term.ended) {
      items.push(make("li", `Nobody since ${hour(term.ended)}`, { "data-state": "gap" }));
    }
    changesAfter(Date.parse(term.time));
    const item = make("li", "", { "data-state": term.ended ? "past" : "now" });
    item.append(make("strong", `Term ${term.term}: node ${named(term.id, term.name)}`), ", from ",
      clock(term.time));
    if (term.ended) item.append(" to ", clock(term.ended), `, ${span(term.duration_ms)}`);
    item.append(make("span", `Began: ${term.reason}.`, { class: "quiet" }));
    if (term.ended_reason) {
      item.append(make("span", `Ended: ${term.ended_reason}.`, { class: "quiet" }));
    }
    items.push(item);
  });
  changesAfter(0);
  element("history").replaceChildren(...items);
  showStrip();
  say("history-note", terms.length ? "As this node saw it since it was started." :
    "This node has seen no Goose yet.");
}

const tags = (member) => Object.entries(member.tags || {}).map((tag) => tag.join("=")).join(" ");

// Whoever leads comes first, then who is missing: among a thousand nobody looks further.
const rank = (member) =>
  member.role === "goose" ? 0 : { suspect: 1, down: 2, alive: 3, left: 4 }[member.state];

// What a member that does not lead is. Why another one may not is known to that one alone.
const duck = (member, own) => member.eligible ? "Duck" :
  member.unhealthy ? `Duck, not healthy: ${member.unhealthy}` :
    member.drained ? "Duck, drained" : member.id === own ? "Duck, never to be Goose" :
      "Duck, may not lead: drained, not healthy, or never to be Goose; its own page says which";

function showMembers() {
  const count = (state) => members.filter((member) => member.state === state).length;
  say("counts", `${count("alive")} alive, ${count("suspect")} suspect, ${count("down")} down` +
    `${count("left") ? `, ${count("left")} left` : ""}.`);
  const words = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (member) => `${member.id} ${member.name || ""} ${member.addr} ${member.state} ${member.role} ` +
    `${tags(member)}`.toLowerCase();
  const found = members.filter((member) => words.every((word) => text(member).includes(word)))
    .sort((one, other) => rank(one) - rank(other) || one.id - other.id);
  const shown = showAll ? found : found.slice(0, ROWS_AT_FIRST);
  const tagged = members.some((member) => tags(member));
  element("tags-head").hidden = !tagged;
  const rows = element("rows");
  while (rows.children.length > shown.length) rows.lastChild.remove();
  shown.forEach((member, place) => {
    const row = rows.children[place] || rows.appendChild(make("tr"));
    const cells = [named(member.id, member.name), member.addr, member.state,
      member.role === "goose" ? "Goose" : duck(member, latest && latest.status.node.id)];
    if (tagged) cells.push(tags(member));
    const line = cells.join("\n");
    if (row.dataset.text === line) return;
    row.dataset.text = line;
    row.dataset.role = member.role;
    row.replaceChildren(...cells.map((cell) => make("td", String(cell))));
    row.children[2].className = { alive: "", suspect: "wait", down: "no", left: "unsure" }[member.state];
  });
  const rest = found.length - shown.length;
  element("more").hidden = rest === 0;
  say("more", `Show all ${found.length}`);
  say("found", words.length ? `${found.length} of ${members.length} found.` :
    rest ? `The first ${shown.length} of ${members.length}.` : "");
}

function showEvent(event) {
  const data = JSON.parse(event.data);
  const item = make("li", "");
  if (data.time) item.append(clock(data.time));
  item.append(data.words);
  const holder = element("events");
  holder.prepend(item);
  while (holder.children.length > EVENTS_SHOWN) holder.lastChild.remove();
  element("no-events").hidden = true;
}

// Asks once for what may have changed many times.
function gatherer(pause, work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; work(); }, pause);
  };
}

async function read(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

const readHistory = gatherer(50, async () => {
  try {
    const read_at = performance.now();
    const past = await read("v1/history");
    terms = past.terms.map((term) => ({ ...term, read: read_at }));
    electorates = past.voters;
    showHistory();
    if (latest) showGoose(latest);
  } catch { /* The stream says that the node is gone. */ }
});

const readMembers = gatherer(500, async () => {
  try {
    members = (await read("v1/members")).members;
    showMembers();
  } catch { /* As above. */ }
});

// The same limits as those of `gaggle doctor`.
function showPace(metrics) {
  const value = (name) => {
    const line = metrics.split("\n").find((it) => it.startsWith(`${name} `));
    return line ? Number(line.slice(name.length)) : 0;
  };
  const words = [];
  const delay = value("gaggle_driver_delay_max_seconds");
  if (delay >= DELAY_ODD) {
    words.push(`It once came round ${span(delay * 1000)} late: its machine is too busy, or froze it.`);
  }
  const late = value("gaggle_lease_renewals_late_total");
  if (late) words.push(`${late} confirmations of the lease came late: the network or the voters are slow at times.`);
  const count = value("gaggle_terms_last_hour");
  if (count > TERMS_ODD) words.push(`${count} terms began within the last hour: see below why each ended.`);
  say("pace", words.length ? `Since this node was started: ${words.join(" ")}` : "");
}

// While the node speaks, and not when it may be gone.
async function readPace() {
  if (performance.now() - paceRead < PACE_READ) return;
  paceRead = performance.now();
  try {
    const answer = await fetch("metrics", { cache: "no-store" });
    if (answer.ok) showPace(await answer.text());
  } catch { /* The stream says that the node is gone. */ }
}

function showStatus(event) {
  latest = JSON.parse(event.data);
  lastSeen = new Date();
  heard = performance.now();
  const { status } = latest;
  const stuck = status.node.driver_age_ms;
  if (stuck >= STUCK) link("lost", `This node is stuck, for ${span(stuck)}: restart it`);
  else link("live", "Live");
  say("cluster", status.cluster);
  say("node", `as node ${named(status.node.id, status.node.name)} sees it, a ${status.role === "goose" ? "Goose" : "Duck"}` +
    `${status.voters && status.voters.is_voter ? " and voter" : ""}`);
  showGoose(latest);
  showOwn(status);
  showVoters(latest);
  showStrip();
  readPace();
  // Should the past not fit to this, its reading failed or came too early.
  const last = terms[terms.length - 1];
  const led = latest.goose ? latest.goose.term : null;
  if (led !== (last && !last.ended ? last.term : null)) readHistory();
  if (boot !== status.node.boot) {
    boot = status.node.boot;
    readHistory();
  }
  // What members say of themselves is learnt without an event.
  if (index !== status.index) {
    index = status.index;
    readMembers();
  }
}

function lose() {
  const since = lastSeen ? `; what is below was true at ${hour(lastSeen)}` : "";
  link("lost", `This node does not answer: reconnecting${since}`);
}

// A node that is frozen, or a network that is cut, ends no connection: only silence tells.
function listen(stream, silent) {
  if (stream.readyState === EventSource.CLOSED) return;
  const silence = performance.now() - Math.max(heard, silent);
  if (silence > SILENCE && lastSeen) lose();
  if (silence > ABANDON) {
    stream.close();
    connect();
    return;
  }
  setTimeout(listen, 100, stream, silent);
}

function connect() {
  const stream = new EventSource("v1/events?every=250ms");
  stream.addEventListener("status", showStatus);
  for (const name of ["role", "goose", "member", "voter", "node", "warning", "gap", "end"]) {
    stream.addEventListener(name, (event) => {
      showEvent(event);
      if (["role", "goose", "voter", "gap"].includes(name)) readHistory();
      if (["role", "goose", "member", "gap"].includes(name)) readMembers();
    });
  }
  listen(stream, performance.now());
  stream.onerror = () => {
    lose();
    // A browser comes back by itself, unless the node refused it.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_AFTER_REFUSAL);
  };
}

element("search").addEventListener("input", () => { showAll = false; showMembers(); });
element("more").addEventListener("click", () => { showAll = true; showMembers(); });
connect();
