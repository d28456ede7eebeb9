# SPDX-License-Identifier: Apache-2.0
"""The colour space of a plate: what it is called in the file, and how its values reach a network that wants 0..1.

Video and PNG are display-referred already and go in as they are.  Scene-linear values go through the ACEScct curve
(Academy S-2016-001, section 4.4): logarithmic above 0.0078125, a straight line below it, so that it has an inverse for
every real number and negatives survive.  Its 0..1 spans -0.0069 to 222.9; what lies outside (and what is not finite)
cannot be drawn, and stays plate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import OpenEXR

from dubplate_shared.errors import InvalidInput

# Academy S-2016-001, equations 6 and 7.
LINEAR_BREAK = 0.0078125
CURVE_BREAK = 0.155251141552511
SLOPE = 10.5402377416545
OFFSET = 0.0729055341958355
STOPS = 17.52
STOPS_BELOW_ONE = 9.72

# Names by the Color Interop Forum, as OpenColorIO 2.5's built-in configurations carry them.
VIDEO = "g24_rec709_display"  # camera or delivery video: seen on a BT.1886 monitor, gamma 2.4
PICTURE = "srgb_rec709_display"  # PNG without a profile
UNKNOWN = ""
CINEON = "cineon"  # printing density; the Forum has no name for it, so files are not given one
NAMED = (
    *(VIDEO, PICTURE, "lin_rec709_scene", "lin_ap1_scene", "lin_ap0_scene", "lin_rec2020_scene", "lin_p3d65_scene"),
    CINEON,
)

# What trackers and other tools call the same spaces.
OTHER_NAMES = {
    **dict.fromkeys(("bt709", "rec709", "bt1886", "itu709"), VIDEO),
    **dict.fromkeys(("bt601", "smpte240m", "fcc"), VIDEO),  # the YCbCr matrix is undone when the frame is decoded
    "srgb": PICTURE,
    "acescg": "lin_ap1_scene",
    "aces2065-1": "lin_ap0_scene",
    "linear": "lin_rec709_scene",
    **dict.fromkeys(("log", "logarithmic", "printing-density"), CINEON),
}


@dataclass(frozen=True)
class PlateColour:
    """interop_id: the name by the Color Interop Forum, empty where nobody says."""

    interop_id: str
    scene_linear: bool

    @classmethod
    def named(cls, name: str) -> PlateColour:
        """By an interop id, or by a name that is common for one."""
        interop_id = OTHER_NAMES.get(name.lower(), name)
        return cls(interop_id, interop_id.startswith("lin_"))

    @classmethod
    def chosen(cls, name: str) -> PlateColour:
        """As `named`, of the spaces that can be turned into a picture. Raises InvalidInput for others."""
        colour = cls.named(name)
        if colour.interop_id not in NAMED:
            common = ", ".join((*NAMED, *(other for other in OTHER_NAMES if other in ("srgb", "rec709", "acescg"))))
            raise InvalidInput(f"{name!r} is no colour space that is known here.", hint=f"Say one of {common}.")
        return colour

    @classmethod
    def of_exr(cls, attributes: Mapping[str, Any], stated: str = "") -> PlateColour:
        """As the shot states, else as the file says, else scene-linear without a name: what EXR is by default."""
        if stated:
            return cls.named(stated)
        if attributes.get("colorInteropID"):
            return cls.named(str(attributes["colorInteropID"]))
        if "chromaticities" in attributes:
            return cls(OpenEXR.chromaticitiesToColorInteropID(attributes["chromaticities"]) or UNKNOWN, True)
        return cls(UNKNOWN, True)

    def attributes(self) -> dict[str, Any]:
        """EXR attributes that say so.

        Chromaticities only beside the linear scene-referred names, for readers that know nothing newer.  Beside an
        encoded, display-referred name they would make such a reader take the values for linear light.
        """
        if self.interop_id in (UNKNOWN, CINEON):
            return {}
        chromaticities = OpenEXR.colorInteropIDToChromaticities(self.interop_id)
        named = {"colorInteropID": self.interop_id}
        return named if chromaticities is None else {**named, "chromaticities": chromaticities}

    def encode(self, rgb: np.ndarray) -> np.ndarray:
        """Plate values -> network values, float32, not clipped: [...] -> [...].  NaN stays NaN."""
        values = np.asarray(rgb, np.float32)
        if not self.scene_linear:
            return values
        with np.errstate(invalid="ignore", divide="ignore"):
            curved = (np.log2(np.maximum(values, LINEAR_BREAK)) + STOPS_BELOW_ONE) / STOPS
            return np.where(values <= LINEAR_BREAK, SLOPE * values + OFFSET, curved).astype(np.float32)

    def decode(self, net: np.ndarray) -> np.ndarray:
        """Network values -> plate values, float32: the inverse of `encode`."""
        values = np.asarray(net, np.float32)
        if not self.scene_linear:
            return values
        curved = np.exp2(values * STOPS - STOPS_BELOW_ONE)
        return np.where(values <= CURVE_BREAK, (values - OFFSET) / SLOPE, curved).astype(np.float32)

    def visible(self, rgb: np.ndarray) -> np.ndarray:
        """As `encode`, clipped to 0..1, with 0 for not-a-number: what a network is shown."""
        values = np.clip(self.encode(rgb), 0.0, 1.0)
        values[np.isnan(values)] = 0.0
        return values

    def drawable(self, rgb: np.ndarray) -> np.ndarray:
        """Where all three values are finite and in the network's range: [..., 3] -> [...] bool."""
        with np.errstate(invalid="ignore"):
            net = self.encode(rgb)
            return ((net >= 0.0) & (net <= 1.0)).all(axis=-1)
