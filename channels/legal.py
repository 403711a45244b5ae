"""What Russian law says about writing to people, by kind of channel and purpose: one table for the channel's page, for the
check before a launch, and for docs/law.md (`python -m channels.legal docs/law.md`).

Not legal advice. Every row names its source and that source's date; what is known from newspapers only is called press. All
sources were last read on READ_ON: rules change several times a year, so a row is believed no longer than somebody reads it
again.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cascade.vocabulary import ChannelKind, Purpose
from channels.providers.base import N_

READ_ON = date(2026, 11, 25)

_ANY_KIND = frozenset(ChannelKind) - {ChannelKind.OPERATOR}
_MARKETING = frozenset({Purpose.MARKETING})
_BOTH = frozenset(Purpose)


@dataclass(frozen=True, slots=True)
class Note:
    """One rule. `text`: English msgid. `serious`: said before a launch as a warning, and once more in the question."""

    text: str
    kinds: frozenset[ChannelKind]
    purposes: frozenset[Purpose]
    source: str
    url: str
    dated: date
    press: bool = False
    serious: bool = False


NOTES: tuple[Note, ...] = (
    Note(
        N_(
            "Advertising only with consent given beforehand: the sender proves it, and stops at once when the person asks "
            "(38-FZ, article 18, part 1). Without it a company is fined 300 thousand to 1 million roubles (Code of "
            "Administrative Offences, 14.3, part 4.1). Letters count too."
        ),
        _ANY_KIND,
        _MARKETING,
        N_("Antimonopoly office of the Moscow region"),
        "https://360.ru/news/obschestvo/moskovskoe-oblastnoe-ufas-rossii-oshtrafovalo-direktora-ooo-amulet-grupp-za-narushenie-zakona-o-reklame/",
        date(2026, 2, 13),
    ),
    Note(
        N_(
            "Advertising by calls that a machine dials without a person is forbidden (38-FZ, article 18, part 2), and it is "
            "disputed whether consent lifts that. Let the robot call about the person's own visit or order only."
        ),
        frozenset({ChannelKind.VOICE}),
        _MARKETING,
        N_("Antimonopoly office of the Moscow region"),
        "https://mosregtoday.ru/news/ofitsialno/ooo-itsen-narushilo-zakon-o-reklame/",
        date(2025, 11, 13),
        serious=True,
    ),
    Note(
        N_(
            "The antimonopoly service sees an offence in advertising on platforms with restricted access and names Telegram "
            "and WhatsApp; the advertiser and whoever spreads it are both liable (38-FZ, article 5, part 10.7). What was read "
            "speaks of advertisements placed there; how it is applied to messages to one's own clients was not found."
        ),
        frozenset({ChannelKind.TELEGRAM, ChannelKind.WHATSAPP}),
        _MARKETING,
        "xakep.ru",
        "https://xakep.ru/2026/03/11/telegram-fas/",
        date(2026, 3, 11),
        press=True,
        serious=True,
    ),
    Note(
        N_(
            "Consent to the processing of personal data is a document of its own, and consent to advertising is another one "
            "(156-FZ, since 1 September 2025)."
        ),
        _ANY_KIND,
        _BOTH,
        "klerk.ru",
        "https://www.klerk.ru/buh/articles/660820/",
        date(2025, 9, 8),
        press=True,
    ),
    Note(
        N_(
            "A reminder of a visit or a finished order is not advertising while its text offers nothing. One line like "
            "“next time cheaper” makes it so."
        ),
        _ANY_KIND,
        frozenset({Purpose.SERVICE}),
        N_("our reading of 38-FZ, ask a lawyer"),
        "",
        READ_ON,
    ),
    Note(
        N_(
            "A mailing over the mobile network needs consent beforehand. A person may refuse all mailings at their operator, "
            "who must stop them (126-FZ, article 44.1, in this wording since 1 August 2025)."
        ),
        frozenset({ChannelKind.SMS}),
        _BOTH,
        "consultant.ru",
        "https://www.consultant.ru/document/cons_doc_LAW_507380/7caf446de1e18caa61180692ea35572c94080475",
        date(2025, 4, 1),
    ),
    Note(
        N_(
            "Operators apply such a refusal to everything that was not sent by hand, reminders and codes included. It comes "
            "back as “not delivered”."
        ),
        frozenset({ChannelKind.SMS}),
        _BOTH,
        "rb.ru",
        "https://rb.ru/news/s-1-avgusta-banki-na-myute-iz-za-zakona-o-sms-rassylkah-operatory-blokiruyut-dazhe-kody-podtverzhdeniya/",
        date(2025, 8, 7),
        press=True,
    ),
    Note(
        N_(
            "A SIM card back from roaming or silent for 72 hours gets no SMS for a day, calls work. The number is alive, so it "
            "is not written off here."
        ),
        frozenset({ChannelKind.SMS}),
        _BOTH,
        "kommersant.ru",
        "https://www.kommersant.ru/doc/8193569",
        date(2025, 11, 10),
        press=True,
    ),
    Note(
        N_(
            "The sender's name (up to 11 Latin letters and digits) is registered at each operator by documents. At MTS and "
            "MegaFon it is always paid by the month."
        ),
        frozenset({ChannelKind.SMS}),
        _BOTH,
        "help.redsms.ru",
        "https://help.redsms.ru/knowledge_base/item/310649",
        READ_ON,
    ),
    Note(
        N_(
            "Mass calls need a contract with the operator that names their purpose, the person may refuse all of them, and "
            "calls of companies are marked with name and category (since 1 September 2025)."
        ),
        frozenset({ChannelKind.VOICE}),
        _BOTH,
        "riamo.ru",
        "https://riamo.ru/news/obschestvo/s-1-sentjabrja-v-rossii-vvodjatsja-novye-mery-zaschity-ot-moshennicheskih-zvonkov/",
        date(2025, 8, 31),
        press=True,
    ),
    Note(
        N_(
            "What a mass call is nobody has defined, and operators block useful calls too: do not leave a robot as the last "
            "step for what matters."
        ),
        frozenset({ChannelKind.VOICE}),
        _BOTH,
        "vc.ru",
        "https://vc.ru/services/2194810-blokirovka-zvonkov-v-rossii",
        date(2025, 9, 3),
        press=True,
    ),
    Note(
        N_(
            "Begin with words like “This is an automatic call of the salon …”: a bill of 20 January 2026 wants them within "
            "five seconds. What became of it was not found."
        ),
        frozenset({ChannelKind.VOICE}),
        _BOTH,
        "klerk.ru",
        "https://www.klerk.ru/buh/news/676036/",
        date(2026, 1, 21),
        press=True,
    ),
    Note(
        N_(
            "WhatsApp has been out of the Russian system of domain names since 11 February 2026 and opens over a VPN only: "
            "“sent” may mean that it arrives in two days."
        ),
        frozenset({ChannelKind.WHATSAPP}),
        _BOTH,
        "kommersant.ru",
        "https://www.kommersant.ru/doc/8422092",
        date(2026, 2, 12),
        press=True,
    ),
    Note(
        N_("Telegram has been slowed down since 10 February 2026. Whether it was blocked later was not found."),
        frozenset({ChannelKind.TELEGRAM}),
        _BOTH,
        "66.ru",
        "https://66.ru/news/society/286850/",
        date(2026, 2, 17),
        press=True,
    ),
)


def notes_for(kinds: Collection[ChannelKind], purposes: Collection[Purpose] = tuple(Purpose)) -> list[Note]:
    """The rules for channels of these kinds and messages of these purposes, each once, in the order of the table."""
    return [note for note in NOTES if note.kinds & set(kinds) and note.purposes & set(purposes)]


def page() -> str:
    """docs/law.md."""
    lines = [
        "# Law, by channel and purpose",
        "",
        "Written by `python -m channels.legal docs/law.md` from `channels/legal.py`, which the admin shows in Russian on each",
        f"channel's page and before each launch. **Not legal advice.** All sources were last read on {READ_ON}; *press* is what is",
        "known from newspapers only.",
        "",
        "| channels | purpose | rule | source |",
        "|---|---|---|---|",
        *(_row(note) for note in NOTES),
    ]
    return "\n".join(lines) + "\n"


def _row(note: Note) -> str:
    kinds = "all but operator" if note.kinds == _ANY_KIND else _listed(note.kinds)
    purposes = "both" if note.purposes == _BOTH else _listed(note.purposes)
    source = f"[{note.source}]({note.url})" if note.url else note.source
    return f"| {kinds} | {purposes} | {note.text} | {'press: ' if note.press else ''}{source}, {note.dated} |"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
