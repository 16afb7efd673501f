"""The other end of a container's terminal: takes it from the runtime's console socket, and passes on what is said and typed.

    console.py SOCKET

Says `listening` when the runtime may be started, and ends with the terminal.
"""

import os
import select
import socket
import sys

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(1)
print("listening", flush=True)
connection, _ = listener.accept()
_, [terminal], _, _ = socket.recv_fds(connection, 4096, 1)
inputs = [terminal, 0]
while True:
    ready, _, _ = select.select(inputs, [], [])
    if 0 in ready:
        typed = os.read(0, 4096)
        os.write(terminal, typed)
        if not typed:
            inputs.remove(0)
    if terminal in ready:
        try:
            said = os.read(terminal, 4096)
        except OSError:
            # Nobody is at the other end any more.
            break
        os.write(1, said)
