# OnnxRuntime::OnnxRuntime: the library of the onnxruntime wheel, or an installed one, and headers.
#
# The wheel has no headers: they come with Debian's libonnxruntime-dev or with the archive of a
# release (-DOnnxRuntime_INCLUDE_DIR=...). They may be older than the library, not newer.

find_path(OnnxRuntime_INCLUDE_DIR onnxruntime_cxx_api.h PATH_SUFFIXES onnxruntime)

foreach(prefix IN LISTS CMAKE_PREFIX_PATH)
  file(GLOB found "${prefix}/onnxruntime/capi/libonnxruntime.so.*")
  list(APPEND OnnxRuntime_OF_WHEEL ${found})
endforeach()

if(OnnxRuntime_OF_WHEEL AND NOT OnnxRuntime_LIBRARY)
  # The wheel keeps the library under its whole version; programs ask for libonnxruntime.so.1.
  list(GET OnnxRuntime_OF_WHEEL 0 found)
  set(link "${CMAKE_CURRENT_BINARY_DIR}/onnxruntime/libonnxruntime.so.1")
  file(MAKE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/onnxruntime")
  file(CREATE_LINK "${found}" "${link}" SYMBOLIC)
  set(OnnxRuntime_LIBRARY "${link}" CACHE FILEPATH "ONNX Runtime's library")
endif()
find_library(OnnxRuntime_LIBRARY onnxruntime)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  OnnxRuntime REQUIRED_VARS OnnxRuntime_LIBRARY OnnxRuntime_INCLUDE_DIR)

if(OnnxRuntime_FOUND AND NOT TARGET OnnxRuntime::OnnxRuntime)
  add_library(OnnxRuntime::OnnxRuntime SHARED IMPORTED)
  set_target_properties(
    OnnxRuntime::OnnxRuntime
    PROPERTIES IMPORTED_LOCATION "${OnnxRuntime_LIBRARY}"
               IMPORTED_SONAME libonnxruntime.so.1
               INTERFACE_INCLUDE_DIRECTORIES "${OnnxRuntime_INCLUDE_DIR}")
endif()
