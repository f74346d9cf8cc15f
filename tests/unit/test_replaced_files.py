"""A file is replaced at once, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxcpm_openai.files import replaced


def test_the_old_content_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text("old")
    with replaced(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
        assert draft.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_content_stays_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text("old")

    def write() -> None:
        with replaced(path) as draft:
            draft.write_text("ne")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writers_at_the_same_time_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    with replaced(path) as first, replaced(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "which ended last"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_is_not_found_as_a_file_of_the_same_kind(tmp_path: Path) -> None:
    with replaced(tmp_path / "a.so") as draft:
        draft.touch()
        assert list(tmp_path.glob("*.so")) == []
