"""The steps that every Python client runs against the server."""

import asyncio

from mcp.types import ElicitResult, ResourceTemplateReference
from stage import BLOB, PATIENCE, fixture


async def journey(name, scene, connect, cancel):
    """`connect(ask)` is a context with a client that passes elicitations to `ask`; `cancel(client, task)` cancels a call.

    Errors name the client and the step.
    """
    steps = ["connect"]
    try:
        await asyncio.wait_for(travel(name, scene, connect, cancel, steps.append), PATIENCE)
    except Exception as error:
        raise AssertionError(f"{name}: {steps[-1]}: {error!r}") from error


async def travel(name, scene, connect, cancel, step):
    answers, asked, heard = [], [], []

    async def ask(_context, params):
        asked.append(params.message)
        return answers.pop(0)

    async def progress(value, _total, _message):
        heard.append(value)

    async with connect(ask) as client:

        async def result(tool, args=None, **options):
            return plain(await client.call_tool(tool, args or {}, **options))

        async def text(tool, args=None, **options):
            done = await result(tool, args, **options)
            assert not done["isError"], done
            return done["content"][0]["text"]

        step("tools")
        tools = {tool["name"] for tool in plain(await client.list_tools())["tools"]}
        assert {"git_status", "git_commit", "git_reset", "git_fetch"} <= tools, tools
        step("a read")
        assert (await text("git_status")).startswith("## main")
        assert (await result("git_show", {"revision": "--output=x"}))["isError"]

        step("resources")
        scene.write(f"{name}.txt", f"content of {name}\n")
        await text("git_add", {"files": [f"{name}.txt"]})
        uris = [one["uri"] for one in plain(await client.list_resources())["resources"]]
        assert "git://repo/status" in uris, uris
        status = plain(await client.read_resource("git://repo/status"))["contents"][0]["text"]
        assert f"A  {name}.txt" in status, status
        templates = [one["uriTemplate"] for one in plain(await client.list_resource_templates())["resourceTemplates"]]
        assert BLOB in templates, templates
        step("a completion")
        template = ResourceTemplateReference(type="ref/resource", uri=BLOB)
        completed = await client.complete(template, {"name": "rev", "value": "ma"}, {"repo": "repo"})
        assert plain(completed)["completion"]["values"][0] == "main", completed
        step("a prompt")
        message = plain(await client.get_prompt("commit-message"))["messages"][0]["content"]["text"]
        assert f"+content of {name}" in message, message

        step("a change")
        assert "committed" in await text("git_commit", {"message": f"from {name}"})
        log = await result("git_log", {"max_count": 1})
        assert log["structuredContent"]["commits"][0]["subject"] == f"from {name}", log

        step("a change with confirmation")
        scene.write("a.txt", "edited\n")
        answers += [ElicitResult(action="decline"), ElicitResult(action="accept", content={"confirm": True})]
        newest = log["structuredContent"]["commits"][0]["id"]
        assert (await result("git_reset", {"mode": "hard", "target": newest}))["isError"]
        assert scene.read("a.txt") == "edited\n"
        # A declined change is refused without asking again.
        assert (await result("git_reset", {"mode": "hard", "target": newest, "confirm": True}))["isError"]
        assert scene.read("a.txt") == "edited\n"
        await text("git_reset", {"mode": "hard", "target": "HEAD"})
        assert scene.read("a.txt") == "one\n"
        assert len(asked) == 2 and all(question.endswith("Proceed?") for question in asked), asked

        step("progress")
        fixture("publish", scene.folder)
        assert "origin/main" in await text("git_fetch", {"remote": "origin"}, progress_callback=progress)
        assert heard, "no progress was received"
        assert all(before < after for before, after in zip(heard, heard[1:])), heard

        step("a cancelled call")
        scene.reached.clear()
        slow = asyncio.create_task(result("git_fetch", {"remote": "silent"}))
        await scene.reached.wait()
        await cancel(client, slow)
        step("the work of a cancelled call ends")
        await scene.left.wait()
        step("a read after a cancelled call")
        assert (await text("git_status")).startswith("## main")
        step("close")
    print(f"{name}: ok, {len(tools)} tools, {len(heard)} times progress", flush=True)


def plain(result):
    return result.model_dump(by_alias=True, mode="json")
