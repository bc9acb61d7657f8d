// The `openai` package of npm, as it is, against `bantam serve`.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import OpenAI from "openai";

const { BANTAM_URL: URL, BANTAM_BUSY_URL: BUSY_URL, BANTAM_KEY: KEY } = process.env;
const model = "tiny";
const messages = [{ role: "system", content: "help" }, { role: "user", content: "where is my order" }];
const schema = {
  type: "object",
  properties: { label: { enum: ["order", "refund"] }, sure: { type: "boolean" } },
  required: ["label", "sure"],
  additionalProperties: false,
};
const track = {
  name: "track",
  description: "Tracks a parcel",
  parameters: {
    type: "object",
    properties: { kind: { type: "string", enum: ["order", "refund"] } },
    required: ["kind"],
    additionalProperties: false,
  },
};
// The model knows nothing, and would go on with spaces, which JSON allows, for long.
const noLoops = { max_completion_tokens: 500, frequency_penalty: 2 };
const tools = [{ type: "function", function: track }];

const client = (url = URL, apiKey = KEY, maxRetries = 0) =>
  new OpenAI({ baseURL: url + "/v1", apiKey, maxRetries, timeout: 30_000 });
const openai = client();
const chat = (fields, one = openai) =>
  one.chat.completions.create({ model, messages, max_completion_tokens: 20, seed: 3, ...fields });

async function all(stream) {
  const found = [];
  for await (const one of stream) found.push(one);
  return found;
}

