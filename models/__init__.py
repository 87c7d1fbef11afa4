"""The zoo: one file and one card (TOML) per architecture. Installed as `edgevision.models`."""

if __name__ != "edgevision.models":
    raise ImportError("the zoo is a subpackage: write `import edgevision.models`, not `import models`")
