// What libtorch's headers name of it, for builds without the package that has it: handles are opaque pointers.
#pragma once

struct cusparseContext;
using cusparseHandle_t = cusparseContext*;
enum cusparseStatus_t : int;
