"""Hosts for measurements over slow networks: network namespaces of this machine, joined by a bridge, each with a link
of a given rate in both directions (``tc tbf``). Needs root and iproute2.

The bucket of a link holds 8 kB: were it larger than what a step sends, the rate would never be felt. All hosts share
the processors of this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

BURST = "8kb"


class Hosts:
    """So many hosts, with 10.77.0.1 the first; a context that takes them away again."""

    def __init__(self, count: int, mbit: int) -> None:
        self.count, self.mbit, self.name = count, mbit, f"th{os.getpid() % 10_000}"

    @staticmethod
    def absent() -> str | None:
        """Return why there can be none here, if so."""
        if os.geteuid() != 0:
            return "network namespaces need root"
        missing = [tool for tool in ("ip", "tc") if shutil.which(tool) is None]
        return f"{' and '.join(missing)} of iproute2 are needed" if missing else None

    def host(self, number: int) -> str:
        """Return the name of a host's namespace."""
        return f"{self.name}-{number}"

    def __enter__(self) -> Hosts:
        try:
            run("ip", "link", "add", self.name, "type", "bridge")
            run("ip", "link", "set", self.name, "up")
            for i in range(self.count):
                outside = f"{self.name}v{i}"
                run("ip", "netns", "add", self.host(i))
                run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", self.host(i))
                run("ip", "link", "set", outside, "master", self.name, "up")
                self.inside(i, "ip", "addr", "add", f"10.77.0.{i + 1}/24", "dev", "eth0")
                self.inside(i, "ip", "link", "set", "eth0", "up")
                self.inside(i, "ip", "link", "set", "lo", "up")
                limit = ("root", "tbf", "rate", f"{self.mbit}mbit", "burst", BURST, "latency", "200ms")
                self.inside(i, "tc", "qdisc", "add", "dev", "eth0", *limit)
                run("tc", "qdisc", "add", "dev", outside, *limit)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.remove()

    def remove(self) -> None:
        """Take the hosts away."""
        for i in range(self.count):
            # A namespace goes some time after it is deleted, and its link with it: by hand, the link goes now.
            subprocess.run(["ip", "link", "del", f"{self.name}v{i}"], check=False, capture_output=True)
            subprocess.run(["ip", "netns", "del", self.host(i)], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self.name], check=False, capture_output=True)

    def inside(self, number: int, *command: str) -> str:
        """Run a command on a host and return what it printed."""
        return run("ip", "netns", "exec", self.host(number), *command)

    def start(self, number: int, command: list[str], environment: dict[str, str], **options: Any) -> Any:
        """Start a rank on a host."""
        meet = {
            "RANK": str(number),
            "WORLD_SIZE": str(self.count),
            "MASTER_ADDR": "10.77.0.1",
            "MASTER_PORT": "29400",
            "GLOO_SOCKET_IFNAME": "eth0",
            "OMP_NUM_THREADS": "1",
        }
        command = ["ip", "netns", "exec", self.host(number), *command]
        return subprocess.Popen(command, env=os.environ | environment | meet, text=True, **options)

    def down(self, number: int) -> None:
        """Take down the link of a host."""
        self.inside(number, "ip", "link", "set", "eth0", "down")


def sent() -> int:
    """Return how many bytes this host sent, headers included."""
    with open("/sys/class/net/eth0/statistics/tx_bytes") as file:
        return int(file.read())


def run(*command: str) -> str:
    """Run a command; says what it complained of."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
