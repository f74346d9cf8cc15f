"""The bench command: its levels, its table and its JSON file."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tests.support.scripted_server import GOOD, serving
from voxcpm_openai.cli.bench import bench


def test_bench_prints_a_row_for_each_level_and_writes_json(tmp_path):
    file = tmp_path / "load.json"
    with serving(GOOD) as (url, script):
        arguments = [url, "--streams", "1,2", "--requests", "3", "-o", str(file)]
        result = CliRunner().invoke(
            bench, [*arguments, "--text", "Hi."], env={"OPENAI_API_KEY": "k"}
        )
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[:2] for row in rows[1:3]] == [["1", "3"], ["2", "3"]]
    assert len(script.requests) == 8
    assert {body["input"] for *_, body in script.requests} == {"Hi."}
    assert script.requests[0][1]["Authorization"] == "Bearer k"
    levels = json.loads(file.read_text())["data"]
    assert [level["streams"] for level in levels] == [1, 2]
    assert levels[0]["warm_up"]["audio"] == 1.0
    assert levels[0]["first_byte"].keys() == {"p50", "p90", "p99"}
    assert "k" not in levels[0]


@pytest.mark.parametrize("levels", ["", "0", "1,x", "-3"])
def test_bench_refuses_levels_that_are_not_positive_numbers(levels):
    result = CliRunner().invoke(bench, ["--streams", levels])
    assert result.exit_code == 2
    assert "whole numbers above zero" in result.output


def test_bench_sends_more_requests_than_it_has_streams():
    with serving(GOOD) as (url, script):
        assert CliRunner().invoke(bench, [url, "--streams", "1,10"]).exit_code == 0
    assert len(script.requests) == 1 + 16 + 1 + 20
