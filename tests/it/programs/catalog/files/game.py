"""Stands for a game server: saves its world and ends when it reads "stop", and loses the world on TERM."""

import pathlib
import sys
import time

pathlib.Path("begun").touch()
for line in sys.stdin:
    if line.strip() == "stop":
        time.sleep(3)
        pathlib.Path("done").touch()
        break
