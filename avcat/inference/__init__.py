"""Trained networks, ready to use: `redraw` and `talk` run them, `export` converts them to ONNX."""

ONNX_SUFFIX = ".onnx"  # here, since the command line needs it without torch
