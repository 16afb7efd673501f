#!/bin/sh
# Starts two things and waits: no exec, no trap. See the Dockerfile beside it for why that is enough.
set -eu

# Something that runs beside the server.
(while :; do sleep 60; echo "entrypoint: still there"; done) &

python3 server.py
