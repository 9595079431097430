"""Words that carry meaning a fact must not change: negation, numbers, dates, sentiment; in many languages.

Everything is written as [`memkit.extraction.text.fold`] leaves it: lower case, without accents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Frequent words by which a language is told apart; only for choosing among the tables below.
STOP_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "en": _set(
        "the a an is are was were be been has have had of and to in on at for with his her their my i he she they it "
        "we you this that which who will would can could should do does did user from by as or but so than then also "
        "there here longer anymore its our your me him them about into over after before when what how if not no"
    ),
    "de": _set(
        "der die das den dem des ein eine einen einem einer und ist sind war waren hat haben hatte ich er sie es wir "
        "ihr mein meine sein seine nicht kein keine mit auf fur von zu zum zur im in am an bei nach aus seit "
        "wird nutzer "
        "benutzer nutzerin auch als wie aber oder dass sich noch nur schon"
    ),
    "fr": _set(
        "le la les un une des du de et est sont etait a ont avait je il elle nous vous ils mon ma mes son sa ses "
        "ne pas "
        "avec sur pour par dans au aux en chez depuis utilisateur utilisatrice que qui mais ou ce cette se plus"
    ),
    "es": _set(
        "el la los las un una unos y es son era fue ha tiene tengo yo ella nosotros mi mis su sus no con en por "
        "para de "
        "del al desde usuario usuaria que pero o se le lo muy mas esta este como a me"
    ),
    "it": _set(
        "il lo la i gli le un una uno e ed sono era ha ho hanno io lui lei noi mio mia suo sua non con su per da "
        "di del "
        "della nel nella al alla dal utente che ma o si piu molto questo questa come"
    ),
    "pt": _set(
        "o a os as um uma e sao era foi tem tenho eu ele ela nos meu minha seu sua nao com em por para de do da "
        "no na "
        "ao desde usuario usuaria utilizador que mas ou se muito mais este esta como pelo pela"
    ),
    "nl": _set(
        "de het een en is zijn was waren heeft heb had ik hij zij ze wij we mijn haar niet geen met op voor van naar "
        "in aan bij uit sinds gebruiker dat die maar of ook als er nog"
    ),
    "pl": _set(
        "i w na z ze do nie jest sa byl byla ma mam ja on ona moj moja jego jej o od po za uzytkownik "
        "uzytkowniczka sie to "
        "ale lub jak juz"
    ),
    "sv": _set(
        "och i pa ar var har jag han hon vi min mitt sin inte med for fran till som det en ett anvandaren av"
    ),
    "tr": _set("ve bir bu o ben sen biz ile icin de da mi kullanici cok var yok degil gibi ama"),
    "ru": _set("и в на с не это он она я мы мой моя его ее у к из по за для как что но пользователь от о"),
    "uk": _set(
        "і в на з не це він вона я ми мій моя його її у до із по за для як що але користувач від про та"
    ),
}

FUNCTION_WORDS: Final = frozenset[str]().union(*STOP_WORDS.values()) | _set(
    "user users assistant person someone nutzer benutzer assistent utilisateur assistente asistente utente gebruiker "
    "пользователь пользователя пользователю пользователем пользовательница ассистент المستخدم مستخدم उपयोगकर्ता "
    "사용자 사용자는 사용자가 사용자의 משתמש המשתמש kullanici uzytkownik anvandaren brugeren brukeren "
    "kayttaja felhasznalo "
    "utilizator utilizatorul uzivatel pengguna χρηστης"
)
"""Words that name nothing; in uncased scripts also what stands for the speaker."""

STARTERS: Final = FUNCTION_WORDS | _set(
    "once every each both all some many most several another currently recently previously now today these those "
    "every never always usually often sometimes likes loves enjoys prefers hates dislikes wants needs owns lives "
    "works "
    "plays studies plans has had is was bought moved started stopped quit joined left visited born married speaks "
    "knows believes thinks feels uses drives drinks eats reads writes watches grew allergic vegetarian vegan please "
    "prefiere vive trabaja tiene quiere estudia prefere trabalha mora gosta quer vit travaille aime prefere habite "
    "lavora abita preferisce ama vuole mag liebt wohnt arbeitet bevorzugt mochte houdt woont werkt wil heeft "
    "aktuell derzeit fruher inzwischen antes ahora actualmente aujourd actuellement avant ora attualmente prima "
    "agora atualmente lubi mieszka pracuje ma teraz obecnie сейчас раньше теперь живет любит работает хочет"
)
"""Words that may begin a sentence with a capital without being a name."""

# What a capitalised first word is followed by when it is somebody's name.
VERBS: Final = _set(
    "is was has had will would can cannot could should does did never no not doesn didn isn wasn won hasn hadn haven "
    "couldn shouldn wouldn knows knew found met told asked drives drove writes wrote teaches taught eats drinks speaks "
    "spoke visited travels died retired recommended suggested helped paid sees saw feels felt believes hopes learned "
    "learns sings paints cooks sleeps answers quit married earns rents enjoys collects refuses refused sold "
    "lives lived "
    "works worked likes loves hates prefers wants needs moved stays "
    "stayed went goes comes got plays studies owns bought became joined left said says thinks plans and or s "
    "ist war hat wird kann darf muss will soll nicht wohnt lebt arbeitet mag liebt hasst zieht zog bleibt heisst "
    "kommt geht und "
    "est etait a ont va ne n peut doit habite vit travaille aime deteste prefere reste vient et "
    "es era fue ha tiene va no puede debe ya vive trabaja quiere estudia viene y se esta "
    "e non puo vive lavora abita ama odia preferisce viene sta ed "
    "tem nao pode mora trabalha gosta quer vem esta foi "
    "heeft woont werkt houdt gaat komt en jest mieszka pracuje lubi ma i byl byla "
    "ar bor jobbar har gillar och живет живёт работает любит имеет хочет переехал переехала и был была"
)

NEGATIONS: Final[Mapping[str, frozenset[str]]] = {
    "en": _set(
        "not no never none nobody nothing nowhere neither nor without cannot nope n't hardly barely scarcely "
        "rarely seldom"
    ),
    "de": _set(
        "nicht kein keine keinen keiner keinem keines nie niemals nichts niemand ohne weder nein kaum selten"
    ),
    "fr": _set("ne n pas jamais rien aucun aucune sans personne ni non rarement"),
    "es": _set("no nunca jamas ningun ninguna ninguno nada nadie tampoco sin ni"),
    "it": _set("non mai nessun nessuno nessuna niente nulla senza ne no"),
    "pt": _set("nao nunca jamais nenhum nenhuma nada ninguem sem nem"),
    "nl": _set("niet geen nooit niets niemand zonder nee"),
    "pl": _set("nie nigdy nikt nic bez zaden zadna zadnego nikogo niczego"),
    "sv": _set("inte ej aldrig ingen inget inga utan ikke aldri ingenting uten uden intet nej nei"),
    "tr": _set("degil yok hic hayir"),
    "ru": _set("не нет никогда ни без нельзя никто ничего нету никого"),
    "uk": _set("не ні немає ніколи без ніхто нічого нема"),
    "el": _set("δεν μη μην οχι ποτε χωρις κανενας"),
    "hu": _set("nem nincs nincsen soha sem nelkul"),
    "ro": _set("nu niciodata fara nimic nimeni"),
    "id": _set("tidak bukan belum jangan tanpa nggak gak"),
    "vi": _set("khong chua chang đung"),
    "cs": _set("ne neni nikdy nic bez nema nikdo nemam nejim nepiju nerad nerada nemohu nechci"),
    "fi": _set("ei en et emme ette eivat eika ilman koskaan"),
    "ar": _set("لا ولا ولم ولن وليس ليس ليست لست لم لن بدون غير ابدا لايوجد"),
    "he": _set("לא אין אינו אינה בלי מעולם אינני"),
    "hi": _set("नहीं नही मत न बिना ना"),
    "bn": _set("না নেই নয় নই"),
    "ko": _set("안 못 말고 않"),
}
ANY_NEGATION: Final = frozenset[str]().union(
    *(words for language, words in NEGATIONS.items() if language not in ("fi", "cs"))
) - _set("ne n en et non ni no")
"""For a text whose language is unknown."""

FAILED: Final = _set(
    "fail fails failed forgot refuse refuses refused decline declines declined unable neglected"
)
"""With "to" behind them they say that something was not done."""
NEGATION_SHAPES: Final = re.compile(
    r"ない|なか[っろ]|ません|ずに|なく|嫌い|苦手|不|没|沒|無|无|未|别|別|非|ไม่|지\s?않|지\s?못|지\s?마|없|아니|싫|못하"
    rf"|\b(?:{'|'.join(sorted(FAILED))}) to\b|\bdegil\w*"
    r"|\b\w+m[iuı]yor\w*|\b\w{3,}m[ae]z(?:lar|ler|sin)?\b|\b\w{3,}m[ae]d[iı]\w*\b"
)
NOT_NEGATION: Final = re.compile(
    r"\b(?:not (?:that|as if|like) \w+ (?:do|does|did|am|are|is|was|were)(?:n't| not)"
    r"|(?:can|could|would|will|won)(?:not| not|n't|'t) (?:say|claim|pretend) (?:that )?\w+ (?:do|does|did)(?:n't| not)"
    r"|can(?:not| not|'t) deny|can hardly wait|hardly wait|can(?:not| not|'t) wait"
    r"|no problem|why not|not only|don't worry|do not worry|no worries|no doubt|nothing but"
    r"|could(?:n't| not) be (?:happier|better|more)|could(?:n't| not) agree more|not to mention|no wonder"
    r"|don't hesitate|don't forget|do not forget|(?<!\bi )never forget"
    r"|whether or not|or not|if not|isn't it|aren't you|"
    r"doesn't it|don't you|no matter|no\. ?\d|nothing beats|not bad"
    r"|(?:suis|es|est|sommes|etes|sont|etais|etait|etaient|fut) nee?s?"  # born
    r"|nicht wahr|nicht nur|nicht zuletzt|vergiss nicht|kein problem|n'est-ce pas|pas mal|pas de probleme|non seulement"
    r"|no solo|no olvides|sin duda|sin embargo|por que no|non solo|senza dubbio|perche no|nao so|sem duvida|por que nao"
    r"|niet alleen|geen probleem|nie tylko|не только|не забудь|не забывай|ничего себе)\b"
    r"|不过|不過|不错|不錯|不仅|不僅|不但|差不多|不好意思|对不起|對不起|了不起|不久|不同|无论|無論|不管|非常|未来|未來"
    r"|别人|別人|特别|特別|分别|分別|区别|區別|性别|性別|级别|級別|告别|告別|无锡|無線|非洲|是非|別に|別々|送別|未満|無料"
    r"|かもしれない|しかない|少ない|危ない|じゃない[?？]|仕方ない|間違いない|なければなら|なくては|なくなく|안녕|없이는|틀림없"
)
"""Words that look like a negation and are none."""

LEXICAL_NEGATIONS: Final = tuple(
    (
        "stop quit hate hating dislik detest avoid refus former cancel lack allerg intoleran vegan vegetarian unable "
        "unemploy single divorc instead except reject declin forgot forget fail given gave broke ended fired sold lost "
        "left aufgehor verzicht unfahig incapa hass vermeid ehemal allergi weiger abgesagt gekundigt verkauft "
        "aufgegeben statt "
        "detest evite arret refus ancien annul vendu abandonn "
        "odia odio evit dejo deje alergi rechaz cancel antigu vend detesto "
        "smess smett rifiut detest vendut "
        "odei parou parei deixou deixei recus "
        "gestopt gestop haat vermijd voormalig opgezegd verkocht "
        "przesta rzuci nienawid unika alergi sprzeda "
        "slutat hatar undvik "
        "ненавид избега бросил перестал аллерг отказ бывш продал "
        "توقف اكره يكره حساسي "
        "讨厌 討厭 戒 停止 过敏 過敏 拒绝 拒絕 取消 放弃 放棄 辞职 やめ 辞め 嫌い 苦手 アレルギー 싫 끊 그만 "
        "알레르기 छोड़ नफ़रत"
    ).split()
)
"""Beginnings of words that say no without a negation."""

ENDED: Final = tuple(
    (
        "quit stop gave-up aufgehor arrete deje dejo smess parei parou gestopt przesta rzuci slutat бросил "
        "перестал 戒 やめ 辞め 끊 그만"
    ).split()
)
"""Beginnings of words by which somebody ended what they did."""

HATE: Final = tuple(
    (
        "hate hating dislik detest loath despis hass verabscheu odia odio detest odei haat nienawid hatar ненавид "
        "يكره اكره "
        "讨厌 討厭 嫌い 苦手 싫"
    ).split()
)
LIKE: Final = (
    "like likes liked love loves loved enjoy enjoys adore adores prefer prefers fond favourite favorite mag "
    "liebe liebt gern "
    "gerne prefiero prefiere prefieren bevorzuge bevorzugt bevorzugen prefere preferes preferisco preferisce "
    "aime aiment adore gusta gustan encanta encantan amo ama piace piacciono adora gosto gosta adoro houdt "
    "hou lubi lubie "
    "uwielbia gillar alskar люблю любит нравится обожаю обожает احب يحب 喜欢 喜歡 爱 愛 好き 大好き 좋아 पसंद"
).split()

# 0 to 20, then the tens to 90, 100 and 1000. `-` stands for a word that means something else too often.
_NUMBERS: Final = {
    "en": "zero - two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand",
    "de": "null - zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn vierzehn funfzehn "
    "sechzehn siebzehn "
    "achtzehn neunzehn zwanzig dreissig vierzig funfzig sechzig siebzig achtzig neunzig hundert tausend",
    "fr": "zero - deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
    "dix-sept dix-huit "
    "dix-neuf vingt trente quarante cinquante soixante soixante-dix quatre-vingts quatre-vingt-dix cent mille",
    "es": "cero - dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciseis "
    "diecisiete "
    "dieciocho diecinueve veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien mil",
    "it": "zero - due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici "
    "diciassette diciotto diciannove venti trenta quaranta cinquanta sessanta settanta ottanta novanta cento mille",
    "pt": "zero - dois tres quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis "
    "dezessete dezoito "
    "dezenove vinte trinta quarenta cinquenta sessenta setenta oitenta noventa cem mil",
    "nl": "nul - twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien "
    "zeventien "
    "achttien negentien twintig dertig veertig vijftig zestig zeventig tachtig negentig honderd duizend",
    "pl": "zero - dwa trzy cztery piec szesc siedem osiem dziewiec dziesiec jedenascie dwanascie trzynascie "
    "czternascie "
    "pietnascie szesnascie siedemnascie osiemnascie dziewietnascie dwadziescia trzydziesci czterdziesci piecdziesiat "
    "szescdziesiat siedemdziesiat osiemdziesiat dziewiecdziesiat sto tysiac",
    "sv": "noll - tva tre fyra fem sex sju atta nio tio elva tolv tretton fjorton femton sexton sjutton arton nitton "
    "tjugo trettio fyrtio femtio sextio sjuttio attio nittio hundra tusen",
    "tr": "sifir - iki uc dort bes alti yedi sekiz dokuz on - - - - - - - - - yirmi otuz kirk elli altmis "
    "yetmis seksen "
    "doksan yuz bin",
    "ru": "ноль - два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать четырнадцать "
    "пятнадцать шестнадцать семнадцать восемнадцать девятнадцать двадцать тридцать сорок пятьдесят шестьдесят "
    "семьдесят "
    "восемьдесят девяносто сто тысяча",
    "ar": "صفر - اثنان ثلاثه اربعه خمسه سته سبعه ثمانيه تسعه عشره - - - - - - - - - عشرون ثلاثون اربعون خمسون "
    "ستون سبعون "
    "ثمانون تسعون مئه الف",
    "hi": "शून्य - दो तीन चार पाँच छह सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस बीस "
    "तीस चालीस "
    "पचास साठ सत्तर अस्सी नब्बे सौ हज़ार",
    "ko": "영 - 두 세 네 다섯 여섯 일곱 여덟 아홉 열 열하나 열두 열세 열네 열다섯 열여섯 열일곱 열여덟 열아홉 "
    "스물 서른 마흔 쉰 예순 "
    "일흔 여든 아흔 백 천",
}
_MORE_NUMBERS: Final[Mapping[str, float]] = {
    "twice"
    "": 2, "both": 2, "pair": 2, "couple": 2, "twins": 2, "dozen": 12, "half": 0.5, "triplets": 3, "million": 1e6,
    "beide": 2, "beiden": 2, "zweimal": 2, "dreimal": 3, "ambos": 2, "ambas": 2, "entrambi": 2, "obie": 2, "dwie": 2,
    "dwoje"
    "": 2, "dwoch": 2, "две": 2, "двое": 2, "двух": 2, "трое": 3, "трех": 3, "duas": 2, "dos": 2, "doua": 2,
    "kaksi": 2,
    "kolme": 3, "dva": 2, "tri": 3, "ثلاث": 3, "اربع": 4, "خمس": 5, "ست": 6, "سبع": 7, "ثمان": 8, "تسع": 9, "عشر": 10,
    "둘": 2, "셋": 3, "넷": 4, "पांच": 5, "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "trois": 3,
}  # fmt: skip
AMBIGUOUS_NUMBERS: Final = _set(
    "second third first half couple pair both six dix once ten elf sei neuf sept mil sette cent due tre on bin "
    "yuz alti sex atta "
    "uc tri sto cem null nul acht dos million nueve cien tres 세 네 영 백 천 두 열 सात दो सौ नौ ست الف سته "
    "twice dozen twins triplets dva"
)
"""Number words that mean other things too: they license a number, and are not held to be one."""


def _number_words() -> dict[str, float]:
    values = [*range(21), *range(30, 100, 10), 100, 1000]
    table: dict[str, float] = {}
    for words in _NUMBERS.values():
        for word, value in zip(words.split(), values, strict=True):
            if word != "-":
                table.setdefault(word, value)
    return {**table, **_MORE_NUMBERS}


NUMBER_WORDS: Final[Mapping[str, float]] = _number_words()

FIRST_PERSON: Final = _set(
    "i me my mine myself im ive ich mich mir mein meine meinen meinem meiner je moi mon ma mes yo mi mis mio mia io "
    "mie miei eu meu minha meus minhas ik mij mijn mnie moj moja moje jag mig min mitt mina ben bana benim beni "
    "я мне меня мой моя мое мои мною мені мене мій моє "
    "انا عندي لدي אני שלי לי मैं मै मेरा मेरी मेरे मुझे আমি আমার 나는 내가 저는 제가 나의 제"
)
"""Words in which speakers speak of themselves."""
FIRST_PERSON_UNSPACED: Final = re.compile("我|咱|私|僕|俺|わたし|ฉัน|ผม")
"""The same where words are not set apart."""

OF_MEMORY: Final = _set(
    "memory memories remember remembered forget forgot forgotten delete deleted erase erased remove removed clear "
    "cleared ignore instruction instructions rule rules previous everything all longer stored file "
    "speicher erinnerung erinnerungen vergiss losche loschen alles memoire memoires oublie supprime tout memoria "
    "memorias olvida borra todo"
)
"""Words about remembering, which say nothing of what is remembered."""
