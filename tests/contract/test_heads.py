"""Requests that no HTTP client would send, over a plain socket: each gets its own answers.

DATA_URL is the address of the server's data listener.
"""

import os
import socket
import sys
import urllib.parse

GOOD = b"GET /healthz HTTP/1.1\r\nHost: upbeat\r\n\r\n"
HEAD = b"GET /healthz HTTP/1.1\r\nHost: upbeat\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: upbeat\r\nConnection: close\r\n\r\n"

# The bytes sent, and the status of each answer until the server closes or sends nothing more for a second.
CASES = {
    "bytes that are not HTTP": (b"HELLO\r\n\r\n", [400]),
    "a header without a colon": (HEAD + b"Bad Header\r\n\r\n", [400]),
    "an HTTP version of the future": (b"GET /healthz HTTP/9.9\r\n\r\n", [400]),
    "a header of 17 KiB": (HEAD + b"X-Long: " + b"a" * 17_408 + b"\r\n\r\n", [431]),
    "200 headers": (HEAD + b"".join(b"X-%d: a\r\n" % index for index in range(200)) + b"\r\n", [431]),
    "a request line of 70 KB": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", [431]),
    "a path of 10 KB": (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: upbeat\r\nConnection: close\r\n\r\n", [404]),
    "two requests at once": (GOOD + LAST, [200, 200]),
    "a request and half of another": (GOOD + HEAD[:20], [200]),
    "a request, then bytes that are not HTTP": (GOOD + b"HELLO\r\n\r\n", [200, 400]),
    "a body that is shorter than announced": (
        b"POST /events HTTP/1.1\r\nHost: upbeat\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}", []),
    "a body announced with two lengths": (
        b"POST /events HTTP/1.1\r\nHost: upbeat\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]", [400]),
}


def statuses(address: tuple[str, int], sent: bytes) -> list[int]:
    """The status of each answer on one connection. Answers have a Content-Length, always."""
    received = b""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(sent)
        connection.settimeout(1)
        try:
            while chunk := connection.recv(65_536):
                received += chunk
        except TimeoutError:
            pass
        except ConnectionResetError:
            pass  # the server closed with bytes unread, after it had answered
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        found.append(int(head.split()[1]))
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        received = rest[int(lengths[0].split(b":")[1]):] if lengths else b""
    return found


def main(base: str) -> int:
    parts = urllib.parse.urlsplit(base)
    failed = 0
    for name, (sent, expected) in CASES.items():
        got = statuses((parts.hostname, parts.port), sent)
        good = got == expected
        failed += not good
        print(f"{'ok' if good else 'FAILED'}: {name}: {got}" + ("" if good else f" where {expected} is due"))
    print(f"# pass {len(CASES) - failed}\n# fail {failed}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(os.environ["DATA_URL"]))
