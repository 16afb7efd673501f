"""A server that finishes its requests when it gets TERM."""

import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"hello\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    # server_close() waits for the threads that still send an answer.
    daemon_threads = False


def main():
    server = Server(("", 8080), Handler)
    # shutdown() waits for serve_forever(), which runs in this thread, so another thread has to call it.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("server: up", flush=True)
    server.serve_forever()
    server.server_close()
    print("server: finished", flush=True)


if __name__ == "__main__":
    main()
