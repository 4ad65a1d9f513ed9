"""mcp 2.x against the server: stdio and HTTP, both eras. Argument: the server."""

import asyncio
import contextlib
import sys

from journey import journey
from mcp import Client, StdioServerParameters
from stage import stage

SERVER = sys.argv[1]
ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}


async def cancel(_client, task):
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled(), "the call must be cancelled before it finishes"


async def main():
    async with stage() as scene:

        async def travel(way, target):
            for mode, version in ERAS.items():

                @contextlib.asynccontextmanager
                async def connect(ask, mode=mode, version=version):
                    async with Client(target, mode=mode, elicitation_callback=ask) as client:
                        assert client.protocol_version == version, client.protocol_version
                        yield client

                await journey(f"python-2-{way}-{mode}", scene, connect, cancel)

        await travel("stdio", StdioServerParameters(command=SERVER, args=scene.args, env=scene.env))
        with scene.serve(SERVER) as address:
            await travel("http", f"{address}/mcp")


asyncio.run(main())
