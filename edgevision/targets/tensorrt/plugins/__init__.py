"""The operators as TensorRT plugins, one description a file, named after its kernel in `edgevision.plugins.triton`."""
