# SPDX-License-Identifier: Apache-2.0
"""ARKit's 52 face shapes, and what each is on a head: amounts of landmark goals and a turn of the jaw.

Names and meanings: Apple, ARFaceAnchor.BlendShapeLocation; left and right are the subject's.  Amounts and jaw angles:
how far ICT-FaceKit's shape of that name (Li et al. 2020, sculpted to ARKit's definitions) moves lips, corners, brows,
lids and lower teeth, over what our goal moves them.  Its jaw turns by 25.3 degrees at jawOpen = 1, rigidly to 0.1 mm.
Its jaw slides 6.4 mm at jawLeft; a jaw that can only turn carries its teeth as far in 4.5 degrees.
"""

from dataclasses import dataclass

from dubplate_backend.head.goals import AWAKE, CORNER, LOWER_EDGE, LOWER_LINE, UPPER_EDGE, UPPER_LINE, Goal

JAW_OPEN_DEG = 25.3
JAW_SIDE_DEG = 4.5
EYE_RANGE_DEG = 35.0
"""Gaze at eyeLook* = 1: as far as an eye turns without the head (tracking/gaze.py holds eyes to the same)."""


@dataclass(frozen=True)
class Part:
    """So much of a goal.   goal: of head/goals.py or EXTRA_GOALS.   side: "both", "left" or "right"."""

    goal: str
    amount: float
    side: str = "both"


ROLL_LOWER, ROLL_UPPER, BROW_INNER = "roll_lower", "roll_upper", "brow_inner"
EXTRA_GOALS = (
    Goal(
        ROLL_LOWER,
        (
            (LOWER_LINE, (0, 2.5, -6.0)),
            (LOWER_EDGE, (0, 6.0, -4.0)),
            (CORNER, (0.3, -0.4, -0.5)),
            (UPPER_LINE + UPPER_EDGE, (0, 0, 0)),
        ),
    ),
    Goal(
        ROLL_UPPER,
        (
            (UPPER_LINE, (0, 1.0, -5.5)),
            (UPPER_EDGE, (0, -4.5, -4.5)),
            (CORNER, (1.0, 0.5, -1.0)),
            (LOWER_LINE + LOWER_EDGE, (0, 0, 0)),
        ),
    ),
    Goal(
        BROW_INNER,
        (
            ((107, 55), (0.3, 4.5, 0.0)),
            ((66, 65), (0.3, 3.6, 0.0)),
            ((105, 52), (0.2, 2.2, 0.0)),
            ((9, 8), (0, 1.5, 0)),
        ),
        still=AWAKE,
    ),
)
"""What ARKit tells apart and our own controls do not."""


def _pair(name: str, *parts: Part) -> dict[str, tuple[Part, ...]]:
    """The shape's left and right form, from goals of both sides."""
    return {
        f"{name}{side.title()}": tuple(Part(part.goal, part.amount, side) for part in parts)
        for side in ("left", "right")
    }


PARTS: dict[str, tuple[Part, ...]] = {
    "mouthFunnel": (Part("funnel", 0.8), Part("upper_lip_raise", 0.7), Part("lower_lip_drop", 0.9)),
    "mouthPucker": (Part("pucker", 0.6), Part("lips_forward", 1.2)),
    "mouthLeft": (Part("mouth_left", 1.0),),
    "mouthRight": (Part("mouth_left", -1.0),),
    **_pair("mouthSmile", Part("smile", 1.3)),
    **_pair("mouthFrown", Part("frown", 0.85)),
    **_pair("mouthDimple", Part("wide", 0.2), Part("smile", 0.2)),
    **_pair("mouthStretch", Part("wide", 0.9), Part("frown", 0.5)),
    "mouthRollLower": (Part(ROLL_LOWER, 1.0),),
    "mouthRollUpper": (Part(ROLL_UPPER, 1.0),),
    "mouthShrugLower": (Part("chin_raise", 1.5),),
    "mouthShrugUpper": (Part("upper_lip_raise", 1.0),),
    **_pair("mouthPress", Part("press", 1.0)),
    **_pair("mouthLowerDown", Part("lower_lip_drop", 1.1)),
    **_pair("mouthUpperUp", Part("upper_lip_raise", 1.5)),
    "cheekPuff": (Part("cheek_puff", 1.2),),
    **_pair("noseSneer", Part("sneer", 1.5)),
    **_pair("eyeBlink", Part("blink", 1.0)),
    **_pair("eyeSquint", Part("blink", 0.2)),
    **_pair("eyeWide", Part("blink", -0.35)),
    **_pair("eyeLookDown", Part("blink", 0.5)),  # lids follow the eye
    **_pair("eyeLookUp", Part("blink", -0.2)),
    **_pair("browDown", Part("brow_lower", 0.8)),
    "browInnerUp": (Part(BROW_INNER, 1.0),),
    **_pair("browOuterUp", Part("brow_raise", 0.9)),
}
"""Shapes that lips and skin follow."""

JAW_DEG: dict[str, tuple[float, float, float]] = {
    "jawOpen": (JAW_OPEN_DEG, 0.0, 0.0),
    "jawLeft": (0.0, JAW_SIDE_DEG, 0.0),
    "jawRight": (0.0, -JAW_SIDE_DEG, 0.0),
}
"""Shapes that turn the jaw: axis-angle at 1, degrees."""

CLOSING = "mouthClose"
"""Brings the lips together over an open jaw: at the value of jawOpen they meet."""

GAZE = tuple(f"eyeLook{way}{side}" for way in ("Up", "Down", "In", "Out") for side in ("Left", "Right"))
WITHOUT_COUNTERPART: dict[str, str] = {
    "jawForward": "the head's jaw turns and cannot slide",
    "cheekSquintLeft": "no goal lifts the lower lid and cheek alone",
    "cheekSquintRight": "no goal lifts the lower lid and cheek alone",
    "tongueOut": "the head's tongue does not move",
}
NAMES: tuple[str, ...] = tuple(sorted({*PARTS, *JAW_DEG, CLOSING, *GAZE, *WITHOUT_COUNTERPART}))
"""All 52."""

UPPER_FACE = tuple(name for name in NAMES if name.startswith(("eye", "brow", "cheekSquint")))
_BY_LOWER_CASE = {name.lower(): name for name in NAMES}


def arkit_name(text: str) -> str | None:
    """ARKit's spelling of a shape's name written in any case, with `_L`, `_R` or in full; None where it is no shape."""
    plain = text.strip().lower()
    for short, long in (("_l", "left"), ("_r", "right")):
        if plain.endswith(short):
            plain = plain.removesuffix(short) + long
    return _BY_LOWER_CASE.get(plain)
