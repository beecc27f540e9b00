"""A command of the live process: it asks the warm process, shows what that prints, and ends as that ends.

It imports nothing that takes time, so that it costs what an interpreter costs. When it is killed, the warm process
kills what it runs for it.
"""

import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, socket  # `socket` itself takes twice as long as the rest.

STANDARD_OUTPUT = 1


def main() -> None:
    """Pass this folder, the words and the output on; end with the status that comes back."""
    way = socket(AF_UNIX)
    way.connect(sys.argv[1])
    order = "\0".join((os.getcwd(), *sys.argv[2:])).encode()
    way.sendmsg([order], [(SOL_SOCKET, SCM_RIGHTS, STANDARD_OUTPUT.to_bytes(4, sys.byteorder))])
    answer = way.recv(16)
    way.close()
    sys.exit(int(answer) if answer else 1)


if __name__ == "__main__":
    main()