async function metric(name) {
  const text = await (await fetch(URL + "/metrics", { headers: { Authorization: "Bearer " + KEY } })).text();
  const lines = text.split("\n").filter((line) => line.startsWith(name + "{"));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

test("a stream is the message, and both count its tokens", async () => {
  const whole = await chat();
  assert.deepEqual([whole.choices[0].finish_reason, whole.usage.completion_tokens], ["length", 20]);
  const chunks = await all(await chat({ stream: true, stream_options: { include_usage: true } }));
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(chunks.at(-1).usage.completion_tokens, 20);
  const helper = openai.chat.completions.stream({ model, messages, max_completion_tokens: 20, seed: 3 });
  const pieces = [];
  helper.on("content", (piece) => pieces.push(piece));
  assert.equal(await helper.finalContent(), text);
  assert.equal(pieces.join(""), text);
});

test("seeds, stop texts and log-probabilities", async () => {
  const texts = [];
  for (const seed of [5, 5, 6]) texts.push((await chat({ seed })).choices[0].message.content);
  assert.equal(texts[0], texts[1]);
  assert.notEqual(texts[0], texts[2]);
  // Two letters: of what else it writes, some is no whole character.
  const [stop] = /[a-z]{2}/.exec(texts[0].slice(4));
  const cut = (await chat({ seed: 5, stop })).choices[0];
  assert.deepEqual([cut.message.content, cut.finish_reason], [texts[0].slice(0, texts[0].indexOf(stop)), "stop"]);
  const told = (await chat({ logprobs: true, top_logprobs: 3 })).choices[0].logprobs.content;
  assert.equal(told.length, 20);
  assert.ok(told.every((token) => token.logprob <= 0 && token.top_logprobs.length === 3));
});

test("a schema holds, and one that cannot be met is refused", async () => {
  const form = (schema) => ({ type: "json_schema", json_schema: { name: "answer", strict: true, schema } });
  const answer = await openai.chat.completions.parse({
    model, messages, seed: 3, ...noLoops, response_format: form(schema),
  });
  const value = answer.choices[0].message.parsed ?? JSON.parse(answer.choices[0].message.content);
  assert.ok(["order", "refund"].includes(value.label) && typeof value.sure === "boolean");
  const refused = await chat({ response_format: form({ not: {} }) }).catch((error) => error);
  assert.ok(refused instanceof OpenAI.BadRequestError);
  assert.equal(refused.param, "response_format");
});

test("a tool is called, streamed or not", async () => {
  const whole = await chat({ tools, tool_choice: "required", ...noLoops });
  const call = whole.choices[0].message.tool_calls[0];
  assert.deepEqual([whole.choices[0].finish_reason, call.function.name], ["tool_calls", "track"]);
  assert.ok(["order", "refund"].includes(JSON.parse(call.function.arguments).kind));
  const helper = openai.chat.completions.stream({ model, messages, tools, tool_choice: "required", seed: 3, ...noLoops });
  const streamed = (await helper.finalChatCompletion()).choices[0].message.tool_calls[0];
  assert.deepEqual(streamed.function.arguments, call.function.arguments);
  const result = { role: "tool", tool_call_id: call.id, content: "on its way" };
  const after = await chat({ messages: [...messages, whole.choices[0].message, result], tools, tool_choice: "none" });
  assert.ok(after.choices[0].message.content);
});

test("leaving a stream ends the answer", async () => {
  const before = await metric("bantam_cancelled_answers_total");
  const stream = await chat({ stream: true, max_completion_tokens: 20_000, ignore_eos: true });
  let count = 0;
  for await (const _ of stream) if (++count === 5) break;
  for (let tries = 0; (await metric("bantam_cancelled_answers_total")) === before; tries += 1) {
    assert.ok(tries < 100, "the answer goes on");
    await pause(50);
  }
});

test("completions, embeddings and models", async () => {
  const fields = { model, prompt: "where is", max_tokens: 6, temperature: 0 };
  const whole = await openai.completions.create(fields);
  const chunks = await all(await openai.completions.create({ ...fields, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), whole.choices[0].text);
  const input = ["where is my order", "i want a refund"];
  const packed = await openai.embeddings.create({ model, input });
  const plain = await openai.embeddings.create({ model, input, encoding_format: "float" });
  assert.equal(packed.data.length, 2);
  packed.data[1].embedding.forEach((x, index) => assert.ok(Math.abs(x - plain.data[1].embedding[index]) < 1e-6));
  const listed = await all(openai.models.list());
  assert.deepEqual(listed.map((one) => one.id), [model, "sample"]);
  assert.equal((await openai.models.retrieve(model)).id, model);
});

test("responses, streamed or not, go on from each other", async () => {
  const fields = { model, input: "where is my order", temperature: 0, max_output_tokens: 12 };
  const whole = await openai.responses.create(fields);
  assert.equal(whole.incomplete_details.reason, "max_output_tokens");
  const events = await all(await openai.responses.create({ ...fields, stream: true }));
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), whole.output_text);
  const final = await openai.responses.stream(fields).finalResponse();
  assert.equal(final.output_text, whole.output_text);
  const after = await openai.responses.create({ ...fields, input: "and?", previous_response_id: whole.id });
  assert.ok(after.usage.input_tokens > whole.usage.input_tokens);
  const called = await openai.responses.create({
    model, input: "where is my order", tools: [{ type: "function", strict: true, ...track }], tool_choice: "required",
    frequency_penalty: 2,
  });
  assert.deepEqual([called.output[0].type, called.output[0].name], ["function_call", "track"]);
});

test("errors have their classes", async () => {
  const failed = (fields, one) => chat(fields, one).then(() => assert.fail("it was answered"), (error) => error);
  assert.ok((await failed({}, client(URL, "wrong"))) instanceof OpenAI.AuthenticationError);
  const unknown = await failed({ model: "nowhere" });
  assert.ok(unknown instanceof OpenAI.NotFoundError);
  assert.deepEqual([unknown.code, unknown.param], ["model_not_found", "model"]);
  assert.ok((await failed({ temperature: -1 })) instanceof OpenAI.BadRequestError);
});

test("a full queue is a rate limit, and asking again helps", async () => {
  const long = { stream: true, max_completion_tokens: 30_000, ignore_eos: true };
  const [running, waiting] = [await chat(long, client(BUSY_URL)), await chat(long, client(BUSY_URL))];
  const refused = await chat({}, client(BUSY_URL)).catch((error) => error);
  assert.ok(refused instanceof OpenAI.RateLimitError);
  assert.equal(refused.code, "queue_full");
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  running.controller.abort();
  waiting.controller.abort();
  assert.ok((await chat({}, client(BUSY_URL, KEY, 4))).choices.length);
});
