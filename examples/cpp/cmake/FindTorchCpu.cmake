# TorchCpu::TorchCpu: libtorch for the CPU, as the torch wheel or libtorch's archive have it.
#
# torch's own TorchConfig.cmake, of the wheel with CUDA, demands an installed CUDA toolkit even of
# a program that runs on the CPU; two libraries and one folder of headers are all that is needed.

find_path(TorchCpu_INCLUDE_DIR torch/csrc/jit/serialization/import.h PATH_SUFFIXES torch/include)
find_library(TorchCpu_LIBRARY torch_cpu PATH_SUFFIXES torch/lib)
find_library(TorchCpu_C10_LIBRARY c10 PATH_SUFFIXES torch/lib)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  TorchCpu REQUIRED_VARS TorchCpu_LIBRARY TorchCpu_C10_LIBRARY TorchCpu_INCLUDE_DIR)

if(TorchCpu_FOUND AND NOT TARGET TorchCpu::TorchCpu)
  add_library(TorchCpu::C10 SHARED IMPORTED)
  set_target_properties(TorchCpu::C10 PROPERTIES IMPORTED_LOCATION "${TorchCpu_C10_LIBRARY}")
  add_library(TorchCpu::TorchCpu SHARED IMPORTED)
  set_target_properties(
    TorchCpu::TorchCpu
    PROPERTIES IMPORTED_LOCATION "${TorchCpu_LIBRARY}"
               INTERFACE_INCLUDE_DIRECTORIES "${TorchCpu_INCLUDE_DIR}"
               INTERFACE_LINK_LIBRARIES TorchCpu::C10)
endif()
