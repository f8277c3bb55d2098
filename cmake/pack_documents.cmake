# SPDX-License-Identifier: MIT
# Read by CPack before it packs what it has installed in ${CPACK_TEMPORARY_INSTALL_DIRECTORY}, a
# folder for each component: puts licence, changelog and man pages as the format wants them. Each
# component has the licence in share/licenses/uvdio-COMPONENT.

# Compresses without a time and a name in gzip's header, so that the same source makes the same
# package.
function(compress folder)
  if(ARGN)
    execute_process(COMMAND gzip -9n ${ARGN} WORKING_DIRECTORY "${folder}"
      COMMAND_ERROR_IS_FATAL ANY)
  endif()
endfunction()

# What dpkg calls the changelog is that of the package, in a form of its own.
function(put_debian_documents prefix component name)
  set(folder "${prefix}/share/doc/${name}")
  file(MAKE_DIRECTORY "${folder}")
  file(RENAME "${prefix}/share/licenses/uvdio-${component}/LICENSE" "${folder}/copyright")
  file(REMOVE_RECURSE "${prefix}/share/licenses")
  file(COPY_FILE "${CPACK_UVDIO_SOURCE}/CHANGELOG.md" "${folder}/changelog")
  string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
  file(WRITE "${folder}/changelog.Debian" "\
uvdio (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium

  * Built by CPack from the sources of uvdio ${CPACK_PACKAGE_VERSION}, whose
    changes are in changelog.gz.

 -- ${CPACK_PACKAGE_CONTACT}  ${now}
")
  file(CHMOD "${folder}/copyright" "${folder}/changelog" "${folder}/changelog.Debian"
    PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  compress("${folder}" changelog changelog.Debian)
  file(GLOB_RECURSE pages RELATIVE "${prefix}/share/man" "${prefix}/share/man/man*/*.[1-9]")
  compress("${prefix}/share/man" ${pages})
endfunction()

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} upper)
  set(prefix "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component}${CPACK_PACKAGING_INSTALL_PREFIX}")
  if(CPACK_GENERATOR STREQUAL "DEB")
    put_debian_documents("${prefix}" ${component} ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  endif()
endforeach()
