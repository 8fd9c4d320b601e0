"""ONNX graphs as torch modules: read as files of strangers, of a closed list of operators."""
