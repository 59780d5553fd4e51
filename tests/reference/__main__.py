"""`make docs`: writes the made parts of every page anew."""

from tests.reference.pages import PAGES, remake


def main() -> None:
    """Write what differs, and say what was written."""
    for page in PAGES:
        old = page.file.read_text(encoding="utf-8")
        new = remake(page, old)
        if new != old:
            page.file.write_text(new, encoding="utf-8")
        print(f"{'written' if new != old else 'as it was'}  docs/{page.name}.md")  # noqa: T201 - it is a command


if __name__ == "__main__":
    main()
