# SPDX-License-Identifier: Apache-2.0
"""All terms of the fit and how much each is believed, as standard deviations in the unit of what they hold.

The fit is a maximum a posteriori estimate: a term's residual is divided by its standard deviation here, squared and
summed. A smaller number is a stronger term. Comparable trackers and what is taken from them: VHAP (negative jaw opening
held 10 times, jaw twist 3 times as hard as opening, temporal terms on every variable), metrical-tracker (lips above the
rest of the face, outline below it, focal length solved once), pixel3dmm (temporal terms an order stronger on the head
than on the face).
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Weights:
    """Standard deviations. "Share" is of the inter-ocular distance (outer eye corners)."""

    # Landmarks. FaceMesh repeats to 0.5 % (mean of two views); neighbouring points err together, so 468 of them are
    # worth far fewer, which a larger deviation stands for.
    face_share: float = 0.03
    lips_share: float = 0.010
    mouth_corner_share: float = 0.008
    eyes_share: float = 0.02
    outline_share: float = 0.06
    lip_pair_share: float = 0.0035  # difference of facing points of the inner lips: what makes lips touch
    # FaceMesh's depth: on the development clip 4.8 % root mean square from a fit that never saw it, at scale 1.04.
    depth_share: float = 0.08
    robust_from: float = 3.0  # residuals beyond this many deviations count linearly (pseudo-Huber)

    # Camera. A 50 mm lens on full frame has a focal length of 1.156 picture diagonals.
    focal_per_diagonal: float = 50.0 / 43.267
    log_focal: float = 0.35  # covers 35 mm to 70 mm

    # Head. Components have unit standard deviation by construction.
    shape: float = 1.0
    expression: float = 1.0
    eyelids: float = 0.6
    jaw_open_rad: float = 0.60
    jaw_shut_rad: float = 0.03  # closing beyond shut teeth
    jaw_twist_rad: float = 0.05  # about the two other axes
    # The jaw opens the mouth: what the expression alone adds to the lips' gap and to the chin's drop.
    gap_by_expression_m: float = 0.001
    chin_by_expression_m: float = 0.0006

    # Change of velocity from frame to frame at 25 frames a second; other rates by the square root of the time, as of a
    # velocity that wanders (Bar-Shalom et al. 2001, Estimation with Applications to Tracking and Navigation, 6.2.2).
    turn_change_rad: float = 0.003
    shift_change_m: float = 0.0008
    depth_change_m: float = 0.0015
    jaw_change_rad: float = 0.02
    jaw_twist_change_rad: float = 0.01
    expression_change: float = 0.2
    eyelids_change: float = 0.5

    def with_known_focal(self, per_diagonal: float) -> Weights:
        """The same, with a focal length that is known (to a tenth of a percent)."""
        return replace(self, focal_per_diagonal=per_diagonal, log_focal=1e-3)


REFERENCE_GAP_S = 1 / 25
