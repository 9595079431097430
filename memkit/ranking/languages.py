"""Which language a text is in, as far as its words have to be told apart: by its script, or by its function words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from memkit.ranking.words import STOP_WORDS

ENGLISH: Final = "english"

# Function words without accents, as `text.surface` gives them; words of single letters never get here. They are what
# a language is known by, and what is not searched for in it.
_FUNCTION_WORDS: Final = {
    "german": """
        der die das den dem des ein eine einen einem einer eines und oder aber doch denn weil dass dass wenn als
        ob wie ich du er sie es wir ihr mich mir dich dir ihn ihm uns euch ihnen sich mein meine meinen meinem
        meiner meines dein deine deinen deinem deiner sein seine seinen seinem seiner ihre ihren ihrem ihrer
        unser unsere unseren bin bist ist sind seid war waren warst gewesen habe hast hat haben hatte hatten
        gehabt wird werde werden wurde wurden worden kann konnte muss musste soll will wollte nicht kein keine
        keinen nur auch noch schon sehr mehr in im an am auf aus bei beim mit nach vor von vom zu zum zur fur
        uber unter um durch gegen ohne bis seit wo wann wer wen wem was warum wieso welche welcher welches
        welchen wohin woher hier dort da dann jetzt immer diese dieser dieses diesen man so gestern heute morgen
        jeden jede jedes jeder etwas nichts alles alle euer eure unserem unserer unseres ins ans zwei drei
    """,
    "french": """
        le la les un une des du de au aux et ou mais donc car ni que qui quoi dont quand comment pourquoi
        combien quel quelle quels quelles je tu il elle on nous vous ils elles me te se lui leur leurs moi toi
        mon ma mes ton ta tes son sa ses notre nos votre vos ce cet cette ces cela ca est sont suis es sommes
        etes etait etaient ete etre ai as avons avez ont avait avaient avoir fait dans en sur sous avec sans
        pour par chez vers entre depuis pendant avant apres ne pas plus tres aussi encore deja toujours jamais
        si tout tous toute toutes ici bas puis alors qu hier demain aujourd hui fais faire peux peut dois doit
        veux veut vais va rien quelqu quelque chose chaque
    """,
    "spanish": """
        el la los las un una unos unas de del al en con sin por para sobre entre hasta desde hacia pero sino que
        quien quienes cual cuales cuando donde como cuanto cuanta cuantos porque yo tu ella ellos ellas nosotros
        nosotras usted ustedes me te se lo le les nos mi mis tus su sus nuestro nuestra nuestros es son soy eres
        somos era eran fue fueron ser sido esta estan estoy estaba ha han he has hemos hay habia tiene tienen
        tengo no si ya muy mas tambien nunca siempre este esto estos estas ese esa eso aquel aquella hace ayer
        hoy manana despues antes luego todo toda todos todas hacer hago puedo puede debo quiero quiere voy va
        fui algo alguien nada nadie vez dia
    """,
    "italian": """
        il lo la gli le un uno una di del dello della dei degli delle al allo alla ai agli alle dal dalla dai
        nel nello nella nei nelle sul sulla sui con per tra fra ed ma che chi cui quale quali quando dove come
        quanto quanti perche io tu lui lei noi voi loro mi ti ci vi si mio mia miei mie tuo tua tuoi suo sua
        suoi sue nostro nostra vostro sono sei siamo siete era erano stato stata essere ho hai ha abbiamo hanno
        aveva avevano avere non piu molto anche ancora gia sempre mai questo questa questi queste quello quella
        dell nell all sull cosa in da me te dopo prima poi ogni dov viene vado va fare fa faccio posso puo devo
        deve voglio vuole oggi domani ieri quell po tutti tutto tutta nostri nostre verso senza sotto sopra
    """,
    "portuguese": """
        os as um uma uns umas de do da dos das no na nos nas ao aos com sem por pelo pela para sobre entre ate
        desde mas que quem qual quais quando onde como quanto quantos porque eu tu ele ela eles elas voce voces
        me te se lhe meu minha meus minhas teu tua seu sua seus suas nosso nossa sao sou somos era eram foi
        foram ser sido esta estao estou estava tem tenho tinha ha nao sim ja muito mais tambem nunca sempre este
        isto estes esse essa isso aquele aquela num numa em ontem hoje amanha depois antes cada tudo todo toda
        todos todas fazer faco posso pode devo quero quer vou vai fui algo alguem nada ninguem dia vez
    """,
    "dutch": """
        de het een en of maar want dat die dit deze als toen ik jij je hij zij ze wij we jullie hun hen hem haar
        mij mijn jouw zijn ons onze ben bent is was waren geweest heb hebt heeft hebben had hadden word wordt
        werd worden kan kon moet wil wilde zal zou niet geen wel ook nog al heel meer in op aan van voor met
        naar bij uit over onder door tegen tot sinds zonder om te wie wat waar wanneer waarom hoe welke hier
        daar dan nu altijd nooit er gisteren vandaag morgen elke elk iets niets alles alle uw doe doet doen ga
        gaat gaan kunnen moeten deed
    """,
    "swedish": """
        och eller men att det den de en ett som jag du han hon vi ni mig dig sig honom henne oss dem min mitt
        mina din ditt dina hans hennes sin sitt sina var vart vara ar varit har hade ha blir blev ska skulle kan
        kunde inte ingen inget bara ocksa annu redan mycket mer pa av for med till fran hos om under over mellan
        utan sedan vem vad nar hur varfor vilken vilket vilka dar nu alltid aldrig denna detta dessa
    """,
    "danish": """
        og eller men at det den de en et som jeg du han hun vi mig dig sig ham hende os dem min mit mine din dit
        dine hans hendes sin sit sine vores er var vaeret vaere vaeret har havde ha bliver blev skal skulle kan
        kunne ikke ingen intet kun ogsa endnu allerede meget mere pa af for med til fra hos om under over mellem
        uden siden hvem hvad hvor hvornar nar hvordan hvorfor hvilken hvilket her der nu altid aldrig denne
        dette disse
    """,
    "norwegian": """
        og eller men at det den de en ei et som jeg du han hun vi meg deg seg ham henne oss dem min mitt mine
        din ditt dine hans hennes sin sitt sine var er vaert vaere har hadde ha blir ble skal skulle kan kunne
        ikke ingen bare ogsa enna allerede mye mer pa av for med til fra hos om under over mellom uten siden
        hvem hva hvor nar hvordan hvorfor hvilken hvilket her der na alltid aldri denne dette disse
    """,
    "polish": """
        sie nie tak jest sa byl byl byla byla bylo bylo byli byc jestem jestes mam masz ma mamy maja mial mial
        miala miala ja ty on ona ono my wy oni mnie mi ci cie go jej ich jego mu nam was im moj moja moje mojej
        mojego twoj twoja twoje swoj swoja na do od ze za po przy przez dla bez nad pod przed miedzy oraz ale
        lub albo czy gdy kiedy gdzie kto co jak dlaczego ile ktory ktora ktore jaki jaka jakie ten ta te tego
        tej tym tez juz jeszcze tylko bardzo zawsze nigdy nasz nasza nasze naszego naszej wasz wasza wasze kazdy
        kazda kazde kazdego kazdej jestesmy bylismy bylam podczas obok wszystko
        dokad skad komu kogo czego czym kim ktorego ktorej ktorym ktorych jakim jakich jakiego jakiej jest bede
        bedzie za we gdyz bardzo wtedy
    """,
    "czech": """
        se si je jsou jsem jsi byl byla bylo byli byt ma mam mas mame maji mel mela ja ty on ona ono my vy oni
        me mne mi tebe te ti ho jeho jej ji jim muj moje moji tvuj tvoje svuj svou na do od ze za po pri pro bez
        nad pod pred mezi ale nebo kdyz kdy kde kdo co jak proc kolik ktery ktera ktere jaky jaka ten ta to
        tento tato take uz jeste jen velmi vzdy nikdy ne nas nase nasi naseho vas vase jsme jste kazdy kazda kazde
        kazdou kazdeho ktera kteri ktereho jake jakou kam odkud vedle behem jako vsechno
        komu koho ceho cemu cim kym kolika kterem jakych jakem jakeho odkdy dokdy budu bude budou ve ke ze pak
        potom tady tam
    """,
    "turkish": """
        ve veya ama ile icin bir bu su ben sen biz siz onlar benim senin onun bizim sizin bana sana ona beni
        seni onu var yok degil mi mi mu ne kim nerede nereye nereden zaman nasil nasil neden nicin hangi kac
        kadar gibi daha cok en her hic de da ki olan oldu olarak sonra once
        kime kimi kimde kimden kimin kimle neyi neye neden nedir nerde nereyi kacta kaci kacinci ise edildi eder ediyor
        ettim etti etmek olur oluyor oldugu olmak olan beri gore once bizi sizi bize size onlari onlarin bunu sunu biri
        cunku fakat hangisi benimle
    """,
    "finnish": """
        ja tai mutta etta jos kun koska kuin mina sina han me te he minun sinun hanen meidan minua minulla
        minulle sinulla hanella on ovat oli olivat olen olet ole ollut ei en et eivat mika mita missa mihin
        mista milloin miksi miten kuka keta kenen se ne tama tuo nyt myos vain jo viela hyvin aina eika joka jotka
        jossa jota olemme olette meilla teilla heilla siella taalla siina tassa kanssa jalkeen ennen koko kaikki
        montako paljonko mihin minka oma omat
        kenelle kenelta kumpi kumman minne kauanko paljon kun onko oliko olisi olla tulee viime joka luona takana sitten
        minulta minusta meidat meita hanta heita ihan liian uusi
    """,
    "hungarian": """
        az egy es vagy de hogy ha mert mint en te mi ti ok nekem neked neki van vannak volt voltak lesz nem igen
        is meg mar csak nagyon mindig soha ki mit mikor hol hova honnan miert hogyan melyik milyen ez ezt azt
        ezek azok ott itt minden hany mennyi nekunk nekem utan elott alatt mellett kozott vagyok vagyunk voltam
        voltunk
        kinel kitol kivel mibol mitol mire mivel miota meddig hanyan hanykor merre hova honnet mekkora kell lehet
        lett lenni vagy nincs el fel le be ki ossze vissza majd akkor amikor ahol aki ami amely ahogy egyik masik ota
        altal szerint tul hogy engem teged minket oket nala rola vele tole tolem velem
    """,
    "romanian": """
        si sau dar ca sa este sunt esti era erau fost fi am ai are avem aveti au avea eu tu el ea noi voi ei ele
        ma te se imi iti meu mea mei mele tau ta lui lor nostru un unei unui din de la in pe cu pentru prin fara
        intre cine ce cand unde cum cat care acest aceasta acesta nu da mai foarte doar deja mereu niciodata
        imi isi mi ti si cui carui careia cati cate cata de cand unde pana dupa inainte despre langa ne va vor voi
        lui ei am as era eram le li
    """,
    "indonesian": """
        yang dan atau tetapi tapi dengan untuk dari pada ke di ini itu saya aku kamu anda dia kami kita mereka
        adalah ada tidak bukan sudah belum akan sedang bisa harus juga hanya sangat lebih apa siapa kapan dimana
        mana mengapa kenapa bagaimana berapa saat ketika karena jika oleh
    """,
    "vietnamese": """
        toi cua la va khong co cho voi nhung mot nao gi ai dau sao bao nhieu nay rat cung roi minh chung bi duoc da dang
        se khi tu tai vi cac hay con cai chiec cuon bang ra vao lam hon con o day do the nen thi ma
    """,
    "russian": """
        не на что как это по но из он она они мы вы ты его её ее их им ей нам вам мне меня тебя тебе мой моя мое
        моё мои моей моего моих твой твоя твое свой своя свою наш наша был была было были быть есть будет для от
        до при без под над про через после перед за со во об обо или если когда где куда откуда кто чем чего
        кого кому какой какая какое какие какого почему зачем сколько так там тут здесь тоже также уже еще ещё
        только очень всегда никогда этот эта эти тот та те же бы ли да нет то
        що чи або але від під він вона вони воно ми ви мій моя моє мої моєї моїй твій твоє твої свій своє свої наш
        наша наше наші нашої ваш ваша його її їх їй їм мені тобі собі мене нас вас був буде бути немає як коли де
        звідки хто чому скільки який яка яке які якій якому якої це цей ця ці теж вже ще тільки лише дуже завжди
        ніколи щоб якщо бо після перед між без із зі та на за мною нього неї них
    """,
    "greek": """
        και το τα τη την της του των τον τους οι ένα ενα μια μία ένας να θα δεν δε μην που πως πώς ποιος ποια
        ποιο πού πότε ποτε γιατί γιατι τι πόσο ποσο με σε από απο για στο στη στην στον στα στις είναι ειναι
        ήταν ηταν είμαι έχω εχω έχει εχει είχε μου σου μας σας αυτό αυτός αυτή κι αλλά αλλα όταν οταν αν όπως
        πολύ πολυ πιο πάντα
    """,
    "arabic": """
        في من إلى الى على عن مع هذا هذه ذلك تلك التي الذي الذين هو هي هم هن أنا انا أنت انت نحن كان كانت يكون لا
        لم لن ما ماذا متى أين اين كيف لماذا كم هل أو او ثم قد إن ان أن كل بعد قبل عند بين حتى إذا اذا أي اي لي
        له لها لنا بي به
    """,
    "persian": """
        از به با در بر را که این آن ان ها های هایی من تو او ما شما آنها انها خود خودم ام ای است هست هستم بود
        بودم بودند شد شده شود می نمی کند کنم کرد کردم کرده برای تا یا اما ولی اگر هم نیز هر چه چی چیزی کی کجا چرا
        چند چقدر چگونه کدام درباره یک باید خواهد دارد دارم داشت بوده نیست و
    """,
    "hebrew": """
        אני אתה את הוא היא אנחנו אתם הם הן של שלי שלך שלו שלה שלנו שלהם על אל אם עם מן לא כן גם רק אבל או כי זה זאת
        זו אלה כל יש אין היה היתה הייתה היו יהיה לי לך לו לה לנו להם בו בה אותי אותך אותו אותה מה מי איפה מתי למה
        מדוע כמה איך איזה איזו לאן כמו כבר עוד מאוד הכי יותר אחרי לפני בין שם פה כאן תמיד אף פעם במה ממה
    """,
    "hindi": """
        का की के को में से पर और या है हैं था थी थे हो हूँ हूं मैं तुम आप वह वे हम मेरा मेरी मेरे तेरा तुम्हारा
        आपका उसका उसकी उसके हमारा यह ये इस उस कि जो क्या कब कहाँ कहां कौन क्यों कैसे कितना कितने किस किसका ने भी
        ही नहीं तो तक एक बहुत मुझे मुझको हमें उसे उन्हें उनका उनकी उनके हमारी हमारे तुम्हें अपना अपनी अपने सा रहा रही
        रहे कर गया गई गए कौनसा
    """,
}

STOPS: Final[dict[str, frozenset[str]]] = {
    language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()
}

LATIN: Final = "\u024f"
"""No letter up to this one is of another script."""
_SCRIPTS: Final = {
    "russian": "\u0400-\u04ff",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "arabic": "\u0600-\u06ff",
    "hindi": "\u0900-\u097f",
    "armenian": "\u0530-\u058f",
    "tamil": "\u0b80-\u0bff",
    "hebrew": "\u0590-\u05ff",
}
_OTHER_LETTERS: Final = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff]")
_PERSIAN: Final = frozenset("پچژگکی")
_VIETNAMESE: Final = re.compile("[\u0110\u0111\u0102\u0103\u01a0\u01a1\u01af\u01b0\u1ea0-\u1ef9]")
LATIN_LANGUAGES: Final = tuple(language for language in STOPS if language not in (*_SCRIPTS, "persian"))
_SCRIPT = re.compile("|".join(f"(?P<{name}>[{letters}])" for name, letters in _SCRIPTS.items()))


def _by_word() -> dict[str, tuple[str, ...]]:
    languages: dict[str, tuple[str, ...]] = {}
    for language in LATIN_LANGUAGES:
        for word in STOPS[language]:
            languages[word] = (*languages.get(word, ()), language)
    return languages


_BY_WORD: Final = _by_word()
OF_LATIN: Final = frozenset(_BY_WORD)
"""Every function word that `language_of_latin` counts."""
_ALPHABETS: Final = {
    "german": "äöüß",
    "french": "àâçèéêëîïôùûœ",
    "spanish": "áéíñóú¿¡",
    "italian": "àèéìòù",
    "portuguese": "áâãàçéêíóôõú",
    "dutch": "ëïé",
    "swedish": "åäö",
    "danish": "åæø",
    "norwegian": "åæø",
    "polish": "ąćęłńóśźż",
    "czech": "áčďéěíňóřšťúůýž",
    "turkish": "çğıöşü",
    "finnish": "äö",
    "hungarian": "áéíóöőúüű",
    "romanian": "ăâîșțşţ",
    "vietnamese": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
}
_LETTERS: Final = {
    letter: tuple(language for language, letters in _ALPHABETS.items() if letter in letters)
    for letter in "".join(_ALPHABETS.values())
}
"""Letter -> the languages that are written with it."""
_FOREIGN: Final = 3
"""So many letters are in no English sentence."""
_LOANED: Final = {"é"}
"""English has words with it, too: alone it tells little."""
_SHAPES: Final = {
    language: re.compile(shapes)
    for language, shapes in {
        "german": r"sch|ch|ei|ie|en\b|er\b",
        "french": r"eau|ou|oi|qu|ai|ez\b",
        "spanish": r"ci[oó]n|ll|os\b|as\b",
        "italian": r"zz|gl|gn|tt|cc|[^aeiou]i\b",
        "portuguese": r"nh|lh|ss|[oa]s\b|ei|ou|em\b",
        "dutch": r"ij|aa|oe|ee|en\b",
        "swedish": r"ck|ar\b|sj|or\b|sk|et\b|en\b",
        "danish": r"er\b|et\b|hv|nd|en\b|e\b",
        "norwegian": r"er\b|et\b|hv|kk|en\b",
        "polish": r"sz|cz|rz|dz|w[ia]|[aeo]m\b",
        "czech": r"ou|ch|[^aeiou]y\b|[st]e\b",
        "turkish": r"l[ae]r|[iıuü]yor|d[ae]n?\b|[dt][ıiuü]|[mn]\b",
        "finnish": r"([aeiouyäö])\1|ss[aä]\b|ll[aäe]\b|kk|tt|n\b|yö|uo",
        "hungarian": r"gy|sz|cs|zs|ny|ly|[aeáé]k\b|b[ae]n?\b|[aeoö][tm]\b",
        "romanian": r"ul\b|ea\b|ii\b|st|oa|lui\b",
    }.items()
}
"""What a language has many of, to tell those apart that have the same letters."""
_ALSO_ENGLISH: Final = frozenset(
    """
    aan ada ai ale algo alla alle alles ama anda ans antes ate aux ayer bara bas ben beni bent bez bin bis biz
    car care cat ce cela chi chose cine com come con cum dai dal dan dar das de deg dei del dem den des dia die
    dig din dina dine dir disse doe dont door dos dove du ea ed egy ein el ella elle em en er era es est este et
    eu euch fait fara fare foi fra fui fur gibi go hacer hade hai ham han hans hat he hem her heute hic ho hoe
    hon hoy hun hur il im imi ins ist ja jag jak jen jim jo kan ki kim kita la las le lei les leur lo lor loro
    los lub lui mai mam man mana mar mas mea meg mel men mer mere met mi mia mich min mina mine mint mio mir mis
    missa mit moi mon morgen na nad nada nas nel nell ni nie niet noi non nos nu num och od og oggi ok ole oli
    om on ons op os pa pada par para pas pe per plus po pod por pour prin pro que rien sa sana se sem sen ser
    ses si sig sim sin sind sine sit siz ska soha son sont sou sous soy su sue sui sur sus ta tai tak take tama
    te ten tes ti til till toda todo toi ton tot tout tra tres tu ty um un una und uw uz va vado vais van vers
    veux vi voi volt vom von vos want war waren was wat wem wen wenn wie wij wil wir wo word ya yang yo za zal
    ze zou zu zum
    ami beri biri bize bizi cate fel gore isi ise kell kimi kym lett li merre minne mire nala olla ota pak pana rola
    size tam tole tul vele bang bao cac cai cho chung con dang dau day gi hay hon khi lam ma mot nay nen rat ra roi sau
    tai thi vao
    """.split()
)
TELLING: Final = OF_LATIN.difference(_ALSO_ENGLISH, STOP_WORDS)
"""Those that are no words of English."""


def language_of_script(word: str) -> str | None:
    """Return the stemmer for a word by its first letter's script; None for Latin and for scripts that have none."""
    found = _SCRIPT.match(word)
    return None if found is None else found.lastgroup


