#!/bin/sh
# The official TypeScript MCP clients drop a progress notification that arrives in the same read as the response after
# it. They dispatch each notification one step after reading it, but a response at once, which removes the call's
# progress callback. So the last "3 of 3" of a server is never delivered, and a quick call has no progress at all, even
# though the order on the wire is correct; a pause before the response avoids it. The call succeeds, and only an
# `onerror` handler, if set, receives an "unknown token". The Python client delivers every notification.
#
# Seen with @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/client 2.4.0 and mcp 2.3.0 (Python):
#   @modelcontextprotocol/sdk 1.32.2, answer in a write of its own: done, progress 1 2 3
#   @modelcontextprotocol/sdk 1.32.2, answer with the last progress: done, progress 1 2
#   @modelcontextprotocol/sdk 1.32.2, answer with all progress: done, progress
#   @modelcontextprotocol/client 2.4.0, answer in a write of its own: done, progress 1 2 3
#   @modelcontextprotocol/client 2.4.0, answer with the last progress: done, progress 1 2
#   @modelcontextprotocol/client 2.4.0, answer with all progress: done, progress
#   mcp 2.3.0, answer in a write of its own: done, progress 1 2 3
#   mcp 2.3.0, answer with the last progress: done, progress 1 2 3
#   mcp 2.3.0, answer with all progress: done, progress 1 2 3
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" \
    @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 >/dev/null
python3 -m pip install -qq --disable-pip-version-check --no-warn-conflicts --root-user-action=ignore \
    --target packages mcp==2.3.0

# Argument `together` of a call: how many of its three progress notifications are written with the response.
cat > server.py <<'SERVER'
import json
import sys
import time

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    notes = []
    together = 0
    if request["method"] == "initialize":
        answer["result"] = {
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "server", "version": "1"},
        }
    elif request["method"] == "tools/call":
        together = request["params"]["arguments"]["together"]
        token = request["params"]["_meta"]["progressToken"]
        for step in (1, 2, 3):
            params = {"progressToken": token, "progress": step, "total": 3}
            notes.append({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        answer["result"] = {"content": [{"type": "text", "text": "done"}]}
    elif request["method"] == "tools/list":
        answer["result"] = {"tools": [{"name": "work", "inputSchema": {"type": "object"}}]}
    else:
        answer["error"] = {"code": -32601, "message": "unknown method"}
    apart = len(notes) - together
    for note in notes[:apart]:
        print(json.dumps(note), flush=True)
        time.sleep(0.3)
    print("\n".join(json.dumps(message) for message in [*notes[apart:], answer]), flush=True)
SERVER

cat > client.mjs <<'CLIENT'
import fs from 'node:fs';
const [, , name, client, stdio] = process.argv;
const { Client } = await import(client);
const { StdioClientTransport } = await import(stdio);
const version = JSON.parse(fs.readFileSync(`node_modules/${name}/package.json`)).version;
const peer = new Client({ name: 'client', version: '1' });
await peer.connect(new StdioClientTransport({ command: 'python3', args: ['server.py'] }));
const modes = { 0: 'in a write of its own', 1: 'with the last progress', 3: 'with all progress' };
for (const together of [0, 1, 3]) {
  const seen = [];
  const call = { name: 'work', arguments: { together } };
  const options = { onprogress: (note) => seen.push(note.progress) };
  const result = await (name.endsWith('sdk') ? peer.callTool(call, undefined, options) : peer.callTool(call, options));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const progress = ['progress', ...seen].join(' ');
  console.log(`${name} ${version}, answer ${modes[together]}: ${result.content[0].text}, ${progress}`);
}
await peer.close();
CLIENT

cat > client.py <<'CLIENT'
import asyncio
from importlib.metadata import version

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

MODES = {0: "in a write of its own", 1: "with the last progress", 3: "with all progress"}


async def main():
    async with (
        stdio_client(StdioServerParameters(command="python3", args=["server.py"])) as streams,
        ClientSession(*streams) as peer,
    ):
        await peer.initialize()
        for together, mode in MODES.items():
            seen = []

            async def note(progress, total, message, seen=seen):
                seen.append(f"{progress:g}")

            result = await peer.call_tool("work", {"together": together}, progress_callback=note)
            await asyncio.sleep(0.3)
            print(f"mcp {version('mcp')}, answer {mode}: {result.content[0].text},", *["progress", *seen])


asyncio.run(main())
CLIENT

{
    node client.mjs @modelcontextprotocol/sdk @modelcontextprotocol/sdk/client/index.js \
        @modelcontextprotocol/sdk/client/stdio.js
    node client.mjs @modelcontextprotocol/client @modelcontextprotocol/client @modelcontextprotocol/client/stdio
    PYTHONPATH="$work/packages" python3 client.py
} > output
cat output
[ "$(grep -c 'its own: done, progress 1 2 3$' output)" = 3 ]
[ "$(grep -c '^@.*with the last progress: done, progress 1 2$' output)" = 2 ]
[ "$(grep -c '^@.*with all progress: done, progress$' output)" = 2 ]
[ "$(grep -c '^mcp .* progress: done, progress 1 2 3$' output)" = 2 ]
