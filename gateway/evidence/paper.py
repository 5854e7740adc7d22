"""Puts a report on paper: A4, in an embedded font that has Vietnamese letters."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .report import Page, Section

_FONT = "DejaVu"
_INK, _DIM, _MARK, _SHADE = (27, 36, 48), (90, 102, 117), (11, 79, 138), (243, 246, 249)
_WIDTHS = {  # of a table's columns
    "events": (25, 26, 36, 13), "deliveries": (22, 22, 12, 22, 22), "attachments": (30, 18, 38, 14), "receipts": (25, 12, 28, 35),
}  # fmt: skip
_FACTS = (28, 72)
_NAME = FontFace(emphasis="BOLD", color=_DIM)


class _Paper(FPDF):
    """Pages with their number and the footer."""

    def __init__(self, note: str) -> None:
        super().__init__(format="A4")
        self._note = note
        fonts = resources.files("gateway.evidence") / "fonts"
        for style, name in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
            with resources.as_file(fonts / name) as path:
                self.add_font(_FONT, style, path)
        self.set_margins(18, 16, 18)
        self.set_auto_page_break(auto=True, margin=18)

    def footer(self) -> None:
        """Write a page's last line."""
        self.set_y(-13)
        self.set_font(_FONT, "", 7)
        self.set_text_color(*_DIM)
        self.cell(self.epw - 20, 4, self._note)
        self.cell(20, 4, f"{self.page_no()}/{{nb}}", align="R")


def write_pdf(page: Page, *, at: datetime) -> bytes:
    """Write a report as PDF; the same report at the same time gives the same bytes."""
    paper = _Paper(page.footer)
    paper.set_creation_date(at)
    paper.set_title(page.title)
    paper.set_lang(page.language)
    paper.add_page()
    _text(paper, page.title, size=17, style="B", colour=_MARK, height=8)
    _text(paper, page.subtitle, size=8.5, colour=_DIM, height=4.5)
    paper.set_draw_color(*_MARK)
    paper.set_line_width(0.6)
    paper.line(paper.l_margin, paper.get_y() + 1.5, paper.w - paper.r_margin, paper.get_y() + 1.5)
    paper.set_line_width(0.2)
    paper.ln(4)
    for section in page.sections:
        _section(paper, section)
    return bytes(paper.output())


def _section(paper: _Paper, section: Section) -> None:
    if not (section.facts or section.rows or section.note):
        paper.ln(2)
        paper.set_fill_color(*_MARK)
        _text(paper, section.title, size=10, style="B", colour=(255, 255, 255), height=7, fill=True)
        return
    if paper.will_page_break(34):
        paper.add_page()
    paper.ln(2.5)
    _text(paper, section.title, size=10, style="B", colour=_MARK, height=6)
    if section.note:
        _text(paper, section.note, size=8, colour=_DIM, height=4.4)
    if section.facts:
        _table(paper, section.facts, widths=_FACTS)
    if section.rows:
        _table(paper, section.rows, widths=_WIDTHS[section.kind], header=section.header)


def _table(paper: _Paper, rows: tuple[tuple[str, ...], ...], *, widths: Sequence[int], header: tuple[str, ...] = ()) -> None:
    paper.set_font(_FONT, "", 8)
    paper.set_text_color(*_INK)
    paper.set_draw_color(213, 219, 227)
    paper.set_fill_color(255, 255, 255)
    with paper.table(
        col_widths=widths,
        line_height=4.6,
        padding=0.8,
        text_align="LEFT",
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        first_row_as_headings=bool(header),
        headings_style=FontFace(emphasis="BOLD", fill_color=_SHADE),
        wrapmode="CHAR" if not header else "WORD",
    ) as table:
        for row in (header, *rows) if header else rows:
            name, *values = row
            line = table.row()
            line.cell(name, style=None if header else _NAME)
            for value in values:
                line.cell(value)


def _text(
    paper: _Paper, text: str, *, size: float, colour: tuple[int, int, int], height: float, style: str = "", fill: bool = False
) -> None:
    paper.set_font(_FONT, style, size)
    paper.set_text_color(*colour)
    paper.multi_cell(0, height, text, fill=fill, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
