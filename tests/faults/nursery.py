# SPDX-License-Identifier: Apache-2.0
"""Backends by the dozen: a process that has imported everything once, and forks a backend whenever it is told to.

Each is `dubplate serve`, a process of its own that is killed like any other; only the seconds of importing are saved.
Run as a script: a line of JSON on standard input (the arguments of `serve`, and `log`) is answered by the new process's
id.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

END_TIMEOUT_S = 10.0


@dataclass
class Backend:
    """One backend. It answers once its connection file is there."""

    pid: int
    connection_file: Path
    log: Path

    def ready(self) -> bool:
        """Whether it listens; false also where it is gone."""
        return self.connection_file.exists()

    def wait(self, timeout_s: float = 60.0) -> Backend:
        deadline_s = time.monotonic() + timeout_s
        while not self.ready():
            assert self.alive, f"it ended:\n{self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline_s, f"not ready:\n{self.log.read_text()[-2000:]}"
            time.sleep(0.01)
        return self

    @property
    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """-9, and gone when this returns."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self.alive:
            os.kill(self.pid, number)
        deadline_s = time.monotonic() + END_TIMEOUT_S
        while self.alive:
            assert time.monotonic() < deadline_s, "it does not end"
            time.sleep(0.002)


@dataclass
class Nursery:
    """Use as a context manager; leaving ends all backends that it started."""

    folder: Path
    _process: subprocess.Popen[str] | None = None
    _backends: list[Backend] = field(default_factory=list)

    def __enter__(self) -> Nursery:
        repository = Path(__file__).parents[2]
        single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}  # it forks
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=repository,
            env={**os.environ, **single},
        )
        return self

    def __exit__(self, *_: object) -> None:
        for backend in self._backends:
            if backend.alive:
                backend.signal(signal.SIGCONT)
                backend.kill()
        assert self._process is not None
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(END_TIMEOUT_S)
        self._process.stdout.close()  # type: ignore[union-attr]

    def start(self, root: Path, output_root: Path, **arguments: Any) -> Backend:
        """A new backend that serves `root`; further arguments as `serve` takes them."""
        assert self._process is not None
        connection_file = self.folder / f"connection-{len(self._backends)}.json"
        log = connection_file.with_suffix(".log")
        told = {
            "roots": [str(root)], "output_root": str(output_root), "connection_file": str(connection_file),
            "log": str(log), **arguments,
        }  # fmt: skip
        print(json.dumps(told), file=self._process.stdin, flush=True)
        backend = Backend(int(self._process.stdout.readline()), connection_file, log)  # type: ignore[union-attr]
        self._backends.append(backend)
        return backend


def _fork(told: dict[str, Any]) -> int:
    """Fork a backend; its id."""
    from dubplate_backend.server.policy import Policy
    from dubplate_backend.server.run import serve

    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(told.pop("log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for handle, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(handle, target)
        told["roots"] = tuple(Path(root) for root in told["roots"])
        for name in ("output_root", "connection_file"):
            told[name] = Path(told[name])
        told["policy"] = Policy(**told.pop("policy", {}))
        usual = {"head": None, "address": "127.0.0.1", "keys": None, "first_port": None, "parent_pid": os.getppid()}
        code = serve(**usual | {"idle_exit_s": None} | told)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    import torch

    # Everything that a backend imports, and no thread before the forks: libraries' threads do not survive one.
    torch.set_num_threads(1)

    import dubplate_backend.rendering
    import dubplate_backend.server.models
    import dubplate_backend.server.server  # noqa: F401
    from dubplate_backend.raster.rasterise import rasterise

    corners = torch.tensor([[[0.0, 0.0, 1.0], [4.0, 0.0, 1.0], [0.0, 4.0, 1.0]]])
    rasterise(corners, torch.tensor([[0, 1, 2]]), 4, 4)  # loads its compiled kernel
    assert len(os.listdir("/proc/self/task")) == 1 if os.path.isdir("/proc/self/task") else True

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries the dead
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        print(_fork(json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
