// The AG-UI client: one agent for a thread, which runs again and again.

import { HttpAgent } from "@ag-ui/client";

const agents = new Map();

/** An agent behind this URL. */
export async function openAgent({ handle, url, threadId, headers = {} }) {
  const agent = new HttpAgent({ url: `${url}/ag-ui`, threadId, headers });
  agents.set(handle, { agent, events: [], failed: null });
  return tell(handle);
}

/** Say something, or nothing, and run; waits for the end unless told not to. */
export async function runAgent({ handle, message, runId, tools = [], forwardedProps = {}, wait = true }) {
  const kept = agents.get(handle);
  kept.events = [];
  kept.failed = null;
  if (message !== undefined) {
    kept.agent.addMessage(message);
  }
  const onEvent = ({ event }) => {
    kept.events.push(event);
  };
  const running = kept.agent.runAgent({ runId, tools, forwardedProps }, { onEvent }).catch((error) => {
    kept.failed = { message: error.message, status: error.status ?? null };
  });
  if (wait) {
    await running;
  }
  return tell(handle);
}

/** Change what the client has kept. */
export async function setAgentMessages({ handle, messages }) {
  agents.get(handle).agent.setMessages(messages);
  return tell(handle);
}

/** Abort the run. */
export async function abortRun({ handle }) {
  agents.get(handle).agent.abortRun();
  return tell(handle);
}

/** What it has now. */
export async function lookAtAgent({ handle }) {
  return tell(handle);
}

function tell(handle) {
  const { agent, events, failed } = agents.get(handle);
  return { messages: agent.messages, events, failed };
}
