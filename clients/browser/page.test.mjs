// The page at `/` in a real browser: what a person does with it, by mouse and by keyboard.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { launch, Server } from "./server.mjs";

const SOON = 10_000;

let browser, server, context, page, faults, requests;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

beforeEach(async () => {
  server = await Server.start(["tiny", "sample.bantam"]);
  await open();
});

afterEach(async () => {
  await context.close();
  await server.kill();
  assert.deepEqual(faults, [], "the page has no faults");
  assert.ok(requests.every((url) => url.startsWith(server.url)), "everything comes from the server: " + requests);
});

// A new person's browser.
async function open(options = {}) {
  await context?.close();
  context = await browser.newContext(options);
  page = await context.newPage();
  page.setDefaultTimeout(SOON);
  [faults, requests] = [[], []];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(server.url);
  await page.getByText("parameters").first().waitFor();
}

const box = () => page.getByRole("textbox", { name: "Your message" });
const answers = () => page.locator(".theirs");
const answer = () => answers().last();
const reply = () => answer().locator(".reply");
const stop = () => page.getByRole("button", { name: "Stop" });
const settings = () => page.locator("summary", { hasText: "Settings" });

async function set(name, value) {
  if (!(await page.locator("#settings").getAttribute("open").then((open) => open !== null))) await settings().click();
  const field = page.getByLabel(name);
  await ((await field.evaluate((element) => element.tagName)) === "SELECT" ? field.selectOption(value) : field.fill(value));
}

