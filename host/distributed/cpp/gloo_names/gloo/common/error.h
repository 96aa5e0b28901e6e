// The wheel of PyTorch has gloo's code but not its headers. What `ProcessGroupGloo.hpp` names of it is declared here; nothing of it
// is made, asked or freed by the shim, so that its layout does not matter.
#pragma once
