"""Vendors of the same wire format: one row each, all over one local server."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.errors import ConfigurationError
from memkit.llms import compatible
from memkit.llms.compatible import VENDORS, CompatibleLLM
from memkit.testing.openai_server import OpenAIServer

CLASSES: dict[str, type[CompatibleLLM]] = {
    cls.backend: cls
    for cls in vars(compatible).values()
    if isinstance(cls, type) and issubclass(cls, CompatibleLLM) and cls is not CompatibleLLM
}


def settings(name: str, **given: Any) -> Any:
    given.setdefault("model", VENDORS[name].model or "loaded")
    return CLASSES[name].Settings(**given)


def test_every_row_has_a_class_and_the_table_is_sorted() -> None:
    assert set(CLASSES) == set(VENDORS)
    assert list(VENDORS) == sorted(VENDORS)


@pytest.mark.parametrize("name", sorted(VENDORS))
def test_a_vendor_answers_through_the_one_wire_format(name: str) -> None:
    with OpenAIServer(["hello"]) as server:
        llm = CLASSES[name](settings(name, api_key="k", store=True, **{f"{name}_base_url": server.base_url}))
        assert llm.generate([{"role": "user", "content": "hi"}]).text == "hello"
        llm.close()
        assert "store" not in server.chats[0]
        assert server.requests[0].headers["authorization"] == "Bearer k"
    assert llm.name == f"{name}/{llm.settings.model}"


@pytest.mark.parametrize("name", sorted(VENDORS))
def test_a_vendor_without_its_key_names_the_variable(name: str) -> None:
    vendor = VENDORS[name]
    if vendor.key_variable is None or name == "vllm":
        assert CLASSES[name](settings(name)).name
    else:
        with pytest.raises(ConfigurationError, match=vendor.key_variable):
            CLASSES[name](settings(name))


def test_a_vendor_reads_its_own_variables_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(ConfigurationError, match="GROQ_API_KEY"):
        CLASSES["groq"]()
    monkeypatch.setenv("GROQ_API_KEY", "gsk")
    made = CLASSES["groq"]()
    assert made.settings.base_url == VENDORS["groq"].base_url
    assert made.settings.api_key is not None and made.settings.api_key.get_secret_value() == "gsk"


def test_a_server_with_no_default_model_asks_for_one() -> None:
    with pytest.raises(ConfigurationError, match="model="):
        CLASSES["lmstudio"]()


def test_top_k_goes_only_to_vendors_that_have_it() -> None:
    with OpenAIServer() as server:
        for name in ("vllm", "groq"):
            llm = CLASSES[name](settings(name, api_key="k", base_url=server.base_url, top_k=5))
            llm.generate([{"role": "user", "content": "hi"}])
            llm.close()
        assert [body.get("top_k") for body in server.chats] == [5, None]
