"""Writes memkit/embedders/minilm.onnx: the graph of all-MiniLM-L6-v2 without its weights.

python scripts/minilm_graph.py [FOLDER]            write it
python scripts/minilm_graph.py --check [FOLDER]    say whether it is current; exit with 1 if not

FOLDER holds `model.safetensors`; without one, the embedder's own places are searched. The graph holds names, shapes
and offsets into that file, which onnxruntime maps by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from memkit.embedders.minilm_weights import Tensor, find, tensors

GRAPH = Path(__file__).resolve().parents[1] / "memkit" / "embedders" / "minilm.onnx"
LAYERS, HEADS, HEAD, WIDTH = 6, 12, 32, 384


class Graph:
    """Nodes in the order in which they run; each is named by what it gives."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self._weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.external: dict[str, Any] = {}

    def node(self, kind: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Any, kind: type[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def weight(self, name: str) -> str:
        if name not in self.external:
            tensor = self._weights[name]
            made = TensorProto(
                name=name,
                data_type=TensorProto.FLOAT,
                dims=tensor.shape,
                data_location=TensorProto.EXTERNAL,
            )
            places = {"location": "model.safetensors", "offset": tensor.begin, "length": tensor.length}
            for key, value in places.items():
                made.external_data.add(key=key, value=str(value))
            self.external[name] = made
        return name

    def linear(self, x: str, name: str, output: str) -> str:
        inputs = [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("Gemm", inputs, output, transB=1)

    def norm(self, x: str, name: str, output: str) -> str:
        inputs = [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("LayerNormalization", inputs, output, axis=-1, epsilon=1e-12)


def build(weights: dict[str, Tensor]) -> bytes:
    """Return the graph as bytes; the same ones each time."""
    graph = Graph(weights)
    for name, value in {"zero": 0, "no_type": 0}.items():
        graph.constant(name, [value] if name == "zero" else value, np.int64)
    for name, values in {"one": [1], "two": [2], "one_two": [1, 2]}.items():
        graph.constant(name, values, np.int64)
    graph.constant("rows", [-1, WIDTH], np.int64)
    graph.constant("width", [WIDTH], np.int64)
    graph.constant("heads", [HEADS, HEAD], np.int64)
    for name, value in {"unmasked": 1.0, "lowest": -3e38, "scale": HEAD**-0.5}.items():
        graph.constant(name, value, np.float32)
    graph.constant("least_count", 1e-9, np.float32)
    graph.constant("least_length", 1e-12, np.float32)

    graph.node("Shape", ["input_ids"], "shape")
    graph.node("Slice", ["shape", "one", "two"], "length")
    graph.node("Concat", ["shape", "width"], "token_shape", axis=0)
    graph.node("Concat", ["shape", "heads"], "head_shape", axis=0)
    graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    x = embedded(graph)
    bias = masked(graph)
    for layer in range(LAYERS):
        x = encoded(graph, x, bias, layer)
    graph.node("Reshape", [x, "token_shape"], "last_hidden_state")
    pooled(graph)
    return model(graph).SerializeToString(deterministic=True)


def embedded(graph: Graph) -> str:
    words = graph.node(
        "Gather", [graph.weight("embeddings.word_embeddings.weight"), "input_ids"], "word_rows"
    )
    kinds = graph.weight("embeddings.token_type_embeddings.weight")
    graph.node("Gather", [kinds, "no_type"], "type_row")
    places = graph.weight("embeddings.position_embeddings.weight")
    graph.node("Slice", [places, "zero", "length"], "position_rows")
    graph.node("Add", [words, "type_row"], "typed_rows")
    graph.node("Add", ["typed_rows", "position_rows"], "placed_rows")
    graph.norm("placed_rows", "embeddings.LayerNorm", "embedded")
    return graph.node("Reshape", ["embedded", "rows"], "x")


def masked(graph: Graph) -> str:
    """Finite, so that a row without any token gives zeros instead of NaN."""
    graph.node("Sub", ["unmasked", "mask"], "hidden")
    graph.node("Mul", ["hidden", "lowest"], "lowered")
    return graph.node("Unsqueeze", ["lowered", "one_two"], "bias")


def encoded(graph: Graph, x: str, bias: str, layer: int) -> str:
    p, at = f"encoder.layer.{layer}.", f"l{layer}_"
    for part in ("query", "key", "value"):
        graph.linear(x, f"{p}attention.self.{part}", f"{at}{part}")
        graph.node("Reshape", [f"{at}{part}", "head_shape"], f"{at}{part}_split")
        order = [0, 2, 3, 1] if part == "key" else [0, 2, 1, 3]
        graph.node("Transpose", [f"{at}{part}_split"], f"{at}{part}_heads", perm=order)
    graph.node("MatMul", [f"{at}query_heads", f"{at}key_heads"], f"{at}scores")
    graph.node("Mul", [f"{at}scores", "scale"], f"{at}scaled")
    graph.node("Add", [f"{at}scaled", bias], f"{at}biased")
    graph.node("Softmax", [f"{at}biased"], f"{at}attention", axis=-1)
    graph.node("MatMul", [f"{at}attention", f"{at}value_heads"], f"{at}mixed")
    graph.node("Transpose", [f"{at}mixed"], f"{at}mixed_back", perm=[0, 2, 1, 3])
    graph.node("Reshape", [f"{at}mixed_back", "rows"], f"{at}joined")
    graph.linear(f"{at}joined", f"{p}attention.output.dense", f"{at}attended")
    graph.node("Add", [f"{at}attended", x], f"{at}attended_sum")
    x = graph.norm(f"{at}attended_sum", f"{p}attention.output.LayerNorm", f"{at}attended_norm")
    graph.linear(x, f"{p}intermediate.dense", f"{at}wide")
    graph.node("Gelu", [f"{at}wide"], f"{at}gelu", approximate="none")
    graph.linear(f"{at}gelu", f"{p}output.dense", f"{at}narrow")
    graph.node("Add", [f"{at}narrow", x], f"{at}sum")
    return graph.norm(f"{at}sum", f"{p}output.LayerNorm", f"{at}out")


def pooled(graph: Graph) -> None:
    graph.node("Unsqueeze", ["mask", "two"], "mask_column")
    graph.node("Mul", ["last_hidden_state", "mask_column"], "seen")
    graph.node("ReduceSum", ["seen", "one"], "total", keepdims=0)
    graph.node("ReduceSum", ["mask", "one"], "count", keepdims=1)
    graph.node("Max", ["count", "least_count"], "some")
    graph.node("Div", ["total", "some"], "mean")
    graph.node("Mul", ["mean", "mean"], "squares")
    graph.node("ReduceSum", ["squares", "one"], "square", keepdims=1)
    graph.node("Sqrt", ["square"], "norm")
    graph.node("Max", ["norm", "least_length"], "divisor")
    graph.node("Div", ["mean", "divisor"], "sentence_embedding")


def model(graph: Graph) -> ModelProto:
    values = helper.make_tensor_value_info
    made = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [values(name, TensorProto.INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")],
        [
            values("last_hidden_state", TensorProto.FLOAT, ["batch", "length", WIDTH]),
            values("sentence_embedding", TensorProto.FLOAT, ["batch", WIDTH]),
        ],
        [*graph.constants, *graph.external.values()],
    )
    return helper.make_model(
        made, producer_name="memkit", ir_version=9, opset_imports=[helper.make_opsetid("", 20)]
    )


def main() -> int:
    given = [argument for argument in sys.argv[1:] if argument != "--check"]
    graph = build(tensors(find(Path(given[0]) if given else None).model))
    if "--check" not in sys.argv:
        GRAPH.write_bytes(graph)
        return 0
    if GRAPH.exists() and GRAPH.read_bytes() == graph:
        return 0
    print(f"{GRAPH.name} is not what scripts/minilm_graph.py writes; run it")
    return 1


if __name__ == "__main__":
    sys.exit(main())
