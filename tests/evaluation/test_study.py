# SPDX-License-Identifier: Apache-2.0
"""A blind choice: what the page holds and hides, and what is counted from what people save."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from dubplate_backend.cli.main import application
from dubplate_backend.evaluation.preferences import interval, read_preferences
from dubplate_backend.evaluation.study import StudyClip, write_study
from dubplate_backend.plates.movie import write_movie
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Rate

METHODS = ("ours", "theirs", "audio only")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of three methods on two clips."""
    folder = tmp_path_factory.mktemp("study")
    clips = []
    for clip in ("one", "two"):
        movies = {}
        for shade, method in enumerate(METHODS):
            movies[method] = folder / f"{clip}-{shade}.mp4"
            frames = [np.full((32, 32, 3), 60 + 40 * shade + 2 * index, np.uint8) for index in range(5)]
            write_movie(movies[method], frames, Rate(25))
        clips.append(StudyClip(clip, movies, movies["ours"]))
    write_study(folder, clips)
    return folder


def content_of(folder: Path) -> dict:
    page = (folder / "study.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="content">(.*?)</script>', page, re.DOTALL)[1].replace("<\\/", "</"))


def test_the_page_holds_every_movie_and_names_no_method(study):
    page = (study / "study.html").read_text(encoding="utf-8")
    assert not any(method in page for method in METHODS)
    assert "http://" not in page and "https://" not in page and "{{" not in page
    content = content_of(study)
    key = json.loads((study / "study_key.json").read_text(encoding="utf-8"))
    assert {clip["name"] for clip in content["clips"]} == {"one", "two"}
    for clip in content["clips"]:
        assert clip["movies"].keys() == key["methods"].keys()
        assert all(movie.startswith("data:video/mp4;base64,") for movie in clip["movies"].values())
        assert clip["reference"] == clip["movies"][{name: hidden for hidden, name in key["methods"].items()}["ours"]]


def answered(folder: Path, participant: str, wins: dict[tuple[str, str], str]) -> dict:
    key = json.loads((folder / "study_key.json").read_text(encoding="utf-8"))
    hidden = {name: code for code, name in key["methods"].items()}
    rows = [
        {"clip": "one", "left": hidden[a], "right": hidden[b], "chosen": hidden[won], "seconds": 3.5}
        for (a, b), won in wins.items()
    ]
    return {"schema": "dubplate.answers/1", "study": key["study"], "participant": participant, "answers": rows}


def saved(folder: Path, target: Path) -> list[Path]:
    """Ten people: nine of ten prefer ours to theirs; one saved a table."""
    files = []
    for person in range(10):
        content = answered(folder, f"p{person}", {("theirs", "ours"): "theirs" if person == 3 else "ours"})
        if person == 5:
            path = target / "answers-5.csv"
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["study", "participant", "clip", "left", "right", "chosen", "seconds"])
                for row in content["answers"]:
                    writer.writerow([content["study"], content["participant"], *row.values()])
        else:
            path = target / f"answers-{person}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
        files.append(path)
    return files


def test_answers_become_shares_with_intervals(study, tmp_path):
    files = saved(study, tmp_path)
    found = read_preferences(study / "study_key.json", [*files, files[0]])  # one handed in twice
    shares = {(p.method, p.against): p for p in found}
    assert shares.keys() == {("ours", "theirs"), ("theirs", "ours")}
    ours = shares["ours", "theirs"]
    assert (ours.chosen, ours.asked) == (9, 10)
    assert (ours.low, ours.high) == pytest.approx((0.555, 0.9975), abs=1e-3)  # Clopper and Pearson, 9 of 10
    assert ours.clear and shares["theirs", "ours"].share == pytest.approx(0.1)


def test_the_interval_holds_its_level_for_every_share():
    asked = 25
    for share in (0.02, 0.3, 0.5, 0.91):
        covered = sum(
            binom.pmf(chosen, asked, share)
            for chosen in range(asked + 1)
            if interval(chosen, asked)[0] <= share <= interval(chosen, asked)[1]
        )
        assert covered >= 0.95
    assert interval(0, 8)[0] == 0 and interval(8, 8)[1] == 1
    with pytest.raises(ValueError, match="no share"):
        interval(1, 0)


def test_answers_of_another_study_or_to_what_was_not_shown_are_refused(study, tmp_path):
    content = answered(study, "p", {("ours", "theirs"): "ours"})
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**content, "study": "another"}), encoding="utf-8")
    with pytest.raises(InvalidInput, match="another study"):
        read_preferences(study / "study_key.json", [other])
    content["answers"][0]["chosen"] = "neither"
    other.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InvalidInput, match="not shown"):
        read_preferences(study / "study_key.json", [other])
    other.write_text(json.dumps({**content, "answers": []}), encoding="utf-8")
    with pytest.raises(InvalidInput, match="no answers yet"):
        read_preferences(study / "study_key.json", [other])


def test_the_commands_make_a_study_and_read_it(study, tmp_path):
    run = CliRunner()
    movies = [f"ours={study / 'one-0.mp4'}", f"theirs={study / 'one-1.mp4'}"]
    made = run.invoke(application(), ["study", "make", *movies, "-o", str(tmp_path / "s")])
    assert made.exit_code == 0 and (tmp_path / "s" / "study.html").exists()
    read = run.invoke(
        application(), ["study", "read", str(study / "study_key.json"), *map(str, saved(study, tmp_path)), "--json"]
    )
    assert read.exit_code == 0
    assert json.loads(read.output)["preferences"][0]["chosen"] == 9
    alone = run.invoke(application(), ["study", "make", movies[0], "-o", str(tmp_path / "t")])
    assert isinstance(alone.exception, InvalidInput) and not (tmp_path / "t").exists()
