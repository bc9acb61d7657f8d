// A page of another origin asks by the `openai` package, as it is: it may where `--cors` names its origin.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { launch, Server } from "./server.mjs";

let browser, pages, origin;

before(async () => {
  browser = await launch();
  pages = createServer(async (request, response) => {
    if (request.url === "/") return response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html>");
    const file = await readFile(new URL("./node_modules/openai" + request.url, import.meta.url)).catch(() => null);
    response.writeHead(file ? 200 : 404, { "Content-Type": "text/javascript" }).end(file);
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  origin = "http://127.0.0.1:" + pages.address().port;
});

after(async () => {
  await browser.close();
  pages.close();
});

// What the page hears: the streamed text, and the wait that a full queue asks for.
async function ask(url) {
  const page = await browser.newPage();
  await page.goto(origin);
  return page.evaluate(async ([baseURL, apiKey]) => {
    const { OpenAI } = await import("/index.mjs");
    const openai = new OpenAI({ baseURL, apiKey, dangerouslyAllowBrowser: true, maxRetries: 0 });
    const chat = (fields) =>
      openai.chat.completions.create({ model: "tiny", messages: [{ role: "user", content: "where" }], seed: 3, ...fields });
    try {
      let text = "";
      for await (const chunk of await chat({ stream: true, max_tokens: 8 })) text += chunk.choices[0]?.delta.content ?? "";
      const long = { stream: true, ignore_eos: true };
      const held = [await chat(long), await chat(long)];
      const refused = await chat().catch((error) => error);
      held.forEach((stream) => stream.controller.abort());
      return { text, wait: refused.headers.get("retry-after") };
    } catch (error) {
      return { error: error.constructor.name };
    }
  }, [url + "/v1", "a-key"]);
}

test("a page of an origin that is named may ask, and another may not", async () => {
  const flags = ["--api-key", "a-key", "--most-running", "1", "--most-waiting", "1"];
  const server = await Server.start(["tiny"], { more: [...flags, "--cors", origin] });
  const heard = await ask(server.url);
  await server.kill();
  assert.ok(heard.text?.length > 0, JSON.stringify(heard));
  assert.ok(Number(heard.wait) > 0, JSON.stringify(heard));
  const closed = await Server.start(["tiny"], { more: [...flags, "--cors", "https://example.org"] });
  const refused = await ask(closed.url);
  await closed.kill();
  assert.deepEqual(refused, { error: "APIConnectionError" });
});
