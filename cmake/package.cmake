# What `cmake --install` gives, and the Debian package that cpack makes of it:
# the program with its pages and completion, the machines, the documents, and,
# for people who write a VMM, Linux's uAPI headers of 7.3 with the proposals
# (Debian 12 has no <linux/iommufd.h>) and minivmm as an example that builds
# against them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(uapi_dir ${CMAKE_INSTALL_INCLUDEDIR}/teeio/uapi)
set(uapi_cmake_dir ${CMAKE_INSTALL_DATADIR}/cmake/teeio-uapi)

install(TARGETS teeio)
file(GLOB man_pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.1)
install(FILES ${man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_SOURCE_DIR}/scripts/completion/teeio
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/machines DESTINATION ${CMAKE_INSTALL_DATADIR}/teeio)
foreach(page README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md SECURITY.md LICENSE)
  install(FILES ${CMAKE_SOURCE_DIR}/${page} DESTINATION ${CMAKE_INSTALL_DOCDIR})
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs
        PATTERN man EXCLUDE)
# Not below doc: slim containers leave that out.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/teeio
        PATTERN build EXCLUDE)
file(RELATIVE_PATH examples_of_doc ${CMAKE_INSTALL_FULL_DOCDIR}
     ${CMAKE_INSTALL_FULL_DATADIR}/teeio/examples)
file(CREATE_LINK ${examples_of_doc} ${CMAKE_BINARY_DIR}/examples_of_doc SYMBOLIC)
install(FILES ${CMAKE_BINARY_DIR}/examples_of_doc DESTINATION ${CMAKE_INSTALL_DOCDIR}
        RENAME examples)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/src/abi/linux DESTINATION ${uapi_dir})

configure_file(${CMAKE_SOURCE_DIR}/cmake/teeio-uapi.pc.in teeio-uapi.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/teeio-uapi.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/teeio-uapi-config.cmake.in
  teeio-uapi-config.cmake INSTALL_DESTINATION ${uapi_cmake_dir} PATH_VARS uapi_dir)
write_basic_package_version_file(teeio-uapi-config-version.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/teeio-uapi-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/teeio-uapi-config-version.cmake
        DESTINATION ${uapi_cmake_dir})

set(CPACK_PACKAGE_NAME teeio)
set(CPACK_PACKAGE_VENDOR "the teeio maintainers")
set(CPACK_PACKAGE_CONTACT "the teeio maintainers <maintainers@teeio.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "TEE-I/O host in user space: VFIO, iommufd, KVM and TSM")
set(CPACK_PACKAGE_DESCRIPTION
"teeio run -- PROGRAM gives an unmodified program a /dev/iommu, /dev/vfio,
/dev/kvm and /sys that behave like a host which hands PCIe functions to
confidential VMs: no root, no kernel module, no hardware. teeio explore tries
every order of such calls; teeio serve and validate speak SPDM, IDE_KM and TDISP.")
set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "pciutils")
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
include(CPack)
