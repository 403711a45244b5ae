"""The catalogue check finds what an owner would stumble over."""

import gettext
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def catalogues() -> ModuleType:
    spec = importlib.util.spec_from_file_location("catalogues", ROOT / "scripts" / "catalogues.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, catalogues: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project whose catalogues are complete."""
    package = tmp_path / "contacts"
    (package / "templates" / "contacts").mkdir(parents=True)
    (package / "models.py").write_text(
        "from django.utils.translation import gettext_lazy as _, ngettext, pgettext\n"
        "A = _('a person')\n"
        "B = ngettext('%(n)s letter', '%(n)s letters', 2)\n"
        "C = pgettext('verb', 'read')\n",
        encoding="utf-8",
    )
    (package / "templates" / "contacts" / "page.html").write_text(
        "{% load i18n %}<p>\n"
        "    {% translate 'Stop' %}\n"
        "  {% blocktranslate with who=name %}Hello {{ who }}{% endblocktranslate %}</p>\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(catalogues, "third_party_texts", lambda _root: {})
    catalogues.messages(tmp_path)
    edit(
        tmp_path,
        {
            'msgid "a person"\nmsgstr ""': 'msgid "a person"\nmsgstr "человек"',
            'msgstr[0] ""\nmsgstr[1] ""\nmsgstr[2] ""': (
                'msgstr[0] "%(n)s письмо"\nmsgstr[1] "%(n)s письма"\nmsgstr[2] "%(n)s писем"'
            ),
            'msgid "read"\nmsgstr ""': 'msgid "read"\nmsgstr "читать"',
            'msgid "Stop"\nmsgstr ""': 'msgid "Stop"\nmsgstr "Отписаться"',
            'msgid "Hello %(who)s"\nmsgstr ""': 'msgid "Hello %(who)s"\nmsgstr "Привет, %(who)s"',
        },
    )
    return tmp_path


def ru(project: Path) -> Path:
    return project / "locale" / "ru" / "LC_MESSAGES" / "django.po"


def edit(project: Path, changes: dict[str, str]) -> None:
    text = ru(project).read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    ru(project).write_text(text, encoding="utf-8")


def test_a_complete_project_has_no_faults(catalogues: ModuleType, project: Path) -> None:
    assert catalogues.check_ours(project) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('msgstr "человек"', 'msgstr ""', "has no translation"),
        ('msgstr[2] "%(n)s писем"', 'msgstr[2] ""', "has no translation"),
        ('msgid "a person"', 'msgid "an alien"', "is not in the catalogue"),
        ('msgid "a person"', 'msgid "an alien"', "is used nowhere"),
        ("Привет, %(who)s", "Привет, %(name)s", "other placeholders"),
        ("Привет, %(who)s", "Привет", "other placeholders"),
    ],
)
def test_a_broken_one_is_found(catalogues: ModuleType, project: Path, old: str, new: str, complaint: str) -> None:
    edit(project, {old: new})
    assert any(complaint in fault for fault in catalogues.check_ours(project))


def test_a_guess_does_not_count(catalogues: ModuleType, project: Path) -> None:
    edit(project, {'msgid "Stop"': '#, fuzzy\nmsgid "Stop"'})
    assert any("fuzzy" in fault for fault in catalogues.check_ours(project))


def test_a_new_text_in_code_is_noticed_and_added(catalogues: ModuleType, project: Path) -> None:
    (project / "contacts" / "views.py").write_text("x = _('new words')\n", encoding="utf-8")
    assert len(catalogues.check_ours(project)) == 2  # missing in both languages
    catalogues.messages(project)
    faults = catalogues.check_ours(project)
    assert len(faults) == 1, "English is its own translation, Russian is left to people"
    assert "new words" in faults[0]
    assert "человек" in ru(project).read_text(encoding="utf-8")


def test_compiled_files_are_what_gettext_reads(catalogues: ModuleType, project: Path) -> None:
    catalogues.compile_all(project)
    found = gettext.translation("django", project / "locale", ["ru"])
    assert found.gettext("a person") == "человек"
    assert found.ngettext("%(n)s letter", "%(n)s letters", 5) == "%(n)s писем"
    assert found.pgettext("verb", "read") == "читать"


def test_nothing_of_the_theme_stays_english(catalogues: ModuleType) -> None:
    assert catalogues.check_third_party(ROOT) == []
