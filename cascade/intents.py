"""What a person means by a short answer. Pure; Russian first, because our people write Russian.

Four things are told apart, in this order; everything else is an ordinary reply, for a person to read:

    OPT_OUT    “do not write any more”: must not be missed (R10, R18)
    DOUBTFUL   may be one: “not now”, “who is this?”, “стоп-кран”. Nobody is struck off by a guess, and nobody is written
               to on a guess: sending to them pauses until a human has looked
    NO, YES    an answer to “will you come?”

A long message is a letter to a person and not an answer to a machine: there only whole demands count.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum


class Intent(StrEnum):
    """What an answer says, as it is stored beside it."""

    OPT_OUT = "opt_out"
    DOUBTFUL = "doubtful"
    YES = "yes"
    NO = "no"
    NONE = ""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(row.split()) for line in text.splitlines() for row in line.split("|") if row.strip())


#: A message that is nothing but one of these, give or take politeness, punctuation and pictures.
_STOP_WORDS = _words("""стоп стопп стооп stop unsubscribe отписка отписаться отпишите отпишись отпишитесь отписываюсь отпиши отказ
    отказываюсь отстаньте отстань отвалите отвали хватит прекратите прекрати удалите удали уберите
    unsub отписываемся""")
#: Said anywhere, they mean one thing. Each is a row of beginnings of words that follow each other.
_STOP_PHRASES = _rows("""
    не пиши|не писать мне|не надо писать|не нужно писать|не присылай|не надо присылать|не нужно присылать|не шлите|не шли
    не отправля|не надо отправлять|не беспокой|не надо беспокоить|не тревож|не звони|не надо звонить|не рассыла|не спам
    больше не надо сообщен|не надо мне сообщен|не надо рассыл|не нужна рассыл|не нужна ваша рассыл|не нужны ваши
    не хочу получать|не хочу больше получать|не желаю получать|не хочу ваши|не хочу рассыл|не интересуют ваши
    хватит писать|хватит присылать|хватит слать|хватит спам|хватит звонить|хватит рассыл|хватит мне
    перестаньте писать|перестаньте присылать|перестаньте слать|перестань писать|перестаньте звонить|перестаньте мне
    прекратите рассыл|прекратите писать|прекратите присылать|прекратите слать|прекратите спам|прекратите звонить
    прекрати писать|прекратите мне|прекратить рассыл
    отпиши меня|отпишите меня|отписать меня|отписаться от|отпишите от|отпишите пожалуйста|хочу отписаться|как отписаться
    прошу отписать|отписываюсь от|отключите рассыл|отключите меня|отключить рассыл|отмените рассыл|отменить рассыл
    удалите мой|удалите мои|удалите меня|удали меня|удали мой|удалите номер|удалите из|уберите меня|убери меня
    уберите мой|уберите номер|вычеркните меня|исключите меня|исключите мой|снимите меня с|уберите из рассыл
    забудьте мой номер|забудьте этот номер|отказываюсь от|отзываю согласие|отзываю свое согласие|отзываю мое согласие
    согласия не давал|согласие не давал|не давал согласия|не давала согласия|не давал вам согласия|рассылку не давал
    рассылки не давал|рекламу не давал|не подписывал на
    я не подписывал|жалобу в фас|пожалуюсь в фас|в роскомнадзор|отстаньте от|отвалите от|отвяжитесь|отвянь
    в черный список|заблокирую вас|заблокировал вас|stop sending|stop messaging|stop texting|do not contact|do not write
    don t write|don t send|opt out|remove me|unsubscribe me
    """)
#: With “не” before it a demand that begins so is the opposite: “не удаляйте меня”.
_NEGATED = _words("""отпиши отпишите отписать отписаться удалите удали уберите убери отключите исключите вычеркните отмените
    отменить""")
#: Enough by themselves, wherever they stand in a short message.
_ALONE = _words("отпиши отпишите отпишитесь отписаться отписка unsubscribe")
#: Objects that make of “remove me” something else than the list of those we write to.
_ABOUT_A_VISIT = ("запис", "визит", "прием", "сеанс", "заказ", "бронь", "брон", "процедур", "корзин", "отзыв", "фото")
#: May mean it. Beginnings of words in a row, as above.
_DOUBT_PHRASES = _rows("""
    пока не|не сейчас|не сегодня|давайте потом|давайте позже|давай потом|лучше потом|лучше позже|может потом|может позже
    не до этого|не до вас|не актуальн|неактуальн|не интересн|неинтересн
    не надо|не нужн|ненужн|стоп кран|стопкран|кто это|кто вы|вы кто|откуда у вас|откуда мой|где вы взяли|что это за
    это спам|опять вы|снова вы|сколько можно|ошиблись|не туда|не тот номер|не мой номер|другой номер|не я|вы мне уже
    уже писали|часто пишете|надоел|достал|задолбал|замучил|реклам|спам|не клиент|не являюсь|не хожу|больше не хожу
    переехал|умер|не живет|жалоб|полици|прокурат|роскомнадзор|фас
    """)
_YES_WORDS = _words("""да ага угу ок окей ok okay okey yes yep конечно хорошо подтверждаю подтверждено подтвердить подтверждаем приду придем
    приеду приедем буду будем согласен согласна согласны договорились обязательно плюс отлично записывайте супер
    точно верно актуально""")
_YES_PHRASES = _rows(
    "все в силе|в силе|запись в силе|буду вовремя|жду вас|да приду|до встречи|я буду|мы будем|будем обязательно"
)
_NO_WORDS = _words("нет неа no nope отмена отмените отменить отменяю отменяем увы")
_NO_PHRASES = _rows("""
    не приду|не придем|не придет|не приед|не буду|не будем|не смогу|не сможем|не получ|не успе|не подтвержда
    отмените запис|отменить запис
    отмените визит|отменить визит|отмените прием|отменяю запис|перенес|перезапис|заболел|заболела|не выйдет
    """)
#: First word of a short message: “later” may mean “never”; and a stop that is asked about, or is more than that.
_DOUBT_FIRST = _words("потом позже попозже стоп stop отписка отказ отказываюсь достали надоели отстаньте")
_THUMBS = frozenset({"+", "++", "+1", "👍", "✅", "👌", "🆗"})
#: Says nothing by itself.
_POLITE = _words("""пожалуйста пж пжл плиз спасибо благодарю здравствуйте здрасьте привет добрый доброе доброго день дня утро утра вечер
    вечера времени суток please thanks thank you hello hi я мне меня мы нас от вас вы вам ваш ваша ваши вашу вашей уже
    больше рассылку рассылки рассылка рассылок сообщения сообщений смс sms все это ну и а же просто немедленно срочно
    сейчас""")
_WORD = re.compile(r"[a-zа-я0-9]+")
#: Longer messages are letters to a person.
_SHORT = 12
_DEMAND = 40


def intent_of(text: str) -> Intent:
    """What this answer means. Case, ё, punctuation, emoji, doubled letters and politeness do not matter."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    words = _WORD.findall(folded)
    if folded.strip().rstrip("🏻🏼🏽🏾🏿\ufe0f") in _THUMBS:
        return Intent.YES
    if not words or len(words) > _DEMAND:
        return Intent.NONE
    asks = "?" in folded
    bare = [word for word in words if word not in _POLITE]
    if _demands(words, asks=asks) or (not asks and (_only_stop(bare, folded) or _alone(words))):
        return Intent.OPT_OUT
    if len(words) > _SHORT:
        return Intent.NONE
    if not asks and _says(words, _NO_PHRASES):
        return Intent.NO
    if _doubts(words, bare):
        return Intent.DOUBTFUL
    if asks or not bare:
        return Intent.NONE
    if bare[0] in _NO_WORDS and len(bare) <= 3:
        return Intent.NO
    if (bare[0] in _YES_WORDS and len(bare) <= 4) or _says(words, _YES_PHRASES):
        return Intent.YES
    return Intent.NONE


