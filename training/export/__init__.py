"""A run's network as files that other programs read; docs/export.md says what is in them.

`jax_file.py` writes any network, `onnx_file.py` any whose operations `onnx_graph.py` knows, and
`safetensors_file.py` the residual one, by the layers of `contents.py`. `comparison.py` tells
whether an ONNX model says what the network says.
"""
