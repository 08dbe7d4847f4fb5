// The openai package from npm, as programs use it; what it throws is told, not thrown.

import OpenAI from "openai";

/** Ask once, streamed or not, and tell what came of it, and how many requests that took. */
export async function openai({ url, key = "unused", retries = 0, request }) {
  let requests = 0;
  const counting = (...asked) => {
    requests += 1;
    return fetch(...asked);
  };
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: retries, fetch: counting });
  const chunks = [];
  try {
    const answer = await client.chat.completions.create(request);
    if (!request.stream) {
      return { answer, requests };
    }
    for await (const chunk of answer) {
      chunks.push(chunk);
    }
    return { chunks, requests };
  } catch (error) {
    const { status, code, param, message } = error;
    return { chunks, error: { kind: error.constructor.name, status, code, param, message }, requests };
  }
}

/** Let the package run a tool of ours, and ask again with its result, until the model has its say. */
export async function openaiTools({ url, request }) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 });
  const called = [];
  const get_weather = (args) => {
    called.push(args);
    return `sunny in ${args.city}`;
  };
  const runner = client.chat.completions.runTools({
    ...request,
    tools: [
      {
        type: "function",
        function: {
          name: "get_weather",
          description: "The weather in a city",
          parameters: { type: "object", properties: { city: { type: "string" } } },
          parse: JSON.parse,
          function: get_weather,
        },
      },
    ],
  });
  return { content: await runner.finalContent(), called };
}

/** The models that there are. */
export async function openaiModels({ url }) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused" });
  const ids = [];
  for await (const model of client.models.list()) {
    ids.push(model.id);
  }
  return ids;
}
