import http.server
import pathlib
import os
import signal
import socketserver
import threading
import time


class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        pathlib.Path("@FOLDER@/begun").touch()
        time.sleep(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"done\n")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    allow_reuse_address = True


def stop(*_):
    # A second one means: at once.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
    threading.Thread(target=server.shutdown).start()


server = Server(("127.0.0.1", @PORT@), Slow)
signal.signal(signal.SIGTERM, stop)
server.serve_forever()
server.server_close()
