// The setup for the Node clients: a repository, its remote, and a server over HTTP.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("fixture.sh", import.meta.url));

/** Runs `make` or `publish`: see the script. */
export const fixture = (...args) => execFileSync("sh", [SCRIPT, ...args]);

/** Creates a repository and a remote that never answers, and passes both to `work`. */
export async function stage(work) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "mcp-server-git-")));
  const silent = createServer((socket) => socket.resume().on("error", () => {}));
  try {
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    fixture("make", folder, `http://127.0.0.1:${silent.address().port}/repo.git`);
    const repo = join(folder, "repo");
    const variables = {
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_NOSYSTEM: "1",
      MCP_GIT_STATE_DIR: join(folder, "state"),
      MCP_GIT_PROTOCOLS: "file,http",
      MCP_GIT_ALLOW_HOSTS: "127.0.0.1",
    };
    await work({ folder, repo, silent, args: ["-r", repo], env: { ...process.env, ...variables } });
  } finally {
    silent.close();
    rmSync(folder, { recursive: true, maxRetries: 10 });
  }
}

/** Serves the repository over HTTP, and passes the address to `work`. */
export async function serve(server, { args, env }, work) {
  const child = spawn(server, [...args, "serve", "--port", "0"], { env, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  try {
    const [line] = await Promise.race([once(createInterface(child.stdout), "line"), ended]);
    assert.equal(typeof line, "string", `the server ended with ${line}`);
    await work(new URL(line.split(" ").at(-1)));
  } finally {
    child.kill("SIGTERM");
  }
  assert.deepEqual(await ended, [0, null], "the server must exit cleanly");
}
