"""The public suite over every language model, with its vendor's official SDK."""

from __future__ import annotations

from memkit.llms.anthropic import AnthropicLLM
from memkit.llms.base import LLM
from memkit.llms.compatible import (
    VLLMLLM,
    XAILLM,
    CerebrasLLM,
    CompatibleLLM,
    DeepSeekLLM,
    FireworksLLM,
    GroqLLM,
    LMStudioLLM,
    MiniMaxLLM,
    MistralLLM,
    MoonshotLLM,
    OllamaLLM,
    OpenRouterLLM,
    SarvamLLM,
    TogetherLLM,
)
from memkit.llms.openai import OpenAILLM
from memkit.testing.llm import LLMSuite


class _OpenAIFormat(LLMSuite):
    """Answers as the chat completions API gives them."""

    kind: type[OpenAILLM] = OpenAILLM

    def make_llm(self, base_url: str) -> LLM:
        return self.kind(
            self.kind.Settings(model="some-model", api_key="test", base_url=base_url, timeout_s=5.0)
        )

    def answer(self, text: str, input_tokens: int, output_tokens: int) -> object:
        message = {"role": "assistant", "content": text}
        return {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "some-model",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": input_tokens,
                "completion_tokens": output_tokens,
                "total_tokens": input_tokens + output_tokens,
            },
        }


class TestAnthropicLLM(LLMSuite):
    def make_llm(self, base_url: str) -> LLM:
        return AnthropicLLM(
            AnthropicLLM.Settings(model="some-model", api_key="test", base_url=base_url, timeout_s=5.0)
        )

    def answer(self, text: str, input_tokens: int, output_tokens: int) -> object:
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "some-model",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens},
        }

    def failure(self, message: str) -> object:
        return {"type": "error", "error": {"type": "api_error", "message": message}}


class TestOpenAILLM(_OpenAIFormat):
    pass


def _vendor(made: type[CompatibleLLM]) -> type[_OpenAIFormat]:
    return type(f"Test{made.__name__}", (_OpenAIFormat,), {"kind": made, "__module__": __name__})


TestCerebras = _vendor(CerebrasLLM)
TestDeepSeek = _vendor(DeepSeekLLM)
TestFireworks = _vendor(FireworksLLM)
TestGroq = _vendor(GroqLLM)
TestLMStudio = _vendor(LMStudioLLM)
TestMiniMax = _vendor(MiniMaxLLM)
TestMistral = _vendor(MistralLLM)
TestMoonshot = _vendor(MoonshotLLM)
TestOllama = _vendor(OllamaLLM)
TestOpenRouter = _vendor(OpenRouterLLM)
TestSarvam = _vendor(SarvamLLM)
TestTogether = _vendor(TogetherLLM)
TestVLLM = _vendor(VLLMLLM)
TestXAI = _vendor(XAILLM)
