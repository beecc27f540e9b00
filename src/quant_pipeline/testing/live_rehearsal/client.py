"""A command of the live process: it asks the warm process, shows what that prints, and ends as that ends.

It imports nothing but the standard library. When it is killed, the warm process kills what it runs for it.
"""

import json
import os
import socket
import sys


def main() -> None:
    """Pass the words, this folder and the output on; end with the status that comes back."""
    with socket.socket(socket.AF_UNIX) as way:
        way.connect(sys.argv[1])
        order = json.dumps({"words": sys.argv[2:], "folder": os.getcwd()}).encode()
        socket.send_fds(way, [order], [1])
        answer = way.recv(16)
    sys.exit(int(answer) if answer else 1)


if __name__ == "__main__":
    main()
