// What three clients make of one body, given to them in pieces of one size after the other.

import { createParser as createParser3 } from "eventsource-parser";
import { createParser as createParser4 } from "eventsource-parser-4";
import { read as readWithFetchEventSource } from "./fetch-event-source.mjs";

const readers = {
  "eventsource-parser 3": (pieces) => readWithParser(createParser3, pieces),
  "eventsource-parser 4": (pieces) => readWithParser(createParser4, pieces),
  "fetch-event-source": readWithFetchEventSource,
};

/** The different outcomes over all chunk sizes: a client that always reads the same gives one. */
export async function readAtEveryChunkSize({ client, body }) {
  const bytes = Buffer.from(body, "base64");
  const outcomes = new Set();
  for (let size = 1; size <= bytes.length; size++) {
    const pieces = [];
    for (let at = 0; at < bytes.length; at += size) {
      pieces.push(bytes.subarray(at, at + size));
    }
    outcomes.add(JSON.stringify(await readers[client](pieces)));
  }
  return [...outcomes].map((outcome) => JSON.parse(outcome));
}

function readWithParser(createParser, pieces) {
  const events = [];
  const retries = [];
  const errors = [];
  const parser = createParser({
    onEvent: ({ event, data, id }) => events.push({ event: event ?? "message", data, id: id ?? "" }),
    onRetry: (wait) => retries.push(wait),
    onError: (error) => errors.push(String(error)),
  });
  const decoder = new TextDecoder();
  for (const piece of pieces) {
    parser.feed(decoder.decode(piece, { stream: true }));
  }
  return { events, retries, errors };
}
