"""A receiver as fast as one in Python is: answers every POST with 204, and says how many when it is asked by GET.

python -m benchmarks.events_receiver PORT
"""

import asyncio
import sys

COUNT = 0


class Receiver(asyncio.Protocol):
    """One connection with one request."""

    def connection_made(self, transport):
        """Begin with nothing."""
        self.transport, self.data = transport, b""

    def data_received(self, data):
        """Answer when head and body are there; nothing is verified, since the worker is what is measured."""
        global COUNT
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            text = str(COUNT).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        else:
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(body) < length:
                return
            COUNT += 1
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.transport.close()


async def main():
    """Listen until the end."""
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
