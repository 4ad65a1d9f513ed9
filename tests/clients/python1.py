"""mcp[ws] 1.x against the server: stdio, HTTP and WebSocket. Argument: the server."""

import asyncio
import contextlib
import sys
import warnings

from journey import journey
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.websocket import websocket_client
from mcp.types import CancelledNotification, CancelledNotificationParams, ClientNotification
from stage import stage

SERVER = sys.argv[1]
warnings.filterwarnings("ignore", category=DeprecationWarning)


async def cancel(client, task):
    # With this SDK the caller must notify the server.
    params = CancelledNotificationParams(requestId=client._request_id - 1)
    await client.send_notification(ClientNotification(CancelledNotification(params=params)))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def main():
    async with stage() as scene:

        async def travel(way, open_transport):
            @contextlib.asynccontextmanager
            async def connect(ask):
                async with open_transport() as (read, write, *_):
                    async with ClientSession(read, write, elicitation_callback=ask) as client:
                        await client.initialize()
                        yield client

            await journey(f"python-1-{way}", scene, connect, cancel)

        await travel("stdio", lambda: stdio_client(StdioServerParameters(command=SERVER, args=scene.args, env=scene.env)))
        with scene.serve(SERVER) as address:
            await travel("http", lambda: streamable_http_client(f"{address}/mcp"))
            await travel("ws", lambda: websocket_client(f"{address.replace('http', 'ws', 1)}/ws"))


asyncio.run(main())
