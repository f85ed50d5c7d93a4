"""Make what slows an encoder down: appended to the bytes of its graph, it makes each call take a while longer.

    make_slow.py OUT

Protocol buffers merge when they are put one after the other, so OUT holds a model of nodes, a shape and an output alone: a chain
of matrix products over zeros that hang on the input, and therefore cannot be computed before.
"""
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SIDE, PRODUCTS = 768, 4


def main(out):
    initializers = [
        numpy_helper.from_array(np.array([SIDE, SIDE], np.int64), "slow_shape"),
        numpy_helper.from_array(np.array(0, np.float32), "slow_zero"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["speech"], ["slow_mean"], keepdims=0),
        helper.make_node("Mul", ["slow_mean", "slow_zero"], ["slow_nothing"]),
        helper.make_node("Expand", ["slow_nothing", "slow_shape"], ["slow_0"]),
        *(helper.make_node("MatMul", [f"slow_{i}", f"slow_{i}"], [f"slow_{i + 1}"]) for i in range(PRODUCTS)),
        helper.make_node("ReduceMax", [f"slow_{PRODUCTS}"], ["slow"], keepdims=0),
    ]
    output = helper.make_tensor_value_info("slow", TensorProto.FLOAT, [])
    graph = helper.make_graph(nodes, "", [], [output], initializers)
    model = helper.make_model(graph)
    for field in ("ir_version", "opset_import", "producer_name"):
        model.ClearField(field)
    model.graph.ClearField("name")
    with open(out, "wb") as f:
        f.write(model.SerializeToString())


main(*sys.argv[1:])
