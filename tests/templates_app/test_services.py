"""Inheritance, freezing, preparing, validation."""

import json

import pytest

from cascade.vocabulary import ChannelKind
from templates_app.links import LinkError
from templates_app.models import MessageTemplate, TemplateVariant
from templates_app.rendering import EmptyVariable, TemplateError
from templates_app.services import Text, freeze, prepare, resolve, thaw, validate_text


@pytest.fixture
def template(db):
    made = MessageTemplate.objects.create(
        name="Скидка", text="Привет, {name}! {link}", subject="Для {name|вас}", button="Да", link="https://a.ru"
    )
    TemplateVariant.objects.create(template=made, kind="sms", text="{name}, скидка {link}")
    TemplateVariant.objects.create(template=made, kind="telegram", button="Записаться")
    return made


def test_empty_fields_of_a_variant_inherit(template):
    assert resolve(template, ChannelKind.SMS) == Text("{name}, скидка {link}", "Для {name|вас}", "Да", "https://a.ru")
    assert resolve(template, "telegram").text == "Привет, {name}! {link}"
    assert resolve(template, "telegram").button == "Записаться"
    assert resolve(template, "email").subject == "Для {name|вас}"


def test_frozen_texts_survive_json_and_later_edits(template):
    frozen = json.loads(json.dumps(freeze(template, [ChannelKind.SMS, ChannelKind.EMAIL])))
    before = thaw(frozen)
    template.text = "Другой текст"
    template.save()
    assert thaw(frozen) == before
    assert set(before) == {"sms", "email"}
    assert before["sms"] == Text("{name}, скидка {link}", "Для {name|вас}", "Да", "https://a.ru")


def test_variants_are_read_once(template, django_assert_num_queries):
    loaded = MessageTemplate.objects.prefetch_related("variants").get()
    with django_assert_num_queries(0):
        freeze(loaded, list(ChannelKind))


def test_a_prepared_text_renders_for_each_person():
    prepared = prepare(Text("{name}: {link} {unsubscribe|}", "Для {name}", "Да", "https://a.ru"))
    assert prepare(prepared.source) is prepared
    assert prepared.uses_link
    assert prepared.uses_unsubscribe
    made = prepared.render({"name": "Анна", "link": "https://evil.ru"}, link="https://t.ru/1", html=True)
    assert made.text == "Анна: https://t.ru/1 "
    assert made.subject == "Для Анна"
    assert '<a href="https://t.ru/1"' in made.html
    assert "evil" not in made.html


def test_a_list_column_cannot_stand_in_for_the_tracked_link():
    with pytest.raises(EmptyVariable):
        prepare(Text("{link}")).render({"link": "https://evil.ru"})


def test_missing_leaves_out_what_the_engine_gives():
    assert prepare(Text("{link} {name} {order}", "{name}")).missing({"name": ""}) == ["name", "order"]


def test_validation():
    validate_text("Привет, {name}! https://a.ru", {"name"})
    with pytest.raises(TemplateError):
        validate_text("{nme}", {"name"})
    with pytest.raises(TemplateError, match="has no link"):
        validate_text("x {link}", {"name"}, has_link=False)
    with pytest.raises(LinkError):
        validate_text("https://salon.ru@evil.ru/x", None)
