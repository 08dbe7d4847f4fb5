// @microsoft/fetch-event-source as pages use it, with what it wants of a browser.

import { fetchEventSource } from "@microsoft/fetch-event-source";

globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
globalThis.window = { setTimeout, clearTimeout, fetch };

/** Post a message and follow the answer through every reconnect, without waiting before one. */
export async function follow({ url, body, headers = {}, most = 10 }) {
  const events = [];
  const waits = [];
  let requests = 0;
  window.setTimeout = (again, wait) => {
    waits.push(wait);
    return setTimeout(again, 0);
  };
  window.fetch = (...request) => {
    requests += 1;
    return fetch(...request);
  };
  await fetchEventSource(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    onmessage: ({ event, data, id }) => events.push({ event, data, id }),
    onerror: (error) => {
      if (requests >= most) {
        throw error; // it would go on for ever
      }
    },
  });
  return { events, waits, requests };
}

/** Read one body that comes in these pieces. */
export async function read(pieces) {
  const events = [];
  const retries = [];
  const response = new Response(ReadableStream.from(pieces), { headers: { "content-type": "text/event-stream" } });
  await fetchEventSource("http://localhost/", {
    fetch: async () => response,
    onmessage: ({ event, data, id, retry }) => {
      events.push({ event: event || "message", data, id });
      if (retry !== undefined) {
        retries.push(retry);
      }
    },
    onerror: (error) => {
      throw error;
    },
  });
  return { events, retries, errors: [] };
}
