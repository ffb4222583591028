"""Which language a text is in, as far as its function words tell; no answer rather than a wrong one.

English text encoders are absent on other languages, so a false "not English" costs a modality, and a short or mixed
text gets ``None``.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

OTHER = "other"

MIN_WORDS = 4
# Shares of a text's words: what the winning language must reach, and its lead over the runner-up.
MIN_SHARE = 0.25
MIN_LEAD = 0.12
MIN_DISTINCT = 2

# A word ends with its apostrophe: "don't" is read as "don'" and "t", "l'amour" as "l'" and "amour".
_WORD = re.compile(r"[^\W\d_]+['’]?")

_FUNCTION_WORDS = {
    "en": """the a an and or but if of to in on at by for from with about is are was were be been am do does did done
        have has had will would can could should may might must not no yes i you he she it we they me him her us them
        my your his its our their this that these those there here what who why how when where which just so very oh
        well know think get got go going want like all out up down than then too because okay yeah don' i' it' that'
        you' we' they' he' she' what' can' didn' doesn' let' isn' won' there' wasn' gonna come now hey hi let
        see say said right back good look some any more much make take time people man thing way only really never""",
    "de": """der die das den dem des ein eine einen einem einer und oder aber wenn von zu in im an am auf bei für aus
        mit über ist sind war waren sein bin bist habe hast hat haben hatte wird werden würde kann können soll muss
        nicht kein keine nein ja ich du er sie es wir ihr mich dich ihn uns mir dir mein dein dieser diese dieses da
        hier was wer warum wie wann wo nur so sehr noch schon auch doch mal dass nach als um""",
    "fr": """le la les un une des du de et ou mais si à au aux en dans sur par pour avec sans est sont était suis es
        être ai as a ont avait sera peut pas ne non oui je tu il elle nous vous ils elles on me te se moi toi lui leur
        mon ma mes ton ta son sa ses ce cette ces ça qui que quoi où comment pourquoi quand très bien tout plus c' l'
        j' d' n' qu' s' m' t'""",
    "es": """el la los las un una unos unas y o pero si de del a al en por para con sin sobre es son era soy eres está
        están estoy ser he ha han había puede no sí yo tú él ella nosotros ellos usted me te se le lo nos mi tu su este
        esta eso esto aquí qué que quién por cómo cuándo dónde muy más todo ya también porque hay como""",
    "it": """il lo la i gli le un uno una e o ma se di del della dei delle a al alla in nel nella da dal per con senza
        su è sono era sei siamo essere ho hai ha hanno può non no sì io tu lui lei noi voi loro mi ti si ci vi mio mia
        tuo suo questo questa quello che chi cosa come quando dove perché molto più tutto già anche c' l' dell' un'
        d' nell' all' quest'""",
    "pt": """o a os as um uma uns umas e ou mas se de do da dos das em no na nos nas por para com sem sobre é são era
        sou está estão estou ser foi tem tenho ter pode não sim eu tu você ele ela nós eles elas me te lhe meu minha
        seu sua este esta isso isto aqui que quem como quando onde muito mais tudo já também porque ao à""",
    "nl": """de het een en of maar als van te in op aan bij voor uit met over is zijn was waren ben bent heb hebt heeft
        hebben had zal zou kan kunnen moet niet geen nee ja ik jij je hij zij ze wij we jullie mij hem haar ons mijn
        jouw deze dit die dat daar hier wat wie waarom hoe wanneer waar nog heel erg ook naar toen er om wel maar""",
}
_LETTERS = {"ß": "de", "ä": "de", "ö": "de", "ü": "de", "ñ": "es", "¿": "es", "¡": "es", "ã": "pt", "õ": "pt"}
_LISTS = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}
_SHARED = Counter(word for words in _LISTS.values() for word in words)


def guess(text: str) -> str | None:
    """Return "en", "de", "fr", "es", "it", "pt" or "nl", "other" for a non-Latin script, ``None`` when unsure.

    A function word counts 1 over the number of lists it is in, a telling letter 1; the best language needs a quarter
    of the words, a clear lead and two different function words.
    """
    letters = [character for character in text if character.isalpha()]
    latin = sum(unicodedata.name(character, "").startswith("LATIN") for character in letters)
    if len(letters) >= MIN_WORDS and latin < len(letters) / 2:
        return OTHER
    words = [word.replace("’", "'") for word in _WORD.findall(text.lower())]
    if len(words) < MIN_WORDS:
        return None
    scores = dict.fromkeys(_LISTS, 0.0)
    for word in words:
        for language, known in _LISTS.items():
            if word in known:
                scores[language] += 1 / _SHARED[word]
    for character in text.lower():
        if character in _LETTERS:
            scores[_LETTERS[character]] += 1
    (second, _), (first, best) = sorted((score, language) for language, score in scores.items())[-2:]
    clear = first / len(words) >= MIN_SHARE and (first - second) / len(words) >= MIN_LEAD
    return best if clear and len(_LISTS[best].intersection(words)) >= MIN_DISTINCT else None
