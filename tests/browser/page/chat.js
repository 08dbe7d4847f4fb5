// A chat page without any library: what a reader of the documentation would write.
const server = new URLSearchParams(location.search).get("server");
const by = (id) => document.getElementById(id);

// What the page has seen, for the tests to look at.
const seen = { streamId: null, requestId: null, steps: [], times: [], events: [], opened: 0, wordsAtError: [] };
let cut = null;

function show(event) {
  seen.events.push(event);
  if (event.type === "delta") {
    by("answer").textContent += JSON.parse(event.data).text;
    seen.steps.push(by("answer").textContent);
    seen.times.push(performance.now());
  }
  if (["done", "error", "cancelled"].includes(event.type)) by("state").textContent = event.type;
}

function parse(block) {
  const event = { type: "message", data: "", id: null };
  for (const line of block.split("\n")) {
    const [name, ...rest] = line.split(": ");
    if (name === "event") event.type = rest.join(": ");
    if (name === "data") event.data += rest.join(": ");
    if (name === "id") event.id = rest.join(": ");
  }
  return event;
}

async function read(response) {
  if (!response.ok) {
    const problem = await response.json();
    by("state").textContent = `${response.status} ${problem.code}: ${problem.detail}`;
    return;
  }
  seen.streamId = response.headers.get("X-Stream-Id");
  seen.requestId = response.headers.get("X-Request-Id");
  by("state").textContent = "streaming";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      by("end").textContent = "The body has ended.";
      return;
    }
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      show(parse(block));
      if (seen.events.length === Number(by("cut-after").value)) {
        cut.abort();
        by("state").textContent = "cut";
        return;
      }
    }
  }
}

async function ask() {
  cut = new AbortController();
  const response = await fetch(`${server}/chat?format=events`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Request-Id": "asked-by-the-page" },
    body: JSON.stringify({ message: by("message").value }),
    signal: cut.signal,
  });
  await read(response);
}

async function resume() {
  const last = seen.events.at(-1).id;
  await read(await fetch(`${server}/chat/streams/${seen.streamId}`, { headers: { "Last-Event-ID": last } }));
}

async function stop() {
  await fetch(`${server}/chat/streams/${seen.streamId}/cancel`, { method: "POST" });
}

async function follow() {
  cut = new AbortController();
  const response = await fetch(`${server}/chat`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ message: by("message").value }),
    signal: cut.signal,
  });
  seen.streamId = response.headers.get("X-Stream-Id");
  cut.abort();
  const source = new EventSource(`${server}/chat/streams/${seen.streamId}`);
  for (const type of ["start", "delta", "done", "cancelled"]) {
    source.addEventListener(type, (event) => show({ type, data: event.data, id: event.lastEventId }));
  }
  source.onopen = () => (seen.opened += 1);
  source.onerror = () => {
    seen.wordsAtError.push(seen.steps.length);
    if (source.readyState === EventSource.CLOSED) by("state").textContent = "closed";
  };
}

// Chromium tells a page nothing of an answer that it may not read.
async function attempt(request) {
  try {
    const response = await request();
    return `${response.type} ${response.status} ${await response.text()}`.trim();
  } catch (error) {
    return error.name;
  }
}

for (const action of [ask, resume, stop, follow]) {
  by(action.name).onclick = () => action().catch((error) => (by("state").textContent = error.name));
}
