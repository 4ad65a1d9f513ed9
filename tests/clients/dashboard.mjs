// The dashboard in Chromium, against a running server with something in every panel. Arguments: the page's address with its
// ticket, the folder of node_modules, and what this server lacks, separated by commas: `held,restart`.
// CHROMIUM is the browser, READER a token without the scope admin; with BENCH, time and memory have limits.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { actions } from "./dashboard_actions.mjs";
import { panels } from "./dashboard_panels.mjs";

const [address, modules, lacking = ""] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1440, height: 900 };
const PHONE = { width: 360, height: 740 };
const MOST_HEAP = 50e6;
const PATIENCE = 20_000;

const url = new URL(address);
const ticket = new URLSearchParams(url.hash.slice(1)).get("ticket") ?? "";
const lacks = new Set(lacking.split(","));

/** Asks the admin API, without the page. */
async function api(path, body) {
  const headers = { "Content-Type": "application/json", ...(ticket && { Authorization: `Bearer ${ticket}` }) };
  const options = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(new URL(`/admin/v1/${path}`, url), options);
  const answer = await response.json();
  assert.ok(response.ok, `${path}: ${response.status} ${answer.error}`);
  return answer;
}

/** A page that records what it must not do. */
async function open(browser, { viewport = WIDE, colorScheme = "light", token = ticket } = {}) {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.stack));
  page.on("request", (request) => {
    if (!request.url().startsWith("data:") && new URL(request.url()).origin !== url.origin) {
      faults.push(`a request to ${request.url()}`);
    }
  });
  const own = new URL(url);
  own.hash = token ? `ticket=${encodeURIComponent(token)}` : "";
  await page.goto(own.href);
  await page.locator("#live", { hasText: "Live" }).waitFor();
  await page.locator("#sessions-note", { hasText: "active" }).waitFor({ state: "attached" });
  assert.ok(!page.url().includes("ticket"), "the ticket stays out of the address");
  return { page, context, faults };
}

/** Resolves with the next change of the page, at the latest with the next second of the uptime. */
const nextChange = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const observer = new MutationObserver(() => {
          observer.disconnect();
          resolve();
        });
        observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
      }),
  );

/** Repeats a check with every change of the page, until it succeeds. */
async function eventually(page, check) {
  for (const end = Date.now() + PATIENCE; ;) {
    try {
      return await check();
    } catch (err) {
      if (Date.now() > end) {
        throw err;
      }
      await nextChange(page);
    }
  }
}

