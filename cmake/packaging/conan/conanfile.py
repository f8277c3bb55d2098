# SPDX-License-Identifier: MIT
"""A recipe for Conan 2. It was never run: it was written where no Conan can be reached. Expect to
mend it at its first run, and then remove these sentences.

    conan create cmake/packaging/conan

packs the tree that it lies in. One package has both libraries; the option `shared` says which of
them its users link to.
"""
import os
import re

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load
from conan.tools.gnu import PkgConfigDeps


class UvdioConan(ConanFile):
    name = "uvdio"
    license = "MIT"
    description = "Direct I/O on a libuv event loop that the program already has"
    topics = ("direct-io", "io-uring", "libuv", "storage")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "with_isal": [True, False]}
    default_options = {"shared": False, "with_isal": False}
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")

    def set_version(self):
        text = load(self, os.path.join(self.root, "include", "uvdio", "version.h"))
        parts = re.findall(r"^#define UVDIO_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.M)
        self.version = ".".join(parts)

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*"):
            copy(self, pattern, self.root, self.export_sources_folder)

    def configure(self):
        self.settings.rm_safe("compiler.cppstd")
        self.settings.rm_safe("compiler.libcxx")

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        # uvdio.h includes uv.h.
        self.requires("libuv/[>=1.44 <2]", transitive_headers=True)
        if self.settings.os == "Linux":
            self.requires("liburing/[>=2.3 <3]")
        if self.options.with_isal:
            self.requires("isa-l/[>=2.30 <3]")

    def build_requirements(self):
        self.tool_requires("pkgconf/[>=2 <3]")
        self.tool_requires("cmake/[>=3.25 <5]")

    def generate(self):
        tc = CMakeToolchain(self)
        tc.variables["UVDIO_BUILD_TESTS"] = False
        tc.variables["UVDIO_BUILD_CLI"] = False
        tc.variables["UVDIO_BUILD_EXAMPLES"] = False
        tc.variables["UVDIO_INSTALL"] = True
        tc.variables["UVDIO_WITH_TRACING"] = "OFF"
        tc.variables["UVDIO_WITH_RING"] = "ON" if self.settings.os == "Linux" else "OFF"
        tc.variables["UVDIO_WITH_ISAL"] = "ON" if self.options.with_isal else "OFF"
        tc.generate()
        CMakeDeps(self).generate()
        PkgConfigDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "uvdio")
        self.cpp_info.set_property("cmake_target_name", "uvdio::uvdio")
        self.cpp_info.set_property("pkg_config_name", "uvdio")
        if self.options.shared:
            self.cpp_info.libs = ["uvdio"]
            self.cpp_info.defines = ["UVDIO_USING_SHARED"]
        elif self.settings.os == "Windows" and self.settings.compiler == "msvc":
            self.cpp_info.libs = ["uvdio_static"]
        elif self.settings.os in ("Linux", "FreeBSD"):
            # Beside the shared library, which a linker would take.
            self.cpp_info.libs = [":libuvdio.a"]
        else:
            self.cpp_info.libs = ["uvdio"]
