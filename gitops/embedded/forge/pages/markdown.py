"""Render what people and programs wrote as Markdown, so that nothing in it can act.

Raw HTML is shown as text, images are not loaded, links go to http and https only.
"""

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

_TEXT_LIMIT = 200_000


class _SafeMarkdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        """Whether a link may be followed."""
        return url.lower().startswith(("http://", "https://", "#"))


def _open_link(renderer: RendererHTML, tokens: Sequence[Token], position: int, options: OptionsDict, _: EnvType) -> str:
    tokens[position].attrSet("rel", "nofollow noopener noreferrer")
    return renderer.renderToken(tokens, position, options, {})


_MARKDOWN = _SafeMarkdown("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
_MARKDOWN.disable(["image"])
_MARKDOWN.add_render_rule("link_open", _open_link)


def render_markdown(unverified_text: str | None) -> Markup:
    """Return safe HTML; a text over 200,000 characters is cut."""
    text = (unverified_text or "")[:_TEXT_LIMIT]
    return Markup(_MARKDOWN.render(text))  # noqa: S704 - html is off, so the renderer escapes all that was written
