// Says what a gaggle node is, whenever that changes: `goose TERM` or `duck`. See README.md.

const node = process.argv[2] ?? "http://127.0.0.1:9000";
let said;

function say(what) {
  if (what !== said) console.log((said = what));
}

// What a node says of itself, in a status and when its role changes.
function heard(name, text) {
  if (name !== "status" && name !== "role") return;
  const data = JSON.parse(text);
  const { role, term } = data.status ?? data;
  say(role === "goose" ? `goose ${term}` : "duck");
}

// Until the stream ends or is silent for three seconds.
async function follow() {
  const patience = new AbortController();
  let timer = setTimeout(() => patience.abort(), 3000);
  try {
    const answer = await fetch(`${node}/v1/events?every=1s`, { signal: patience.signal });
    let rest = "";
    let name;
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      clearTimeout(timer);
      timer = setTimeout(() => patience.abort(), 3000);
      const lines = (rest + piece).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("event: ")) name = line.slice(7);
        if (line.startsWith("data: ")) heard(name, line.slice(6));
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

for (;;) {
  await follow().catch(() => {}); // It is not there, or says nothing. Ask again.
  say("duck");
  await new Promise((done) => setTimeout(done, 200));
}
