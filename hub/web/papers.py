"""Sheets to keep and to hand over: PDF of A4 with Chinese type, in the same words as the pages (docs/decisions/0023)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from hub.web.locales import LANGUAGE, say

FONT = "STSong-Light"
"""One of the fonts that PDF readers have or replace (Adobe-GB1), so that no file of ours carries 10 MB of type."""
MARGIN, SIZE, LEADING = 18 * mm, 13, 19
_RULE = HexColor("#9a9a9a")


def table(title: str, sentence: str, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float]) -> bytes:
    """A PDF with a heading, a sentence and one table. `widths`: the columns' shares of the line. Nothing in it is read as markup."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    width, number, out = A4[0] - 2 * MARGIN, say("第 %(n)d 页"), io.BytesIO()
    language = LANGUAGE.get()

    def foot(canvas: Any, _: Any) -> None:
        canvas.setFont(FONT, SIZE - 3)
        canvas.drawCentredString(A4[0] / 2, MARGIN / 2, number % {"n": canvas.getPageNumber()})

    cells = [[_paragraph(text) for text in row] for row in (head, *rows)]
    style = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.5, _RULE), ("LINEBELOW", (0, 0), (-1, 0), 1.5, _RULE)])
    listed = LongTable(cells, colWidths=[width * share / sum(widths) for share in widths], repeatRows=1, style=style)
    document = SimpleDocTemplate(out, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN, lang=language)
    document.build([_paragraph(title, 20), Spacer(0, 4 * mm), _paragraph(sentence), Spacer(0, 6 * mm), listed], onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _paragraph(text: str, size: int = SIZE) -> Paragraph:
    return Paragraph(escape("".join(letter if letter.isprintable() else " " for letter in text)), _style(size))


@cache
def _style(size: int) -> ParagraphStyle:
    return ParagraphStyle(str(size), fontName=FONT, fontSize=size, leading=size * LEADING / SIZE, wordWrap="CJK")
