"""M4: links in messages; and HTML made from a text full of other people's characters."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates_app.html import to_html
from templates_app.links import LinkError, check_link, links_in


@pytest.mark.parametrize(
    "url",
    [
        "https://salon.ru",
        "http://salon.ru/a?b=c#d",
        "https://салон.рф/запись",
        "https://xn--80auehdpe.xn--p1ai/",
        "https://sub-1.salon.com:8443/x",
        "HTTPS://SALON.RU",
        "https://1.2.3.4/x",
    ],
)
def test_M4_good_links(url):
    check_link(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "salon.ru",
        "//salon.ru",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://salon.ru",
        "https://",
        "https:///path",
        "https://user:pass@salon.ru",
        "https://salon.ru@evil.ru",
        "https://salon.ru\\@evil.ru",
        "https://sаlon.ru",  # a Cyrillic а
        "https://xn--slon-53d.ru",  # the same in punycode
        "https://salon.ru/a b",
        "https://salon.ru/\u202egpj",
        "https://[::1",
        "https://salon.ru:99999/",
    ],
)
def test_M4_refused_links(url):
    with pytest.raises(LinkError) as caught:
        check_link(url)
    assert str(caught.value)


@given(st.text())
def test_any_text_is_a_link_or_a_link_error(text):
    try:
        check_link(text)
    except LinkError:
        return
    assert text.lower().startswith(("http://", "https://"))


def test_links_are_found_without_the_sentence_around_them():
    assert links_in("Смотрите https://a.ru/x, (http://b.ru). И <https://c.ru>!") == [
        "https://a.ru/x",
        "http://b.ru",
        "https://c.ru",
    ]


def test_html_has_paragraphs_links_and_a_button():
    page = to_html(
        "Привет!\n\nСмотрите https://a.ru/?a=1&b=2\nДо встречи.", button="Открыть", button_url="https://t.ru/1"
    )
    assert "<p>Привет!</p>" in page
    assert '<a href="https://a.ru/?a=1&amp;b=2">https://a.ru/?a=1&amp;b=2</a><br>' in page
    assert '<a href="https://t.ru/1"' in page
    assert "javascript" not in to_html("x", button="b", button_url="javascript:alert(1)")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        'https://a.ru/"onmouseover="x',
        "https://a.ru/<script>",
        "javascript:alert(1)",
        "&lt;script&gt;",
    ],
)
def test_T6_html_of_hostile_texts_is_only_text(text):
    page = to_html(text, button=text, button_url="https://a.ru/'\"<x>")
    body = page.split("<body", 1)[1].split(">", 1)[1]
    tags = re.findall(r"<[^>]*>", body)
    assert all(re.fullmatch(r"</?(p|a|body|html)( [^>]*)?>|<br>", tag) for tag in tags), tags
    assert not re.search(r"<[^>]*\son\w+=", body)


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
def test_html_loses_no_word(text):
    shown = unescape(re.sub(r"<[^>]*>", "", to_html(text).split("<body", 1)[1].split(">", 1)[1]))
    assert shown.split() == text.split()
