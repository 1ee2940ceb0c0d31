from afm_jax import models
from docs.models import PAGE, page


def test_the_page_of_models_says_what_their_files_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m docs.models"


def test_the_page_has_a_row_and_a_section_for_every_model():
    lines = page().splitlines()
    for name in models.names():
        assert sum(line.startswith(f"| [`{name}`](#{name}) |") for line in lines) == 1
        assert lines.count(f"## {name}") == 1
