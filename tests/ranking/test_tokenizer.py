"""Tokens are counted by a table that is on this machine, never fetched, else by an estimate that is not too low."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from memkit.errors import ConfigurationError
from memkit.ranking import tokenizer
from memkit.ranking.tokenizer import ENVIRONMENT, counter, estimated

SAMPLES = {
    "English": "I moved to Lisbon last spring and I work as a nurse in a small clinic near the river. " * 5,
    "German": "Ich bin letztes Jahr nach Hamburg gezogen; bitte antworte immer auf Deutsch und in kurzen Sätzen. "
    * 5,
    "French": "J'ai déménagé à Lyon l'année dernière et je préfère les réponses courtes, s'il vous plaît. "
    * 5,
    "Spanish": "Me mudé a Sevilla el año pasado y prefiero que siempre me respondas con ejemplos concretos. "
    * 5,
    "Russian": "В прошлом году я переехал в Казань и работаю медсестрой в маленькой клинике у реки. " * 5,
    "Greek": "Πέρυσι μετακόμισα στη Θεσσαλονίκη και δουλεύω ως νοσοκόμα σε μια μικρή κλινική. " * 5,
    "Arabic": "انتقلت إلى القاهرة العام الماضي وأعمل ممرضة في عيادة صغيرة بالقرب من النهر. " * 5,
    "Hindi": "पिछले साल मैं पुणे चला गया और नदी के पास एक छोटे क्लिनिक में नर्स के रूप में काम करता हूँ। " * 5,
    "Chinese": "去年我搬到了杭州，在河边的一家小诊所当护士。请以后一直用中文回答我。" * 5,
    "Japanese": "去年、私は京都に引っ越して、川の近くの小さな診療所で看護師として働いています。" * 5,
    "Korean": "작년에 부산으로 이사했고 강가의 작은 병원에서 간호사로 일하고 있습니다. " * 5,
    "Thai": "ปีที่แล้วฉันย้ายไปเชียงใหม่และทำงานเป็นพยาบาลในคลินิกเล็กๆ ใกล้แม่น้ำ " * 5,
    "code": "def even(x: int) -> list[str]:\n    return [str(i) for i in range(x) if i % 2 == 0]\n" * 5,
    "JSON": '{"id":"3f2a9c1e-77b1-4c0e","n":[1,2,3],"ok":true,"at":"2024-05-01T10:00:00Z"}' * 5,
}
TABLES = (
    importlib.util.find_spec("tiktoken") is not None and importlib.util.find_spec("llama_index") is not None
)
needs_tables = pytest.mark.skipif(not TABLES, reason="no table of tokens on this machine")


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Each test resolves anew, and what it resolved is forgotten."""
    monkeypatch.setattr(tokenizer, "_known", {})


@needs_tables
@pytest.mark.parametrize("language", SAMPLES)
def test_an_estimate_with_its_error_is_not_under_the_true_number(language: str) -> None:
    text = SAMPLES[language]
    for table in ("cl100k_base", "o200k_base"):
        assert counter(table).count(text) <= estimated(text)


@needs_tables
def test_a_table_on_this_machine_counts_without_being_asked_for() -> None:
    assert counter().name == "cl100k_base" and counter().count("Hello, world!") == 4
    assert counter("gpt-4o").name == "o200k_base"
    assert counter().count("<|endoftext|>") > 1, "marks of a model are words like any other"


@needs_tables
def test_a_table_is_found_in_the_folder_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer, "_CACHES", ())
    monkeypatch.setattr(tokenizer, "_tiktoken", lambda: None)
    assert counter().name == "estimate"
    with pytest.raises(ConfigurationError, match="TIKTOKEN_CACHE_DIR"):
        counter("o200k_base")


def test_the_environment_says_what_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "estimate")
    assert counter().name == "estimate"
    assert counter(len).count("four") == 4 and counter(len).name == "yours"
    monkeypatch.setenv(ENVIRONMENT, "nothing-like-it")
    with pytest.raises(ConfigurationError, match="nothing-like-it"):
        counter()
