# SPDX-License-Identifier: Apache-2.0
"""The page's own script, run from the first click to the saved files, over stand-ins for the page's elements."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.evaluation.preferences import read_preferences
from dubplate_backend.evaluation.study import StudyClip, write_study
from dubplate_backend.plates.movie import write_movie
from dubplate_shared.shot import Rate

# The elements that the script touches, and a participant who always prefers the movie that `favourite` is.
ELEMENTS = """
const files = [], listeners = {}, elements = {};
const element = (name) => (elements[name] ??= { dataset: {}, pause() {}, play() {}, click() {} });
const sections = ["start", "reference", "trial", "end"].map((id) => ({ id, hidden: id !== "start" }));
const videos = [0, 1].map((side) => element(`video ${side}`));
const buttons = [0, 1].map((side) => ({ dataset: { side: String(side) } }));
globalThis.document = {
  getElementById: () => ({ textContent: CONTENT }),
  querySelector: (query) => sections.find((section) => "#" + section.id === query) ?? element(query),
  querySelectorAll: (query) => ({ section: sections, video: videos, "#trial video": videos })[query] ?? buttons,
  createElement: () => element("link"),
};
globalThis.Blob = class { constructor(parts) { files.push(parts[0]); } };
globalThis.URL = { createObjectURL: () => "" };
globalThis.addEventListener = (name, listener) => { listeners[name] = listener; };
"""
PARTICIPANT = """
const shown = () => sections.find((section) => !section.hidden).id;
let references = 0, both = 0;
element("#begin").onclick();
while (shown() !== "end") {
  if (shown() === "reference") { references++; element("#seen").onclick(); continue; }
  both += videos[0].src === videos[1].src;
  const right = videos[1].src === FAVOURITE;
  if (references % 2) listeners.keydown({ key: right ? "ArrowRight" : "ArrowLeft" });
  else buttons[right ? 1 : 0].onclick();
}
element("#json").onclick();
element("#csv").onclick();
console.log(JSON.stringify({ files, references, both }));
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    movies = {}
    for shade, method in enumerate(("ours", "theirs", "audio only")):
        movies[method] = folder / f"{shade}.mp4"
        write_movie(movies[method], [np.full((32, 32, 3), 60 + 40 * shade, np.uint8)] * 3, Rate(25))
    write_study(folder, [StudyClip("one", movies, movies["ours"]), StudyClip("two", movies)])
    return folder


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js, which runs the page's script, is not installed")
@pytest.mark.parametrize("ending", ["json", "csv"])
def test_a_participant_goes_through_every_pair_and_what_he_saves_is_counted(study, tmp_path, ending):
    page = (study / "study.html").read_text(encoding="utf-8")
    content = re.search(r'id="content">(.*?)</script>', page, re.DOTALL)[1]
    script = re.search(r"<script>\n(.*?)</script>", page, re.DOTALL)[1]
    key = json.loads((study / "study_key.json").read_text(encoding="utf-8"))
    ours = next(hidden for hidden, name in key["methods"].items() if name == "ours")
    favourite = json.loads(content)["clips"][0]["movies"][ours]
    source = f"const CONTENT = {json.dumps(content)}, FAVOURITE = {json.dumps(favourite)};\n"
    (tmp_path / "run.js").write_text(source + ELEMENTS + script + PARTICIPANT, encoding="utf-8")
    run = subprocess.run(["node", str(tmp_path / "run.js")], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["references"] == 1 and told["both"] == 0  # once, before the clip that has one; never twice the same
    saved = tmp_path / f"answers.{ending}"
    saved.write_text(told["files"][0 if ending == "json" else 1], encoding="utf-8")
    shares = {(p.method, p.against): (p.chosen, p.asked) for p in read_preferences(study / "study_key.json", [saved])}
    assert len(shares) == 6 and all(asked == 2 for _, asked in shares.values())  # three pairs, two clips
    assert shares["ours", "theirs"] == shares["ours", "audio only"] == (2, 2)
