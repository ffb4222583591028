from __future__ import annotations

import pytest

from mercli.languages import code
from mercli.streams.language import guess

SENTENCES = {
    "en": ("I don't think that you should have done this to her.", "KIDS ARE TALKING BY THE DOOR"),
    "de": ("Ich habe dir doch gesagt, dass wir heute nicht kommen können.", "Was ist denn mit der Katze von dir?"),
    "fr": ("Je ne sais pas ce qu'il veut, mais c'est très bien.", "Où est la clé de la maison que tu as vendue ?"),
    "es": ("No sé por qué me lo dices ahora, pero está muy bien.", "¿Dónde está la llave de la casa?"),
    "it": ("Non so perché me lo dici adesso, ma va molto bene.", "Dove sono le chiavi della casa che hai venduto?"),
    "pt": ("Não sei por que você me diz isso agora, mas está bem.", "Onde estão as chaves da casa que você vendeu?"),
    "nl": ("Ik weet niet waarom je dat nu zegt, maar het is heel goed.", "Waar zijn de sleutels van het huis?"),
    "other": ("Я не знаю, почему ты мне это говоришь.", "我不知道你为什么这么说", "なぜそんなことを言うのですか"),
}


@pytest.mark.parametrize(("language", "text"), [(name, text) for name, texts in SENTENCES.items() for text in texts])
def test_plain_sentences_are_told_apart(language, text):
    assert guess(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Hello!",
        "oh my god",
        "Chandler Monica Ross Rachel Phoebe",
        "1 2 3 4 5",
        "!!! ??? ...",
        "Hey, come on now!",
    ],
)
def test_short_texts_and_names_get_no_answer_but_never_a_foreign_one(text):
    assert guess(text) in (None, "en")


def test_names_of_languages_have_one_code():
    assert [code(name) for name in ("en", "EN-us", "eng", "English", "de_AT", "ja", None, " ")] == [
        "en", "en", "en", "en", "de", "ja", None, None,
    ]  # fmt: skip
