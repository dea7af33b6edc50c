"""A run's network as files that other programs read; docs/export.md says what is in them.

`jax_file.py` writes any network. Of the residual one `contents.py` says what is written,
`onnx_file.py` and `safetensors_file.py` in which form, and `comparison.py`
whether what was written says what the network says.
"""
