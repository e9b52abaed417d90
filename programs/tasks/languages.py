# ruff: noqa: RUF001 (words of other scripts are no slips of the pen)
"""Which language a task's input is in, where that is plain: by its script, and by the words that hold it together.

A rule without a model or a library, so that a prompt does not depend on what is installed. It would rather say nothing
than something wrong: English, short texts, mixed texts and languages that it does not know give None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONGEST = 4000
_FEWEST_WORDS, _FEWEST_LETTERS, _FEWEST_SIGNS = 6, 20, 8
_FEWEST_HITS, _SHARE, _LEAD = 3, 0.16, 1.25

_SCRIPTS: dict[str, tuple[str, str]] = {
    "latin": ("A-Za-z\u00c0-\u024f\u1e00-\u1eff", ""),
    "cyrillic": ("\u0400-\u052f", ""),
    "arabic": ("\u0620-\u064a\u066e-\u06d3\u06d5\u0750-\u077f", ""),
    "devanagari": ("\u0904-\u0939\u0958-\u0961", ""),
    "bengali": ("\u0985-\u09b9\u09dc-\u09e1\u09f0-\u09f1", "Bengali"),
    "greek": ("\u0370-\u03ff\u1f00-\u1fff", "Greek"),
    "hebrew": ("\u05d0-\u05f2", "Hebrew"),
    "thai": ("\u0e01-\u0e4e", "Thai"),
    "lao": ("\u0e81-\u0edf", "Lao"),
    "khmer": ("\u1780-\u17d3", "Khmer"),
    "burmese": ("\u1000-\u103f", "Burmese"),
    "georgian": ("\u10a0-\u10ff", "Georgian"),
    "armenian": ("\u0531-\u0587", "Armenian"),
    "sinhala": ("\u0d85-\u0ddf", "Sinhala"),
    "tamil": ("\u0b85-\u0bd7", "Tamil"),
    "telugu": ("\u0c05-\u0c61", "Telugu"),
    "kannada": ("\u0c85-\u0ce1", "Kannada"),
    "malayalam": ("\u0d05-\u0d61", "Malayalam"),
    "gujarati": ("\u0a85-\u0ae1", "Gujarati"),
    "gurmukhi": ("\u0a05-\u0a74", "Punjabi"),
    "hangul": ("\u1100-\u11ff\uac00-\ud7a3", "Korean"),
    "kana": ("\u3041-\u309f\u30a1-\u30ff", "Japanese"),
    "han": ("\u3400-\u4dbf\u4e00-\u9fff", "Chinese"),
}
_LETTERS = {name: re.compile(f"[{ranges}]") for name, (ranges, _) in _SCRIPTS.items()}
_COMPACT = {"hangul", "kana", "han", "thai", "lao", "khmer", "burmese"}  # scripts in which few signs say much
_ASSAMESE = re.compile("[\u09f0\u09f1]")
_WORD = re.compile(r"[^\W\d_][\w\u0900-\u0963]*")

_WORDS: dict[str, dict[str, str]] = {
    "latin": {
        "English": "the of and to in is that was for it with as his he be on by at have are this not but had which they"
        " you were her all she there would their we him been has when who will more if no out how many what does did"
        " do each an from than can much",
        "German": "der die das und ist nicht ein eine einen einem einer zu den dem des mit auf für von im sich es sie"
        " er ich wie viele wenn auch als an hat haben wird werden sind war aus bei nach über nur noch oder aber dass"
        " was kann pro jeder jede um",
        "French": "le la les des du et est un une que qui dans pour pas sur au aux avec ce cette il elle sont par plus"
        " ne se son sa ses ont a été mais nous vous je combien quel quelle si leur leurs chaque d l qu n c s j de en y"
        " ou où comme tout",
        "Spanish": "el la los las de y que en un una es por con para no se del al su lo como más pero sus le ha si"
        " cuántos cuántas cuánto qué cuál fue son este esta entre cuando muy sin sobre también hasta hay donde cada"
        " tiene tienen todo",
        "Portuguese": "o a os as de e que em um uma do da dos das não para com no na nos nas por se mais ao é foi como"
        " mas seu sua ele ela quantos quantas quanto qual são tem isso está pelo pela entre ou também cada você muito"
        " já",
        "Italian": "il lo la i gli le di e che è un una in per non con del della dei delle al alla nel nella si da"
        " come più ma sono ha anche quanti quante quanto qual questo questa ogni se suo sua cui ed o dal dalla hanno"
        " l dell all",
        "Dutch": "de het een en van is dat in te die niet op met voor zijn er aan hij ze om ook als maar bij naar uit"
        " hoeveel heeft hebben wordt worden was ik je wat dan nog of door over deze dit elke zij",
        "Swedish": "och att det som en ett är av för på med den till inte har om var jag han hon de vi från kan så när"
        " men sig eller hur många sina också ut över efter vid blir varje i",
        "Danish": "og at det som en et er af for på med den til ikke har om var jeg han hun de vi fra kan så når men"
        " sig eller hvor mange sin også ud over efter ved bliver hver i blev nogle",
        "Norwegian": "og at det som en et er av for på med den til ikke har om var jeg han hun de vi fra kan så når men"
        " seg eller hvor mange sin også ut over etter ved blir hver i ble noen",
        "Finnish": "ja on ei se että hän oli ovat kun mutta niin myös kuin joka jos hänen vain kuinka monta mitä sen"
        " tai sekä nyt siitä tämä olla ole joita minä he",
        "Polish": "i w na z się nie że do to jest o jak po co tak ale od za przez dla ile są był było być ma jego jej"
        " jeśli lub oraz czy które który która tym tego każdy może go już",
        "Czech": "a v na se je že s z do to o i za pro jako by ale po jsou byl bylo být má jeho její kolik nebo také"
        " který která které co tak když jen už od si pokud každý jak",
        "Romanian": "și în de la a cu că nu pe o un din pentru este sunt mai care au ce se să fi dar ca al ale lui ei"
        " câți câte dacă fost sau cum fiecare după are prin acest această",
        "Hungarian": "a az és hogy nem is egy van volt meg de ha csak már mint el ki azt mennyi hány vagy még ez lesz"
        " minden amely kell pedig után amikor aki ami",
        "Turkish": "ve bir bu da de için ile çok kaç ne daha olan olarak gibi var en her kadar sonra değil ki mi o"
        " ama ya ise olduğu eder ise göre onun",
        "Vietnamese": "và của là có không một được cho với các những trong người này đã để khi bao nhiêu thì từ đến"
        " cô anh họ tôi đó nhưng ở ra mỗi hai sẽ",
        "Swahili": "na ya wa kwa ni la katika za cha vya yake kuwa hii kama lakini huo ambao yeye wake mwa ngapi kila"
        " pia au hiyo kutoka baada gani wao sana hili ana alikuwa",
        "Indonesian": "yang dan di ke dari untuk dengan ini itu pada adalah tidak akan dia mereka kami ada juga atau"
        " berapa sebuah oleh dalam setiap karena bisa saya telah jika lebih",
        "Catalan": "el la els les de i que en un una és per amb no es del al més però seu seva als dels quants quantes"
        " quin si ha són aquest aquesta també com va hi tot molt",
        "Slovak": "a v na sa je že s z do to o i za pre ako by ale po sú bol bolo byť má jeho jej koľko alebo tiež"
        " ktorý ktorá ktoré čo tak keď len už od si každý",
        "Croatian": "i u je se na da su za od s koji koja koje što ne to kao iz bi ali ili sam bio bila bilo nije"
        " kako samo već jer po njegov koliko svaki biti te",
        "Slovenian": "in v je se na da so za od s ki ne to kot iz bi pa ali sem bil bila bilo ni kako samo že ker po"
        " njegov koliko vsak biti ter pri tudi",
        "Lithuanian": "ir yra kad į iš su kaip bet ar tai ne jis ji jo jos buvo už apie po nuo kiek jei tik dar per"
        " prie kuris kuri",
        "Latvian": "un ir ka no ar uz par bet vai tas kā ne viņš viņa tika bija lai pēc cik ja tikai vēl pie kas to"
        " šis šī",
        "Estonian": "ja on ei see et ta oli kui aga ka või mis kes nii oma mitu palju selle siis välja kuid veel ning"
        " ma ära seda nad",
        "Filipino": "ang ng sa na mga ay at para siya niya ito hindi kung may ni si kanyang isang ilan ko ka mo nang"
        " pero lang din",
        "Icelandic": "og að er á í sem til ekki við af um hann var með það en frá eru hún þá hafa fyrir því ég þegar",
        "Afrikaans": "die en van is dat in te nie op met vir sy aan hy om ook as maar by na uit hoeveel het word was"
        " ek jy wat dan nog of deur oor hierdie",
        "Zulu": "ukuthi futhi kodwa uma ngoba lapho noma ukuze kanye yakhe wakhe ngesikhathi kusuka ngaphezu",
        "Malay": "yang dan di ke dari untuk dengan ini itu pada adalah tidak akan dia mereka kami ada juga atau"
        " berapa sebuah oleh dalam setiap kerana boleh saya telah jika lebih",
    },
    "cyrillic": {
        "Russian": "и в не на что он с как это по но они к у за из для от сколько его ее её был была были есть если"
        " все так же бы только или который чем она я мы вы до когда уже этот",
        "Ukrainian": "і в не на що він з як це по але вони до у за із для від скільки його її був була були є якщо все"
        " так же би тільки або який ніж вона я ми ви та й коли вже цей",
        "Bulgarian": "и в не на че той с как това по но те към за от колко го я беше са ако да се е със като само или"
        " който тя аз ние вие ще има през след",
        "Serbian": "и у је се на да су за од с који која које што не то као из би али или сам био била било није како"
        " само већ јер по његов колико",
    },
    "arabic": {
        "Arabic": "في من على إلى أن هذا هذه التي الذي كان عن مع لا ما كم كل قد هو هي لم بعد و أو إذا كانت ذلك بين"
        " عدد لديه يكون",
        "Persian": "و در به از که این است را با برای آن یک خود تا بر هم نیز شد ها چند هر او می بود شده دارد ما اگر یا"
        " من بی",
        "Urdu": "اور کے کی میں ہے کا سے کو نے پر یہ وہ کہ ہیں ایک تھا کر بھی اس کتنے ہر نہیں ان تو ہو تھے جو کیا",
    },
    "devanagari": {
        "Hindi": "है और में के की का से को ने पर यह वह कि हैं एक था कर भी इस कितने हर नहीं उन तो हो थे जो क्या",
        "Marathi": "आहे आणि च्या ची चा ने ला हे ते की एक होता हा ही या किती नाही पण तर आहेत होते त्या मध्ये काय",
        "Nepali": "छ र को मा लाई ले का यो त्यो कि छन् एक थियो पनि यस कति हरेक छैन उनी भने हो थिए जो के",
    },
}
_SETS = {
    script: {
        language: frozenset(word for word in words.split() if len(word) > 1 or script != "latin")
        for language, words in table.items()
    }
    for script, table in _WORDS.items()
}
_ALIKE = {"Danish", "Norwegian"}, {"Indonesian", "Malay"}


def input_language(texts: Iterable[str]) -> str | None:
    """The English name of the language that texts are in; None for English and wherever it is not plain.

    Args:
        texts: the text inputs of one call.
    """
    text = "\n".join(texts)[:_LONGEST]
    counts = {name: len(letters.findall(text)) for name, letters in _LETTERS.items()}
    if counts["kana"] * 8 >= counts["han"]:
        counts["kana"] += counts.pop("han")  # Japanese has both; Chinese quotes a word of kana at most
    script = max(counts, key=lambda name: counts[name])
    if counts[script] < (_FEWEST_SIGNS if script in _COMPACT else _FEWEST_LETTERS):
        return None
    if counts[script] < 0.7 * sum(counts.values()):
        return None
    if script in _SETS:
        return _by_words(text, _SETS[script])
    return None if script == "bengali" and _ASSAMESE.search(text) else _SCRIPTS[script][1]


def _by_words(text: str, table: dict[str, frozenset[str]]) -> str | None:
    words = _WORD.findall(text.casefold())
    if len(words) < _FEWEST_WORDS:
        return None
    shares = {language: sum(word in known for word in words) / len(words) for language, known in table.items()}
    best = max(shares, key=lambda language: shares[language])
    others = [share for language, share in shares.items() if language != best]
    if any(best in pair for pair in _ALIKE) or best == "English":
        return None  # those that are alike cannot be told apart by such words; the wrong one would be worse than none
    hits = {word for word in words if word in table[best]}
    if len(hits) < _FEWEST_HITS or shares[best] < _SHARE or shares[best] < _LEAD * max(others):
        return None
    return best
