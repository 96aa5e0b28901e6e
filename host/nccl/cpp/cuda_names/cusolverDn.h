// What libtorch's headers name of it, for builds without the package that has it: handles are opaque pointers.
#pragma once

#include "cusolver_common.h"

struct cusolverDnContext;
using cusolverDnHandle_t = cusolverDnContext*;
