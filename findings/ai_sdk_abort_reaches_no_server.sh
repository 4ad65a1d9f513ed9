#!/bin/sh
# If an application aborts a tool call, @ai-sdk/mcp (npm) rejects the call, but sends no `notifications/cancelled`. In
# the revisions of MCP up to 2025-11-25 a closed connection is no cancellation, and on standard input no connection
# closes in any revision: the server completes the call that the user has stopped, for example a push or a clone. The
# official TypeScript client sends the notification over both transports.
#
# Seen with @ai-sdk/mcp 2.0.99 and @modelcontextprotocol/sdk 1.32.2, on what a server receives after the call:
#   @ai-sdk/mcp 2.0.99, http, revision 2025-11-25: call rejected, then received: nothing
#   @ai-sdk/mcp 2.0.99, stdio, revision 2025-11-25: call rejected, then received: nothing
#   @modelcontextprotocol/sdk 1.32.2, http, revision 2025-11-25: call rejected, then received: notifications/cancelled
#   @modelcontextprotocol/sdk 1.32.2, stdio, revision 2025-11-25: call rejected, then received: notifications/cancelled
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" \
    @ai-sdk/mcp@2.0.99 @modelcontextprotocol/sdk@1.32.2 >/dev/null 2>&1
cat > server.mjs <<'SERVER'
// Answers all but the call of the tool `slow`, and appends each method to a file.
import { appendFileSync } from 'fs';
import { createServer } from 'http';
import { createInterface } from 'readline';

const [, , transport, file] = process.argv;
const tools = [{ name: 'slow', inputSchema: { type: 'object' } }];
const serverInfo = { name: 'finding', version: '0' };
function answer({ id, method, params }) {
  appendFileSync(file, `${method} ${params?.protocolVersion ?? ''}\n`);
  const { protocolVersion } = params ?? {};
  if (method === 'initialize') return { id, result: { protocolVersion, capabilities: { tools: {} }, serverInfo } };
  if (method === 'tools/list') return { id, result: { tools } };
  if (id !== undefined && method !== 'tools/call') return { id, error: { code: -32601, message: 'unknown method' } };
}
const text = (message) => JSON.stringify({ jsonrpc: '2.0', ...message });
if (transport === 'stdio') {
  createInterface({ input: process.stdin }).on('line', (line) => {
    const message = answer(JSON.parse(line));
    if (message) process.stdout.write(text(message) + '\n');
  });
} else {
  const server = createServer(async (request, response) => {
    if (request.method !== 'POST') return response.writeHead(405).end();
    let body = '';
    for await (const part of request) body += part;
    const message = JSON.parse(body);
    const reply = answer(message);
    if (message.id === undefined) return response.writeHead(202).end();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    if (reply) response.end(`data: ${text(reply)}\n\n`);
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  process.stdin.on('end', () => process.exit()).resume();
}
SERVER
cat > client.mjs <<'CLIENT'
import { spawn } from 'child_process';
import { readFileSync, writeFileSync } from 'fs';
import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport as AiStdio } from '@ai-sdk/mcp/mcp-stdio';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const file = 'methods';
const methods = () => readFileSync(file, 'utf8').trim().split('\n');
const until = async (found) => {
  for (;;) {
    if (found()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
};
const clients = {
  async '@ai-sdk/mcp'(command, url) {
    const transport = url ? { type: 'http', url } : new AiStdio(command);
    const client = await createMCPClient({ transport });
    const tools = await client.tools();
    const call = (abortSignal) => tools.slow.execute({}, { toolCallId: '1', messages: [], abortSignal });
    return { call, another: () => client.tools(), close: () => client.close() };
  },
  async '@modelcontextprotocol/sdk'(command, url) {
    const client = new Client({ name: 'finding', version: '0' });
    await client.connect(url ? new StreamableHTTPClientTransport(new URL(url)) : new StdioClientTransport(command));
    const call = (signal) => client.callTool({ name: 'slow' }, undefined, { signal });
    return { call, another: () => client.listTools(), close: () => client.close() };
  },
};
for (const [name, connect] of Object.entries(clients)) {
  for (const transport of ['http', 'stdio']) {
    writeFileSync(file, '');
    const command = { command: 'node', args: ['server.mjs', transport, file] };
    let server, url;
    if (transport === 'http') {
      server = spawn(command.command, command.args, { stdio: ['pipe', 'pipe', 'inherit'] });
      const port = await new Promise((resolve) => server.stdout.once('data', (data) => resolve(String(data).trim())));
      url = `http://127.0.0.1:${port}/mcp`;
    }
    const client = await connect(command, url);
    const stop = new AbortController();
    const call = Promise.resolve(client.call(stop.signal)).then(() => 'call answered', () => 'call rejected');
    await until(() => methods().some((line) => line.startsWith('tools/call')));
    const before = methods().length;
    stop.abort();
    const outcome = await call;
    // A cancellation is sent before these requests, so it has arrived once both are answered.
    await client.another();
    await client.another();
    const after = methods().slice(before).map((line) => line.trim());
    const received = after.filter((method) => method !== 'tools/list').join(' ') || 'nothing';
    const revision = methods().find((line) => line.startsWith('initialize')).split(' ')[1];
    const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8'));
    console.log(`${name} ${version}, ${transport}, revision ${revision}: ${outcome}, then received: ${received}`);
    await client.close();
    server?.stdin.end();
  }
}
process.exit();
CLIENT
timeout 120 node client.mjs > output
cat output
diff - output <<'EXPECTED'
@ai-sdk/mcp 2.0.99, http, revision 2025-11-25: call rejected, then received: nothing
@ai-sdk/mcp 2.0.99, stdio, revision 2025-11-25: call rejected, then received: nothing
@modelcontextprotocol/sdk 1.32.2, http, revision 2025-11-25: call rejected, then received: notifications/cancelled
@modelcontextprotocol/sdk 1.32.2, stdio, revision 2025-11-25: call rejected, then received: notifications/cancelled
EXPECTED
