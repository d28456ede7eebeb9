# SPDX-License-Identifier: Apache-2.0
"""What each semantic control does to MediaPipe's landmarks, on any head.

A goal says by how many millimetres landmarks move at the control's full value: x outward from the middle, y up, z
forward. Ranges are of adults' lip and brow movements.  Landmark numbers: MediaPipe FaceMesh's.
"""

from dataclasses import dataclass

import numpy as np

from dubplate_shared.landmarks import INNER_LIP_PAIRS

JAW_OPEN_RAD = np.radians(20)
"""Jaw angle of the control `jaw_open` at 1, as dubplate_shared.controls says."""
Move = tuple[float, float, float]

# Landmark groups of the right half and the midline; a goal for both sides moves their mirrors too.
CORNER = (61, 78, 62, 76)
UPPER_LINE, UPPER_SIDE = (13, 82, 81), (80, 191)
LOWER_LINE, LOWER_SIDE = (14, 87, 178), (88, 95)
UPPER_EDGE, UPPER_EDGE_SIDE = (0, 37, 39), (40, 185)
LOWER_EDGE, LOWER_EDGE_SIDE = (17, 84, 181), (91, 146)
STILL = (
    10,
    151,
    9,
    8,
    168,
    6,
    197,
    195,
    5,
    4,
    1,
    2,
    234,
    127,
    93,
    132,
    58,
    172,
    136,
    150,
    149,
    176,
    148,
    152,
    54,
    103,
    67,
    109,
)
EYES_STILL = (
    33,
    133,
    159,
    145,
    160,
    144,
    158,
    153,
    157,
    154,
    161,
    163,
    246,
    7,
    173,
    155,
    226,
    31,
    228,
    229,
    230,
    231,
    232,
    233,
)
BROWS_STILL = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
NOSE_STILL = (98, 97, 64, 48, 115, 131, 220, 45, 44, 129)


@dataclass(frozen=True)
class Goal:
    """Millimetres by which groups of landmarks move at the control's full value.   side: "both", "left" or "right"."""

    name: str
    moves: tuple[tuple[tuple[int, ...], Move], ...]
    still: tuple[tuple[int, ...], ...] = (EYES_STILL, BROWS_STILL, NOSE_STILL)
    side: str = "both"


