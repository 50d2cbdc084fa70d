"""`dealpulse verify` on a system that is not Linux."""

import subprocess
import sys

ON_MACOS = """
import os
del os.sched_getaffinity
from dealpulse.cli import main, verify
verify._SHARE = 1.0
main()
"""
"""As there, nobody tells which cores a process may use. The share: not to rest in a test."""


def test_verify_gets_to_its_work_where_the_system_does_not_tell_its_cores() -> None:
    command = [sys.executable, "-c", ON_MACOS, "verify", "--partition", "no-such-place"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, "no-such-place" in done.stderr) == (2, True), done.stderr
