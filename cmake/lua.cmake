# SPDX-License-Identifier: MIT
# The Lua module, once for each Lua that is here with luv: 5.4, and 5.1 as LuaJIT has it (Neovim).
# It has the library inside, and the shared libuv that luv has.

# uvdio_add_lua(version module): target uvdio_lua_<version>, which is lua/<version>/uvdio.so.
# `module` is the name by which pkg-config knows the Lua. luv's own description is not asked: it
# requires Lua's library, which the program has that loads the module.
function(uvdio_add_lua version module)
  pkg_check_modules(UVDIO_LUA_${version} QUIET IMPORTED_TARGET GLOBAL ${module})
  find_path(UVDIO_LUV_${version}_INCLUDE luv/luv.h PATH_SUFFIXES lua${version})
  find_library(UVDIO_LUV_${version}_LIBRARY NAMES lua${version}-luv)
  mark_as_advanced(UVDIO_LUV_${version}_INCLUDE UVDIO_LUV_${version}_LIBRARY)
  if(NOT UVDIO_LUA_${version}_FOUND OR NOT UVDIO_LUV_${version}_INCLUDE
    OR NOT UVDIO_LUV_${version}_LIBRARY)
    message(STATUS "uvdio: no module for Lua ${version}: ${module} or luv for it was not found")
    return()
  endif()
  set(target uvdio_lua_${version})
  add_library(${target} MODULE src/lua/module.c src/lua/request.c src/lua/file.c
    src/lua/file_list.c src/lua/buffer.c)
  uvdio_own_target(${target})
  target_include_directories(${target} SYSTEM PRIVATE
    ${UVDIO_LUA_${version}_INCLUDE_DIRS} ${UVDIO_LUV_${version}_INCLUDE})
  target_link_libraries(${target} PRIVATE uvdio_static ${UVDIO_LUV_${version}_LIBRARY})
  # nodelete: Lua unloads modules when its state is closed, and requests may end later.
  target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,-z,nodelete)
  set_target_properties(${target} PROPERTIES
    PREFIX ""
    OUTPUT_NAME uvdio
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lua/${version})
  if(UVDIO_INSTALL)
    install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/lua/${version})
  endif()
endfunction()

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  uvdio_add_lua(5.4 lua5.4)
  uvdio_add_lua(5.1 luajit)
else()
  message(STATUS "uvdio: no module for Lua: there is no pkg-config to find one by")
endif()
