// @modelcontextprotocol/sdk 1.x against the server: stdio, HTTP and WebSocket. Arguments: server, folder of node_modules.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { journey } from "./journey.mjs";
import { serve, stage } from "./stage.mjs";

const [server, modules] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const load = async (name) => {
  const path = require.resolve(`@modelcontextprotocol/sdk/${name}`).replace("/cjs/", "/esm/");
  return import(pathToFileURL(path).href);
};
const { Client } = await load("client/index.js");
const { ElicitRequestSchema } = await load("types.js");
const { StdioClientTransport } = await load("client/stdio.js");
const { StreamableHTTPClientTransport } = await load("client/streamableHttp.js");
const { WebSocketClientTransport } = await load("client/websocket.js");

const call = (client, params, options) => client.callTool(params, undefined, options);

await stage(async (scene) => {
  const travel = (way, transport) =>
    journey(
      `typescript-1-${way}`,
      scene,
      async (ask) => {
        const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
        client.setRequestHandler(ElicitRequestSchema, async (request) => ask(request.params));
        await client.connect(transport);
        return client;
      },
      call,
    );
  await travel("stdio", new StdioClientTransport({ command: server, args: scene.args, env: scene.env }));
  await serve(server, scene, async (address) => {
    await travel("http", new StreamableHTTPClientTransport(new URL("/mcp", address)));
    await travel("ws", new WebSocketClientTransport(new URL(`ws://${address.host}/ws`)));
  });
});
