// The views of MCP Apps in two hosts: the SDK's bridge and the inspector. Arguments: server, folder of node_modules, Chromium.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { serve, stage } from "./stage.mjs";

const [server, modules, chromiumPath = "/usr/bin/chromium"] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const load = async (name) => import(pathToFileURL(require.resolve(name).replace(/\.cjs$/, ".mjs")).href);
const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
const { build } = require("esbuild");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const MIME = "text/html;profile=mcp-app";
const EXTENSION = { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: [MIME] } } };
const VIEWS = { git_diff: "ui://git/diff", git_log: "ui://git/graph", git_conflicts: "ui://git/conflicts" };
const HOST = fileURLToPath(new URL("apps_host.mjs", import.meta.url));
/** The policy that the specification demands of a host for a view without domains. */
const POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-src 'none'; connect-src 'none'";
const SANDBOX = `<!doctype html><title>sandbox</title><style>html, body, iframe { border: 0; margin: 0; width: 100%; height: 100% }</style>
<body><script>
const view = document.createElement("iframe");
view.title = "view";
view.setAttribute("sandbox", "allow-scripts");
document.body.append(view);
addEventListener("message", ({ source, data }) => {
  if (source === view.contentWindow) parent.postMessage(data, "*");
  else if (data.method === "ui/notifications/sandbox-resource-ready") view.srcdoc = data.params.html;
  else view.contentWindow.postMessage(data, "*");
});
parent.postMessage({ jsonrpc: "2.0", method: "ui/notifications/sandbox-proxy-ready", params: {} }, "*");
</script>`;
const LOCAL = /^(http:\/\/127\.0\.0\.1:|about:|data:)/;
const HOSTILE = `[git:aaaaaa] <img src=x onerror="document.title = 'broken'"></script><script>document.title = 'broken'</script>`;
const ALL = Array.from({ length: 60 }, (_, at) => `line ${at + 1}\n`);

/** The file's lines with some replaced. */
const text = (lines) => ALL.map((line, at) => lines[at + 1] ?? line).join("");

class Scene {
  constructor(stage) {
    Object.assign(this, stage);
  }