async function send(text) {
  await box().fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

const ended = () => stop().waitFor({ state: "hidden" });

async function until(what, isSo) {
  const begin = Date.now();
  while (!(await isSo())) {
    assert.ok(Date.now() - begin < SOON, what);
    await page.waitForTimeout(20);
  }
}

// An answer that goes on until somebody stops it: the model ends by itself only where the unlikely may happen.
async function longAnswer() {
  await set("Top p", "0.9");
  await send("where is my order");
  await until("the answer begins", async () => (await reply().textContent()).length > 20);
}

test("an answer is streamed, and its speed is told", async () => {
  await longAnswer();
  const early = await reply().textContent();
  await until("the answer grows", async () => (await reply().textContent()).length > early.length + 100);
  assert.ok((await reply().textContent()).startsWith(early));
  await stop().click();
  await ended();
  await answer().getByText(/^about \d+ tokens · about [\d.]+ tokens\/s · first after \d+ ms · tiny$/).waitFor();
  await set("Max tokens", "12");
  await send("and my refund?");
  await ended();
  await answer().getByText(/^12 tokens · ([\d.]+ tokens\/s · )?first after \d+ ms · tiny$/).waitFor();
  await answer().getByText("Cut off").waitFor();
  assert.equal(await page.locator(".mine").last().textContent(), "and my refund?");
});

test("an answer is stopped by button and by key, and the server hears of it", async () => {
  for (const [count, halt] of [[1, () => stop().click()], [2, () => page.keyboard.press("Escape")]]) {
    await longAnswer();
    await halt();
    await ended();
    await answer().getByText("Stopped before its end.").waitFor();
    const told = await reply().textContent();
    await until("the server stops", async () => (await server.metric("bantam_cancelled_answers_total")) >= count);
    assert.equal(await server.metric("bantam_running"), 0);
    assert.equal(await reply().textContent(), told, "nothing comes after it was stopped");
    assert.ok(await box().evaluate((element) => element === document.activeElement), "the next message can be written");
  }
});

test("an error is told with its remedy, and retry asks again", async () => {
  await set("Max tokens", "8");
  await server.kill();
  await send("where is my order");
  await answer().getByText("The server did not answer. What to do: see whether it is still running, then retry.").waitFor();
  server = await Server.start(["tiny", "sample.bantam"], { port: server.port });
  await answer().getByRole("button", { name: "Retry" }).click();
  await answer().getByText(/^8 tokens/).waitFor();
  assert.equal(await page.locator(".note", { hasText: "What to do" }).count(), 0);
  assert.equal(await page.locator(".mine").count(), 1, "the message is not there twice");
  await set("Max tokens", "");
  await longAnswer();
  await server.kill();
  await answer().getByText("What to do").waitFor();
  assert.ok((await reply().textContent()).length > 20, "what came of it stays");
  server = await Server.start(["tiny", "sample.bantam"], { port: server.port });
});

test("what the server refuses is told in its words", async () => {
  await set("Max tokens", "8");
  await send("where is my order ".repeat(12_000));
  await answer().getByText(/The prompt has \d+ tokens/).waitFor();
  await answer().getByText("What to do: shorten `messages`.").waitFor();
});

test("settings that cannot be are told before anything is sent", async () => {
  await set("Top p", "7");
  await send("where is my order");
  assert.equal(await answers().count(), 0);
  assert.equal(await page.locator(":invalid").last().getAttribute("id"), "top_p");
  assert.equal(await box().inputValue(), "where is my order", "the message is still there");
});

test("a reload keeps the conversation, the settings and what came of an answer", async () => {
  await set("System prompt", "help");
  await set("Temperature", "0");
  await set("Max tokens", "9");
  await send("where is my order");
  await ended();
  await set("Max tokens", "");
  await longAnswer();
  await page.reload();
  await page.getByText("parameters").first().waitFor();
  assert.equal(await answers().count(), 2);
  assert.ok((await reply().textContent()).length > 20, "the part that had come is there");
  await answer().getByText("Stopped before its end.").waitFor();
  await answers().first().getByText(/^9 tokens/).waitFor();
  await settings().click();
  assert.equal(await page.getByLabel("System prompt").inputValue(), "help");
  assert.equal(await page.getByLabel("Temperature").inputValue(), "0");
  await set("Max tokens", "5");
  const asked = page.waitForRequest((request) => request.url().endsWith("/v1/chat/completions"));
  await page.getByRole("button", { name: "Retry last" }).click();
  const sent = (await asked).postDataJSON();
  assert.deepEqual(sent.messages.map((message) => message.role), ["system", "user", "assistant", "user"]);
  await ended();
  page.once("dialog", (dialog) => dialog.accept());
  await page.getByRole("button", { name: "Clear" }).click();
  await page.reload();
  await page.getByText("parameters").first().waitFor();
  assert.equal(await answers().count(), 0, "what was cleared stays so");
});

test("a server with keys asks for one, which a reload keeps and another tab does not see", async () => {
  await server.kill();
  server = await Server.start(["tiny"], { port: server.port, more: ["--api-key", "secret"] });
  await page.reload();
  await page.getByText("This server wants a key").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "key");
  await page.keyboard.type("secret");
  await page.keyboard.press("Enter");
  await page.getByText("parameters").first().waitFor();
  await set("Max tokens", "4");
  await send("where is my order");
  await answer().getByText(/^4 tokens/).waitFor();
  await page.reload();
  await page.getByText("parameters").first().waitFor();
  const other = await context.newPage();
  await other.goto(server.url);
  await other.getByText("This server wants a key").waitFor();
});

