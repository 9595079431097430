"""Messages and the facts a good model writes about them, in many languages, and the same facts made false.

Each row: a message, its quote (None: the whole message), the fact, and the fact with its negation turned round (None:
there is no natural one). `{P}` is a person, `{C}` a place, `{O}` an organisation, `{N}` a number; a false fact has
another value in one of these slots, or the last column as its text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Row = tuple[str, str | None, str, str | None]

VALUES: dict[str, dict[str, list[str]]] = {
    "en": {"P": ["Bruno", "Maria", "Wei Chen", "Aisha"], "C": ["Lisbon", "Oslo", "New York", "Kyoto"],
           "O": ["Acme", "Initech", "Globex", "Siemens"], "N": ["3", "12", "45", "7"]},
    "de": {"P": ["Lukas", "Anna", "Jürgen", "Fatma"], "C": ["Hamburg", "Köln", "Wien", "Zürich"],
           "O": ["Siemens", "Bosch", "Zalando", "SAP"], "N": ["3", "12", "45", "7"]},
    "fr": {"P": ["Chloé", "Mathieu", "Amélie", "Karim"], "C": ["Lyon", "Nantes", "Genève", "Marseille"],
           "O": ["Renault", "Airbus", "Danone", "Thales"], "N": ["3", "12", "45", "7"]},
    "es": {"P": ["Lucía", "Mateo", "Sofía", "Javier"], "C": ["Sevilla", "Bogotá", "Madrid", "Lima"],
           "O": ["Telefónica", "Iberia", "Zara", "Repsol"], "N": ["3", "12", "45", "7"]},
    "it": {"P": ["Giulia", "Marco", "Chiara", "Luca"], "C": ["Torino", "Napoli", "Firenze", "Bari"],
           "O": ["Fiat", "Enel", "Barilla", "Ferrero"], "N": ["3", "12", "45", "7"]},
    "pt": {"P": ["Beatriz", "João", "Rafael", "Inês"], "C": ["Porto", "Recife", "Coimbra", "Curitiba"],
           "O": ["Petrobras", "Embraer", "Galp", "Natura"], "N": ["3", "12", "45", "7"]},
    "nl": {"P": ["Sanne", "Daan", "Femke", "Bram"], "C": ["Utrecht", "Leiden", "Gent", "Groningen"],
           "O": ["Philips", "Shell", "Booking", "ASML"], "N": ["3", "12", "45", "7"]},
    "pl": {"P": ["Tomek", "Kasia", "Piotr", "Ewa"], "C": ["Gdańsk", "Kraków", "Poznań", "Lublin"],
           "O": ["Allegro", "Orlen", "Asseco", "Comarch"], "N": ["3", "12", "45", "7"]},
    "sv": {"P": ["Astrid", "Björn", "Elsa", "Nils"], "C": ["Uppsala", "Malmö", "Umeå", "Lund"],
           "O": ["Volvo", "Ericsson", "Spotify", "Ikea"], "N": ["3", "12", "45", "7"]},
    "ru": {"P": ["Олег", "Тимур", "Егор", "Денис"], "C": ["Казань", "Пермь", "Тверь", "Рязань"],
           "O": ["Яндекс", "Сбер", "Газпром", "Озон"], "N": ["3", "12", "45", "7"]},
    "tr": {"P": ["Elif", "Kerem", "Zeynep", "Murat"], "C": ["Bursa", "Konya", "Trabzon", "Antalya"],
           "O": ["Arçelik", "Migros", "Ülker", "Vestel"], "N": ["3", "12", "45", "7"]},
    "zh": {"P": ["李娜", "王伟", "张敏", "陈杰"], "C": ["上海", "北京", "成都", "杭州"],
           "O": ["腾讯", "华为", "字节跳动", "小米"], "N": ["3", "12", "45", "7"]},
    "ja": {"P": ["健太", "美咲", "翔太", "陽子"], "C": ["大阪", "京都", "札幌", "福岡"],
           "O": ["トヨタ", "ソニー", "任天堂", "パナソニック"], "N": ["3", "12", "45", "7"]},
    "ko": {"P": ["민수", "지영", "현우", "수진"], "C": ["부산", "대구", "인천", "광주"],
           "O": ["삼성전자", "네이버", "카카오", "쿠팡"], "N": ["3", "12", "45", "7"]},
    "ar": {"P": ["كريم", "ليلى", "يوسف", "سارة"], "C": ["بيروت", "القاهرة", "دبي", "عمان"],
           "O": ["أرامكو", "زين", "اتصالات", "طيران"], "N": ["3", "12", "45", "7"]},
    "hi": {"P": ["राहुल", "प्रिया", "अमित", "नेहा"], "C": ["मुंबई", "दिल्ली", "जयपुर", "पुणे"],
           "O": ["इन्फोसिस", "विप्रो", "टाटा", "रिलायंस"], "N": ["3", "12", "45", "7"]},
}  # fmt: skip

ROWS: dict[str, list[Row]] = {
    "en": [
        ("I moved to {C} a while ago and I love it.", "I moved to {C}", "User moved to {C}.", "User did not move to {C}."),
        ("We have {N} hens in the yard, they keep us busy!", "We have {N} hens", "User keeps {N} hens.", None),
        ("My sister {P} works at {O} as an engineer.", None, "User's sister {P} is an engineer at {O}.",
         "User's sister {P} is no longer an engineer at {O}."),
        ("{P} can't eat shellfish, it makes her ill.", "{P} can't eat shellfish", "{P} cannot eat shellfish.",
         "{P} can eat shellfish."),
        ("By the way, I don't drink coffee anymore.", "I don't drink coffee anymore",
         "User no longer drinks coffee.", "User drinks coffee."),
        ("My flight to {C} is at {N} am and {P} picks me up.", None,
         "{P} will pick the user up for the {N} am flight to {C}.", "{P} will not pick up the user."),
        ("I started at {O} {N} weeks ago after leaving {C}.", None,
         "User left {C} and started working at {O} {N} weeks ago.", "User never started at {O}."),
        ("Please always call me {P}, not by my surname.", "always call me {P}", "User wants to be called {P}.", None),
        ("I'm allergic to peanuts, so is {P}.", None, "User and {P} are allergic to peanuts.",
         "User and {P} are not allergic to peanuts."),
        ("lol yes, {P} never finished the marathon in {C}", "{P} never finished the marathon in {C}",
         "{P} did not finish the marathon in {C}.", "{P} finished the marathon in {C}."),
        ("We're paying {N} euros a month for the garage near {C}.", None,
         "User pays {N} euros per month for a garage near {C}.", "User does not pay for the garage near {C}."),
        ("I'd rather get answers as bullet points, no long essays.", None,
         "User prefers bullet points and does not want long essays.", "User prefers long essays."),
    ],
    "de": [
        ("Ich bin neulich nach {C} gezogen.", None, "Der Nutzer ist nach {C} gezogen.",
         "Der Nutzer ist nicht nach {C} gezogen."),
        ("Wir haben {N} Hühner im Garten.", None, "Der Nutzer hat {N} Hühner im Garten.",
         "Der Nutzer hat keine Hühner."),
        ("Meine Schwester {P} arbeitet bei {O} als Ingenieurin.", None,
         "{P}, die Schwester des Nutzers, ist Ingenieurin bei {O}.", "{P} arbeitet nicht mehr bei {O}."),
        ("Ich trinke keinen Kaffee mehr.", None, "Der Nutzer trinkt keinen Kaffee mehr.", "Der Nutzer trinkt Kaffee."),
        ("{P} wohnt in {C} und hat {N} Katzen.", None, "{P} lebt in {C} und besitzt {N} Katzen.",
         "{P} wohnt nicht in {C}."),
        ("Mein Termin bei {O} ist um {N} Uhr.", None, "Der Termin des Nutzers bei {O} ist um {N} Uhr.",
         "Der Nutzer hat keinen Termin bei {O}."),
    ],
    "fr": [
        ("J'ai déménagé à {C} il y a peu.", None, "L'utilisateur a déménagé à {C}.",
         "L'utilisateur n'a pas déménagé à {C}."),
        ("Ma sœur {P} travaille chez {O}.", None, "La sœur de l'utilisateur, {P}, travaille chez {O}.",
         "{P} ne travaille plus chez {O}."),
        ("Je ne bois plus de café.", None, "L'utilisateur ne boit plus de café.", "L'utilisateur boit du café."),
        ("On a {N} poules dans le jardin.", None, "L'utilisateur a {N} poules.", "L'utilisateur n'a pas de poules."),
        ("{P} habite à {C} depuis {N} ans.", None, "{P} vit à {C} depuis {N} ans.", "{P} n'habite pas à {C}."),
    ],
    "es": [
        ("Me mudé a {C} hace poco.", None, "El usuario se mudó a {C}.", "El usuario no se mudó a {C}."),
        ("Mi hermana {P} trabaja en {O}.", None, "{P}, la hermana del usuario, trabaja en {O}.",
         "{P} ya no trabaja en {O}."),
        ("Ya no tomo café.", None, "El usuario ya no toma café.", "El usuario toma café."),
        ("Tenemos {N} gallinas en el patio.", None, "El usuario tiene {N} gallinas.", "El usuario no tiene gallinas."),
        ("{P} vive en {C} y tiene {N} hijos.", None, "{P} vive en {C} con sus {N} hijos.", "{P} no vive en {C}."),
    ],
    "it": [
        ("Mi sono trasferito a {C} da poco.", None, "L'utente si è trasferito a {C}.", "L'utente non si è trasferito a {C}."),
        ("Mia sorella {P} lavora alla {O}.", None, "La sorella dell'utente, {P}, lavora alla {O}.",
         "{P} non lavora alla {O}."),
        ("Non bevo più caffè.", None, "L'utente non beve più caffè.", "L'utente beve caffè."),
        ("Abbiamo {N} galline in giardino.", None, "L'utente ha {N} galline in giardino.", "L'utente non ha galline."),
    ],
    "pt": [
        ("Mudei-me para {C} há pouco.", None, "O usuário mudou-se para {C}.", "O usuário não se mudou para {C}."),
        ("Minha irmã {P} trabalha na {O}.", None, "A irmã do usuário, {P}, trabalha na {O}.", "{P} não trabalha na {O}."),
        ("Não bebo mais café.", None, "O usuário não bebe mais café.", "O usuário bebe café."),
        ("Temos {N} galinhas no quintal.", None, "O usuário tem {N} galinhas.", "O usuário não tem galinhas."),
    ],
    "nl": [
        ("Ik ben pas naar {C} verhuisd.", None, "De gebruiker is naar {C} verhuisd.", "De gebruiker is niet naar {C} verhuisd."),
        ("Mijn zus {P} werkt bij {O}.", None, "De zus van de gebruiker, {P}, werkt bij {O}.", "{P} werkt niet bij {O}."),
        ("Ik drink geen koffie meer.", None, "De gebruiker drinkt geen koffie meer.", "De gebruiker drinkt koffie."),
        ("We hebben {N} kippen in de tuin.", None, "De gebruiker heeft {N} kippen.", "De gebruiker heeft geen kippen."),
    ],
    "pl": [
        ("{P} pracuje w firmie {O}.", None, "{P} pracuje w {O}.", "{P} nie pracuje w {O}."),
        ("Nie piję już kawy.", None, "Użytkownik nie pije już kawy.", "Użytkownik pije kawę."),
        ("Mamy {N} kur na podwórku.", None, "Użytkownik ma {N} kur.", "Użytkownik nie ma kur."),
        ("{P} mieszka teraz w mieście {C}.", None, "{P} mieszka w mieście {C}.", "{P} nie mieszka w mieście {C}."),
    ],
    "sv": [
        ("Jag flyttade till {C} nyligen.", None, "Användaren flyttade till {C}.", "Användaren flyttade inte till {C}."),
        ("Min syster {P} jobbar på {O}.", None, "Användarens syster {P} jobbar på {O}.", "{P} jobbar inte på {O}."),
        ("Jag dricker inte kaffe längre.", None, "Användaren dricker inte kaffe längre.", "Användaren dricker kaffe."),
        ("Vi har {N} höns på gården.", None, "Användaren har {N} höns.", "Användaren har inga höns."),
    ],
    "ru": [
        ("Мой брат {P} работает в компании {O}.", None, "Брат пользователя {P} работает в компании {O}.",
         "{P} не работает в компании {O}."),
        ("Я больше не пью кофе.", None, "Пользователь больше не пьёт кофе.", "Пользователь пьёт кофе."),
        ("У нас {N} кур во дворе.", None, "У пользователя {N} кур во дворе.", "У пользователя нет кур."),
        ("{P} живёт в городе {C}.", None, "{P} живет в городе {C}.", "{P} не живет в городе {C}."),
    ],
    "tr": [
        ("Kız kardeşim {P} artık {O} şirketinde çalışıyor.", None,
         "Kullanıcının kız kardeşi {P}, {O} şirketinde çalışıyor.",
         "Kullanıcının kız kardeşi {P}, {O} şirketinde çalışmıyor."),
        ("Artık kahve içmiyorum.", None, "Kullanıcı artık kahve içmiyor.", "Kullanıcı kahve içiyor."),
        ("Bahçede {N} tavuğumuz var.", None, "Kullanıcının bahçede {N} tavuğu var.", "Kullanıcının tavuğu yok."),
        ("{P} bir süredir {C} şehrinde yaşıyor.", None, "{P}, {C} şehrinde yaşıyor.", "{P}, {C} şehrinde yaşamıyor."),
    ],
    "zh": [
        ("我最近搬到{C}了。", None, "用户搬到了{C}。", "用户没有搬到{C}。"),
        ("我姐姐{P}在{O}当工程师。", None, "用户的姐姐{P}在{O}担任工程师。", "用户的姐姐{P}不在{O}当工程师。"),
        ("我现在不喝咖啡了。", None, "用户不再喝咖啡。", "用户喝咖啡。"),
        ("我们家养了{N}只猫。", None, "用户养了{N}只猫。", "用户没有养猫。"),
        ("{P}住在{C}，她很喜欢画画。", None, "{P}住在{C}，喜欢画画。", "{P}不住在{C}。"),
    ],
    "ja": [
        ("最近{C}に引っ越しました。", None, "ユーザーは{C}に引っ越した。", "ユーザーは{C}に引っ越していない。"),
        ("兄の{P}は{O}で働いています。", None, "ユーザーの兄の{P}は{O}で働いている。", "{P}は{O}で働いていない。"),
        ("もうコーヒーは飲みません。", None, "ユーザーはもうコーヒーを飲まない。", "ユーザーはコーヒーを飲む。"),
        ("うちには猫が{N}匹います。", None, "ユーザーは猫を{N}匹飼っている。", "ユーザーは猫を飼っていない。"),
        ("{P}さんは{C}に住んでいます。", None, "{P}さんは{C}に住んでいる。", "{P}さんは{C}に住んでいない。"),
    ],
    "ko": [
        ("저는 얼마 전에 {C}으로 이사했어요.", None, "사용자는 {C}으로 이사했다.", "사용자는 {C}으로 이사하지 않았다."),
        ("형 {P}은 {O}에서 일해요.", None, "사용자의 형 {P}은 {O}에서 일한다.", "{P}은 {O}에서 일하지 않는다."),
        ("이제 커피를 안 마셔요.", None, "사용자는 이제 커피를 안 마신다.", "사용자는 커피를 마신다."),
        ("우리 집에 고양이가 {N}마리 있어요.", None, "사용자는 고양이가 {N}마리 있다.", "사용자는 고양이가 없다."),
    ],
    "ar": [
        ("انتقلت إلى {C} مؤخرا.", None, "انتقل المستخدم إلى {C}.", "لم ينتقل المستخدم إلى {C}."),
        ("أخي {P} يعمل في شركة {O}.", None, "{P} أخو المستخدم يعمل في شركة {O}.", "{P} لا يعمل في شركة {O}."),
        ("لم أعد أشرب القهوة.", None, "المستخدم لم يعد يشرب القهوة.", "المستخدم يشرب القهوة."),
        ("لدينا {N} قطط في البيت.", None, "لدى المستخدم {N} قطط في البيت.", "المستخدم ليس لديه قطط."),
    ],
    "hi": [
        ("मैं हाल ही में {C} चला गया हूँ।", None, "उपयोगकर्ता {C} चला गया है।", "उपयोगकर्ता {C} नहीं गया है।"),
        ("मेरा भाई {P} कंपनी {O} में काम करता है।", None, "उपयोगकर्ता का भाई {P} {O} में काम करता है।",
         "{P} {O} में काम नहीं करता है।"),
        ("मैं अब कॉफ़ी नहीं पीता।", None, "उपयोगकर्ता अब कॉफ़ी नहीं पीता।", "उपयोगकर्ता कॉफ़ी पीता है।"),
        ("हमारे घर में {N} बिल्लियाँ हैं।", None, "उपयोगकर्ता के घर में {N} बिल्लियाँ हैं।", None),
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    language: str
    kind: str
    """`true`, or what was made false: `name`, `number`, `negation`."""
    message: str
    quote: str
    fact: str
    entities: tuple[tuple[str, str], ...]


_KINDS = {"P": "person", "C": "place", "O": "organisation"}


def pairs() -> Iterator[Pair]:
    """Yield every row with four sets of values, true and with one thing changed."""
    for language, rows in ROWS.items():
        values = VALUES[language]
        for row, (message, quote, fact, turned) in enumerate(rows):
            for at in range(4):
                filled = {slot: options[(at + row) % 4] for slot, options in values.items()}
                said = message.format(**filled)
                cited = (quote or message).format(**filled)

                def make(
                    kind: str,
                    template: str,
                    slots: dict[str, str],
                    said: str = said,
                    cited: str = cited,
                    language: str = language,
                ) -> Pair:
                    # A model lists what it names; sometimes it does not.
                    listed = [(slots[s], _KINDS[s]) for s in "PCO" if "{" + s + "}" in template]
                    return Pair(
                        language,
                        kind,
                        said,
                        cited,
                        template.format(**slots),
                        tuple(listed if len(said) % 2 else ()),
                    )

                yield make("true", fact, filled)
                for slot, options in values.items():
                    if "{" + slot + "}" in fact:
                        other = {**filled, slot: options[(at + row + 1) % 4]}
                        yield make("number" if slot == "N" else "name", fact, other)
                if turned is not None:
                    yield make("negation", turned, filled)
