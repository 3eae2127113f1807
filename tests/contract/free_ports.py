"""Prints the given number of free ports of the loopback."""

import socket
import sys


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    print(*free_ports(int(sys.argv[1])))