// The relative luminance of a colour that the browser tells as rgb(...).
function luminance(colour) {
  const [r, g, b] = colour.match(/[\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// Colours of text and of the ground that it is on.
const colours = (selector) => page.locator(selector).first().evaluate((element) => {
  let ground = element;
  while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
  return [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor];
});

test("it is readable in light and in dark, as the system has it or as it was chosen", async () => {
  const grounds = {};
  for (const scheme of ["light", "dark"]) {
    await open({ colorScheme: scheme });
    await set("Max tokens", "4");
    await send("where is my order");
    await ended();
    for (const selector of ["#about", ".mine", ".theirs .reply", ".figures", ".note", ".hint", "#send", "#text", "#clear"]) {
      const [ink, ground] = (await colours(selector)).map(luminance);
      const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
      assert.ok(contrast >= 4.5, `${selector} has a contrast of ${contrast.toFixed(1)} in ${scheme}`);
    }
    grounds[scheme] = (await colours("main"))[1];
  }
  assert.ok(luminance(grounds.light) > 0.5 && luminance(grounds.dark) < 0.1);
  await set("Colours", "light");
  assert.equal((await colours("main"))[1], grounds.light);
  await page.reload();
  assert.equal((await colours("main"))[1], grounds.light, "the choice stays");
});

test("a keyboard is enough", async () => {
  const seen = [];
  await page.locator("h1").click();
  for (let steps = 0; steps < 30; steps += 1) {
    await page.keyboard.press("Tab");
    const [name, outline] = await page.evaluate(() => {
      const element = document.activeElement;
      return [element.id || element.tagName, getComputedStyle(element).outlineStyle];
    });
    if (seen.includes(name) || name === "BODY") break;
    assert.notEqual(outline, "none", "it shows that " + name + " has the focus");
    seen.push(name);
  }
  // Retry and Clear can do nothing yet.
  assert.deepEqual(seen, ["model", "mode", "SUMMARY", "main", "text", "send"]);
  await settings().focus();
  await page.keyboard.press("Enter");
  for (let steps = 0; steps < 4; steps += 1) await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "max_tokens");
  await page.keyboard.type("6");
  await box().focus();
  await page.keyboard.type("where");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("is it");
  await page.keyboard.press("Enter");
  await answer().getByText(/^6 tokens/).waitFor();
  assert.equal(await page.locator(".mine").textContent(), "where\nis it");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "retry");
  await page.keyboard.press("Enter");
  await answer().getByText(/^6 tokens/).waitFor();
  assert.equal(await answers().count(), 1);
  assert.ok((await page.locator("#told").textContent()).length > 0, "the answer is told to screen readers");
});

test("a text is gone on with", async () => {
  await page.getByLabel("What the model does").selectOption("complete");
  await set("Max tokens", "7");
  await send("where is");
  await answer().getByText(/^7 tokens/).waitFor();
  await page.getByText("Each message is understood on its own.").waitFor();
});

test("a bundle classifies, and both kinds share a conversation", async () => {
  await page.getByLabel("Model", { exact: true }).selectOption("sample");
  await page.getByText("3 intents").waitFor();
  assert.deepEqual(await page.getByLabel("What the model does").locator("option").allTextContents(), ["classifies"]);
  await send("where is my order 12345678, mail me at ann@example.org");
  await answer().locator(".label").waitFor();
  const meter = answer().getByRole("meter", { name: "Confidence" });
  const share = Number(await meter.getAttribute("aria-valuenow"));
  assert.ok(share > 0 && share <= 100);
  assert.equal(await answer().locator(".number").first().textContent(), share.toFixed(1) + " %");
  await answer().getByText("ann@example.org").waitFor();
  await answer().getByText("What else it could be").click();
  assert.ok((await answer().locator("tr").count()) >= 2);
  await page.reload();
  await page.getByText("3 intents").waitFor();
  assert.equal(Number(await answer().getByRole("meter").getAttribute("aria-valuenow")), share);
  await page.getByLabel("Model", { exact: true }).selectOption("tiny");
  await set("Max tokens", "5");
  await send("where is my order");
  await answer().getByText(/^5 tokens/).waitFor();
  assert.equal(await answers().count(), 2);
});

test("a server of a bundle alone has the page of a classifier", async () => {
  await server.kill();
  server = await Server.start(["sample.bantam"]);
  await open();
  await send("i want a refund");
  await answer().locator(".label").waitFor();
  await server.kill();
  await send("i want a refund");
  await answer().getByText("What to do").waitFor();
  server = await Server.start(["sample.bantam"], { port: server.port });
  await answer().getByRole("button", { name: "Retry" }).click();
  await answer().locator(".label").waitFor();
});

test("a task that finds nothing says so", async () => {
  const finder = { id: "finder", task: "token-classification", tasks: ["token-classification"], parameters: 1000 };
  await page.route("**/v1/models", (route) => route.fulfill({ json: { data: [finder] } }));
  await page.route("**/models/finder", (route) => route.fulfill({ json: [] }));
  await page.reload();
  await page.getByText("token classification").first().waitFor();
  await send("nobody is named here");
  await ended();
  assert.equal(await reply().textContent(), "nothing found");
});

test("what is written is text, never markup", async () => {
  await set("Max tokens", "3");
  const text = '<img src=x onerror="document.title=1"><b>bold</b>';
  await send(text);
  await ended();
  assert.equal(await page.locator(".mine").textContent(), text);
  assert.equal(await page.locator("#log img, #log b").count(), 0);
});

test("the page is small", async () => {
  const body = await (await fetch(server.url)).text();
  assert.ok(body.length < 100_000, body.length + " bytes");
});
