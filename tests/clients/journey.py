"""What every Python client does with the server, and what it does it with."""

import asyncio
import contextlib
import os
import subprocess
import tempfile

PATIENCE = 180
BLOB = "git://{repo}/blob/{rev}/{+path}"
FIXTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixture.sh")


def fixture(*args):
    subprocess.run(["sh", FIXTURE, *args], check=True)


class Stage:
    """A repository, and a remote that never answers: `reached` and `left` follow its last connection."""

    def __init__(self, folder):
        self.folder, self.repo = folder, os.path.join(folder, "repo")
        self.args = ["-r", self.repo]
        self.variables = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "MCP_GIT_STATE_DIR": os.path.join(folder, "state"),
            "MCP_GIT_PROTOCOLS": "file,http",
            "MCP_GIT_ALLOW_HOSTS": "127.0.0.1",
        }
        self.env = {**os.environ, **self.variables}
        self.reached, self.left = asyncio.Event(), asyncio.Event()

    async def silent(self, reader, writer):
        self.reached.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass
        self.left.set()
        writer.close()

    @contextlib.contextmanager
    def serve(self, server):
        """Serves the repository over HTTP, and gives the address."""
        child = subprocess.Popen(
            [server, *self.args, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True, env=self.env
        )
        try:
            yield child.stdout.readline().split()[-1]
        finally:
            child.terminate()
            code = child.wait(60)
        assert code == 0, f"the server ended with {code}"


@contextlib.asynccontextmanager
async def stage():
    with tempfile.TemporaryDirectory(prefix="mcp-server-git-") as folder:
        fixture("make", os.path.realpath(folder))
        scene = Stage(os.path.realpath(folder))
        listener = await asyncio.start_server(scene.silent, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/repo.git"
        subprocess.run(["git", "-C", scene.repo, "remote", "add", "silent", url], check=True)
        yield scene
        listener.close()


async def journey(name, scene, connect, cancel, reference):
    """`connect(ask)` is a context with a client that puts questions to `ask`; `cancel(client, task)` cancels a call.

    Whatever fails, fails with the name of the client and of the step.
    """
    steps = ["connect"]
    try:
        await asyncio.wait_for(travel(name, scene, connect, cancel, reference, steps.append), PATIENCE)
    except Exception as error:
        raise AssertionError(f"{name}: {steps[-1]}: {error!r}") from error


async def travel(name, scene, connect, cancel, reference, step):
    answers, asked, heard = [], [], []

    def ask(params):
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
        write(scene, f"{name}.txt", f"content of {name}\n")
        await text("git_add", {"files": [f"{name}.txt"]})
        uris = [one["uri"] for one in plain(await client.list_resources())["resources"]]
        assert "git://repo/status" in uris, uris
        status = plain(await client.read_resource("git://repo/status"))["contents"][0]["text"]
        assert f"A  {name}.txt" in status, status
        templates = [one["uriTemplate"] for one in plain(await client.list_resource_templates())["resourceTemplates"]]
        assert BLOB in templates, templates
        step("a completion")
        completed = await client.complete(reference(type="ref/resource", uri=BLOB), {"name": "rev", "value": "ma"}, {"repo": "repo"})
        assert plain(completed)["completion"]["values"][0] == "main", completed
        step("a prompt")
        message = plain(await client.get_prompt("commit-message"))["messages"][0]["content"]["text"]
        assert f"+content of {name}" in message, message

        step("a change")
        assert "committed" in await text("git_commit", {"message": f"from {name}"})
        log = await result("git_log", {"max_count": 1})
        assert log["structuredContent"]["commits"][0]["subject"] == f"from {name}", log

        step("a change with confirmation")
        write(scene, "a.txt", "edited\n")
        answers += [{"action": "decline"}, {"action": "accept", "content": {"confirm": True}}]
        assert (await result("git_reset", {"mode": "hard"}))["isError"]
        assert read(scene, "a.txt") == "edited\n"
        await text("git_reset", {"mode": "hard"})
        assert read(scene, "a.txt") == "one\n"
        assert len(asked) == 2 and all(question.endswith("Go on?") for question in asked), asked

        step("progress")
        fixture("publish", scene.folder)
        assert "origin/main" in await text("git_fetch", {"remote": "origin"}, progress_callback=progress)
        assert heard and all(before < after for before, after in zip(heard, heard[1:])), heard

        step("a cancelled call")
        scene.reached.clear()
        scene.left.clear()
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


def write(scene, name, content):
    with open(os.path.join(scene.repo, name), "w", encoding="utf-8") as file:
        file.write(content)


def read(scene, name):
    with open(os.path.join(scene.repo, name), encoding="utf-8") as file:
        return file.read()
