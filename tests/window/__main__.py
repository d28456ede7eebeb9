# SPDX-License-Identifier: Apache-2.0
"""Drive the add-on in real Blenders with a window, from the built zip to plates: `scripts/test_window`."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from .debian import SUITES, Suite, inside, make_root, on_a_screen, what_is_missing
from .stage import REPOSITORY, built_extension, made_demo, write_python

CACHE = Path("/var/tmp/dubplate-window")
TIMEOUT_S = 2400.0
VIEW = (0, 30, 1312, 816)  # of the screen, in Blender's first layout
PUBLISHED = 900  # px wide, for a page
HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/test_window",
        description=__doc__.split(":")[0] + ".",
        epilog="Needs Linux and root (debootstrap, unshare, chroot), 1.5 GB a suite, and the network the first time. "
        "Example: scripts/test_window sid --screenshots docs/artists",
    )
    parser.add_argument("suites", nargs="*", help="; ".join(f"{s.name}: {s.blender}" for s in SUITES.values()))
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"roots and the synthetic actor (default: {CACHE})")
    parser.add_argument("--screenshots", type=Path, help="folder for a picture of every station")
    parser.add_argument("--only", default="", help="the stations to pass, by comma; import and connect come with them")
    options = parser.parse_args()
    unknown = [name for name in options.suites if name not in SUITES]
    if unknown or (missing := what_is_missing()):
        parser.error(f"{', '.join(unknown)}: choose of {', '.join(SUITES)}" if unknown else missing)
    cache = options.cache.resolve()
    demo = made_demo(cache / "demo")
    results = {name: driven(SUITES[name], cache, demo, options) for name in options.suites or SUITES}
    return 0 if all(results.values()) else 1


def driven(suite: Suite, cache: Path, demo: Path, options: argparse.Namespace) -> bool:
    """One Blender, every station; whether all went well."""
    root, stage = cache / suite.name, cache / "run" / suite.name
    make_root(suite, root)
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    result = stage / "result.json"
    job = {
        "shot": str(demo / "demo.dubshot"),
        "actor": str(demo / "demo.dubactor"),
        "take": "new_line",
        "output": str(stage / "plates"),
        "python": str(write_python(stage / "python")),
        "only": options.only,
        "screenshots": str(stage / "screenshots"),
        "result": str(result),
    }
    (stage / "screenshots").mkdir()
    (stage / "job.json").write_text(json.dumps(job), encoding="utf-8")
    binds = (demo, stage, REPOSITORY)
    environment = {
        "HOME": str(stage),
        "TMPDIR": str(stage),
        "BLENDER_USER_RESOURCES": str(stage / "blender"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    archive = built_extension(stage)
    install = ["blender", "--command", "extension", "install-file", "-r", "user_default", "-e", str(archive)]
    window = on_a_screen(["blender", "--window-geometry", "0", "0", "1600", "900", "--python-exit-code", "1",
                          "--python", str(HERE / "drive.py"), "--", str(stage / "job.json")])  # fmt: skip
    print(f"{suite.name}: {suite.blender}", flush=True)
    start_s = time.monotonic()
    with open(stage / "blender.log", "wb") as log:
        for command in (install, window):
            subprocess.run(
                inside(root, command, binds=binds, environment=environment),
                stdout=log, stderr=subprocess.STDOUT, timeout=TIMEOUT_S,
            )  # fmt: skip
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
        for picture in (stage / "screenshots").glob("*.png"):
            publish(picture, options.screenshots / picture.name)
    return told(result, stage / "blender.log", time.monotonic() - start_s)


def publish(picture: Path, target: Path) -> None:
    """A screenshot as documents have it: the 3D view with its sidebar, smaller."""
    seen = Image.open(picture).convert("RGB").crop(VIEW)
    seen.resize((PUBLISHED, round(PUBLISHED * seen.height / seen.width))).save(target, optimize=True)


def told(result: Path, log: Path, seconds: float) -> bool:
    """Print what every station came to; whether all went well."""
    if not result.exists():
        print(f"  Blender ended without a word; see {log}")
        return False
    stations = json.loads(result.read_text(encoding="utf-8"))
    for station in stations:
        print(f"  {'ok    ' if not station['error'] else 'FAILED'} {station['name']:<28} {station['seconds']:6.1f} s")
        for name, value in station["measured"].items():
            print(f"         {name}: {value}")
        if station["error"]:
            print("         " + station["error"].strip().replace("\n", "\n         "))
    print(f"  {seconds:.0f} s; log and pictures in {log.parent}", flush=True)
    return bool(stations) and not any(station["error"] for station in stations)


if __name__ == "__main__":
    sys.exit(main())
