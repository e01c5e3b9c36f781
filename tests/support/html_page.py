"""A page as a reader of its tags sees it."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    "\"quoted\" & 'single' --> </style>",
    "{{ 7 * 7 }}{% include 'x' %}",
    "very long " * 500,
    "道路\u202e\x00\n",
)
"""Names that would become tags, templates or broken lines if a page took them as they are."""

VOID_TAGS = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Collects what a page holds and checks that its tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self.text = ""
        self.script = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " "
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.script += data
        elif not self.open or self.open[-1] != "style":
            self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]
