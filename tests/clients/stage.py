"""The setup for the Python clients: a repository, its remote, and a server over HTTP."""

import asyncio
import contextlib
import os
import subprocess
import tempfile

PATIENCE = 180
BLOB = "git://{repo}/blob/{rev}/{+path}"
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixture.sh")


def fixture(*args):
    """Runs `make` or `publish`: see the script."""
    subprocess.run(["sh", SCRIPT, *args], check=True)


class Stage:
    """A repository, and a remote that never answers: `reached` and `left` track its last connection."""

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
        self.writer = None

    def refuse(self):
        """Sends an answer after which git does not retry."""
        self.writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.writer.close()

    async def silent(self, reader, writer):
        self.left.clear()
        self.writer = writer
        self.reached.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                pass
        self.left.set()
        writer.close()

    def write(self, name, content):
        with open(os.path.join(self.repo, name), "w", encoding="utf-8") as file:
            file.write(content)

    def read(self, name):
        with open(os.path.join(self.repo, name), encoding="utf-8") as file:
            return file.read()

    @contextlib.contextmanager
    def serve(self, server):
        """Serves the repository over HTTP and yields the address."""
        child = subprocess.Popen(
            [server, *self.args, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True, env=self.env
        )
        try:
            line = child.stdout.readline()
            assert line, "the server did not start"
            yield line.split()[-1]
        finally:
            child.terminate()
            code = child.wait(60)
        assert code == 0, f"the server ended with {code}"


@contextlib.asynccontextmanager
async def stage():
    with tempfile.TemporaryDirectory(prefix="mcp-server-git-") as folder:
        scene = Stage(os.path.realpath(folder))
        listener = await asyncio.start_server(scene.silent, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/repo.git"
        fixture("make", scene.folder, url)
        yield scene
        listener.close()
