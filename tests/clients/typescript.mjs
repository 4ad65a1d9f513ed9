// @modelcontextprotocol/client 2.x against the server: stdio and HTTP, both eras. Arguments: server, folder of node_modules.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { journey } from "./journey.mjs";
import { serve, stage } from "./stage.mjs";

const [server, modules] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const load = async (name) => import(pathToFileURL(require.resolve(name).replace(/\.cjs$/, ".mjs")).href);
const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");

const MODES = { legacy: "legacy", auto: "auto", "2026-07-28": { pin: "2026-07-28" } };
const ERAS = { legacy: "legacy", auto: "modern", "2026-07-28": "modern" };
const call = (client, params, options) => client.callTool(params, options);

await stage(async (scene) => {
  const travel = async (way, transport) => {
    for (const [name, mode] of Object.entries(MODES)) {
      const connect = async (ask) => {
        const options = { capabilities: { elicitation: {} }, versionNegotiation: { mode } };
        const client = new Client({ name: "test", version: "1" }, options);
        client.setRequestHandler("elicitation/create", async (request) => ask(request.params));
        await client.connect(transport());
        assert.equal(client.getProtocolEra(), ERAS[name]);
        return client;
      };
      await journey(`typescript-2-${way}-${name}`, scene, connect, call);
    }
  };
  await travel("stdio", () => new StdioClientTransport({ command: server, args: scene.args, env: scene.env }));
  await serve(server, scene, (address) => travel("http", () => new StreamableHTTPClientTransport(new URL("/mcp", address))));
});
