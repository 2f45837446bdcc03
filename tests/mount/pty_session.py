"""Types into a program on a terminal of its own and waits for what it prints.

pty_session.py PROGRAM [ARGUMENT...] reads a script from standard input, one step a line:
  type TEXT   sends TEXT; \\r is Enter, \\x03 Ctrl-C, \\x1a Ctrl-Z
  wait REGEX  until the output since the last match has it; fails after 20 s
  signal N    sends signal N to the program
  end         until the program ends; its exit status becomes ours
The program leads the session of its terminal, as a login shell does.
"""
import os
import pty
import re
import select
import sys
import time

DEADLINE_S = 20


class Terminal:
    def __init__(self, argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)
        self.seen = b""

    def read_more(self, until):
        """Reads what there is; False at the deadline or the end."""
        left = until - time.monotonic()
        if left <= 0 or not select.select([self.fd], [], [], left)[0]:
            return False
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # the terminal has no other side any more
            return False
        self.seen += data
        return bool(data)

    def wait_for(self, regex):
        until = time.monotonic() + DEADLINE_S
        while not (found := re.search(regex, self.seen)):
            if not self.read_more(until):
                sys.exit(f"FAILED: never saw {regex!r} in:\n"
                         f"{self.seen.decode(errors='replace')}")
        self.seen = self.seen[found.end():]

    def end(self):
        until = time.monotonic() + DEADLINE_S
        while self.read_more(until):
            pass
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def main():
    terminal = Terminal(sys.argv[1:])
    for line in sys.stdin:
        step, _, text = line.rstrip("\n").partition(" ")
        raw = text.encode().decode("unicode_escape").encode("latin-1")
        if step == "type":
            os.write(terminal.fd, raw)
        elif step == "wait":
            terminal.wait_for(text.encode())
        elif step == "signal":
            os.kill(terminal.pid, int(text))
        elif step == "end":
            sys.exit(terminal.end())
        elif step and not step.startswith("#"):
            sys.exit(f"FAILED: no such step: {step}")


main()
