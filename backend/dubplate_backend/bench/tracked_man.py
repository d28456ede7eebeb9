# SPDX-License-Identifier: Apache-2.0
"""The development clip's man as a shot package: what is learned of a real person is measured on him."""

import os
from pathlib import Path

from dubplate_backend.bench.material import clip
from dubplate_backend.bench.stage import Stage
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_shared.shot import Shot

CLIP = "kitchen_man_25fps.mp4"
TRACKED = "DUBPLATE_MAN"  # a package that is there already, which spares minutes


def tracked_man(stage: Stage) -> Shot | None:
    """$DUBPLATE_MAN, or the clip tracked now; None, and a line that says so, where the clip is not there."""
    if TRACKED in os.environ:
        return Shot.load(Path(os.environ[TRACKED]))
    video = clip(CLIP)
    if video is None:
        print(f"{CLIP} is not here; set DUBPLATE_CLIPS to the folder that holds it", flush=True)
        return None
    return track_shot(video, stage.folder / "man.dubshot", head=stage.head, preview=False, report=False)
