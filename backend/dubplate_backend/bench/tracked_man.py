# SPDX-License-Identifier: Apache-2.0
"""The development clip's man as a shot package: what is learned of a real person is measured on him."""

from collections.abc import Iterator

from dubplate_backend.bench.material import MAN_CLIP, real
from dubplate_backend.bench.stage import Stage
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_shared.shot import Shot

QUICK_FRAMES = 150


def tracked_man(stage: Stage) -> Iterator[Shot]:
    """The clip, tracked now: minutes; none, and a line that says so, where the clip is not there."""
    for part in real(MAN_CLIP, 0, QUICK_FRAMES if stage.quick else None):
        yield track_shot(part, stage.folder / "man.dubshot", head=stage.head, preview=False, report=False)
