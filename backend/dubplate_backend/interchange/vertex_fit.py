# SPDX-License-Identifier: Apache-2.0
"""Vertices to expression and jaw: one regularised least-squares fit of all frames at once.

Gauss-Newton on v = skin(neutral + B e + P(R - I), R).  In the jaw's own axes a small turn moves a vertex by its skin
weight times omega x (vertex - joint), which the face's expression hardly changes: taken at rest, the Jacobian is the
same in every frame.  So one eigen-decomposition turns a step over all frames, temporal terms included, into
independent banded systems, one for each mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from dubplate_backend.head.flame_files import JAW_JOINT, VERTICES
from dubplate_backend.head.model import EXPRESSION_COMPONENTS, HeadModel
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, never, silent
from dubplate_shared.rotations import matrix_from_axis_angle

NOISE_MM = 0.5
"""What a vertex may be off: VOCASET's registrations, and what a face has beyond FLAME's 100 components."""
LIP_WEIGHT = 3.0
JAW_SPREAD_DEG = (20.0, 2.0, 2.0)
"""One standard deviation of opening, of turning aside, of twisting: a jaw hinges."""
EXPRESSION_SPREAD = 1.0
EXPRESSION_JERK, JAW_JERK_DEG = 0.5, 3.0
"""One standard deviation of the second difference between frames at 30 a second."""
JERK_FPS = 30.0
STEPS = 4
LEAST_WEIGHT = 0.02  # of the jaw, for a vertex to be heeded beside the face's own
LIPS_TAKEN, OTHERS_TAKEN = 2, 6  # one vertex in so many is enough: some 500 for 103 numbers
CHUNK = 256  # frames whose vertices are posed at once
_MM = 1e-3


@dataclass(frozen=True)
class VertexFit:
    """expression: (T, 100).   jaw: (T, 3), never above closed.   lip_error_mm: (T,) mean distance of lip vertices."""

    expression: np.ndarray
    jaw: np.ndarray
    lip_error_mm: np.ndarray


@dataclass(frozen=True)
class _Points:
    """Vertices that the fit heeds, of one neutral.   N of them."""

    index: np.ndarray  # [N]
    rest: np.ndarray  # [N, 3] metres
    basis: np.ndarray  # [3N, 100]
    pose: np.ndarray  # [9, 3N] what the jaw's correctives add
    share: np.ndarray  # [N] of the jaw
    weight: np.ndarray  # [N] of a squared distance, 1 / metres^2
    joint: np.ndarray  # [3] the jaw's
    joint_basis: np.ndarray  # [3, 100]
    lips: np.ndarray  # [N] bool

    @classmethod
    def of(cls, head: HeadModel, neutral: np.ndarray) -> _Points:
        masks = {name: head.masks[name][:VERTICES].numpy() for name in ("lips", "face")}
        jaw = head.skin_weights[:VERTICES, JAW_JOINT].numpy()
        others = (masks["face"] | (jaw > LEAST_WEIGHT)) & ~masks["lips"]
        taken = np.flatnonzero(masks["lips"])[::LIPS_TAKEN], np.flatnonzero(others)[::OTHERS_TAKEN]
        index = np.sort(np.concatenate(taken))
        expression = head.expression_basis[:VERTICES].double().numpy()
        regressor = head.joint_regressor[JAW_JOINT, :VERTICES].double().numpy()
        pose = head.pose_basis[index].double().numpy()[..., 9 * (JAW_JOINT - 1) : 9 * JAW_JOINT]  # [N, 3, 9]
        lips = masks["lips"][index]
        return cls(
            index=index,
            rest=neutral[index],
            basis=expression[index].reshape(-1, EXPRESSION_COMPONENTS),
            pose=pose.transpose(2, 0, 1).reshape(9, -1),
            share=jaw[index].astype(np.float64),
            weight=np.where(lips, LIP_WEIGHT, 1.0) ** 2 / (NOISE_MM * _MM) ** 2,
            joint=regressor @ neutral,
            joint_basis=np.einsum("v,vkc->kc", regressor, expression),
            lips=lips,
        )

    def posed(self, expression: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """[T, N, 3] metres, single precision.   expression: [T, 100].   turn: [T, 3, 3] the jaw's."""
        bent = (turn - np.eye(3)).astype(np.float32)
        code = expression.astype(np.float32)
        moved = code @ self.basis.T.astype(np.float32) + bent.reshape(-1, 9) @ self.pose.astype(np.float32)  # [T, 3N]
        rest = self.rest.astype(np.float32) + moved.reshape(len(turn), -1, 3)
        joint = (self.joint + expression @ self.joint_basis.T).astype(np.float32)  # [T, 3]
        arm = (rest - joint[:, None]) @ bent.transpose(0, 2, 1)
        return rest + self.share[:, None].astype(np.float32) * arm

    def jacobian(self) -> np.ndarray:
        """[3N, 103]: expression, then the jaw's turn in its own axes, both at rest."""
        arm = self.rest - self.joint  # [N, 3]
        zero = np.zeros(len(arm))
        x, y, z = arm.T
        turned = np.stack(
            [np.stack(row, -1) for row in ((zero, z, -y), (-z, zero, x), (y, -x, zero))], 1
        )  # omega x arm
        return np.concatenate([self.basis, (self.share[:, None, None] * turned).reshape(-1, 3)], axis=1)


