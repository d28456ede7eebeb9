# SPDX-License-Identifier: Apache-2.0
"""The benchmarks measure true work: peers compute the same thing, counts are right, figures reach the JSON."""

import json
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch

from dubplate_backend.bench import skinning
from dubplate_backend.bench.__main__ import NAMES, main
from dubplate_backend.bench.figure import Figure, least_seconds
from dubplate_backend.bench.limits import flops_of
from dubplate_backend.bench.stage import Stage


def test_the_dense_peer_of_skinning_gives_the_same_vertices():
    with Stage() as stage:
        codes = stage.codes(3)
        expected = stage.head.vertices(**codes)
        torch.testing.assert_close(skinning._dense(stage.head, **codes), expected, atol=1e-5, rtol=0)


def test_the_bench_head_fills_a_good_part_of_the_picture():
    from dubplate_backend.raster.rasterise import visible_faces

    with Stage() as stage:
        covered = visible_faces(stage.screen(2, 64), stage.head.faces, 64, 64) >= 0
    assert 0.3 < float(covered.float().mean()) < 0.9


def test_work_is_counted_forward_backward_in_inference_and_through_second_derivatives():
    left, right = torch.randn(8, 16, requires_grad=True), torch.randn(16, 4, requires_grad=True)
    product = 2 * 8 * 16 * 4
    assert flops_of(lambda: left @ right) == product
    assert flops_of(lambda: (left @ right).sum().backward()) == 3 * product

    def drawn() -> None:
        with torch.inference_mode():
            torch.nn.functional.linear(left, right.T)

    assert flops_of(drawn) == product

    def penalty() -> None:
        (slope,) = torch.autograd.grad((left @ right).square().sum(), left, create_graph=True)
        slope.square().sum().backward()

    assert flops_of(penalty) > 3 * product


def test_the_least_of_the_rounds_counts_and_the_first_is_left_out():
    calls = []
    assert least_seconds(lambda: calls.append(1), rounds=4, seconds=0.0) < 1.0
    assert len(calls) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_the_wires_other_process_ends_with_a_benchmark_that_is_killed():
    code = """
import time
from dubplate_backend.bench import wire
with wire._peer("raw") as told:
    print(told["port"], flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as bench:
        assert bench.stdout is not None
        port = int(bench.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as pictures:
            assert pictures.recv(1), "it sends without an end"
            bench.kill()
            deadline_s = time.monotonic() + 30
            with suppress(ConnectionResetError):
                while pictures.recv(1 << 20):
                    assert time.monotonic() < deadline_s, "it still sends"


def test_figures_are_printed_and_written_with_unit_and_ratio(tmp_path, capsys):
    assert main(["skinning", "--json", str(tmp_path / "bench.json")]) == 0
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["schema"] == "dubplate.bench/1"
    assert written["threads"] >= 1
    printed = capsys.readouterr().out
    for figure in written["figures"]:
        assert figure["unit"] == "ms"
        assert figure["value"] > 0
        assert figure["ratio"] > 0
        assert figure["against"]
        assert Figure(**figure).line() in printed


def test_an_unknown_benchmark_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["teapot"])
    assert exit_.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in NAMES)


def test_an_unknown_part_of_the_tracking_benchmark_is_refused_with_those_there_are(capsys):
    assert main(["tracking", "--only", "teapot"]) != 0
    said = capsys.readouterr().err
    assert all(name in said for name in ("standin", "ict", "still", "man", "grid"))


def test_an_unknown_part_of_the_priors_benchmark_is_refused_with_those_there_are(capsys):
    assert main(["prior", "--only", "teapot"]) != 0
    said = capsys.readouterr().err
    assert all(name in said for name in ("invented", "man"))


def test_rendering_is_measured_stage_by_stage_and_as_a_whole(tmp_path):
    from dubplate_backend.bench import render
    from dubplate_backend.bench.stage import Stage
    from dubplate_backend.renderers.presets import DRAFT
    from small_shot import write_small_shot

    with Stage() as stage:
        shot = write_small_shot(tmp_path, stage.head)
        figures = {figure.name: figure for figure in render._whole(stage, shot, DRAFT, DRAFT.batch_windows + 2)}
    stages = [f"render.draft.{name}" for name in ("decode", "prepare", "draw", "composite", "write")]
    assert list(figures) == [*stages, "render.draft.frame", "render.draft.rate"]
    assert all(figure.value > 0 for figure in figures.values())
    assert sum(figures[name].ratio for name in stages) == pytest.approx(1.0)
    assert figures["render.draft.rate"].value == pytest.approx(1e3 / figures["render.draft.frame"].value)


def test_the_renderers_peer_is_a_stylegan2_of_its_size():
    from dubplate_backend.bench.stylegan2 import PlainGenerator
    from dubplate_backend.renderers.neural_texture.generator import Generator
    from dubplate_backend.renderers.presets import PRESETS

    with torch.device("meta"):
        for preset in PRESETS:
            own, peer = Generator(preset).decoder, PlainGenerator(preset)
            picture = peer(torch.empty(2, preset.style_dim))
            assert picture.shape == (2, 3, preset.crop_size, preset.crop_size)
            assert own.constant.shape == peer.constant.shape
            for ours, theirs in zip([*own.up, *own.same], [*peer.up, *peer.same], strict=True):
                assert ours.conv.weight.shape[0] == theirs.conv.weight.shape[0], "skips widen what goes in, not out"


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "scripts/bench rasteriser" in capsys.readouterr().out
