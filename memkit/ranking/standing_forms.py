"""How people say in several languages what is to hold from now on, and what they prefer: patterns of sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Forms:
    """How one language, or a few that share words, say it. Patterns see a sentence in lower case.

    Attributes:
        words: A text with none of these words, and none of the phrases, holds no wish.
        phrases: The same as parts of the text, `|` between them.
        starts: An order where the sentence begins so.
        orders: An order wherever it stands.
        adverbs: An order where one of `verbs` is in the sentence too.
        verbs: What an assistant is told to do.
        likes: A preference wherever it stands.
    """

    words: str = ""
    phrases: str = ""
    starts: str = "(?!)"
    orders: str = "(?!)"
    adverbs: str = "(?!)"
    verbs: str = "(?!)"
    likes: str = "(?!)"


_DO: Final = (
    "us(?:e|ing)|include|format|provide|answer|respond|reply|write|call|address|show|give|add|ask"
    "|confirm|check|explain"
    "|avoid|put|keep|make sure|mention|cite|list|convert|translate|speak|tell|suggest|recommend|send"
    "|begin|start with"
    "|end with|refer|round|follow|assume|remind|maintain|present|highlight|summari[sz]e|offer|book"
    "|schedule|quote|wrap"
    "|return|print|name|treat|consider|verify|warn|create|generate|delete|remove|assign|stick to|sign"
    "|apply|choose"
    "|pick|select|specify|state|describe|display|double[- ]check|default to|compare|break down|attach|link"
    "|prioriti[sz]e|limit|label|number|spell|note|emphasi[sz]e|structure|reference|review|test|save"
    "|notify|share"
)
_POLITE: Final = (
    r"(?:please |kindly |also,? |and |so |but |just |ok(?:ay)?,? |btw,? |hey,? |yes,? |note: ?|remember: ?)*"
)

ENGLISH: Final = Forms(
    words="always never prefer prefers preferred preference preferences rather forward future henceforth "
    "remember whenever anytime allergic allergy vegan vegetarian don't don’t stop usually generally "
    "onwards",
    phrases="now on|in mind|when i ask|when i mention|every time i|each time i|call me |address me |do not |"
    "answer in |respond in |reply in |speak in |write in | to me in |like my |want my |take my |need my |"
    "best for me|i hate |you to |a fan of|big fan of",
    starts=_POLITE
    + r"(?:(?:always|never) (?:\w+ly )?(?:"
    + _DO
    + r")\b|remember (?:that i|to)\b|(?:bear|keep) in mind that\b"
    r"|(?:call|address) me (?!back\b|when\b|if\b|at\b|on\b|later\b|tomorrow\b|crazy\b|to\b)"
    r"|(?:do not|don['’]t) (?:ever |always )?(?:use|include|suggest|recommend|call me|mention|add|show me"
    r"|send me|give me)\b"
    r"|(?:going forward|in (?:the )?future),? (?:please|always|never|you|do|don.t|only|i want|i.d like|"
    + _DO
    + r")\b"
    r"|stop (?:using|calling|adding|including|suggesting|recommending|sending)\b"
    r"|(?:only )?(?:answer|respond|reply|speak|write)(?: to me)?(?: only)? in [a-z])",
    orders=r"\b(?:always|never) [^.!?]{1,200}?\b(?:when|whenever|if|every time|each time) (?:i|we|you) "
    r"(?:ask|mention|talk|say|request|discuss|need|want|send|share|give|answer|reply|write)\b"
    r"|\b(?:whenever|every time|each time|any ?time|when) i (?:ask|mention|request|talk about|send|share"
    r"|say)\b"
    r"[^.!?]{0,120}?\b(?:please|always|never|you should|i want|i.d like|use|include|give|show|provide)\b"
    r"|\b(?:i (?:want|need|expect|would like)|i['’]d like) you to (?:always|never)\b"
    r"|\b(?:you (?:should|must|can)|please|can you|could you|would you|make sure (?:to|you)|be sure to"
    r"|try to) (?:always|never)\b"
    r"|(?:^|[,;] (?:and |so |but )?)please (?:remember|keep in mind|note|do not ever|don.t ever)\b"
    r"|\b(?:please |just |you can )(?:call|address) me (?!back\b|when\b|if\b|at\b|on\b|later\b|tomorrow\b"
    r"|to\b)",
    adverbs=r"\b(?:from (?:now|here) on(?:wards?)?|henceforth)\b(?!,? i (?:will|am|plan|hope|might)"
    r"|,? i['’](?:ll|m))",
    verbs=r"\b(?:" + _DO + r")\b",
    likes=r"\bi(?:['’]d| would)? (?:\w+ly |always |much |just |still |also |do |tend to |kinda "
    r"|kind of )*prefer\b(?! not to (?:say|answer))"
    r"|\bmy (?:\w+ )?preferences?\b|\b(?:as|like) i prefer\b|\bi(?:['’]d| would) (?:much "
    r"|really )?rather\b(?! not say)"
    r"|\bi (?:always |usually )?(?:like|want|take|need) my (?!job|life|family|friends?\b|new\b)\w+"
    r"|\bi(?:['’]m| am)(?: (?:very|severely|highly|really|also|an?|strict))* (?:allergic|vegan|vegetarian)\b"
    r"|\bi (?:don['’]t|do not|never|can['’]t|cannot) (?:eat|drink) \w+|\bi hate (?:it )?when\b"
    r"|\bi['’]m not a (?:big )?fan of\b"
    r"|\bworks? best for me\b|\bi (?:always|usually|generally) (?:choose|opt for|go for|stick to|fly"
    r"|order|book) \w+",
)
_GERMAN: Final = Forms(
    words="immer nie niemals künftig zukünftig lieber bevorzuge bevorzugt merk merke nenn nenne denk denke "
    "allergisch vegetarier vegetarierin veganer veganerin ziehe",
    phrases="ab jetzt|ab sofort|von nun an|in zukunft",
    starts=r"(?:bitte |und |also )*(?:(?:immer|nie|niemals) (?:auf|in|mit|als|ohne)\b|merke? dir\b"
    r"|denke? daran\b|nenne? mich\b)",
    orders=r"\bmerke? dir bitte\b|\bnenne? mich (?:bitte )?\w+",
    adverbs=r"\b(?:immer|nie|niemals|ab jetzt|ab sofort|von nun an|in zukunft|zukünftig|künftig)\b",
    verbs=r"\b(?:antworte?|verwende|benutze?|nutze|schreibe?|sprich|gib|zeige?|nenne?|frage?|füge"
    r"|erkläre?|vermeide|erwähne|bestätige|formatiere)\b",
    likes=r"\bich (?:\w+ ){0,4}(?:bevorzuge|lieber)\b|\bbevorzuge ich\b|\bich ziehe\b.{1,80}\bvor\b"
    r"|\bich bin (?:\w+ )?(?:allergisch|vegetarier|veganer)",
)
_FRENCH: Final = Forms(
    words="toujours jamais désormais dorénavant préfère préférerais préfèrerais souviens-toi rappelle-toi "
    "retiens appelle-moi appelez-moi allergique végétarien végétarienne végan préférence",
    phrases="partir de maintenant|à l'avenir|à l’avenir|n'oublie|n’oublie|aimerais mieux",
    starts=r"(?:s['’]il (?:te|vous) pla[iî]t,? |et )*(?:ne jamais|souviens-toi|rappelle-toi|retiens que"
    r"|n['’]oublie pas"
    r"|appelle[sz]?-moi)\b",
    orders=r"\bappele?[lz]?e?-moi (?!demain|plus tard|quand)\w+",
    adverbs=r"\b(?:toujours|jamais|désormais|dorénavant|à partir de maintenant|à l['’]avenir)\b",
    verbs=r"\b(?:réponds|répondez|utilise[zr]?|écris|écrivez|emploie|donne[zr]?|montre[zr]?|parle[zr]?"
    r"|ajoute[zr]?|explique[zr]?"
    r"|évite[zr]?|inclus|mentionne[zr]?|cite[zr]?|confirme[zr]?|demande[zr]?)(?:-moi)?\b",
    likes=r"\bje préf[èé]r(?:e|erais)\b|\bj['’]aimerais mieux\b|\bma préférence\b|\bje suis (?:allergique"
    r"|végétarien|végan)",
)
_SPANISH: Final = Forms(
    words="siempre nunca jamás prefiero preferiría recuerda llámame alérgico alérgica vegetariano vegetariana "
    "vegano vegana preferencia",
    phrases="a partir de ahora|ahora en adelante|ten en cuenta",
    starts=r"(?:por favor,? |y )*(?:ten en cuenta que|recuerda (?:que|siempre)|llámame)\b",
    orders=r"\bllámame (?!mañana|luego|cuando)\w+",
    adverbs=r"\b(?:siempre|nunca|jamás|a partir de ahora|de ahora en adelante)\b",
    verbs=r"\b(?:responde|respóndeme|respondas|contesta|contéstame|usa|uses|utiliza|utilices|escribe"
    r"|escríbeme|habla|háblame|muestra"
    r"|muéstrame|explica|incluye|incluyas|evita|añade|menciona|confirma|pregunta|cita|dame)\b",
    likes=r"\bprefiero\b|\bpreferiría\b|\bmi preferencia\b|\bsoy (?:alérgic|vegetarian|vegan)",
)
_ITALIAN_PORTUGUESE: Final = Forms(
    words="sempre mai nunca preferisco preferirei ricorda ricordati chiamami prefiro preferiria lembre-se "
    "lembra-te chama-me allergico allergica alérgico alérgica vegetariano vegetariana vegano vegana",
    phrases="ora in poi|ora in avanti|partir de agora|agora em diante|daqui em diante|me chame",
    starts=r"(?:per favore,? |por favor,? |e )*(?:ricorda(?:ti)? (?:che|di|sempre)|chiamami|lembre-se"
    r"|lembra-te|me chame|chama-me)\b",
    orders=r"\b(?:chiamami|chama-me) (?!domani|amanhã|quando)\w+",
    adverbs=r"\b(?:sempre|mai|nunca|d['’]ora in (?:poi|avanti)|da ora in poi|a partir de agora"
    r"|(?:de agora|daqui) em diante)\b",
    verbs=r"\b(?:rispondi(?:mi)?|usa|use|utilizza|utilize|scrivi|parla(?:mi)?|mostra(?:mi)?|spiega"
    r"|includi|inclua|evita|evite"
    r"|aggiungi|cita|cite|conferma|confirme|responda|responde|escreva|escreve|fale|explique|mostre"
    r"|adicione)\b",
    likes=r"\b(?:preferisco|preferirei|prefiro|preferiria)\b|\b(?:sono|sou) (?:allergic|alérgic"
    r"|vegetarian|vegan)",
)
_MORE_LATIN: Final = Forms(  # Dutch, Swedish, Polish, Turkish, Indonesian
    words="altijd nooit voortaan liever voorkeur onthoud alltid aldrig föredrar zawsze nigdy wolę preferuję "
    "pamiętaj asla unutma selalu jangan",
    phrases="vanaf nu|noem me|och med nu|kom ihåg|od teraz|od tej pory|her zaman|bundan sonra|tercih ed|"
    "mulai sekarang|lebih suka",
    starts=r"(?:alsjeblieft |snälla |proszę |lütfen |tolong )?(?:onthoud|noem me|kom ihåg|pamiętaj|unutma"
    r"|jangan pernah)\b",
    adverbs=r"\b(?:altijd|nooit|alltid|aldrig|zawsze|nigdy|her zaman|asla|selalu|vanaf nu|voortaan"
    r"|från och med nu|od teraz"
    r"|od tej pory|bundan sonra|mulai sekarang)\b",
    verbs=r"\b(?:antwoord|gebruik|schrijf|geef|svara|använd|skriv|ge|odpowiadaj|używaj|pisz|podawaj|cevap"
    r"|yanıt|kullan|yaz"
    r"|jawab|jawablah|gunakan|tulis)\b",
    likes=r"\bik (?:\w+ ){0,4}(?:liever|voorkeur)\b|\bjag föredrar\b|\bwolę\b|\bpreferuję\b"
    r"|\btercih ed(?:iyorum|erim)\b"
    r"|\b(?:saya|aku) lebih suka\b",
)
_CYRILLIC: Final = Forms(
    phrases="всегда|никогда|отныне|впредь|предпочита|запомни|зови меня|называй меня|с этого момента|аллерги|"
    "завжди|ніколи|відтепер|надаю перевагу",
    starts=r"(?:пожалуйста,? |и )*(?:запомни|зови меня|называй меня)\b",
    orders=r"\b(?:зови|называй) меня \w+",
    adverbs=r"\b(?:всегда|никогда|отныне|впредь|завжди|ніколи|відтепер)\b|с этого момента",
    verbs=r"\b(?:не )?(?:отвечай|используй|пиши|указывай|говори|показывай|добавляй|объясняй|спрашивай"
    r"|избегай|відповідай"
    r"|використовуй|пиши)(?:те)?\b",
    likes=r"\b(?:я )?предпочитаю\b|\bнадаю перевагу\b|\bу меня аллергия\b",
)
_EAST_ASIAN: Final = Forms(  # No blanks to lean on.
    phrases="以后|以後|今后|今後|从现在|從現在|总是|總是|永远|始终|一直|一律|不要再|记住|記住|喜欢|偏好"
    "|倾向|宁愿|叫我|过敏"
    "|これから|いつも|常に|必ず|絶対に|決して|覚えて|方が|ほうが|呼んで|好みます|항상|언제나|절대|앞으로"
    "|지금부터|기억해|선호|더 좋아|불러",
    orders="(?:以后|以後|今后|今後)(?:请|請|都|你|不要|别|一律|回答|用)|从现在(?:开始|起)|從現在(?:開始"
    "|起)|不要再|叫我[^的]"
    "|(?:总是|總是|永远|始终|一直|一律)(?:要|用|请|使用|给|回答|以|附|标)|(?:请|請)(?:总是|始终|一律"
    "|务必|记住|總是|始終|記住)|^记住"
    "|これから(?:は|も)|今後(?:は|も)|(?:いつも|常に|必ず|絶対に|決して)[^。]{0,40}(?:ください|てほしい"
    "|ないで|すること)"
    "|覚えて(?:おいて|ください)|と呼んで"
    "|(?:항상|언제나|절대(?:로)?)[^.]{0,40}(?:주세요|해 ?줘|말아|마세요|하세요)|앞으로(?:는)? |지금부터"
    "|기억해|불러 ?(?:줘|주세요)",
    likes="我(?:更|比较|还是|一般|通常)?(?:喜欢用|喜欢在|偏好|倾向|宁愿|喜欢)(?!你)|我对.{1,8}过敏|(?:の"
    "|る)(?:方|ほう)が(?:好き|いい)"
    "|好みます|선호(?:합니다|해)|더 좋아(?:합니다|해)",
)
_ARABIC_HINDI: Final = Forms(
    phrases="دائما|دائمًا|أبدا|أبدًا|من الآن فصاعد|أفضل|أفضّل|تذكر|हमेशा|कभी|अब से|आगे से|पसंद|याद रख",
    orders="من الآن فصاعد|تذكر(?:ي)? أن|अब से|आगे से|याद रख(?:ना|ें|ो)"
    "|हमेशा .{0,60}(?:दें|दो|करें|करो|देना|करना|लिखें|लिखो)|कभी .{0,40}(?:मत|न करें)",
    adverbs="دائما|دائمًا|أبدا|أبدًا",
    verbs="أجب|استخدم|اكتب|اذكر|تحدث|أعط|أضف|لا ت",
    likes=r"(?:^|\s)(?:أنا )?أفضّ?ل (?:أن|ال)|मुझे .{1,60}पसंद (?:है|हैं)",
)
LATIN: Final = (ENGLISH, _GERMAN, _FRENCH, _SPANISH, _ITALIAN_PORTUGUESE, _MORE_LATIN)
OTHER: Final = (_CYRILLIC, _EAST_ASIAN, _ARABIC_HINDI)
