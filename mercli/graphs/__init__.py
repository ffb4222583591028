"""Networks as ONNX graphs: made of torch modules, shrunk to int8, and run by onnxruntime (extra ``onnx``)."""