PUCKER = (
    (CORNER, (-9.5, 0.0, 6.0)),
    ((191, 185), (-7.9, 0.2, 6.4)),
    ((95, 146), (-7.9, -0.2, 6.0)),
    ((80, 40), (-6.1, 0.5, 6.7)),
    ((88, 91), (-6.1, -0.5, 6.2)),
    ((81, 39), (-4.0, 0.6, 7.0)),
    ((178, 181), (-4.0, -0.6, 6.4)),
    ((82, 37), (-1.9, 0.6, 7.0)),
    ((87, 84), (-1.9, -0.6, 6.5)),
    ((13, 0), (0, 0.5, 7.0)),
    ((14, 17), (0, -0.5, 6.5)),
    ((164, 167), (0, -0.8, 3.5)),
    ((18, 83), (0, 0.6, 3.5)),
    ((57, 186, 43), (-6.5, 0, 3.8)),
    ((216, 207, 212), (-3.0, 0, 1.0)),
)
FUNNEL = (
    (CORNER, (-8.0, -0.3, 5.0)),
    ((191, 185), (-6.6, 0.8, 5.6)),
    ((95, 146), (-6.6, -1.3, 5.2)),
    ((80, 40), (-5.0, 1.5, 6.3)),
    ((88, 91), (-5.0, -2.3, 5.8)),
    ((81, 39), (-3.2, 2.0, 6.9)),
    ((178, 181), (-3.2, -3.0, 6.4)),
    ((82, 37), (-1.5, 2.3, 7.2)),
    ((87, 84), (-1.5, -3.4, 6.8)),
    ((13, 0), (0, 2.4, 7.3)),
    ((14, 17), (0, -3.5, 6.9)),
    ((164, 167), (0, 0.9, 3.2)),
    ((18, 83), (0, -2.2, 3.4)),
    ((57, 186, 43), (-5.2, 0, 3.0)),
    ((216, 207, 212), (-2.4, 0, 0.8)),
)
SMILE = (
    (CORNER, (7.5, 6.0, -4.0)),
    ((191, 185, 95, 146), (6.0, 4.4, -3.2)),
    ((80, 40, 88, 91), (4.4, 2.7, -2.3)),
    ((81, 39, 178, 181), (2.6, 1.2, -1.3)),
    ((82, 37, 87, 84), (1.1, 0.3, -0.5)),
    ((13, 0, 14, 17), (0, 0, -0.3)),
    ((206, 207, 216, 212), (3.5, 4.5, 1.0)),
    ((50, 205, 36, 101), (0.8, 3.2, 2.0)),
)
SNEER = (
    ((129, 98, 64, 48, 115), (1.0, 4.0, 0.5)),
    ((40, 39, 185), (0.5, 3.6, 0.5)),
    ((80, 81, 191), (0.3, 3.2, 0.3)),
    ((203, 206, 165, 92), (0.5, 4.2, 1.0)),
    ((131, 49, 126, 142), (0.3, 2.5, 1.0)),
    ((101, 119, 118), (0.0, 1.5, 0.8)),
)
BROW_RAISE = (
    ((105, 66, 63, 65, 52), (0.2, 7.0, 0.3)),
    ((70, 107, 55, 53, 46), (0.2, 5.0, 0.3)),
    ((69, 104, 108, 68), (0, 3.2, 0.3)),
    ((223, 222, 224), (0, 3.5, 0.3)),
)
BROW_LOWER = (
    ((107, 55, 66), (-2.0, -4.5, 1.2)),
    ((65, 105), (-0.6, -3.0, 0.8)),
    ((52, 63, 70), (0, -1.2, 0.3)),
    ((9, 8), (0, -1.6, 0.4)),
)
FROWN = (
    (CORNER, (1.0, -5.5, -0.8)),
    ((146, 91, 95, 88), (0.4, -2.2, -0.3)),
    ((185, 40, 191, 80), (0.4, -2.6, -0.3)),
    ((212, 216), (0.5, -3.0, 0.0)),
    ((204, 211), (0, -2.0, 0.2)),
)
PUFF = (
    ((207, 187, 205, 206), (5.0, 0.0, 6.0)),
    ((216, 212, 214, 192), (3.5, 0, 4.5)),
    ((13, 14, 0, 17), (0, 0, 1.5)),
    (CORNER, (0, 0, 1.5)),
)
CHIN_RAISE = (
    ((200, 199, 201), (0, 4.5, 1.2)),
    (LOWER_LINE, (0, 2.0, 1.0)),
    (LOWER_EDGE, (0, 3.2, 1.8)),
    ((18, 83), (0, 4.0, 1.4)),
    (UPPER_LINE, (0, 1.8, 0.8)),
    (UPPER_EDGE, (0, 1.4, 0.6)),
    ((175,), (0, 2.5, 0.4)),
)
FORWARD = (
    ((13, 14), (0, 0, 3.5)),
    (UPPER_LINE[1:] + LOWER_LINE[1:], (0, 0, 3.2)),
    (UPPER_EDGE + LOWER_EDGE, (0, 0, 4.0)),
    (UPPER_EDGE_SIDE + LOWER_EDGE_SIDE, (0, 0, 2.4)),
    (CORNER, (0, 0, 0.8)),
)
AWAKE = (EYES_STILL[:16], NOSE_STILL)
GOALS = (
    Goal("lips_close", ()),
    Goal("pucker", PUCKER),
    Goal("funnel", FUNNEL),
    Goal(
        "wide",
        (
            (CORNER, (8.0, 0.3, -5.0)),
            ((40, 80, 185, 191), (5.0, -0.4, -3.2)),
            ((91, 88, 146, 95), (5.0, 0.4, -3.2)),
            ((81, 39), (2.6, -0.4, -1.6)),
            ((178, 181), (2.6, 0.4, -1.6)),
            ((13, 0, 14, 17), (0, 0, -0.8)),
            ((57, 186, 43), (6.0, 0.3, -2.5)),
            ((216, 212, 207), (4.0, 0.5, 0.0)),
        ),
    ),
    Goal("smile_L", SMILE, side="left"),
    Goal("smile_R", SMILE, side="right"),
    Goal("sneer_L", SNEER, still=(EYES_STILL, BROWS_STILL), side="left"),
    Goal("sneer_R", SNEER, still=(EYES_STILL, BROWS_STILL), side="right"),
    Goal(
        "upper_lip_raise",
        (
            (UPPER_LINE, (0.2, 5.0, 1.0)),
            (UPPER_SIDE, (0.2, 3.2, 0.6)),
            (UPPER_EDGE, (0.2, 4.6, 1.0)),
            (UPPER_EDGE_SIDE, (0.2, 3.0, 0.6)),
            ((164, 167, 165), (0, 3.0, 0.5)),
            (LOWER_LINE + LOWER_SIDE + LOWER_EDGE, (0, 0, 0)),
            (CORNER, (0, 0.5, 0)),
            ((2, 97), (0, 0.8, 0)),
        ),
        still=(EYES_STILL, BROWS_STILL),
    ),
    Goal(
        "lower_lip_drop",
        (
            (LOWER_LINE, (0.4, -6.0, 0.4)),
            (LOWER_SIDE, (0.8, -4.0, 0.0)),
            (LOWER_EDGE, (0.4, -5.6, 0.3)),
            (LOWER_EDGE_SIDE, (0.8, -3.6, 0.0)),
            ((18, 83, 182), (0, -3.6, 0.3)),
            (UPPER_LINE + UPPER_SIDE + UPPER_EDGE, (0, 0, 0)),
            (CORNER, (0, -0.6, 0)),
            ((200, 201), (0, -1.2, 0)),
        ),
    ),
    Goal(
        "press",
        (
            (UPPER_LINE, (0, -0.6, -2.2)),
            (LOWER_LINE, (0, 0.6, -2.2)),
            (UPPER_SIDE, (0, -0.3, -1.5)),
            (LOWER_SIDE, (0, 0.3, -1.5)),
            (UPPER_EDGE, (0, -2.4, -2.0)),
            (LOWER_EDGE, (0, 3.4, -1.6)),
            (UPPER_EDGE_SIDE, (0, -1.4, -1.2)),
            (LOWER_EDGE_SIDE, (0, 1.8, -1.2)),
            (CORNER, (0.8, 0, -0.8)),
            ((164,), (0, -0.8, 0.3)),
            ((18, 200), (0, 1.2, 0.8)),
        ),
    ),
    Goal("blink_L", ()),
    Goal("blink_R", ()),
    Goal("brow_raise_L", BROW_RAISE, still=AWAKE, side="left"),
    Goal("brow_raise_R", BROW_RAISE, still=AWAKE, side="right"),
    Goal("brow_lower", BROW_LOWER, still=AWAKE),
    Goal("cheek_puff", PUFF),
    Goal("frown", FROWN),
    Goal("chin_raise", CHIN_RAISE),
    Goal("mouth_left", ()),
    Goal("lips_forward", FORWARD),
)
"""The stand-in's leading expression components, in this order; those beyond the controls serve the tracker.
Some have no table: lips_close undoes the jaw (`lips_closing`), blinks close the lids, mouth_left is a plain shift."""

