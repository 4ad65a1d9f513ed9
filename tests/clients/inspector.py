"""mcp-inspector in strict mode: every schema is portable, over stdio and HTTP."""

import json
import os
import subprocess
import sys
import tempfile

SERVER, MODULES = sys.argv[1:3]
INSPECTOR = [f"{MODULES}/node_modules/node/bin/node", f"{MODULES}/node_modules/.bin/mcp-inspector", "--cli"]


def inspect(target, *args):
    done = subprocess.run([*INSPECTOR, *target, *args], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (args, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def exercise(name, target):
    tools = inspect(target, "--method", "tools/list", "--strict")["tools"]
    assert len(tools) >= 13, len(tools)
    status = inspect(target, "--method", "tools/call", "--tool-name", "git_status")
    assert status["content"][0]["text"].startswith("## "), status
    print(f"inspector: {name} ok, {len(tools)} tools")


with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", folder], check=True, env=environment)
    exercise("stdio", [SERVER, "-r", folder])
    serve = subprocess.Popen([SERVER, "-r", folder, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        address = serve.stdout.readline().split()[-1]
        exercise("http", [f"{address}/mcp", "--transport", "http"])
    finally:
        serve.terminate()
        assert serve.wait(20) == 0
