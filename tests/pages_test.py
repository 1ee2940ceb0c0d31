"""The pages: short sentences, and links that lead somewhere."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MOST_WORDS = 30
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PAGES += sorted((ROOT / "experiments").rglob("*.md"))


WRITTEN_BY_HAND = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs" / name for name in ("data.md", "training.md", "predicting.md")),
    *sorted((ROOT / "experiments" / "results").glob("*.md")),
]


def sentences(page):
    """The sentences of a page; a cell of a table and an item of a list end one."""
    prose = re.sub(r"```.*?```|^    [^\n]*$", "", page, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", prose)
    for block in re.split(r"\n\n|\n(?=[-|#])", prose):
        for part in block.split("|"):
            yield from re.split(r"(?<=[.!?])\**\s+", " ".join(part.split()))


@pytest.mark.parametrize("path", WRITTEN_BY_HAND, ids=lambda path: path.name)
def test_no_sentence_is_over_30_words(path):
    page = path.read_text(encoding="utf-8")
    assert not [text for text in sentences(page) if len(text.split()) > MOST_WORDS]


def test_sentences_are_told_apart():
    page = "One two. Three:\n\n    code\n\n- four\n- five [six seven](x.md)\n\n| a b | c |\n```sh\nno\n```"
    assert [len(text.split()) for text in sentences(page) if text] == [2, 1, 2, 4, 2, 1]


def anchors(path):
    """What a link to a heading of a page may end in, as GitHub makes it of the heading."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path), link
