# SPDX-License-Identifier: Apache-2.0
"""Step after step until the budget is spent, with checkpoints that a killed run goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dubplate_backend.training.checkpoint import STATE, load_checkpoint, save_checkpoint
from dubplate_backend.training.plots import LossRow, plot_losses, write_losses
from dubplate_backend.training.sampler import Batch
from dubplate_backend.training.tensorboard import Record, unrecorded
from dubplate_backend.training.trainer import Trainer
from dubplate_backend.training.whole_steps import whole_steps
from dubplate_shared.errors import Cancelled, InvalidInput
from dubplate_shared.progress import Progress, ProgressCallback, Stop

CHECKPOINT_EVERY_S = 60.0
CHECKPOINT_SHARE = 0.05  # of the time goes into checkpoints, a prior's being large; but
CHECKPOINT_LATEST_S = 900.0  # no more than this is ever lost
REPORT_EVERY_S = 5.0
MOST_ROWS = 20_000  # of losses that are kept: beyond it every second one of the earlier half goes


@dataclass(frozen=True)
class Budget:
    """How long to train: minutes of the clock for the whole command, or a number of iterations."""

    minutes: float | None = None
    iterations: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.minutes, self.iterations) if value is not None]
        if len(given) != 1 or given[0] <= 0:
            raise InvalidInput("Say either minutes or iterations, above zero.", hint="For example: --minutes 15")

    def share(self, iteration: int, elapsed_s: float) -> float:
        """How much of the run is over, 0..1."""
        if self.iterations is not None:
            return min(iteration / self.iterations, 1.0)
        return min(elapsed_s / (60.0 * float(self.minutes or 1.0)), 1.0)

    def shortened(self, seconds: float) -> Budget:
        """The same with some seconds of its minutes kept for what follows. Raises InvalidInput where nothing is left.

        Iterations stay as they are.
        """
        if self.minutes is None:
            return self
        left = self.minutes - seconds / 60.0
        if left <= 0.0:
            raise InvalidInput(
                f"{self.minutes:g} minutes are too few: scoring alone takes {seconds:.0f} seconds.",
                hint="Give more minutes; what is prepared is kept.",
            )
        return Budget(minutes=left)


@dataclass
class Run:
    """One training run on its way: the trainer, where it is kept, its losses so far, and its clock."""

    trainer: Trainer
    checkpoint: Path
    clock: Callable[[], float]
    started: float  # of the clock
    every_s: float = CHECKPOINT_EVERY_S
    earlier_s: float = 0.0  # before a resume
    losses: list[LossRow] = field(default_factory=list)
    record: Record = unrecorded

    def elapsed(self) -> float:
        """Seconds that the run took, those before a resume included."""
        return self.earlier_s + self.clock() - self.started

    def resume(self) -> bool:
        """Go on from the checkpoint where there is one."""
        if not (self.checkpoint / STATE).exists():
            return False
        facts = load_checkpoint(self.checkpoint, self.trainer)
        self.losses, self.earlier_s = facts["losses"], float(facts["elapsed_s"])
        return True

    def keep(self) -> None:
        """Write a checkpoint, and the curves so far beside it; of several processes, the first one does."""
        if self.trainer.processes.first:
            save_checkpoint(self.checkpoint, self.trainer, {"elapsed_s": self.elapsed(), "losses": self.losses})
            write_losses(self.checkpoint.parent / "losses.csv", self.losses)
            plot_losses(self.checkpoint.parent / "losses.png", self.losses, f"step {self.trainer.iteration}")
        self.trainer.processes.wait()

    def train(self, draw: Callable[[], Batch], budget: Budget, progress: ProgressCallback, stop: Stop) -> None:
        """Train until the budget is spent.

        Raises Cancelled where `stop` says so or a signal came, after a checkpoint.  Of several processes a signal hits
        each at its own moment: they go on from the last checkpoint.
        """
        try:
            self._train(draw, budget, progress, stop)
        except Cancelled:
            if self.trainer.processes.count == 1:
                self.keep()
            raise

    def _train(self, draw: Callable[[], Batch], budget: Budget, progress: ProgressCallback, stop: Stop) -> None:
        trainer, together = self.trainer, self.trainer.processes
        saved = reported = self.elapsed()
        every_s = self.every_s
        while True:
            now = self.elapsed()
            # What the first process sees holds for all, or they would stop at different steps.
            share, halted, due = together.as_first(
                budget.share(trainer.iteration, now), float(stop()), float(now - saved >= every_s)
            )
            if due or (halted and together.count > 1):
                self.keep()
                saved = self.elapsed()
                every_s = min(max(self.every_s, (saved - now) / CHECKPOINT_SHARE), CHECKPOINT_LATEST_S)
            if halted:
                raise Cancelled("Stopped as asked.", hint="Run the same command again to go on.")
            if share >= 1.0:
                return
            with whole_steps():
                losses = trainer.step(draw(), share)
                now = self.elapsed()
                self.losses.append({"iteration": trainer.iteration, "seconds": round(now, 2), **losses})
            self.record(self.losses[-1])
            if len(self.losses) > MOST_ROWS:
                del self.losses[: MOST_ROWS // 2 : 2]
            if together.first and now - reported >= REPORT_EVERY_S:
                progress(_report(budget, trainer.iteration, now, losses))
                reported = now


def _report(budget: Budget, iteration: int, elapsed_s: float, losses: Mapping[str, float]) -> Progress:
    stage = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
    if budget.iterations is not None:
        return Progress(iteration, budget.iterations, stage)
    return Progress(round(elapsed_s), round(60.0 * float(budget.minutes or 1.0)), f"step {iteration}  {stage}")
