# cmake --install: libraries, headers as <fedlane/...>, CMake package (Fedlane::fedlane), pkg-config file, program, report.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set_target_properties(fedlane_shared PROPERTIES EXPORT_NAME fedlane)
install(TARGETS fedlane_shared fedlane_static fedlane_plugin EXPORT FedlaneTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${FEDLANE_PUBLIC} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fedlane)
if(TARGET fedlane)
  install(TARGETS fedlane RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET fedlane-bench)
  install(TARGETS fedlane-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(PROGRAMS scripts/report DESTINATION ${CMAKE_INSTALL_DATADIR}/fedlane)
install(DIRECTORY scripts/reporting DESTINATION ${CMAKE_INSTALL_DATADIR}/fedlane FILES_MATCHING PATTERN "*.py"
        PATTERN "page.*")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Fedlane)
install(EXPORT FedlaneTargets NAMESPACE Fedlane:: DESTINATION ${package_dir})
file(WRITE ${CMAKE_BINARY_DIR}/FedlaneConfig.cmake
"include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(OpenMP COMPONENTS C)
include(\${CMAKE_CURRENT_LIST_DIR}/FedlaneTargets.cmake)
")
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/FedlaneConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/FedlaneConfig.cmake ${CMAKE_BINARY_DIR}/FedlaneConfigVersion.cmake DESTINATION ${package_dir})

set(private_libs "${OpenMP_C_FLAGS} -lpthread -lm")
if(NUMA_LIBRARY AND NUMA_INCLUDE)
  string(APPEND private_libs " -lnuma")
endif()
# The prefix is found from the file's own place: an installation may be moved, or made with cmake --install --prefix.
file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
file(WRITE ${CMAKE_BINARY_DIR}/fedlane.pc
"prefix=\${pcfiledir}/${up}
libdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}
includedir=\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}

Name: fedlane
Description: Bit-reproducible federated-learning optimizers
Version: ${PROJECT_VERSION}
Cflags: -I\${includedir}
Libs: -L\${libdir} -lfedlane
Libs.private: ${private_libs}
")
install(FILES ${CMAKE_BINARY_DIR}/fedlane.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
