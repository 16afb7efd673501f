#!/bin/sh
# Starts two things and waits, without exec and without a trap. The Dockerfile beside it says why that is enough.
set -eu

# Something that runs in the background.
(while :; do sleep 60; echo "entrypoint: still there"; done) &

python3 server.py
