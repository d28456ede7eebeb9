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

LEAST_TURN_RAD = 0.01  # of a head that keeps still


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
    lip_pair_share: float = 0.0024  # difference of facing points of the inner lips
    # The same where FaceMesh sees lips touch (their median gap below about `touching_share`): that it sees best, and
    # colours do not tell a shut mouth from one that is a millimetre open.
    lip_contact_share: float = 0.0010
    touching_share: float = 0.005
    # FaceMesh's depth: on the development clip 4.8 % root mean square from a fit that never saw it, at scale 1.04. Of
    # how lips move in depth it tells half, so that it is believed only where colours are not there.
    depth_share: float = 0.5
    landmarks_alone_depth_share: float = 0.08
    robust_from: float = 3.0  # residuals beyond this many deviations count linearly (pseudo-Huber)
    # Where colours are fitted too, times the deviations above, points that the jaw carries but lips: FaceMesh draws
    # chin and cheeks towards a shut mouth; on a clip of known motion they follow 0.7 of the jaw.
    carried_by_jaw: float = 3.0
    pin_share: float = 0.002  # a point that a person placed

    # Colours, of the display's range 0..1. Neighbouring points err together, which the deviation stands for.
    colour: float = 0.007  # at least
    noise: float = 0.002  # of camera and coding, after the blur: what of the median error is no misfit
    # Less than the misfit itself: what points side by side have in common is shade by then (`LocalShade`), and what is
    # left averages out over them.
    colour_per_misfit: float = 0.7
    colour_robust_from: float = 3.0  # Cauchy's knee, in deviations: about L1 from there on

    # The identity, from a few frames. FaceMesh's errors there are alike for whole regions, so that 468 points count as
    # a tenth; each may sit elsewhere on this face than on the head (measured: 2.4 % of the inter-ocular distance, the
    # outline 4.4 %, lips 0.9 %).
    identity_landmarks: float = 3.0  # times the deviations above
    identity_lip_pair_share: float = 0.035
    identity_shape: float = 0.35
    identity_colour: float = 0.005  # at least
    # The skin's detail tells a shape by parallax, and bends it by what is wrong with it (fine gloss, shadows' edges)
    # where the head hardly turns: this is where it turns by `identity_turn_rad` (root mean square), elsewhere by the
    # cube of the turn. Both are measured (docs/decisions/0114, 0150): less would lay truth clips better, but a real
    # head farther from FaceMesh.
    identity_colour_per_misfit: float = 6.0
    identity_turn_rad: float = 0.18
    identity_colour_robust_from: float = 1.0
    misplaced_m: float = 0.003
    outline_misplaced_m: float = 0.006
    lips_misplaced_m: float = 0.0009

    # Camera. A 50 mm lens on full frame has a focal length of 1.156 picture diagonals.
    focal_per_diagonal: float = 50.0 / 43.267
    log_focal: float = 0.35  # covers 35 mm to 70 mm
    principal_share: float = 0.01  # of the picture's diagonal

    # Head. Components have unit standard deviation by construction.
    shape: float = 1.0
    expression: float = 0.2
    control: float = 0.5  # of each semantic control's full pose
    eyelids: float = 0.6
    jaw_open_rad: float = 0.60
    jaw_shut_rad: float = 0.01  # closing beyond shut teeth
    jaw_twist_rad: float = 0.02  # about the two other axes
    neck_rad: float = 0.06  # against the chest
    # The jaw opens the mouth: what the expression alone adds to the lips' gap and to the chin's drop.
    gap_by_expression_m: float = 0.0006
    chin_by_expression_m: float = 0.0004

    # Change of velocity from frame to frame at 25 frames a second; other rates by the square root of the time, as of a
    # velocity that wanders (Bar-Shalom et al. 2001, Estimation with Applications to Tracking and Navigation, 6.2.2).
    turn_change_rad: float = 0.003
    shift_change_m: float = 0.0008
    depth_change_m: float = 0.0015
    jaw_change_rad: float = 0.02
    jaw_twist_change_rad: float = 0.01
    expression_change: float = 0.12
    eyelids_change: float = 0.5
    neck_change_rad: float = 0.001

    def with_known_lens(self) -> Weights:
        """The same, with focal length (to a tenth of a percent) and principal point known."""
        return replace(self, log_focal=1e-3, principal_share=1e-6)

    def for_identity(self, turn_rad: float = 0.0) -> Weights:
        """The same for what all frames share.   turn_rad: root mean square of how far they face from their mean."""
        times = self.identity_landmarks
        parallax = max(turn_rad, LEAST_TURN_RAD) / self.identity_turn_rad
        return replace(
            self,
            face_share=self.face_share * times,
            lips_share=self.lips_share * times,
            mouth_corner_share=self.mouth_corner_share * times,
            eyes_share=self.eyes_share * times,
            outline_share=self.outline_share * times,
            lip_pair_share=self.identity_lip_pair_share,
            shape=self.identity_shape,
            colour=self.identity_colour,
            colour_per_misfit=self.identity_colour_per_misfit / parallax**3,
            colour_robust_from=self.identity_colour_robust_from,
        )

    def with_still_neck(self) -> Weights:
        """The same for a neck that keeps straight: landmarks do not tell it from the head."""
        return replace(self, neck_rad=1e-6)

    def for_landmarks_alone(self) -> Weights:
        """The same where no colours are fitted."""
        return replace(self, depth_share=self.landmarks_alone_depth_share, carried_by_jaw=1.0)


REFERENCE_GAP_S = 1 / 25
