"""How a request ends that gets no answer: a page that says why, or a problem (RFC 9457) where a program asked."""

from http import HTTPStatus


class ProblemError(Exception):
    """Ends a request.

    Args:
        status: HTTP's.
        code: stable, for programs.
        detail: one sentence: what is wrong and what to do; code in backticks.
        field: which part of the request it is about, `limit` for example.
    """

    def __init__(self, status: HTTPStatus, code: str, detail: str, *, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field

    def plain(self) -> dict[str, object]:
        """Return the problem's members."""
        told: dict[str, object] = {
            "title": self.status.phrase,
            "status": self.status.value,
            "code": self.code,
            "detail": self.detail,
        }
        return told | ({"field": self.field} if self.field else {})