/** axe-core enters through the debugger: the page's policy forbids other scripts. */
async function accessible(page, what) {
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: AXE });
  const violations = await page.evaluate(
    async () => (await globalThis.axe.run(document, { resultTypes: ["violations"] })).violations,
  );
  await session.detach();
  const shown = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join("; ")}`);
  assert.deepEqual(shown, [], what);
}

const overflows = (page) => page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);

async function looks(browser) {
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of [WIDE, PHONE]) {
      const what = `${colorScheme}, ${viewport.width} pixels`;
      const { page, context, faults } = await open(browser, { viewport, colorScheme });
      await accessible(page, what);
      assert.ok(!(await overflows(page)), `${what}: the page scrolls sideways`);
      await page.locator("#drain").click();
      await page.locator("dialog[open]").waitFor();
      await accessible(page, `${what}, with a dialog`);
      await page.keyboard.press("Escape");
      await page.locator("dialog").waitFor({ state: "detached" });
      assert.equal(await page.evaluate(() => document.activeElement.id), "drain", "the focus returns");
      assert.deepEqual(faults, [], what);
      await context.close();
    }
  }
}

/** The theme is kept, and applies from the first paint of the next visit. */
async function themes(page) {
  const shown = () =>
    page.evaluate(() => [document.documentElement.dataset.theme, getComputedStyle(document.body).colorScheme]);
  for (const theme of ["light", "dark"]) {
    await page.locator("#theme").click();
    assert.deepEqual(await shown(), [theme, theme]);
  }
  await page.reload();
  assert.deepEqual(await shown(), ["dark", "dark"]);
  await page.locator("#live", { hasText: "Live" }).waitFor();
}

/** With the keyboard alone: the skip link, then the navigation to a panel. */
async function keyboard(page) {
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the panels");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  const unnamed = await page.locator("button:visible, input:visible, select:visible").evaluateAll((nodes) => {
    const isNamed = (node) => node.labels?.length || node.ariaLabel || node.textContent.trim();
    return nodes.filter((node) => !isNamed(node)).length;
  });
  assert.equal(unnamed, 0, "every control has a name");
}

/** The stream stops while the page is hidden, and returns after a lost connection. */
async function connections({ page, context, faults }) {
  const hide = (hidden) =>
    page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { value, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await hide(true);
  await page.locator("#live", { hasText: "Paused while hidden" }).waitFor();
  await context.setOffline(true);
  await hide(false);
  await page.locator("#lost", { hasText: "Connection lost, retrying" }).waitFor();
  const before = faults.length;
  await context.setOffline(false);
  await page.locator("#lost-retry").click();
  await page.locator("#lost").waitFor({ state: "hidden" });
  assert.ok(
    faults.slice(0, before).every((fault) => fault.includes("ERR_INTERNET_DISCONNECTED")),
    faults.join("\n"),
  );
  // What the browser logs about the lost connection is no fault of the page.
  faults.length = 0;
}

/** Without the right to change anything, no action is offered; without a token, the page asks for one. */
async function readers(browser) {
  if (process.env.READER) {
    const { page, context, faults } = await open(browser, { token: process.env.READER });
    await page.locator("#readonly", { hasText: "Read-only" }).waitFor();
    assert.equal(await page.locator("[data-change]:visible").count(), 0);
    await accessible(page, "read-only");
    assert.deepEqual(faults, []);
    await context.close();
  }
  if (ticket) {
    const context = await browser.newContext({ viewport: PHONE });
    const page = await context.newPage();
    await page.goto(new URL(url.pathname, url).href);
    await page.locator("#gate-input").waitFor();
    await accessible(page, "the question for a token");
    await page.locator("#gate-input").fill("not a token");
    await page.keyboard.press("Enter");
    await page.locator("#gate-token-text", { hasText: /\w/ }).waitFor();
    await page.locator("#gate-input").fill(ticket);
    await page.keyboard.press("Enter");
    await page.locator("#live", { hasText: "Live" }).waitFor();
    await context.close();
  }
}

async function heap(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const { metrics } = await session.send("Performance.getMetrics");
  await session.detach();
  return metrics.find(({ name }) => name === "JSHeapUsedSize").value;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
try {
  await looks(browser);
  await readers(browser);
  const view = await open(browser);
  const { page, faults } = view;
  const scene = {
    page,
    api,
    lacks,
    eventually: (check) => eventually(page, check),
    isBench: Boolean(process.env.BENCH),
  };
  scene.format = (name, ...args) =>
    page.evaluate(
      async ([wanted, values]) =>
        (await import(new URL("format.js", document.querySelector("script[type=module]").src)))[wanted](...values),
      [name, args],
    );
  await themes(page);
  await keyboard(page);
  await connections(view);
  for (const [name, check] of Object.entries(panels)) {
    await check(scene);
    console.log(`${name}: as the API reports it`);
  }
  const used = await heap(page);
  console.log(`heap: ${(used / 1e6).toFixed(1)} MB`);
  assert.ok(!scene.isBench || used < MOST_HEAP, `the page uses ${used} bytes`);
  assert.deepEqual(faults, []);
  for (const [name, act] of Object.entries(actions)) {
    const took = await act(scene);
    console.log(took === undefined ? `${name}: lacking, not tried` : `${name}: answered in ${took} ms`);
  }
  const unexpected = faults.filter((fault) => !scene.expected?.some((part) => fault.includes(part)));
  assert.deepEqual(unexpected, []);
} finally {
  await browser.close();
}
