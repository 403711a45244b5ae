"""SMS parts: M3's boundaries, the extension table, emoji."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates_app.segments import GSM_BASIC, GSM_EXTENSION, Encoding, count


@pytest.mark.parametrize(
    ("text", "parts", "encoding", "units", "left"),
    [
        ("", 0, "gsm7", 0, 160),
        ("a", 1, "gsm7", 1, 159),
        ("a" * 160, 1, "gsm7", 160, 0),
        ("a" * 161, 2, "gsm7", 161, 145),
        ("a" * 306, 2, "gsm7", 306, 0),
        ("a" * 307, 3, "gsm7", 307, 152),
        ("ж" * 70, 1, "ucs2", 70, 0),
        ("ж" * 71, 2, "ucs2", 71, 63),
        ("ж" * 134, 2, "ucs2", 134, 0),
        ("ж" * 135, 3, "ucs2", 135, 66),
        ("€" * 80, 1, "gsm7", 160, 0),
        ("€" * 81, 2, "gsm7", 162, 143),
        # The 153rd place is one unit wide: the extension character goes to the next part as a whole.
        ("a" * 152 + "€" + "a" * 152, 3, "gsm7", 306, 152),
        ("😀" * 35, 1, "ucs2", 70, 0),
        ("😀" * 36, 2, "ucs2", 72, 61),
        ("ж" * 66 + "😀" + "ж" * 66, 3, "ucs2", 134, 66),
        ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ", 1, "gsm7", 31, 129),
        ("^{}\\[~]|€\f", 1, "gsm7", 20, 140),
    ],
)
def test_M3_boundaries(text, parts, encoding, units, left):
    result = count(text)
    assert (result.parts, result.encoding, result.units, result.left) == (parts, encoding, units, left)


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("Hello", ""),
        ("Hello\u00a0you", "\u00a0"),
        ("“Hi”", "“"),
        ("price — 5", "—"),
        ("aж", "ж"),
        ("`", "`"),
        ("ç", "ç"),
    ],
)
def test_the_character_that_doubles_the_price_is_named(text, culprit):
    assert count(text).culprit == culprit


def test_the_alphabet_is_gsm_03_38():
    assert len(GSM_BASIC) == 127  # 128 places, one of them ESC
    assert len(GSM_EXTENSION) == 10
    assert not GSM_BASIC & GSM_EXTENSION


@given(st.text(alphabet=st.sampled_from("aж€😀\u00a0{\n"), max_size=400))
def test_parts_hold_the_text(text):
    result = count(text)
    size = {Encoding.GSM7: 153, Encoding.UCS2: 67}[result.encoding]
    single = {Encoding.GSM7: 160, Encoding.UCS2: 70}[result.encoding]
    if result.units <= single:
        assert result.parts == (1 if text else 0)
        assert result.left == single - result.units
    else:
        assert result.parts >= -(-result.units // size)
        assert result.parts * (size - 1) <= result.units + size
        assert 0 <= result.left < size
    if result.encoding is Encoding.UCS2:
        assert result.units == len(text.encode("utf-16-le")) // 2


@given(st.text(max_size=300), st.characters())
def test_more_text_never_costs_less(text, sign):
    assert count(text + sign).parts >= count(text).parts
