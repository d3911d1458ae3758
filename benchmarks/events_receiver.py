"""A receiver as fast as one in Python is: answers every POST with 204, and says how many when it is asked by GET.

python -m benchmarks.events_receiver PORT
"""

import socket
import sys

#: A connection is accepted once it has sent something, so that nobody waits for who has not.
DEFER_SECONDS = 10


def main():
    """Take one request after the other, each on a connection of its own, until the end."""
    count = 0
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024) as server:
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_SECONDS)
        while True:
            connection, _ = server.accept()
            with connection:
                request = read_request(connection)
                if request.startswith(b"GET"):
                    text = str(count).encode()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
                elif request:
                    count += 1
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def read_request(connection):
    """Return head and body of a request, b"" if it ends early; nothing is verified: the worker is what is measured."""
    data = b""
    while piece := connection.recv(65536):
        data += piece
        head, found, body = data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if found and len(body) >= int(length or 0):
            return data
    return b""


if __name__ == "__main__":
    main()
