"""Choosing a provider and reading how to connect it: the pages of the real registry."""

import re

import pytest
from bs4 import BeautifulSoup
from django.urls import reverse

from channels.admin import choose, guide
from channels.admin.form import config_fields
from channels.providers.registry import provider_class, slugs
from tests.ground.test_packaging import ROOT


def chosen(client, query=""):
    answer = client.get(reverse("admin:channels_channel_add") + query, headers={"accept-language": "ru"})
    assert answer.status_code == 200
    soup = BeautifulSoup(answer.content, "html.parser")
    return soup, [re.search(r"provider=(\w+)", card["href"])[1] for card in soup.select("a[data-words]")]


def test_every_provider_is_offered_once_in_the_order_of_a_cascade(admin_client):
    soup, offered = chosen(admin_client)
    assert sorted(offered) == sorted(slugs())
    order = list(choose.KINDS)
    kinds = [order.index(provider_class(slug).kind) for slug in offered]
    assert kinds == sorted(kinds)
    anchors = {link["href"].removeprefix("#") for link in soup.select("nav a[href^='#kind-']")}
    assert anchors == {section["id"] for section in soup.select("[data-group]")}
    assert soup.select_one("[data-nothing]").has_attr("hidden")


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("?q=max", {"max_bot", "green_api_max"}, {"smsc", "telegram_bot"}),
        ("?q=SMSC", {"smsc"}, {"sms_ru"}),
        ("?only=phone", {"smsc", "green_api_whatsapp"}, {"telegram_bot", "smtp"}),
        ("?only=proof", {"smsc", "green_api_max"}, {"telegram_bot", "max_bot"}),
        ("?only=official&q=telegram", {"telegram_bot"}, {"green_api_telegram", "smsc"}),
        ("?only=nonsense", {"smsc", "telegram_bot", "smtp"}, set()),
    ],
)
def test_what_is_looked_for_is_found_without_scripts(admin_client, query, there, gone):
    _, offered = chosen(admin_client, query)
    assert there <= set(offered)
    assert not gone & set(offered)


def test_nothing_found_is_said_with_a_way_back(admin_client):
    soup, offered = chosen(admin_client, "?q=zzz&only=phone")
    assert not offered
    nothing = soup.select_one("[data-nothing]")
    assert not nothing.has_attr("hidden")
    assert nothing.a["href"] == reverse("admin:channels_channel_add")


def test_a_gateway_over_an_ordinary_account_is_called_risky(admin_client):
    soup, _ = chosen(admin_client)
    risky = {card["href"].partition("provider=")[2] for card in soup.select("a[data-words]:has(.is-risky)")}
    assert {"green_api_max", "green_api_telegram", "green_api_whatsapp"} <= risky
    assert not risky & {"max_bot", "telegram_bot", "smsc", "smtp"}


@pytest.mark.parametrize("slug", slugs())
def test_the_owners_steps_are_on_the_page_and_name_no_field_of_the_code(admin_client, slug):
    soup, _ = chosen(admin_client, f"?provider={slug}")
    steps = soup.select_one("details.cascade-guide[open] [lang=ru]")
    assert len(steps.select("ol > li")) >= 3
    text = steps.get_text(" ")
    assert not re.search(r"\*\*|\]\(|`|^\s*\|", text, re.MULTILINE), "markup that was not understood"
    labels = {str(one.metadata["label"]) for one in config_fields(slug)}
    marks = {code.text for code in steps.select("code")}
    assert not marks & {one.name for one in config_fields(slug)} - labels


def test_a_colleague_who_reads_english_is_told_that_the_steps_are_russian(admin_client):
    answer = admin_client.get(
        reverse("admin:channels_channel_add") + "?provider=smsc", headers={"accept-language": "en"}
    )
    steps = BeautifulSoup(answer.content, "html.parser").select_one("details.cascade-guide")
    assert not steps.has_attr("open")
    assert "(in Russian)" in steps.summary.text


def test_what_docs_use_of_markdown_is_understood_and_nothing_else_passes():
    text = (
        "One `<b>` **two**\nthree (`key`).\n\n1. first «Key» (`key`, `other`)\n   goes on [here](smsc.md)\n2. second:\n\n"
        "   | a | b |\n   |---|---|\n   | 1 | <i> |\n\n   after `key`\n\n- [out](https://a.example/x) [doc](../x.md)\n"
        "- [bad](javascript:alert(1))\n\n```\n1. <x> `y`\n```\n"
    )
    html = guide.to_html(text, {"key": "Key", "other": "Other"})
    assert html == (
        "<p>One <code>&lt;b&gt;</code> <strong>two</strong> three.</p>"
        f'<ol start="1"><li>first «Key» goes on <a href="{reverse("admin:channels_channel_add")}?provider=smsc">here</a></li>'
        "<li><p>second:</p><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>&lt;i&gt;</td></tr></table>"
        "<p>after «Key»</p></li></ol>"
        '<ul><li><a href="https://a.example/x" target="_blank" rel="noopener noreferrer">out</a> doc</li><li>bad)</li></ul>'
        "<pre>1. &lt;x&gt; `y`</pre>"
    )


def test_the_pages_are_shipped_with_the_code():
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not {"docs", "docs/", "docs/channels", "**/*.md", "*.md"} & set(left_out)
    assert "COPY . ." in (ROOT / "Dockerfile").read_text(encoding="utf-8")
