// Answers questions about streams, one JSON line each way, for as long as standard input is open.

import { createInterface } from "node:readline";
import * as agUi from "./ag-ui.mjs";
import * as aiSdk from "./ai-sdk.mjs";
import { readAtEveryChunkSize } from "./parsers.mjs";
import { follow } from "./fetch-event-source.mjs";
import * as openai from "./openai.mjs";

const answers = { follow, readAtEveryChunkSize, ...agUi, ...aiSdk, ...openai };

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...question } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await answers[ask](question) };
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
