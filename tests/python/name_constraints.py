"""Serves TLS with a leaf and says whether Python's ssl and curl take it: DIRECTORY HOST."""

import json
import socket
import ssl
import subprocess
import sys
import threading

directory, host = sys.argv[1:]
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(f"{directory}/leaf.pem", f"{directory}/leaf.key")
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]


def serve():
    while True:
        stream, _ = listener.accept()
        try:
            with server.wrap_socket(stream, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        except OSError:
            pass


threading.Thread(target=serve, daemon=True).start()
client = ssl.create_default_context(cafile=f"{directory}/ca.pem")
said = {}
try:
    with socket.create_connection(("127.0.0.1", port)) as stream:
        with client.wrap_socket(stream, server_hostname=host) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            tls.recv(4096)
    said["ssl"] = "ok"
except ssl.SSLError as error:
    said["ssl"] = str(error)
curl = subprocess.run(
    ["curl", "-sSv", "--cacert", f"{directory}/ca.pem", "--resolve", f"{host}:{port}:127.0.0.1", f"https://{host}:{port}/"],
    capture_output=True,
    text=True,
)
said["curl"] = curl.stdout if curl.returncode == 0 else curl.stderr
print(json.dumps(said))
