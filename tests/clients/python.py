"""The Python SDK against the server: stdio and HTTP, the handshake of both eras."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile

from mcp import Client, StdioServerParameters

SERVER = sys.argv[1]


def make_repository(folder):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for args in (
        ["init", "--quiet", "--initial-branch=main"],
        ["config", "user.name", "A"],
        ["config", "user.email", "a@example.com"],
        ["commit", "--quiet", "--allow-empty", "-m", "first"],
    ):
        subprocess.run(["git", *args], cwd=folder, check=True, env=environment)


def text(result):
    assert not result.is_error, result
    return result.content[0].text


async def exercise(client, folder, name):
    tools = {tool.name for tool in (await client.list_tools()).tools}
    assert {"git_status", "git_commit", "git_show"} <= tools, tools
    assert text(await client.call_tool("git_status", {})).startswith("## main"), name
    with open(os.path.join(folder, f"{name}.txt"), "w", encoding="utf-8") as file:
        file.write("content\n")
    await client.call_tool("git_add", {"files": [f"{name}.txt"]})
    assert "committed" in text(await client.call_tool("git_commit", {"message": f"from {name}"}))
    log = await client.call_tool("git_log", {"max_count": 1})
    assert log.structured_content["commits"][0]["subject"] == f"from {name}", log
    refused = await client.call_tool("git_show", {"revision": "--output=x"})
    assert refused.is_error, refused
    print(f"python: {name} ok")


async def main():
    with tempfile.TemporaryDirectory() as folder:
        make_repository(folder)
        for mode in ("legacy", "auto", "2026-07-28"):
            server = StdioServerParameters(command=SERVER, args=["-r", folder])
            async with Client(server, mode=mode) as client:
                await exercise(client, folder, f"stdio-{mode}")
        serve = subprocess.Popen([SERVER, "-r", folder, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True)
        try:
            address = serve.stdout.readline().split()[-1]
            for mode in ("legacy", "auto", "2026-07-28"):
                async with Client(f"{address}/mcp", mode=mode) as client:
                    await exercise(client, folder, f"http-{mode}")
        finally:
            serve.terminate()
            assert serve.wait(20) == 0
    print(json.dumps({"python": "ok"}))


asyncio.run(main())