CLOSED_JAW_RAD = np.radians(10)
"""`lips_close` at 1 seals the lips of a jaw that is open this far."""
UPPER_LIP_SHARE = 0.3
"""Of the way to each other: the lower lip does most, as in people."""
LIP_FOLLOWERS = {
    13: (0,),
    82: (37,),
    81: (39,),
    80: (40,),
    191: (185,),
    14: (17,),
    87: (84,),
    178: (181,),
    88: (91,),
    95: (146,),
}
"""Outer lip landmarks that go with an inner one, right half."""
FOLLOW = 0.85


def displacements(goal: Goal, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks that a goal moves or holds, and their displacements in millimetres, x to the subject's left.

    pairs: [468] each landmark's mirror partner.   Returns [N] and [N, 3].
    """
    places: dict[int, np.ndarray] = {}
    for group in (STILL, *goal.still):
        for point in group:
            places[point] = places[int(pairs[point])] = np.zeros(3)
    for group, move in goal.moves:
        for point in group:
            for landmark, side in ((point, -1), (int(pairs[point]), 1)):
                on_midline = landmark == pairs[landmark]
                if goal.side == "both" or on_midline or (goal.side == "left") == (side > 0):
                    places[landmark] = np.array(move) * [0 if on_midline else side, 1, 1]
                else:
                    places[landmark] = np.zeros(3)  # the other side stays
    return np.array(list(places)), np.array(list(places.values()))


def lips_closing(
    rest: np.ndarray, opened: np.ndarray, jaw_share: np.ndarray, pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The goal of lips_close: each pair of lip points meets again after the jaw has parted them.

    rest, opened: [468, 3] landmarks with the jaw at 0 and at CLOSED_JAW_RAD, any unit.   jaw_share: [468] its skin
    weights.   pairs: [468] mirror partners.   Returns [N] and [N, 3]: displacements at rest, which the jaw then turns.
    """
    apart = opened - rest
    places: dict[int, np.ndarray] = {}
    for upper, lower in INNER_LIP_PAIRS:
        gap = apart[lower] - apart[upper]
        places[upper], places[lower] = UPPER_LIP_SHARE * gap, (UPPER_LIP_SHARE - 1) * gap
    for inner, outers in LIP_FOLLOWERS.items():
        for outer in outers:
            places[outer] = FOLLOW * places[inner]
            places[int(pairs[outer])] = FOLLOW * places[int(pairs[inner])]
    places[18], places[200] = 0.55 * places[17], 0.15 * places[17]
    s, c = np.sin(CLOSED_JAW_RAD), np.cos(CLOSED_JAW_RAD)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    for point, move in places.items():
        blended = np.eye(3) + jaw_share[point] * (turn - np.eye(3))
        places[point] = np.linalg.solve(blended, move)
    for point in (*STILL, *EYES_STILL, *BROWS_STILL, *NOSE_STILL, 78, 61):
        places[point] = places[int(pairs[point])] = np.zeros(3)
    return np.array(list(places)), np.array(list(places.values()))