def is_persian(word: str) -> bool:
    """Return whether a word has a letter that Persian has, and Arabic has not."""
    return not _PERSIAN.isdisjoint(word)


def mostly_latin(text: str) -> bool:
    """Return whether most letters of a text are Latin ones, as European languages write them."""
    if text.isascii():
        return True
    latin = sum("a" <= letter <= "z" for letter in text.lower())
    return len(_VIETNAMESE.findall(text)) < 2 and len(_OTHER_LETTERS.findall(text)) <= latin


def may_be_english(words: Sequence[str], text: str) -> bool:
    """Return whether a text may be English: in Latin letters, and no other language's words prevail.

    Args:
        words: Of the text, as `text.surface` gives them.
        text: As it was written.
    """
    english = sum(word in STOP_WORDS for word in words)
    return mostly_latin(text) and language_of_latin(words, english, text) == ENGLISH


def _foreign_letters(text: str) -> set[str]:
    """Return the letters that English has not, but for those of names: a word with a capital may be anybody's."""
    if _LETTERS.keys().isdisjoint(text):
        return set()
    return _LETTERS.keys() & set("".join(word for word in text.split() if not word[0].isupper()))


def language_of_latin(words: Sequence[str], english: int, text: str = "") -> str:
    """Return the language that most function words of a text are of, and most letters that English has not.

    English unless it has fewer words of its own; words that English has too, of another meaning, count for less.

    Args:
        words: Lower case, without accents.
        english: How many of them are English function words.
        text: As it was written.
    """
    telling = not TELLING.isdisjoint(words)
    letters = set[str]() if text.isascii() else _foreign_letters(text)
    if english > 1 and not telling and not letters:
        return ENGLISH
    counts: dict[str, float] = {}
    for table, found in ((_BY_WORD, dict.fromkeys(words)), (_LETTERS, letters)):
        for each in found:
            languages = table.get(each, ())
            for language in languages:
                # The fewer languages have a word, the more it tells; but a whole word more always tells more.
                counts[language] = counts.get(language, 0.0) + 1 + 0.05 / len(languages)
    if letters and letters != _LOANED:
        for language in counts.keys() & _SHAPES.keys():
            counts[language] += len(set(_SHAPES[language].findall(text.lower())))
    best = max(counts, key=lambda language: counts[language], default=ENGLISH)
    if letters and best != ENGLISH:
        english = sum(word in STOP_WORDS and word not in STOPS[best] for word in words)
    telling = telling or len(letters) >= _FOREIGN
    return best if int(counts.get(best, 0)) > (english if telling else 2 * english + 1) else ENGLISH
