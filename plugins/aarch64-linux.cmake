# For an aarch64 Linux with glibc 2.28 or newer (JetPack 5, Raspberry Pi OS 10), built on any machine: `make runner`.
#
# The compiler is zig's clang from PyPI (`ziglang`), which brings the C library's stubs of any version. A distribution's
# own cross compiler links against its own glibc: Debian 12's asks for 2.34, and for 2.36 with a static libstdc++, which
# neither JetPack 5 nor JetPack 6 has.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
find_program(EDGEVISION_PYTHON NAMES python3 REQUIRED)
set(CMAKE_CXX_COMPILER "${EDGEVISION_PYTHON}" -m ziglang c++ -target aarch64-linux-gnu.2.28)
set(CMAKE_CXX_ARCHIVE_CREATE "${EDGEVISION_PYTHON} -m ziglang ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "${EDGEVISION_PYTHON} -m ziglang ar q <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "${EDGEVISION_PYTHON} -m ziglang ranlib <TARGET>")
