"""Message catalogues without GNU gettext: extract, check, compile.

    python scripts/catalogues.py messages   rewrite locale/*/LC_MESSAGES/django.po from the code
    python scripts/catalogues.py check      fail when a text lacks a translation
    python scripts/catalogues.py compile    write the .mo files Django reads

Texts in the code are English; `ru` is translated by people, `en` is the same text again, so
that an English page never falls back to Russian (LANGUAGE_CODE) for a text somebody forgot.
`locale/thirdparty/ru` holds what Unfold, import-export and celery-beat leave in English: Unfold
ships no translations at all. msgfmt and xgettext are not on every machine, babel is in our lock.
"""

import argparse
import datetime as dt
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent

#: Packages whose texts an owner or a client can see. Tools and tests speak to developers.
OUR_PACKAGES = (
    "analytics",
    "api",
    "campaigns",
    # Knows no languages itself: its sentences of the timeline are worded by deliveries.
    "cascade",
    "cascade_project",
    "channels",
    "contacts",
    "deliveries",
    "integrations",
    "templates_app",
)
LANGUAGES = ("ru", "en")
#: Installed packages whose pages our owners see. Their Russian may come from themselves, from
#: Django or from locale/thirdparty, as at run time.
THIRD_PARTY = ("unfold", "import_export", "django_celery_beat", "simple_history", "axes")
#: The parts of Django whose catalogues are loaded, because they are in INSTALLED_APPS (or core).
DJANGO_PARTS = (
    "conf",
    "contrib/admin",
    "contrib/auth",
    "contrib/contenttypes",
    "contrib/humanize",
    "contrib/postgres",
    "contrib/sessions",
)
#: Parts of them that are not installed as apps here, so nobody can see their texts.
UNUSED = (
    "unfold/contrib/constance",
    "unfold/contrib/guardian",
    "unfold/contrib/location_field",
)

KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "N_": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")

#: A message is known by its context and its text (for plurals: the singular).
Key = tuple[str | None, str]


@dataclass(frozen=True)
class Text:
    """One translatable text as it stands in the code."""

    context: str | None
    singular: str
    plural: str | None
    place: str
    comments: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """What gettext looks it up by."""
        return (self.context, self.singular)


def _source(path: Path) -> bytes:
    """Return a file as Python source that babel can read.

    Django turns a template into Python-like text of the same lines; its indentation means
    nothing and would only upset the tokenizer.
    """
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        content = templatize(content, origin=str(path))
        content = "\n".join(line.strip() for line in content.split("\n"))
    return content.encode()


def extract_file(path: Path, place: str) -> Iterator[Text]:
    """Yield every translatable text of one Python file or template. Raises OSError."""
    found = extract("python", BytesIO(_source(path)), KEYWORDS, comment_tags=("Translators",))
    for _line, message, comments, context in found:
        singular, plural = message if isinstance(message, tuple) else (message, None)
        if singular:
            yield Text(context, singular, plural, place, tuple(comments))


def extract_tree(folder: Path, base: Path) -> Iterator[Text]:
    """Yield every text below a folder in a stable order, places relative to `base`."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(base).as_posix()
        template = "templates" in path.parts and path.suffix in {".html", ".txt"}
        if not (path.suffix == ".py" or template) or "migrations" in path.parts:
            continue
        if not place.startswith(UNUSED):
            yield from extract_file(path, place)


def our_texts(root: Path) -> dict[Key, list[Text]]:
    """Return the texts of our packages below `root`, each with every place it stands at."""
    texts: dict[Key, list[Text]] = {}
    for package in OUR_PACKAGES:
        if (root / package).is_dir():
            for text in extract_tree(root / package, root):
                texts.setdefault(text.key, []).append(text)
    return texts


def package_folder(name: str) -> Path:
    """Return where a package is installed without importing it. Raises LookupError."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise LookupError(f"{name} is not installed: run scripts/bootstrap dev")
    return Path(spec.origin).parent


def read_catalogue(path: Path, language: str) -> Catalog:
    """Return a catalogue; a missing file gives an empty one."""
    if not path.exists():
        return Catalog(locale=language, domain="django")
    with path.open("rb") as file:
        return pofile.read_po(file, locale=language, domain="django")


