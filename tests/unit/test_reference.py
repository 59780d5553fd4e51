"""The made parts of the reference are as the code is now, and what people wrote around them stays."""

import re

import pytest

from gitops.telling import shapes
from tests.reference import routes
from tests.reference.marks import always, fill, names, texts
from tests.reference.pages import PAGES, Page, remake
from tests.reference.prose import arguments_of, cells, summary_of, table
from tests.support import docs

_EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
_LINK = re.compile(r"(?<!\])\[([^\]]+)\](?![(\[])")


@_EACH
def test_page_is_as_the_code_is_now(page: Page) -> None:
    text = page.file.read_text(encoding="utf-8")
    assert remake(page, text) == text, "the code knows something else now: run `make docs`"


@_EACH
def test_every_link_in_a_made_part_is_defined_on_its_page(page: Page) -> None:
    made = re.sub(r"```.*?```|`[^`]*`", "", "\n".join(texts(page.file.read_text(encoding="utf-8"))), flags=re.DOTALL)
    assert set(_LINK.findall(made)) - set(docs.definitions(page.file)) == set()


def test_only_what_stands_between_the_marks_is_written_anew() -> None:
    page = "a\n<!-- make docs: one -->\nold\n<!-- end -->\nb\n"
    made = fill(page, {"one": always("new")})
    assert made == "a\n<!-- make docs: one -->\nnew\n\n<!-- end -->\nb\n"
    assert fill(made, {"one": always("new")}) == made
    assert names(made) == ["one"]


@pytest.mark.parametrize(
    "marks", ["", "<!-- make docs: other -->\n<!-- end -->", 2 * "<!-- make docs: one -->\n<!-- end -->"]
)
def test_page_without_its_marks_or_with_others_is_refused(marks: str) -> None:
    page = Page("reference/settings", lambda: {"one": always("new")})
    with pytest.raises(LookupError, match=r"settings\.md: no marks for"):
        remake(page, marks)


def test_cells_of_a_table_are_read_as_they_were_written() -> None:
    made = table(("a", "b"), [("`x|y`", "two\nlines")])
    assert made == "| a | b |\n|---|---|\n| `x\\|y` | two lines |"
    assert cells(made.splitlines()[2]) == ["`x\\|y`", "two lines"]
    assert table(("a", "b"), [cells(made.splitlines()[2])]) == made


def test_arguments_of_a_docstring_are_joined_to_a_line_each() -> None:
    text = """What it is.

    Args:
        one: first line
            and second: line.
        two: more.

    Raises:
        three: never.
    """
    assert arguments_of(text) == {"one": "first line and second: line.", "two": "more."}


def test_description_of_the_api_says_of_each_field_what_its_docstring_says() -> None:
    schemas = routes.description()["components"]["schemas"]
    assert [name for name, schema in schemas.items() if "Args:" in schema.get("description", "")] == []
    assert schemas["Rollout"]["description"] == summary_of(shapes.Rollout.__doc__ or "")
    assert schemas["Rollout"]["properties"]["write_back_url"]["description"] == (
        "the pull request that sets the pin back, where Git could not be written."
    )
