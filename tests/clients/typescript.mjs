// The TypeScript SDK against the server: stdio and HTTP, both eras.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [server, modules] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const load = async (name) => import(pathToFileURL(require.resolve(name).replace(/\.cjs$/, ".mjs")).href);
const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");

const folder = mkdtempSync(join(tmpdir(), "mcp-server-git-"));
const environment = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
for (const args of [
  ["init", "--quiet", "--initial-branch=main"],
  ["config", "user.name", "A"],
  ["config", "user.email", "a@example.com"],
  ["commit", "--quiet", "--allow-empty", "-m", "first"],
]) {
  execFileSync("git", args, { cwd: folder, env: environment });
}

const modes = { legacy: "legacy", auto: "auto", "2026-07-28": { pin: "2026-07-28" } };

async function exercise(name, transport, mode) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  await client.connect(transport);
  const names = (await client.listTools()).tools.map((tool) => tool.name);
  assert(names.includes("git_status") && names.includes("git_commit"), names.join());
  const text = async (tool, args) => (await client.callTool({ name: tool, arguments: args })).content[0].text;
  assert.match(await text("git_status", {}), /^## main/);
  writeFileSync(join(folder, `${name}.txt`), "content\n");
  await text("git_add", { files: [`${name}.txt`] });
  assert.match(await text("git_commit", { message: `from ${name}` }), /committed/);
  const log = await client.callTool({ name: "git_log", arguments: { max_count: 1 } });
  assert.equal(log.structuredContent.commits[0].subject, `from ${name}`);
  const refused = await client.callTool({ name: "git_show", arguments: { revision: "--output=x" } });
  assert.equal(refused.isError, true);
  await client.close();
  console.log(`typescript: ${name} ok`);
}

try {
  for (const [name, mode] of Object.entries(modes)) {
    await exercise(`stdio-${name}`, new StdioClientTransport({ command: server, args: ["-r", folder] }), mode);
  }
  const serve = spawn(server, ["-r", folder, "serve", "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => serve.on("exit", resolve));
  try {
    const [line] = await new Promise((resolve) => createInterface(serve.stdout).once("line", (...lines) => resolve(lines)));
    const address = new URL(`${line.split(" ").at(-1)}/mcp`);
    for (const [name, mode] of Object.entries(modes)) {
      await exercise(`http-${name}`, new StreamableHTTPClientTransport(address), mode);
    }
  } finally {
    serve.kill("SIGTERM");
    assert.equal(await ended, 0);
  }
} finally {
  rmSync(folder, { recursive: true });
}
