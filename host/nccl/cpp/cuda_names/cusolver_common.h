// What libtorch's headers name of it, for builds without the package that has it: handles are opaque pointers.
#pragma once

enum cusolverStatus_t : int;
