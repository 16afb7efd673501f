"""Stands for a CI runner: on QUIT it waits for its job and ends, on TERM it gives the job up."""

import signal
import subprocess
import sys
import time


def give_up(*_):
    if job:
        job.kill()
    sys.exit(1)


job = None
stopping = []
signal.signal(signal.SIGQUIT, lambda *_: stopping.append(True))
signal.signal(signal.SIGTERM, give_up)
job = subprocess.Popen(["sh", "-c", "touch begun; sleep 3; touch done"])
job.wait()
while not stopping:
    time.sleep(0.1)