  git(...args) {
    const names = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    return execFileSync("git", ["-C", this.repo, ...names, ...args], { env: this.env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  }

  write(name, content) {
    writeFileSync(join(this.repo, name), content);
  }

  read(name) {
    return readFileSync(join(this.repo, name), "utf8");
  }

  commit(message, content) {
    this.write("long.txt", content);
    this.git("add", "long.txt");
    this.git("commit", "--quiet", "--message", message);
  }
}

async function connected(address, capabilities) {
  const client = new Client({ name: "test", version: "1" }, { capabilities });
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", address)));
  return client;
}

/** Serves one page, and returns its address. */
async function page(content, headers = {}) {
  const site = createServer((request, response) => {
    response.writeHead(request.url === "/" ? 200 : 404, { "content-type": "text/html; charset=utf-8", ...headers });
    response.end(request.url === "/" ? content : "");
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  return { address: `http://127.0.0.1:${site.address().port}/`, stop: () => site.close().closeAllConnections() };
}

/** A client without the extension is offered no view, and a client with it is offered the same tools and text. */
async function offers(address) {
  const [plain, capable] = [await connected(address, {}), await connected(address, EXTENSION)];
  const [{ tools: without_views }, { tools: with_views }] = [await plain.listTools(), await capable.listTools()];
  const bare = with_views.filter((tool) => tool._meta?.ui?.visibility?.includes("model") !== false).map(({ _meta, ...tool }) => tool);
  assert.deepEqual(bare, without_views.map(({ _meta, ...tool }) => tool));
  assert(without_views.every((tool) => tool._meta?.ui === undefined));
  for (const [name, uri] of Object.entries(VIEWS)) {
    assert.equal(with_views.find((tool) => tool.name === name)._meta.ui.resourceUri, uri);
    await assert.rejects(plain.readResource({ uri }), /there is no such resource/);
  }
  const apply = with_views.find((tool) => tool.name === "git_apply");
  assert.deepEqual(apply._meta.ui.visibility, ["app"]);
  const listing = ({ resources }) => resources.map((resource) => resource.uri);
  assert.deepEqual(listing(await capable.listResources()).filter((uri) => !uri.startsWith("ui:")), listing(await plain.listResources()));
  const content = async (client) => (await client.callTool({ name: "git_diff", arguments: {} })).content.map((block) => block.type);
  assert.deepEqual(await content(capable), await content(plain));
  await plain.close();
  return capable;
}

/** A host page in the browser with the views of one client. */
class Host {
  faults = [];
  facts = [];

  constructor(browser, client, sites) {
    Object.assign(this, { browser, client, sites });
  }

  /** Opens the view of a tool. */
  async open(name, input = {}, { theme = "light", capabilities, width } = {}) {
    await this.tab?.close();
    this.tab = await this.browser.newPage({ viewport: { width: (width ?? 900) + 40, height: 900 }, colorScheme: theme });
    this.tab.on("pageerror", (error) => this.faults.push(error.message));
    this.tab.on("console", (message) => message.type() === "error" && this.faults.push(message.text()));
    this.tab.on("request", (request) => LOCAL.test(request.url()) || this.faults.push(request.url()));
    await this.tab.exposeFunction("callTool", (params) => this.client.callTool(params));
    await this.tab.exposeFunction("informed", (fact) => this.facts.push(fact));
    const { contents } = await this.client.readResource({ uri: VIEWS[name] });
    assert.equal(contents[0].mimeType, MIME);
    await this.tab.goto(this.sites.host.address);
    const result = await this.client.callTool({ name, arguments: input });
    const options = { address: this.sites.sandbox.address, html: contents[0].text, input, result, theme, capabilities, width };
    await this.tab.evaluate((options) => window.show(options), options);
    this.view = this.tab.frameLocator("iframe").frameLocator("iframe");
    return this.view;
  }

  /** Checks the view with axe. */
  async check() {
    const frame = this.tab.frames().find((frame) => frame.parentFrame()?.parentFrame());
    await frame.evaluate(`${axe};0`);
    const { violations } = await frame.evaluate(() => window.axe.run(document));
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
    const excess = await frame.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(excess, 0, "the page scrolls sideways");
    assert.notEqual(await frame.title(), "broken");
    assert.deepEqual(this.faults, []);
  }

  /** Presses a button, and waits for the report that follows. */
  async press(name, report) {
    await this.view.getByRole("button", { name }).first().click();
    await this.view.locator("#report", { hasText: report }).waitFor();
    await this.view.locator("html:not(.busy)").waitFor();
  }
}

async function changes(scene, host) {
  scene.commit("long", text({}));
  scene.write("long.txt", text({ 3: "three\n", 30: `${HOSTILE}\n`, 57: "fifty-seven\n" }));
  scene.write("new.txt", "new\n");
  const view = await host.open("git_diff");
  await view.getByRole("button", { name: /^Stage hunk/ }).nth(2).waitFor();
  assert(await view.getByText(/git:aaaaaa\] <img src=x/).first().isVisible());
  assert.equal(await view.locator("img").count(), 0);
  await host.check();

  await host.press("Stage hunk of long.txt, line 2", "Staged a hunk of long.txt");
  assert.match(scene.git("diff", "--cached"), /\+three\n/);
  assert.doesNotMatch(scene.git("diff", "--cached"), /fifty-seven/);
  assert.match(host.facts.at(-1), /the user has staged a hunk of long.txt/);
  await view.getByRole("button", { name: /^Discard the hunk of long.txt, line 56/ }).click();
  await host.press("Discard this hunk", "Discarded a hunk of long.txt");
  assert.doesNotMatch(scene.read("long.txt"), /fifty-seven/);
  await view.getByRole("button", { name: "Undo" }).click();
  await host.press("Undo it", "Undone the last change");
  assert.match(scene.read("long.txt"), /fifty-seven/);
  await host.press("Stage file new.txt", "Staged new.txt");
  assert.match(scene.git("status", "--short"), /^A {2}new.txt$/m);
  await view.getByRole("tab", { name: /^Staged/ }).click();
  await host.press("Unstage hunk of long.txt, line 2", "Unstaged a hunk of long.txt");
  await host.press("Unstage file new.txt", "Unstaged new.txt");
  assert.equal(scene.git("diff", "--cached"), "");
  await view.getByRole("tab", { name: /^Unstaged/ }).click();
  await view.getByRole("button", { name: "Side by side" }).click();
  await view.locator("table.split").first().waitFor();
  await host.check();

  await host.open("git_diff", {}, { theme: "dark", width: 360 });
  await host.view.getByRole("button", { name: /^Stage hunk/ }).first().waitFor();
  await host.check();
  await host.open("git_diff", {}, { capabilities: {} });
  await host.view.locator("details.file").first().waitFor();
  assert.equal(await host.view.getByRole("button", { name: /^Stage/ }).count(), 0);
  scene.git("checkout", "--quiet", "long.txt");
  rmSync(join(scene.repo, "new.txt"));
}

async function commits(scene, host) {
  scene.git("switch", "--quiet", "--create", "topic");
  scene.commit("twenty on topic", text({ 20: "twenty of topic\n", 50: "fifty\n" }));
  scene.git("switch", "--quiet", "main");
  scene.commit("five", text({ 5: "five\n" }));
  scene.git("merge", "--quiet", "--no-edit", "topic");
  const ids = scene.git("log", "--format=%H").trim().split("\n");
  for (const theme of ["light", "dark"]) {
    const view = await host.open("git_log", {}, { theme });
    await view.locator(".commit").nth(ids.length - 1).waitFor();
    assert.equal(await view.locator("circle").count(), ids.length);
    assert.equal(await view.locator(".ref.merge").count(), 1);
    await view.getByRole("button", { name: /twenty on topic/ }).click();
    await view.getByText("twenty of topic").waitFor();
    await host.check();
  }
}

async function conflicts(scene, host) {
  scene.git("switch", "--quiet", "--create", "other");
  scene.commit("other", text({ 5: "other five\n", 20: "other twenty\n", 40: "other forty\n", 50: "fifty\n" }));
  scene.git("switch", "--quiet", "main");
  scene.commit("main", text({ 5: "main five\n", 20: "main twenty\n", 40: "main forty\n", 50: "fifty\n" }));
  assert.throws(() => scene.git("merge", "--quiet", "other"));
  const view = await host.open("git_conflicts");
  const conflict = (number) => view.getByRole("group", { name: `Conflict ${number} of` });
  await conflict(3).waitFor();
  await host.check();
  await conflict(1).getByRole("radio", { name: "Ours", exact: true }).check();
  await conflict(2).getByRole("radio", { name: "Edit", exact: true }).check();
  await conflict(2).getByRole("textbox").fill("twenty of both");
  await host.press("Apply 2 of 3", "Resolved 2 conflicts in long.txt");
  assert.match(scene.read("long.txt"), /^main five\n[^<]*^twenty of both\n[^<]*<<<<<<</ms);
  await conflict(1).getByRole("radio", { name: "Ours", exact: true }).check();
  await view.getByRole("button", { name: "Refresh" }).click();
  await view.locator("html:not(.busy)").waitFor();
  assert(await conflict(1).getByRole("radio", { name: "Ours", exact: true }).isChecked(), "a refresh keeps choices");
  await conflict(1).getByRole("radio", { name: "Theirs", exact: true }).check();
  await host.press("Apply, and mark as resolved", "Resolved all in long.txt");
  assert.equal(scene.read("long.txt"), text({ 5: "main five\n", 20: "twenty of both\n", 40: "other forty\n", 50: "fifty\n" }));
  await host.press("Continue", "Continued the operation");
  assert.equal(scene.git("log", "-1", "--format=%p").trim().split(" ").length, 2);

  scene.git("reset", "--quiet", "--hard", "HEAD~1");
  assert.throws(() => scene.git("merge", "--quiet", "other"));
  await host.open("git_conflicts", {}, { theme: "dark", width: 360 });
  await host.view.getByRole("button", { name: /^Take theirs/ }).waitFor();
  await host.check();
  await host.press(/^Take theirs/, "Taken theirs for long.txt");
  assert.match(scene.read("long.txt"), /other forty/);
  scene.git("merge", "--abort");
}

/** The inspector, as a user starts it. */
async function inspector(scene, work) {
  const token = randomBytes(16).toString("hex");
  const bin = (path) => join(modules, "node_modules", path);
  const variables = { HOME: scene.folder, MCP_INSPECTOR_API_TOKEN: token, MCP_AUTO_OPEN_ENABLED: "false", MCP_INSPECTOR_SECRET_STORE: "memory" };
  const ports = { CLIENT_PORT: "0", MCP_SANDBOX_PORT: "0", MCP_APP_ORIGIN_PORT: "0" };
  for (const name of Object.keys(ports)) {
    const probe = await page("");
    ports[name] = new URL(probe.address).port;
    probe.stop();
  }
  const env = { ...scene.env, ...variables, ...ports };
  const child = spawn(bin("node/bin/node"), [bin(".bin/mcp-inspector"), "--web"], { env, cwd: scene.folder, stdio: ["ignore", "pipe", "ignore"] });
  try {
    for await (const line of createInterface(child.stdout)) if (line.includes(`:${ports.CLIENT_PORT}`)) break;
    child.stdout.resume();
    await work(new URL(`http://localhost:${ports.CLIENT_PORT}`), token);
  } finally {
    child.kill("SIGTERM");
  }
}

async function inspected(scene, address, browser) {
  scene.write("long.txt", text({ 3: "three\n", 57: "fifty-seven\n" }));
  await inspector(scene, async (start, token) => {
    for (const [tool, sign] of [["git_diff", ".hunk-bar"], ["git_log", ".commit"], ["git_conflicts", ".fact"]]) {
      const link = new URL(start);
      const query = { serverUrl: new URL("/mcp", address).href, transport: "http", autoConnect: token, openApp: tool, appArgs: "{}", autoOpen: token };
      Object.entries(query).forEach(([name, value]) => link.searchParams.set(name, value));
      const tab = await browser.newPage({ viewport: { width: 1400, height: 900 } });
      await tab.goto(link.href);
      const view = tab.frameLocator("iframe").frameLocator("iframe");
      await view.locator(sign).first().waitFor();
      if (tool === "git_diff") {
        await view.getByRole("button", { name: /^Stage hunk of long.txt, line 2/ }).click();
        await view.locator("#report", { hasText: "Staged a hunk of long.txt" }).waitFor();
        assert.match(scene.git("diff", "--cached"), /\+three\n/);
      }
      await tab.close();
    }
  });
}

const bundle = await build({ entryPoints: [HOST], nodePaths: [join(modules, "node_modules")], bundle: true, write: false, format: "esm", logLevel: "error" });
const script = bundle.outputFiles[0].text.replaceAll("</script", "<\\/script");
const icon = `<link rel="icon" href="data:,">`;
const browser = await chromium.launch({ executablePath: chromiumPath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
try {
  await stage(async (stage) => {
    const scene = new Scene(stage);
    await serve(server, stage, async (address) => {
      const client = await offers(address);
      const host = await page(`<!doctype html><title>host</title>${icon}<style>iframe { border: 0 }</style><body><script type="module">${script}</script>`);
      const sandbox = await page(SANDBOX, { "content-security-policy": POLICY });
      try {
        const views = new Host(browser, client, { host, sandbox });
        await changes(scene, views);
        await commits(scene, views);
        await conflicts(scene, views);
        await views.tab.close();
        await inspected(scene, address, browser);
      } finally {
        host.stop();
        sandbox.stop();
        await client.close();
      }
    });
  });
} finally {
  await browser.close();
}