def write_catalogue(path: Path, catalogue: Catalog) -> None:
    """Write a catalogue in a form that changes only where a text changed.

    Sorted, without line numbers and without a date of extraction: several people edit it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    pofile.write_po(
        buffer,
        catalogue,
        width=100,
        sort_output=True,
        include_lineno=False,
        ignore_obsolete=True,
        include_previous=False,
    )
    path.write_bytes(buffer.getvalue())


def updated(language: str, texts: dict[Key, list[Text]], old: Catalog) -> Catalog:
    """Return a catalogue of exactly these texts, with the old translations kept.

    New texts get an empty translation, in English themselves. Nothing is guessed ("fuzzy"):
    a wrong guess that looks finished is worse than a gap the check reports.
    """
    new = Catalog(
        locale=language,
        domain="django",
        project="Cascade",
        version="1",
        copyright_holder="the Cascade authors",
        msgid_bugs_address="see CONTRIBUTING.md",
        last_translator="the Cascade authors",
        language_team="the Cascade authors",
        creation_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        revision_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        fuzzy=False,
    )
    new.header_comment = "# Texts of Cascade. Made by `make messages`, translated by people."
    for (context, singular), places in texts.items():
        plural = next((text.plural for text in places if text.plural), None)
        known = old.get(singular, context)
        translation = known.string if known and not known.fuzzy else ""
        if language == "en":
            translation = (singular, plural) if plural else singular
        elif plural and isinstance(translation, str):
            translation = (translation,) + ("",) * (new.num_plurals - 1)
        elif not plural and not isinstance(translation, str):
            translation = translation[0]
        new.add(
            (singular, plural) if plural else singular,
            translation,
            locations=sorted({(text.place, 0) for text in places}),
            auto_comments=sorted({c for text in places for c in text.comments}),
            user_comments=known.user_comments if known else (),
            context=context,
        )
    return new


def faults(texts: dict[Key, list[Text]], catalogue: Catalog) -> Iterator[str]:
    """Yield one line for each text that this catalogue would show wrongly or not at all."""
    for (context, singular), places in texts.items():
        message = catalogue.get(singular, context)
        where = f"{places[0].place}: {singular!r}"
        if message is None:
            yield f"{where} is not in the catalogue"
            continue
        strings = (message.string,) if isinstance(message.string, str) else message.string
        if message.fuzzy:
            yield f"{where} is marked fuzzy"
        elif not strings or not all(strings):
            yield f"{where} has no translation"
        else:
            plural = next((text.plural for text in places if text.plural), None)
            yield from _placeholder_faults(where, singular, plural, strings)


def _placeholder_faults(where: str, singular: str, plural: str | None, strings: Iterable[str]) -> Iterator[str]:
    """Yield a line for a translation whose placeholders differ: it would crash or lie."""
    expected = set(_PLACEHOLDER.findall(plural or singular))
    for string in strings:
        found = set(_PLACEHOLDER.findall(string))
        # A plural form may leave the number out ("one message"), never bring a new name.
        if found != expected and not (plural and found < expected):
            yield f"{where}: the translation {string!r} has other placeholders"


def check_ours(root: Path) -> list[str]:
    """Return the faults of our own catalogues below `root`, best first read by a person."""
    texts = our_texts(root)
    found: list[str] = []
    for language in LANGUAGES:
        path = root / "locale" / language / "LC_MESSAGES" / "django.po"
        catalogue = read_catalogue(path, language)
        found += [f"{language}: {fault}" for fault in faults(texts, catalogue)]
        known = {(message.context, _singular(message.id)) for message in catalogue if message.id}
        found += [f"{language}: {text!r} is used nowhere" for _, text in sorted(known - texts.keys(), key=str)]
    return found


def _singular(message_id: "str | tuple[str, ...] | list[str]") -> str:
    return message_id if isinstance(message_id, str) else message_id[0]


def third_party_texts(root: Path) -> dict[Key, list[Text]]:
    """Return the texts of installed packages that stay English in Russian without our help."""
    covered: set[Key] = set()
    django = package_folder("django")
    for folder in [*(django / part for part in DJANGO_PARTS), *map(package_folder, THIRD_PARTY)]:
        for path in folder.rglob("locale/ru/LC_MESSAGES/django.po"):
            for message in read_catalogue(path, "ru"):
                strings = message.string if isinstance(message.string, tuple) else (message.string,)
                if message.id and all(strings) and not message.fuzzy:
                    covered.add((message.context, _singular(message.id)))
    texts: dict[Key, list[Text]] = {}
    for name in THIRD_PARTY:
        folder = package_folder(name)
        for text in extract_tree(folder, folder.parent):
            if text.key not in covered:
                texts.setdefault(text.key, []).append(text)
    return texts


def _third_party_path(root: Path) -> Path:
    return root / "locale" / "thirdparty" / "ru" / "LC_MESSAGES" / "django.po"


def check_third_party(root: Path) -> list[str]:
    """Return the texts of installed packages that an owner would see in English."""
    catalogue = read_catalogue(_third_party_path(root), "ru")
    return [f"third party: {fault}" for fault in faults(third_party_texts(root), catalogue)]


def messages(root: Path) -> None:
    """Rewrite every .po file below `root` from the code, keeping translations."""
    texts = our_texts(root)
    for language in LANGUAGES:
        path = root / "locale" / language / "LC_MESSAGES" / "django.po"
        write_catalogue(path, updated(language, texts, read_catalogue(path, language)))
    path = _third_party_path(root)
    write_catalogue(path, updated("ru", third_party_texts(root), read_catalogue(path, "ru")))


def compile_all(root: Path) -> None:
    """Write a .mo beside every .po below `root`."""
    for path in sorted((root / "locale").rglob("*.po")):
        catalogue = read_catalogue(path, path.parent.parent.name)
        # Written aside and moved: a server that starts meanwhile must not read half a file.
        half = path.with_suffix(".mo.new")
        with half.open("wb") as file:
            mofile.write_mo(file, catalogue)
        half.rename(path.with_suffix(".mo"))


def main(arguments: list[str]) -> int:
    """Run one of the three commands; return 1 when `check` found faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", choices=("messages", "check", "compile"))
    command = parser.parse_args(arguments).command
    if command == "messages":
        messages(ROOT)
        compile_all(ROOT)
    elif command == "compile":
        compile_all(ROOT)
    else:
        found = [*check_ours(ROOT), *check_third_party(ROOT)]
        for fault in found:
            print(fault, file=sys.stderr)
        print(f"catalogues: {len(found)} faults")
        return 1 if found else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
