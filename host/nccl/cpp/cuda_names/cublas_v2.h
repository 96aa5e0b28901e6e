// What libtorch's headers name of it, for builds without the package that has it: handles are opaque pointers.
#pragma once

struct cublasContext;
using cublasHandle_t = cublasContext*;
enum cublasStatus_t : int;