def fit_vertices(
    head: HeadModel,
    neutral: np.ndarray,
    vertices: np.ndarray,
    *,
    fps: float,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> VertexFit:
    """Codes of T frames of one person.

    neutral: (5023, 3) metres.   vertices: (T, 5023, 3) metres, in FLAME's axes.   Raises Cancelled.
    """
    points = _Points.of(head, neutral)
    target = vertices[:, points.index].astype(np.float32)  # [T, N, 3]
    jacobian = points.jacobian()
    weighted = jacobian * np.repeat(points.weight, 3)[:, None]  # [3N, 103]
    spread = np.concatenate([np.full(EXPRESSION_COMPONENTS, EXPRESSION_SPREAD), np.radians(JAW_SPREAD_DEG)])
    # A second difference grows with the square of the time between frames.
    pace = (JERK_FPS / fps) ** 2
    jerk = pace * np.concatenate(
        [np.full(EXPRESSION_COMPONENTS, EXPRESSION_JERK), np.full(3, np.radians(JAW_JERK_DEG))]
    )
    system = _Smooth(jacobian.T @ weighted + np.diag(spread**-2.0), jerk**-2.0)
    codes = np.zeros((len(vertices), EXPRESSION_COMPONENTS + 3))
    for step in range(STEPS):
        check(stop)
        progress(Progress(step, STEPS + 1, "fitting"))
        pull = _pull(points, target, codes, weighted) - codes * spread**-2.0
        codes = codes + system.solve(pull - system.roughness(codes))
        codes[:, EXPRESSION_COMPONENTS] = np.maximum(codes[:, EXPRESSION_COMPONENTS], 0.0)
    # The jaw stays; what its stop at closed leaves over is the expression's.
    some = slice(0, EXPRESSION_COMPONENTS)
    rest = _Smooth(jacobian[:, some].T @ weighted[:, some] + np.diag(spread[some] ** -2.0), jerk[some] ** -2.0)
    for _ in range(2):
        pull = _pull(points, target, codes, weighted[:, some]) - codes[:, some] * spread[some] ** -2.0
        codes[:, some] += rest.solve(pull - rest.roughness(codes[:, some]))
    progress(Progress(STEPS + 1, STEPS + 1, "fitting"))
    return VertexFit(codes[:, some], codes[:, EXPRESSION_COMPONENTS:], _lip_error_mm(points, target, codes))


def _pull(points: _Points, target: np.ndarray, codes: np.ndarray, weighted: np.ndarray) -> np.ndarray:
    """What the distances ask of the codes: J^T W r, distances turned back by each vertex's share of the jaw.  [T, C]"""
    pulls, light, share = [], weighted.astype(np.float32), points.share[:, None].astype(np.float32)
    for start in range(0, len(codes), CHUNK):
        some = slice(start, start + CHUNK)
        turn = matrix_from_axis_angle(codes[some, EXPRESSION_COMPONENTS:])
        off = target[some] - points.posed(codes[some, :EXPRESSION_COMPONENTS], turn)  # [t, N, 3]
        off += share * (off @ (turn - np.eye(3)).astype(np.float32))  # rows: R^T off
        pulls.append(off.reshape(len(off), -1) @ light)
    return np.concatenate(pulls)


def _lip_error_mm(points: _Points, target: np.ndarray, codes: np.ndarray) -> np.ndarray:
    errors = []
    for start in range(0, len(codes), CHUNK):
        some = slice(start, start + CHUNK)
        turn = matrix_from_axis_angle(codes[some, EXPRESSION_COMPONENTS:])
        off = target[some] - points.posed(codes[some, :EXPRESSION_COMPONENTS], turn)
        errors.append(np.linalg.norm(off[:, points.lips], axis=-1).mean(-1) / _MM)
    return np.concatenate(errors)


class _Smooth:
    """Solves A x_t + C (D^T D x)_t = b_t for all t: A [C, C] of one frame, C diagonal, D the second difference."""

    def __init__(self, one_frame: np.ndarray, stiffness: np.ndarray) -> None:
        self.stiffness = stiffness
        # A q = m C q with q^T C q = 1: in these modes both are diagonal.
        self.stiff, self.modes = scipy.linalg.eigh(one_frame, np.diag(stiffness))

    def solve(self, right: np.ndarray) -> np.ndarray:
        """right: [T, C] -> [T, C]."""
        in_modes = right @ self.modes  # [T, C]
        bands = _second_difference_bands(len(right))
        for mode, stiff in enumerate(self.stiff):
            system = bands.copy()
            system[0] += stiff
            in_modes[:, mode] = scipy.linalg.solveh_banded(system, in_modes[:, mode], lower=True)
        return in_modes @ self.modes.T

    def roughness(self, codes: np.ndarray) -> np.ndarray:
        """C D^T D codes: [T, C]."""
        if len(codes) < 3:
            return np.zeros_like(codes)
        second = np.diff(codes, 2, axis=0)
        spread = np.zeros_like(codes)
        spread[:-2] += second
        spread[1:-1] -= 2 * second
        spread[2:] += second
        return spread * self.stiffness


def _second_difference_bands(count: int) -> np.ndarray:
    """[3, T]: D^T D of the second difference, lower bands as scipy's solveh_banded takes them."""
    bands = np.zeros((3, count))
    inner = max(count - 2, 0)
    for place, (on, beside) in enumerate(((1, -2), (4, -2), (1, 0))):
        bands[0, place : place + inner] += on
        bands[1, place : place + inner] += beside
    bands[2, :inner] = 1
    return bands
