#!/bin/sh
# fetch-event-stream (npm) removes all blanks after `data:`, where an event stream has exactly one to remove. Text that
# is streamed line by line loses its indentation: the body of a Python function moves to the left margin, and a token
# that starts with a blank is joined to the one before it. eventsource-parser (npm) and httpx-sse (Python) keep it.
#
# Seen with fetch-event-stream 0.1.6, eventsource-parser 4.1.3 and httpx-sse 0.4.3:
#   eventsource-parser 4.1.3: "def f():\n    return 1", "and", " so"
#   fetch-event-stream 0.1.6: "def f():\nreturn 1", "and", "so"
#   httpx-sse 0.4.3: "def f():\n    return 1", "and", " so"
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" \
    fetch-event-stream@0.1.6 eventsource-parser@4.1.3 >/dev/null
python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore --target packages \
    httpx-sse==0.4.3 httpx==0.28.1
printf 'data: def f():\ndata:     return 1\n\ndata: and\n\ndata:  so\n\n' > stream
cat > read.mjs <<'READ'
import fs from 'node:fs';
import { createParser } from 'eventsource-parser';
import { events } from 'fetch-event-stream';
const text = fs.readFileSync('stream', 'utf8');
function show(name, seen) {
  const { version } = JSON.parse(fs.readFileSync(`node_modules/${name}/package.json`));
  console.log(`${name} ${version}: ${seen.map((data) => JSON.stringify(data)).join(', ')}`);
}
let seen = [];
createParser({ onEvent: (event) => seen.push(event.data) }).feed(text);
show('eventsource-parser', seen);
seen = [];
for await (const event of events(new Response(text))) seen.push(event.data);
show('fetch-event-stream', seen);
READ
cat > read.py <<'READ'
import json
from importlib.metadata import version
from pathlib import Path

import httpx
from httpx_sse import EventSource

headers = {"content-type": "text/event-stream"}
answer = httpx.Response(200, headers=headers, content=Path("stream").read_bytes())
seen = [json.dumps(event.data) for event in EventSource(answer).iter_sse()]
print(f"httpx-sse {version('httpx-sse')}:", ", ".join(seen))
READ
{
    node read.mjs
    PYTHONPATH="$work/packages" python3 read.py
} | tee output
diff - output <<'EXPECTED'
eventsource-parser 4.1.3: "def f():\n    return 1", "and", " so"
fetch-event-stream 0.1.6: "def f():\nreturn 1", "and", "so"
httpx-sse 0.4.3: "def f():\n    return 1", "and", " so"
EXPECTED
