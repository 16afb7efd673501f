import asyncio
import os
import pathlib

pathlib.Path(f"@FOLDER@/up-{os.getpid()}").touch()


async def application(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    pathlib.Path("@FOLDER@/begun").touch()
    await asyncio.sleep(3)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done\n"})
