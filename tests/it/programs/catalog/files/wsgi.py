import os
import pathlib
import time

pathlib.Path(f"@FOLDER@/up-{os.getpid()}").touch()


def application(environ, start_response):
    pathlib.Path("@FOLDER@/begun").touch()
    time.sleep(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done\n"]
