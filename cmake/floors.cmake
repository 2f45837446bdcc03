# memhp_floor(NAME SOURCES... LINKS...): one static library per floor, with the
# repository root as include path, warnings as errors and the thread-safety
# analysis where the compiler has it.

add_library(memhp_options INTERFACE)
target_include_directories(memhp_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(memhp_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wnon-virtual-dtor
  # Designated initializers leave fields out on purpose.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(memhp_options INTERFACE
    -Wthread-safety -Wthread-safety-beta -Werror=thread-safety)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 finds these inside std::optional, std::function and std::string at -O2 and
  # above where there is nothing to find; clang and clang-tidy look for the real ones.
  target_compile_options(memhp_options INTERFACE
    -Wno-array-bounds -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow
    -Wno-stringop-overread)
endif()
if(MEMHP_SANITIZE)
  target_compile_options(memhp_options INTERFACE
    -fsanitize=${MEMHP_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(memhp_options INTERFACE -fsanitize=${MEMHP_SANITIZE})
endif()

# The library headers that most sources include are a third of their compile time; here
# they are compiled once for all floors that format text. Preset `analyze` compiles each
# source with its own includes alone, and so sees one that is missing.
if(NOT MEMHP_LOCKS_ONLY)
  find_package(fmt REQUIRED)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/common_headers.cc CONTENT "")
  add_library(memhp_common_headers OBJECT ${PROJECT_BINARY_DIR}/common_headers.cc)
  target_link_libraries(memhp_common_headers PRIVATE memhp_options fmt::fmt)
  target_precompile_headers(memhp_common_headers PRIVATE
    <algorithm> <array> <atomic> <chrono> <cstdint> <deque> <expected> <functional> <map>
    <memory> <optional> <ranges> <span> <string> <string_view> <utility> <vector>
    <boost/smart_ptr/intrusive_ptr.hpp> <fmt/format.h>)
endif()

function(memhp_floor name)
  cmake_parse_arguments(floor "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(memhp_${name} STATIC ${floor_SOURCES})
  add_library(memhp::${name} ALIAS memhp_${name})
  target_link_libraries(memhp_${name}
    # Warnings and sanitizers are ours, not those of who uses an installed library.
    PUBLIC $<BUILD_INTERFACE:memhp_options> ${floor_LINKS}
    PRIVATE ${floor_PRIVATE_LINKS})
  if("fmt::fmt" IN_LIST floor_LINKS OR "fmt::fmt" IN_LIST floor_PRIVATE_LINKS)
    target_precompile_headers(memhp_${name} REUSE_FROM memhp_common_headers)
  endif()
endfunction()
