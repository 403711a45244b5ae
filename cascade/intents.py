"""What a person means by a short answer. Pure; Russian first, because our people write Russian.

Only what may not be missed is decided here: a refusal (R10, R18). Everything else is a reply.
"""

from __future__ import annotations

import re
import unicodedata

#: A message that is nothing but one of these, give or take politeness and punctuation.
_STOP_WORDS = frozenset(
    {
        "стоп",
        "stop",
        "стопп",
        "отписка",
        "отписаться",
        "отпишите",
        "отпишись",
        "отпишитесь",
        "unsubscribe",
        "отказ",
        "отказываюсь",
    }
)
#: Said anywhere in a short message they mean one thing.
_STOP_PHRASES = (
    "не пишите",
    "не пиши",
    "не присылайте",
    "не присылай",
    "не отправляйте",
    "не беспокойте",
    "хватит писать",
    "хватит присылать",
    "хватит слать",
    "отпишите меня",
    "отписать меня",
    "отписаться от рассылки",
    "удалите мой номер",
    "удалите меня",
    "уберите меня",
    "отказываюсь от рассылки",
    "прекратите рассылку",
    "прекратите писать",
    "прекратите присылать",
)
_POLITE = frozenset(
    {
        "пожалуйста",
        "спасибо",
        "здравствуйте",
        "добрый",
        "день",
        "please",
        "thanks",
        "thank",
        "you",
        "рассылку",
        "рассылки",
        "от",
        "меня",
    }
)
_WORD = re.compile(r"[a-zа-я]+")
#: Longer messages are letters to a person, not answers to a machine.
_SHORT = 12


def is_opt_out(text: str) -> bool:
    """Whether this answer demands to stop writing. Case, ё, punctuation, emoji and politeness do not matter;
    a question is not a demand (“не стоп-кран ли это?”)."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    words = _WORD.findall(folded)
    if not words or len(words) > _SHORT or folded.rstrip().endswith("?"):
        return False
    bare = [word for word in words if word not in _POLITE]
    if bare and bare[0] in _STOP_WORDS and len(bare) <= 2 and "стоп-" not in folded:
        return True
    joined = " ".join(words)
    return any(phrase in joined for phrase in _STOP_PHRASES)
