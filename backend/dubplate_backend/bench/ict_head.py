# SPDX-License-Identifier: Apache-2.0
"""The ICT face model, another head than any that is tracked with: read in place, never copied.

ICT-FaceKit Light, MIT licence, USC ICT (Li et al. 2020, "Learning formation of physically-based face attributes").
Centimetres, Y up, Z out of the face.  The jaw is a blend shape; teeth, gums, tongue, mouth socket and eyeballs are
there.  Ranges and landmarks are those of its README.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubplate_shared.files import load_npz

METRES = 0.01  # a centimetre
IDENTITY_DRAWN = 60  # of its 100 components: the rest is too fine to see
# Sheets that need transparency, and the eye's inner ball that is seen through the outer.
LEFT_OUT = ("M_EyeBlend", "M_EyeLashes", "M_EyeOcclusion", "M_LacrimalFluid", "M_IrisLeft", "M_IrisRight")
PARTS = {
    "face": (0, 9409),
    "head": (9409, 11248),
    "mouth_socket": (11248, 13294),
    "eye_sockets": (13294, 14062),
    "gums_tongue": (14062, 17039),
    "teeth": (17039, 21451),
    "left_eye": (21451, 22221),
    "right_eye": (23021, 23791),
}
"""Vertices, first and behind the last."""

# Multi-PIE's landmarks, from the subject's right to the left; rings from the right corner over the top.
RIGHT_BROW, LEFT_BROW = (268, 493, 1914, 2044, 1401), (3615, 4240, 4114, 2734, 2509)
RIGHT_EYE, LEFT_EYE = (1507, 1542, 1537, 1528, 1518, 1511), (3742, 3751, 3756, 3721, 3725, 3732)
OUTER_LIPS = (5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841)
INNER_LIPS = (5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966)
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 1507, 3721
FACING_LIPS = ((5711, 5966), (5533, 5517), (6216, 6470))  # upper, lower: the inner lips' middle
NOSE_TIP, CHIN = 4857, 966
UPPER_LIP, LOWER_LIP = (5708, 5695, 2081, 0, 4275, 6200, 6213, 5702, 5711, 5533, 6216, 6207), (
    6346, 6461, 5518, 5957, 5841, 6470, 5517, 5966,
)  # fmt: skip
MEDIAPIPE = {61: 5708, 291: 6213, 0: 0, 17: 5518, 78: 5702, 308: 6207, 13: 5533, 14: 5517}
"""Lip points that both models define by the same anatomy: corners and the middle line."""


@dataclass(frozen=True)
class IctHead:
    """neutral: (V, 3) metres.   identity: (100, V, 3).   expression: name -> (V, 3).   faces: (F, 3).
    faces_uv: (F, 3, 2), u + 1 for each further material.
    """

    neutral: np.ndarray
    identity: np.ndarray
    expression: dict[str, np.ndarray]
    faces: np.ndarray
    faces_uv: np.ndarray

    def person(self, *, seed: int, spread: float) -> np.ndarray:
        """(V, 3) a face at rest, `spread` deviations from the mean in its first components."""
        weights = np.random.default_rng((seed, 0x1C7)).normal(0, spread, IDENTITY_DRAWN)
        return self.neutral + np.tensordot(weights, self.identity[:IDENTITY_DRAWN], axes=1)

    def lip_gap(self, vertices: np.ndarray) -> float:
        """Height between the inner lips, metres, mean over their middle.   vertices: (V, 3)."""
        upper, lower = np.array(FACING_LIPS).T
        return float((vertices[upper, 1] - vertices[lower, 1]).mean())

    def posed(self, person: np.ndarray, weights: Mapping[str, float]) -> np.ndarray:
        """(V, 3) that person with blend shapes at these weights."""
        return person + sum(weight * self.expression[name] for name, weight in weights.items() if weight)


def load_ict(path: Path) -> IctHead:
    """Raises InvalidInput where the file is missing or broken."""
    arrays = load_npz(path)
    kept = ~np.isin(arrays["face_material"], LEFT_OUT)
    corners, uv_corners = arrays["faces"][kept], arrays["faces_vt"][kept]  # (Q, 4), -1 in a triangle's fourth
    names, materials = np.unique(arrays["face_material"][kept], return_inverse=True)
    place = {"M_Face": 0, "M_BackHead": 1, "M_GumsTongue": 2, "M_Teeth": 3, "M_ScleraLeft": 4, "M_ScleraRight": 5}
    tile = np.array([place[name] for name in names])[materials]  # (Q,)
    faces, uv = [], []
    for picked in ([0, 1, 2], [0, 2, 3]):
        there = (corners[:, picked] >= 0).all(axis=1)
        faces.append(corners[there][:, picked])
        inside = np.mod(arrays["vt"][uv_corners[there][:, picked]], 1.0)  # (F, 3, 2)
        uv.append(inside + np.stack([tile[there], 0 * tile[there]], axis=-1)[:, None])
    return IctHead(
        neutral=METRES * arrays["v_neutral"],
        identity=METRES * arrays["identity"].astype(np.float32),
        expression={
            str(name): METRES * shape.astype(np.float32)
            for name, shape in zip(arrays["expression_names"], arrays["expression"], strict=True)
        },
        faces=np.concatenate(faces).astype(np.int64),
        faces_uv=np.concatenate(uv).astype(np.float32),
    )
