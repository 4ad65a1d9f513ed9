"""mcp-inspector --cli against the server: stdio and HTTP, both eras. Arguments: server, folder of node_modules.

Checks that schemas are portable (--strict) and concurrent calls are answered (--load). This client supports neither
completions, progress nor elicitation, so it passes `confirm`. It cancels by disconnecting.
"""

import asyncio
import json
import os
import sys

from stage import BLOB, PATIENCE, fixture, stage

SERVER, MODULES = sys.argv[1:3]
INSPECTOR = [f"{MODULES}/node_modules/node/bin/node", f"{MODULES}/node_modules/.bin/mcp-inspector", "--cli"]
TOOL_FAILED = 5
LONG = 3


class Inspector:
    def __init__(self, name, scene, target, era):
        self.name, self.folder = name, scene.folder
        self.command = [*INSPECTOR, *target, "--protocol-era", era]
        self.env = {**scene.env, "HOME": scene.folder}

    async def start(self, *args):
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        return await asyncio.create_subprocess_exec(*self.command, *args, **pipes, env=self.env, cwd=self.folder)

    async def run(self, method, *args, expect=0):
        child = await self.start("--method", method, *args)
        output, errors = await asyncio.wait_for(child.communicate(), PATIENCE)
        assert child.returncode == expect, (self.name, method, args, child.returncode, output, errors)
        return json.loads(output)

    def call(self, tool, args=None, *more, expect=0):
        options = ["--tool-name", tool, "--tool-args-json", json.dumps(args or {}), *more]
        return self.run("tools/call", *options, expect=expect)

    async def text(self, tool, args=None, expect=0):
        return (await self.call(tool, args, expect=expect))["content"][0]["text"]


async def journey(name, scene, target, era, stops=True):
    """`stops`: whether disconnecting cancels the client's calls."""
    client = Inspector(name, scene, target, era)
    tools = {tool["name"] for tool in (await client.run("tools/list", "--strict"))["tools"]}
    assert {"git_status", "git_commit", "git_reset", "git_fetch"} <= tools, (name, tools)
    assert (await client.text("git_status")).startswith("## main"), name
    await client.call("git_show", {"revision": "--output=x"}, expect=TOOL_FAILED)

    scene.write(f"{name}.txt", f"content of {name}\n")
    await client.call("git_add", {"files": [f"{name}.txt"]})
    uris = [one["uri"] for one in (await client.run("resources/list"))["resources"]]
    assert "git://repo/status" in uris, (name, uris)
    status = (await client.run("resources/read", "--uri", "git://repo/status"))["contents"][0]["text"]
    assert f"A  {name}.txt" in status, (name, status)
    templates = [one["uriTemplate"] for one in (await client.run("resources/templates/list"))["resourceTemplates"]]
    assert BLOB in templates, (name, templates)
    prompts = [one["name"] for one in (await client.run("prompts/list"))["prompts"]]
    assert "commit-message" in prompts, (name, prompts)
    prompt = await client.run("prompts/get", "--prompt-name", "commit-message")
    assert f"+content of {name}" in prompt["messages"][0]["content"]["text"], (name, prompt)
    assert "committed" in await client.text("git_commit", {"message": f"from {name}"}), name

    scene.write("a.txt", "edited\n")
    assert "`confirm`: true" in await client.text("git_reset", {"mode": "hard"}, expect=TOOL_FAILED), name
    assert scene.read("a.txt") == "edited\n", name
    await client.call("git_reset", {"mode": "hard", "confirm": True})
    assert scene.read("a.txt") == "one\n", name

    fixture("publish", scene.folder)
    assert "origin/main" in await client.text("git_fetch", {"remote": "origin"}), name

    # A call slow enough to become a task for a client that supports tasks: the result arrives regardless.
    scene.reached.clear()
    slow = asyncio.create_task(client.text("git_fetch", {"remote": "silent"}, expect=TOOL_FAILED))
    await asyncio.wait_for(scene.reached.wait(), PATIENCE)
    await asyncio.sleep(LONG)
    scene.refuse()
    assert "HTTP status 404" in await slow, name

    if stops:
        scene.reached.clear()
        options = ["--tool-name", "git_fetch", "--tool-arg", "remote=silent"]
        slow = await client.start("--method", "tools/call", *options)
        await asyncio.wait_for(scene.reached.wait(), PATIENCE)
        slow.terminate()
        await asyncio.wait_for(slow.communicate(), PATIENCE)
        await asyncio.wait_for(scene.left.wait(), PATIENCE)
    load = await client.call("git_status", {}, "--load", "--load-requests", "200", "--load-concurrency", "16")
    assert (load["requests"], load["ok"], load["errorRate"]) == (200, 200, 0), (name, load)
    print(f"{name}: ok, {len(tools)} tools, {load['throughput']:.0f} calls a second", flush=True)


async def main():
    async with stage() as scene:
        variables = [part for item in scene.variables.items() for part in ("-e", "=".join(item))]
        for era in ("legacy", "modern"):
            await journey(f"inspector-stdio-{era}", scene, [SERVER, *scene.args, *variables], era)
        with scene.serve(SERVER) as address:
            for era in ("legacy", "modern"):
                # In the older revisions a lost connection does not cancel calls.
                target = [f"{address}/mcp", "--transport", "http"]
                await journey(f"inspector-http-{era}", scene, target, era, stops=era == "modern")


asyncio.run(main())
