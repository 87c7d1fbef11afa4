"""GPU kernels live in `edgevision.plugins.triton`; the C++ sources beside them are not part of the Python package."""

if __name__ != "edgevision.plugins":
    raise ImportError("kernels are a subpackage: write `import edgevision.plugins`, not `import plugins`")
