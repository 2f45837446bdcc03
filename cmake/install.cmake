# The locks as a library for other projects:
#   find_package(memhp COMPONENTS locks)      target memhp::locks
#   pkg-config memhp-locks
# Headers go to include/memhp/locks; they include each other as "locks/x.h", so both
# include and include/memhp are in the search path: <memhp/locks/x.h> and "locks/x.h" work.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(memhp_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/memhp)

# What the headers need; the sources are compiled as C++23.
target_compile_features(memhp_locks PUBLIC cxx_std_20)
target_include_directories(memhp_locks INTERFACE
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/memhp>)
set_target_properties(memhp_locks PROPERTIES EXPORT_NAME locks)

install(TARGETS memhp_locks EXPORT memhp-locks-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT locks)
# What locks/README.md names and what that includes; the others are the library's own.
# install.headers finds what is too much here, and install.* what is missing.
set(memhp_locks_headers
  completion.h execution.h guards.h lock_class.h lock_model.h lock_orders.h lock_rule.h
  lock_stat.h lockdep.h lockdep_report.h mutex.h percpu_counter.h percpu_rwsem.h
  proc_files.h rwsem.h shared_percpu_count.h shared_percpu_rwsem.h stack_trace.h
  thread_annotations.h tracked.h tsan.h wait_queue.h)
list(TRANSFORM memhp_locks_headers PREPEND ${PROJECT_SOURCE_DIR}/locks/)
install(FILES ${memhp_locks_headers}
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/memhp/locks COMPONENT locks)
install(EXPORT memhp-locks-targets NAMESPACE memhp::
        DESTINATION ${memhp_cmake_dir} COMPONENT locks)

configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/memhpConfig.cmake.in ${PROJECT_BINARY_DIR}/memhpConfig.cmake
  INSTALL_DESTINATION ${memhp_cmake_dir})
# Before 1.0 a minor version may change anything.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/memhpConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
# Relative, so that the installed tree can be moved.
file(RELATIVE_PATH memhp_pc_to_prefix
     /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" memhp_pc_to_prefix "${memhp_pc_to_prefix}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/memhp-locks.pc.in
               ${PROJECT_BINARY_DIR}/memhp-locks.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/memhpConfig.cmake
              ${PROJECT_BINARY_DIR}/memhpConfigVersion.cmake
        DESTINATION ${memhp_cmake_dir} COMPONENT locks)
install(FILES ${PROJECT_BINARY_DIR}/memhp-locks.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT locks)
