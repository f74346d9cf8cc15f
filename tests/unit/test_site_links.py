"""Links of the documentation that leave ``docs/`` lead to the repository on the site."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.support import ROOT
from tools.site_links import on_page_markdown

REPOSITORY = "https://example.org/it"


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("limits.md", "../CHANGELOG.md", f"{REPOSITORY}/blob/main/CHANGELOG.md"),
        ("limits.md", "../deploy/nginx.conf#x", f"{REPOSITORY}/blob/main/deploy/nginx.conf#x"),
        ("limits.md", "../voxcpm_openai/english", f"{REPOSITORY}/tree/main/voxcpm_openai/english"),
        ("decisions/0001-structure.md", "../../README.md", f"{REPOSITORY}/blob/main/README.md"),
        ("decisions/0001-structure.md", "../benchmarks.md#soak", "../benchmarks.md#soak"),
        ("limits.md", "voices.md", "voices.md"),
        ("limits.md", "../../../etc/passwd", "../../../etc/passwd"),
    ],
)
def test_only_links_to_other_folders_of_the_repository_change(
    page: str, link: str, expected: str
) -> None:
    file = SimpleNamespace(abs_src_path=str(ROOT / "docs" / page))
    changed = on_page_markdown(
        f"See [it]({link}).",
        page=SimpleNamespace(file=file),
        config=SimpleNamespace(repo_url=REPOSITORY),
    )
    assert changed == f"See [it]({expected})."