def is_opt_out(text: str) -> bool:
    """Whether this answer demands to stop writing."""
    return intent_of(text) is Intent.OPT_OUT


def _only_stop(bare: list[str], folded: str) -> bool:
    """Nothing but the word, or the word first and one more behind it."""
    return (
        bool(bare)
        and _squeezed(bare[0]) in _STOP_WORDS
        and len(bare) <= 2
        and "стоп-" not in folded
        and "стоп кран" not in folded
    )


def _alone(words: list[str]) -> bool:
    """“... отпишите” in a short message, unless there is a “не” beside it."""
    return len(words) <= _SHORT and any(
        word in _ALONE and "не" not in (words[max(0, at - 1)], *words[at + 1 : at + 2]) for at, word in enumerate(words)
    )


def _squeezed(word: str) -> str:
    """“стоооп” is “стоп”."""
    return re.sub(r"(.)\1{2,}", r"\1", word)


def _demands(words: list[str], *, asks: bool) -> bool:
    """Whether a whole demand is among the words, not turned round, and not about the visit instead of us."""
    for phrase in _STOP_PHRASES:
        at = _found(words, phrase)
        if at is None:
            continue
        if asks and phrase[0] not in {"как", "почему"} and not _still_a_demand(phrase):
            continue
        if phrase[0] in _NEGATED and at > 0 and words[at - 1] == "не":
            continue
        if phrase[0] in _NEGATED and any(word.startswith(_ABOUT_A_VISIT) for word in words):
            continue
        return True
    return False


def _still_a_demand(phrase: tuple[str, ...]) -> bool:
    """A question that is none: “не пишите мне больше, хорошо?”, “когда вы отпишете меня от рассылки?”."""
    return phrase[0] in {"не", "хватит", "перестаньте", "прекратите", "отпишите", "удалите", "уберите", "отстаньте"}


def _doubts(words: list[str], bare: list[str]) -> bool:
    return _says(words, _DOUBT_PHRASES) or (bool(bare) and _squeezed(bare[0]) in _DOUBT_FIRST)


def _says(words: list[str], phrases: tuple[tuple[str, ...], ...]) -> bool:
    return any(_found(words, phrase) is not None for phrase in phrases)


def _found(words: list[str], phrase: tuple[str, ...]) -> int | None:
    """Where words begin one after the other as the phrase's do; its short words (“не”, “от”) must be whole."""
    for start in range(len(words) - len(phrase) + 1):
        if all(
            word == part if len(part) <= 3 else word.startswith(part)
            for word, part in zip(words[start:], phrase, strict=False)
        ):
            return start
    return None
