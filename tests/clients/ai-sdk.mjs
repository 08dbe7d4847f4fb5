// The AI SDK's own chat, in three of its versions, as its hooks for React and others drive it.

import * as ai7 from "ai";
import * as ai5 from "ai-5";
import * as ai6 from "ai-6";

const versions = { 5: ai5, 6: ai6, 7: ai7 };
const chats = new Map();

/** What a hook keeps for a page. */
class State {
  status = "ready";
  error = undefined;

  constructor(messages) {
    this.messages = messages;
  }

  pushMessage = (message) => {
    this.messages = [...this.messages, message];
  };

  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };

  replaceMessage = (index, message) => {
    this.messages = [...this.messages.slice(0, index), structuredClone(message), ...this.messages.slice(index + 1)];
  };

  snapshot = (thing) => structuredClone(thing);
}

/** A page is loaded: its chat, with the messages that it has kept. */
export async function openChat({ handle, version, url, id, messages = [], headers = {} }) {
  const { AbstractChat, DefaultChatTransport } = versions[version];
  class Chat extends AbstractChat {}
  const data = [];
  const transport = new DefaultChatTransport({ api: `${url}/api/chat`, headers });
  const onData = (part) => data.push(part);
  chats.set(handle, { chat: new Chat({ id, state: new State(messages), transport, onData }), data });
  return tell(handle);
}

/** Call a method of the chat. Its promise ends when the answer does, and is waited for unless told not to. */
export async function call({ handle, method, options = [], wait = true }) {
  const called = chats.get(handle).chat[method](...options);
  if (wait) {
    await called;
  } else {
    called.catch(() => {});
  }
  return tell(handle);
}

/** Change what the page has kept. */
export async function setMessages({ handle, messages }) {
  chats.get(handle).chat.messages = messages;
  return tell(handle);
}

/** What the page shows now. */
export async function look({ handle }) {
  return tell(handle);
}

function tell(handle) {
  const { chat, data } = chats.get(handle);
  return { status: chat.status, error: chat.error?.message ?? null, messages: chat.messages, data };
}

/** What a version makes of one body, in pieces of different sizes: the different outcomes. */
export async function readMessage({ version, body }) {
  const { DefaultChatTransport, readUIMessageStream } = versions[version];
  const bytes = Buffer.from(body, "base64");
  const outcomes = new Set();
  for (const size of [1, 2, 7, 64, bytes.length]) {
    const pieces = [];
    for (let at = 0; at < bytes.length; at += size) {
      pieces.push(bytes.subarray(at, at + size));
    }
    const transport = new DefaultChatTransport({ fetch: async () => new Response(ReadableStream.from(pieces)) });
    const stream = await transport.sendMessages({ chatId: "chat", messages: [], trigger: "submit-message" });
    const errors = [];
    let last;
    for await (const message of readUIMessageStream({ stream, onError: (error) => errors.push(error.message) })) {
      last = message;
    }
    outcomes.add(JSON.stringify({ message: last, errors }));
  }
  return [...outcomes].map((outcome) => JSON.parse(outcome));
}
