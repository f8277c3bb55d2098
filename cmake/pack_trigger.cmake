# SPDX-License-Identifier: MIT
# Read by CPack when the packages are made, before it copies them to their place. CPack calls
# ldconfig in scripts of a .deb with a library; Debian wants dpkg to be told instead, which calls it
# once for all packages that it installs.

foreach(package IN LISTS CPACK_PACKAGE_FILES)
  if(NOT package MATCHES "/${CPACK_DEBIAN_RUNTIME_PACKAGE_NAME}_[^/]*\\.deb$")
    continue()
  endif()
  set(folder "${package}.unpacked")
  file(REMOVE_RECURSE "${folder}")
  execute_process(COMMAND dpkg-deb -R "${package}" "${folder}" COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE "${folder}/DEBIAN/postinst" "${folder}/DEBIAN/postrm")
  file(WRITE "${folder}/DEBIAN/triggers" "activate-noawait ldconfig\n")
  execute_process(
    COMMAND dpkg-deb -Z${CPACK_DEBIAN_COMPRESSION_TYPE} --root-owner-group -b "${folder}"
      "${package}"
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  file(REMOVE_RECURSE "${folder}")
endforeach()
