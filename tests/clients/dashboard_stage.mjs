// Starts a server with something in every panel of the dashboard, and runs the script of the page against it.
// Arguments: the server's program, the folder of node_modules, the browser's program. With BENCH, 1,000 sessions make 1,000
// calls a second, and the page must stay small and answer fast.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { stage } from "./stage.mjs";

const [server, modules, browser] = process.argv.slice(2);
const SCRIPT = fileURLToPath(new URL("dashboard.mjs", import.meta.url));
const REVISION = "2025-11-25";

/** A token with these scopes: its text, and its lines for the configuration. */
function token(name, scopes) {
  const made = execFileSync(server, ["token", name, "--scopes", scopes], { encoding: "utf8" });
  return { text: made.split("\n")[0].split(" ").at(-1), lines: made };
}

/** A client with a session of its own. */
async function client(address, bearer) {
  let id;
  let last = 0;
  const send = async (method, params, isRequest = true) => {
    const headers = {
      Accept: "application/json, text/event-stream",
      Authorization: `Bearer ${bearer}`,
      "Content-Type": "application/json",
      "MCP-Protocol-Version": REVISION,
      ...(id && { "Mcp-Session-Id": id }),
    };
    const message = { jsonrpc: "2.0", method, params, ...(isRequest && { id: (last += 1) }) };
    const response = await fetch(new URL("/mcp", address), { method: "POST", headers, body: JSON.stringify(message) });
    id ??= response.headers.get("mcp-session-id");
    return response.text();
  };
  const clientInfo = { name: "stage", version: "1" };
  await send("initialize", { protocolVersion: REVISION, capabilities: {}, clientInfo });
  await send("notifications/initialized", {}, false);
  return (name, args) => send("tools/call", { name, arguments: args });
}

/** Opens sessions that make `rate` calls a second, until the returned function is called; it returns the real rate. */
async function load(address, bearer, sessions, rate) {
  const calls = [];
  while (calls.length < sessions) {
    calls.push(...(await Promise.all(Array.from({ length: 50 }, () => client(address, bearer)))));
  }
  let made = 0;
  let isOver = false;
  const began = performance.now();
  const worker = async (at) => {
    for (let next = at; !isOver; next = (next + 16) % calls.length) {
      const early = made / rate - (performance.now() - began) / 1000;
      if (early > 0) {
        await new Promise((resolve) => setTimeout(resolve, early * 1000));
      }
      made += 1;
      // The page's actions close sessions.
      await calls[next]("git_status", {}).catch(() => {});
    }
  };
  const workers = Array.from({ length: 16 }, (_, at) => worker(at));
  return async () => {
    isOver = true;
    await Promise.all(workers);
    return Math.round((made / (performance.now() - began)) * 1000);
  };
}

/** A port where nothing listens. */
async function closedPort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  return port;
}

await stage(async ({ folder, repo, args, env }) => {
  const [all, reader] = [token("all", "read,write,network,admin"), token("reader", "read")];
  const config = join(folder, "config.toml");
  writeFileSync(config, `${all.lines}\n${reader.lines}\n[admin]\nhttp = true\n`);
  const variables = {
    MCP_DEBUG_BREAKPOINT: "git_blame",
    MCP_GIT_ADMIN_SOCKET: join(folder, "admin"),
    MCP_GIT_MAX_CONCURRENT_SESSIONS: "2000",
  };
  const options = { env: { ...env, ...variables }, stdio: ["ignore", "pipe", "inherit"] };
  const child = spawn(server, [...args, "--config", config, "serve", "--port", "0", "--supervised"], options);
  const ended = once(child, "exit");
  const running = [];
  try {
    const [line] = await Promise.race([once(createInterface(child.stdout), "line"), ended]);
    assert.equal(typeof line, "string", `the server ended with ${line}`);
    const address = new URL(line.split(" ").at(-1));
    const [call, other] = [await client(address, all.text), await client(address, all.text)];
    writeFileSync(join(repo, "b.txt"), "two\n");
    await call("git_add", { files: ["b.txt"] });
    await call("git_commit", { message: "second" });
    execFileSync("git", ["-C", repo, "remote", "add", "closed", `http://127.0.0.1:${await closedPort()}/repo.git`]);
    for (let at = 0; at < 6; at += 1) {
      await call("git_fetch", { remote: "closed" });
      await call("git_show", { revision: `none${at}` });
      await call("git_status", {});
    }
    writeFileSync(join(repo, ".git/shallow.lock"), "");
    // These last until the page ends them.
    const held = [1, 2, 3].map(() => other("git_blame", { path: "a.txt" }));
    const endless = [1, 2].map(() => other("git_fetch", { remote: "silent" }));
    running.push(...held, ...endless);
    const end = process.env.BENCH ? await load(address, all.text, 1000, 1000) : null;
    const shown = execFileSync(server, [...args, "--config", config, "dashboard"], { ...options, encoding: "utf8" });
    const page = spawn(process.execPath, [SCRIPT, shown.split("\n")[0], modules], {
      env: { ...process.env, CHROMIUM: browser, READER: reader.text },
      stdio: "inherit",
    });
    const exit = await once(page, "exit");
    if (end) {
      console.log(`load: ${await end()} calls/s from 1,000 sessions`);
    }
    assert.deepEqual(exit, [0, null], "the page's script failed");
  } finally {
    child.kill("SIGTERM");
    await Promise.allSettled([ended, ...running]);
  }
});
